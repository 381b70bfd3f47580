"""Water use of households as courses: real hourly registers filled with draw-offs, or synthetic households.

Real ones: 92 households of Alicante, 2016/17 (trials of the DAIAD project, CC BY-SA); they are not part of the project.
The file is found by METERPROOF_WATER or at ../shared/data/swm_trialA.zip beside the project.
"""

import csv
import functools
import io
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zones.course import Course, Floats, from_events
from zones.filling import Runs, filled
from zones.injection import DAY_S

FIRST_MONDAY = datetime(2016, 3, 7, tzinfo=UTC)
WEEKS = 37  # first days of a case are drawn among so many Mondays
LONGEST_GAP_S = DAY_S
TAPS_M3 = Runs(median_per_h=0.35, spread=0.6, most_per_h=1.5)
Registers = dict[str, tuple[Floats, Floats]]


def water_file() -> Path | None:
    """Where the real households are, if they are here."""
    given = os.environ.get("METERPROOF_WATER")
    path = Path(given) if given else Path(__file__).resolve().parents[4] / "shared" / "data" / "swm_trialA.zip"
    return path if path.is_file() else None


def draw_households(count: int, days: int, rng: np.random.Generator) -> tuple[list[Course], str]:
    """`count` different households [m3] drawn at random over `days` from a Monday drawn at random."""
    path = water_file()
    if path is None:
        return [synthetic_household(days, rng) for _ in range(count)], "synthetic households"
    begin_s = FIRST_MONDAY.timestamp() + 7 * DAY_S * int(rng.integers(0, WEEKS))
    found = [c for one in read_registers(path).values() if (c := _window(*one, begin_s, days, rng)) is not None]
    if len(found) < count:
        raise ValueError(
            f"{path}: {len(found)} households without gaps over {days} days, asked for {count}: take fewer"
        )
    return [found[i] for i in rng.permutation(len(found))[:count]], "real households (hourly)"


@functools.cache
def read_registers(path: Path) -> Registers:
    """By household the times [s since 1970, local] and registers [m3], ascending in time; read once a process."""
    rows: dict[str, dict[float, float]] = {}
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as binary:
        for row in csv.DictReader(io.TextIOWrapper(binary, "utf-8"), delimiter=";"):
            when = datetime.strptime(row["datetime"], "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
            rows.setdefault(row["user key"], {})[when.timestamp()] = float(row["meter reading"]) / 1000.0
    return {key: (np.array(sorted(one)), np.array([one[t] for t in sorted(one)])) for key, one in rows.items()}


def _window(times_s: Floats, total: Floats, begin_s: float, days: int, rng: np.random.Generator) -> Course | None:
    """The household's course over the window; None where its readings have long gaps or step back."""
    end_s = begin_s + days * DAY_S
    first, last = np.searchsorted(times_s, begin_s) - 1, np.searchsorted(times_s, end_s)
    if first < 0 or last >= times_s.size:
        return None
    times, read = times_s[first : last + 1], total[first : last + 1]
    if np.diff(times).max() > LONGEST_GAP_S or np.diff(read).min() < 0 or read[-1] - read[0] < 0.02 * days:
        return None
    edges_s = np.concatenate([[0.0], times[1:-1] - begin_s, [days * DAY_S]])
    use = np.diff(np.interp(edges_s + begin_s, times, read))
    keep = np.diff(edges_s) > 0
    edges_s = np.concatenate([edges_s[:-1][keep], edges_s[-1:]])
    return filled(edges_s, use[keep], TAPS_M3, 12, rng)


def synthetic_household(days: int, rng: np.random.Generator) -> Course:
    """Draw-offs by a Poisson process with two peaks a day: toilets, taps, showers, machines; some drip."""
    people = rng.integers(1, 6)
    kinds = ((5.0, 400, 60), (8.0, 250, 40), (0.8, 600, 400), (0.35, 500, 300))  # a day and person, l/h, s
    starts, lasts, rates = [], [], []
    wakes, evening = rng.normal(7.3, 1.0), rng.normal(20.0, 1.2)
    for runs, rate_lph, lasts_s in kinds:
        count = rng.poisson(runs * people * days * np.exp(rng.normal(0.0, 0.3)))
        hour = np.where(rng.random(count) < 0.4, rng.normal(wakes, 1.2, count), rng.normal(evening, 3.0, count)) % 24
        starts.append(DAY_S * rng.integers(0, days, count) + 3600.0 * hour)
        lasts.append(lasts_s * np.exp(rng.normal(0.0, 0.5, count)))
        rates.append(rate_lph * np.exp(rng.normal(0.0, 0.25, count)))
    if rng.random() < 0.2:
        starts.append(np.zeros(1)), lasts.append(np.full(1, days * DAY_S)), rates.append(np.full(1, rng.uniform(2, 15)))
    in_kw: NDArray[np.float64] = np.concatenate(rates)  # l/h over hours is l; events count in thousandths
    return from_events(np.concatenate(starts), np.concatenate(lasts), in_kw, days * DAY_S)
