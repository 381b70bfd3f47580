"""Makes a file of the shape of the real water meters' one, with known counts of everything that is odd in it.

`user key;datetime;meter reading;diff`: litres, local time of Alicante, day first, meter after meter, hourly with a
wandering minute. It holds the autumn hour that occurs twice, lines written twice, timestamps with two values, small
backward steps, glitches that return, gaps, registers in exponent form, and lines that can't be read. For tests of the
replay on any size: every count is known beforehand, by construction and not by looking.
"""

from collections import Counter
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from metrology.errors import InvalidInputError
from simulators.seeds import stream

HEADER: Final = "user key;datetime;meter reading;diff"
_ZONE: Final = ZoneInfo("Europe/Madrid")
# The clocks were set back on 2016-10-30 at 01:00 UTC; the file's middle lies there.
_CHANGE: Final = datetime(2016, 10, 30, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_KEEP_CLEAR: Final = 5  # hours on each side of the change and of a meter's ends
_MOST_HOURS: Final = 16_000
_ODDITIES: Final = ("gap", "backward", "glitch", "repeat", "conflict", "exponent", "bad")
_COUNTED_AS: Final = {
    "gap": "gaps",
    "backward": "backward_steps",
    "glitch": "glitches",
    "repeat": "exact_duplicates",
    "conflict": "conflicting",
    "bad": "rejected",
}


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """What the file holds. stored + exact_duplicates + conflicting + rejected = lines.

    Each backward step (of 1 to 112 litres, for good) and each glitch (a single 0) is one drop between successive
    readings; each gap is of three hours, and no others are of two or more. `ambiguous` counts readings in the repeated
    hour. `net_litres` sums the meters' last less their first register.
    """

    lines: int
    meters: int
    stored: int
    exact_duplicates: int
    conflicting: int
    rejected: int
    ambiguous: int
    backward_steps: int
    glitches: int
    gaps: int
    net_litres: int


def write_sample(path: Path, lines: int = 20_000, meters: int = 12, seed: int = 2016) -> SampleCounts:
    """Writes a sample of about `lines` lines and returns its exact counts; the same arguments give the same file.

    Raises InvalidInputError for fewer than 100 lines a meter (the oddities would have no room) and for more than a
    year and a half (the file would hold a second autumn).
    """
    hours = lines // max(meters, 1)
    if meters < 1 or not 100 <= hours <= _MOST_HOURS:
        raise InvalidInputError(f"{lines} lines for {meters} meters; give 100 to {_MOST_HOURS} lines for each")
    totals: Counter[str] = Counter()
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(HEADER + "\n")
        for number in range(meters):
            rows, counts = _meter(seed, number, hours)
            totals.update(counts)
            out.writelines(row + "\n" for row in rows)
    figures = {entry.name: totals[entry.name] for entry in fields(SampleCounts)}
    return SampleCounts(**(figures | {"meters": meters}))


def _meter(seed: int, number: int, hours: int) -> tuple[list[str], Counter[str]]:
    """One meter's lines in the file's order, and its counts."""
    rng = stream(seed, "sample", number)
    name = np.base_repr(int(rng.integers(2**60)), 36).lower().rjust(12, "0") + f"-{number:04d}"
    # The same minute every hour, but for some seconds; never so near the hour that it slips into the next one.
    offset = timedelta(minutes=int(rng.integers(2, 57)))
    start = _CHANGE - _HOUR * (hours // 2) + offset
    times = [start + _HOUR * i + timedelta(seconds=int(s)) for i, s in enumerate(rng.integers(0, 20, hours))]
    use = rng.poisson(6.0, hours) + 1  # more than 0, so that registers tell the two passes of the repeated hour apart
    oddities = _oddities(rng, times)
    for i, oddity in oddities.items():
        if oddity == "backward":
            use[i] = -int(rng.integers(1, 113))
    register = 1000 + int(rng.integers(200_000)) + np.cumsum(use)
    counts: Counter[str] = Counter(net_litres=int(register[-1] - register[0]))
    rows: list[tuple[datetime, str]] = []
    for i, time in enumerate(times):
        if "gap" in (oddities.get(i), oddities.get(i - 1)):  # two readings: three hours between their neighbours
            continue
        local = time.astimezone(_ZONE).replace(tzinfo=None)
        counts["ambiguous"] += abs(time - _CHANGE) <= _HOUR and local.hour == 2
        odd = oddities.get(i, "")
        rows += [(local, line) for line in _lines(name, local, int(register[i]), int(use[i]), odd)]
        counts["stored"] += 1
    for oddity, count in Counter(oddities.values()).items():
        counts[_COUNTED_AS.get(oddity, "")] += count
    # Sorted by the local clock, as the real file is: the two passes of the repeated hour are mixed.
    rows.sort(key=lambda row: row[0])
    counts["lines"] = len(rows)
    return [line for _, line in rows], counts


def _oddities(rng: np.random.Generator, times: list[datetime]) -> dict[int, str]:
    """Which reading has which oddity: every twelfth or so, well apart from each other, the ends and the change."""
    places = [
        i
        for i, time in enumerate(times)
        if i % 6 == 0 and _KEEP_CLEAR < i < len(times) - _KEEP_CLEAR and abs(time - _CHANGE) > _HOUR * _KEEP_CLEAR
    ]
    chosen = [i for i in places if rng.random() < 0.5]
    return {i: _ODDITIES[k % len(_ODDITIES)] for k, i in enumerate(chosen)}


def _lines(name: str, local: datetime, litres: int, use: int, oddity: str) -> list[str]:
    """The lines that a reading becomes."""
    text = f"{local:%d/%m/%Y %H:%M:%S}"
    line = f"{name};{text};{litres};{use}"
    unreadable = (f"{name};{text};n/a;1", f"{name};{text}", f"{name};31/02/2016 10:00:00;1;1")
    return {
        "glitch": [f"{name};{text};0;{-litres}"],
        "repeat": [line, line],
        "conflict": [line, f"{name};{text};{litres + 1};{use + 1}"],
        "exponent": [f"{name};{text};{litres}e+00;{use}"],
        "bad": [line, unreadable[litres % len(unreadable)]],
    }.get(oddity, [line])
