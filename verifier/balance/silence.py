"""Meters that have fallen silent: stopped, or nobody at home? The zone's balance tells.

If a meter stopped, its usual load goes on and is missing from the sum; if nobody is at home, nothing is missing. Each
long silence gets a column of the meter's usual course while it lasts, whose coefficient is 1 for a stopped meter and 0
for an empty home. In the model it also keeps the missing load from being put on the neighbours.
"""

from dataclasses import dataclass

import numpy as np

from metrology.conformity import ONE_SIDED_95
from verifier.balance.types import Floats, Instants
from verifier.balance.usual import time_of_day, usual_course

LEAST_H = 20  # of a silence that is looked at
_LEAST_US = LEAST_H * 3_600_000_000
_LEAST_KNOWN = 2 * _LEAST_US  # of the meter's course before


@dataclass(frozen=True)
class Silence:
    """A long silence of the meter in column `meter`: intervals [first, last), and its usual course, (T,).

    `variance` [base unit²]: that of what it registered in an interval before, about the usual course;
    `persistence` the correlation of those of successive intervals, `daily_variance` what days' means vary by beyond it.
    """

    meter: int
    first: int
    last: int
    course: Floats
    variance: float
    persistence: float
    daily_variance: float


def is_missing(share: float, sd: float, least: float) -> bool:
    """Whether more than the share `least` of a silent meter's usual load is surely missing from the zone's sum."""
    return share - ONE_SIDED_95 * sd > least


def long_silences(x: Floats, instants_us: Instants, until: int) -> list[Silence]:
    """The last silence of each meter before the instant `until`, and the longest where that is another.

    They lasted 20 h or more by then, and the meter would have registered something. `x` (T, N) quantities between
    `instants_us` (T + 1,). A silence that goes on at `until` goes on as far as `x` is silent.
    """
    step = int(instants_us[1] - instants_us[0])
    least = -(-_LEAST_US // step)
    slot, slots = time_of_day(instants_us)
    out = []
    for i in range(x.shape[1]):
        for first, seen_to in _chosen(_runs(x[:until, i] == 0, least)):
            if first * step < _LEAST_KNOWN:
                continue
            last = _goes_on_to(x[:, i], seen_to) if seen_to == until else seen_to
            course = np.zeros(x.shape[0])
            usual = usual_course(x[:first, i], slot[:first], slots)
            course[first:last] = usual[slot[first:last]]
            if abs(course.sum()) > 0:
                spread = _spread(x[:first, i] - usual[slot[:first]], slots)
                out.append(Silence(i, first, last, course, *spread))
    return out


def _spread(deviation: Floats, slots: int) -> tuple[float, float, float]:
    """Variance of an interval's deviation from the usual course, its correlation with the next one's, that of days.

    Of a day's mean the first two make σ²·(1 + 2·Σ (1 − k/m)·ρ^k)/m by themselves.
    """
    variance = float(np.mean(deviation**2))
    days = deviation.size // slots
    if variance <= 0 or not days:
        return variance, 0.0, 0.0
    persistence = float(np.clip(np.mean(deviation[1:] * deviation[:-1]) / variance, 0.0, 0.99))
    lags = np.arange(1, slots)
    chance = variance * (1 + 2 * float(np.sum((1 - lags / slots) * persistence**lags))) / slots
    daily = deviation[: days * slots].reshape(days, slots).mean(axis=1)
    return variance, persistence, max(float(np.mean(daily**2)) - chance, 0.0)


def _goes_on_to(x: Floats, place: int) -> int:
    """Where a silence ends that goes on at `place`."""
    moving = np.flatnonzero(x[place:])
    return place + int(moving[0]) if moving.size else x.size


def _runs(still: "np.ndarray[tuple[int], np.dtype[np.bool_]]", least: int) -> list[tuple[int, int]]:
    """Runs [first, last) of at least `least` true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.view(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]


def _chosen(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest and the last, each once, in the order of time."""
    return sorted({max(runs, key=lambda run: run[1] - run[0]), runs[-1]}) if runs else []
