"""Meters on which lost small flow is tried: households of another build, and real meters with slow draws added."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import numpy as np
from households import MINUTES
from numpy.typing import NDArray
from test_steps_real_meters import parse

from verifier.comparison_budget import CumulativeSeries
from verifier.light_load import HOUR_US

Floats = NDArray[np.float64]
_LOST_FROM = 0.6  # of a real meter's time
# Of the file's meters with 14 weeks those on which no threshold was chosen.
_HELD_OUT = (
    *(2, 4, 19, 21, 23, 25, 27, 30, 32, 34, 36, 39, 41, 43, 53, 55, 57, 63, 65, 67, 71, 73, 77, 79, 81, 83, 85),
    *(87, 89, 91),
)
_DRAWS_A_DAY = (2.0, 4.5, 9.0)


def other_draws(rng: np.random.Generator, weeks: int) -> Floats:
    """Flow by the minute [m3/h], shape (weeks · MINUTES,), of one to four persons.

    Weeks' habits last (autoregressive, 0.7), follow a season and differ at weekends; one week in sixteen nobody is in.
    Toilets fill fast and end slowly, three homes of five have a purifier, one in seven drips.
    """
    flow = np.full(weeks * MINUTES, rng.uniform(0.001, 0.004) if rng.random() < 0.15 else 0.0)
    persons, purifier, habit = int(rng.integers(1, 5)), rng.random() < 0.6, 0.0
    tail_m3ph, phase = rng.uniform(0.012, 0.04), rng.uniform(0, 52)
    early = np.exp(-((np.arange(24) - rng.uniform(6, 8)) ** 2) / 4)
    late = np.exp(-((np.arange(24) - rng.uniform(18, 21)) ** 2) / 8)
    for week in range(weeks):
        habit = 0.7 * habit + rng.normal(0, 0.15)
        if rng.random() < 1 / 16:
            continue
        busy = np.exp(habit) * (1 + 0.15 * np.sin((week + phase) / 52 * 2 * np.pi))
        for day in range(7):
            hours = 0.05 + late + np.roll(early, 2 if day > 4 else 0)
            _day(rng, flow, (week * 7 + day) * 1440, hours / hours.sum(), persons * busy, tail_m3ph, purifier)
    return flow


def _day(
    rng: np.random.Generator,
    flow: Floats,
    origin: int,
    hours: Floats,
    persons: float,
    tail_m3ph: float,
    purifier: bool,
) -> None:
    def begin() -> int:
        return int(origin + rng.choice(24, p=hours) * 60 + rng.integers(60))

    for _ in range(rng.poisson(5 * persons)):  # toilets
        at, tail = begin(), int(rng.integers(4, 20))
        flow[at : at + 2] += 0.15
        flow[at + 2 : at + 2 + tail] += tail_m3ph
    for _ in range(rng.poisson(8 * persons)):  # taps
        at = begin()
        flow[at : at + rng.integers(1, 3)] += rng.uniform(0.04, 0.3)
    for _ in range(rng.poisson(0.8 * persons)):  # showers
        at = begin()
        flow[at : at + rng.integers(4, 11)] += rng.uniform(0.4, 0.7)
    for _ in range(rng.poisson(0.25 * persons)):  # washing machines
        at = begin()
        for fill in range(4):
            flow[at + 15 * fill : at + 15 * fill + 2] += 0.5
    for _ in range(rng.poisson(2.5) if purifier else 0):
        at = begin()
        flow[at : at + rng.integers(30, 90)] += rng.uniform(0.01, 0.018)


@dataclass(frozen=True)
class RealMeter:
    """A meter as it was read, with slow draws added (by `_DRAWS_A_DAY`), and with those lost from `lost_us` on."""

    weeks: float
    plain: CumulativeSeries
    added: tuple[CumulativeSeries, ...]
    lost: tuple[CumulativeSeries, ...]
    added_share: tuple[float, ...]
    lost_us: int


def real_meters(file: Path) -> Iterator[RealMeter]:
    """The meters on which no threshold was chosen, read for at least 14 weeks, in litres by the hour.

    Only hours between readings an hour apart are taken; what flowed in others is left out.
    """
    with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as lines:
        rows, keys = parse(TextIOWrapper(lines, "utf-8"))
    for number in (one for one in _HELD_OUT if one <= len(keys)):
        own = rows[rows["meter_id"] == number]
        times, first = np.unique(own["observed_us"], return_index=True)
        total = np.maximum.accumulate(own["register_micro"][first] / 1e6)
        apart = np.diff(times) / HOUR_US
        known = (apart > 0.9) & (apart < 1.1)
        hour, litres = times[1:][known] // HOUR_US, np.rint(1000 * np.diff(total)[known])
        if hour.size < 14 * 168:
            continue
        count = int(hour[-1] - hour[0]) + 1
        use, read = np.zeros(count), np.zeros(count, bool)
        use[hour - hour[0]], read[hour - hour[0]] = litres, True
        lost_at, added, lost, shares = int(_LOST_FROM * count), [], [], []
        for draws_a_day in _DRAWS_A_DAY:
            slow = _slow_draws(np.random.default_rng([number, int(10 * draws_a_day)]), count, draws_a_day)
            added.append(_series(hour[0], use + slow, read))
            lost.append(_series(hour[0], use + np.where(np.arange(count) < lost_at, slow, 0.0), read))
            shares.append(float(slow[read].sum() / (slow + use)[read].sum()))
        yield RealMeter(
            count / 168, _series(hour[0], use, read), tuple(added), tuple(lost), tuple(shares),
            int(hour[0] + lost_at) * HOUR_US,
        )  # fmt: skip


def _slow_draws(rng: np.random.Generator, hours: int, draws_a_day: float) -> Floats:
    """Litres by the hour of draws of 8 to 25 L/h for 1 to 2.5 h at any time."""
    out = np.zeros(hours + 4)
    for day in range(hours // 24):
        for _ in range(rng.poisson(draws_a_day * rng.lognormal(0, 0.2))):
            start, length, rate = rng.uniform(0, 24), rng.uniform(1, 2.5), rng.uniform(8, 25)
            for hour in range(int(start), int(start + length) + 1):
                within = max(0.0, min(hour + 1, start + length) - max(hour, start))
                out[min(day * 24 + hour, hours + 3)] += rate * within
    return out[:hours]


def _series(first_hour: int, litres: Floats, read: NDArray[np.bool_]) -> CumulativeSeries:
    shown = np.floor(np.concatenate([[0.0], np.cumsum(litres)]) + 1e-6) / 1000
    times = (first_hour - 1 + np.arange(litres.size + 1)) * HOUR_US
    kept = np.concatenate([[True], read])
    return CumulativeSeries(times[kept].astype(np.int64), shown[kept], 0.001)
