"""Meters that have fallen silent: stopped, or nobody at home? The zone's balance tells.

If a meter stopped, its usual load goes on and is missing from the sum; if nobody is at home, nothing is missing. Each
long silence gets a column of the meter's usual course while it lasts, whose coefficient is 1 for a stopped meter and 0
for an empty home. In the model it also keeps the missing load from being put on the neighbours.
"""

from dataclasses import dataclass

import numpy as np

from verifier.balance.types import DAY_US, Floats, Instants

LEAST_H = 20  # of a silence that is looked at
_LEAST_US = LEAST_H * 3_600_000_000
_LEAST_KNOWN = 2 * _LEAST_US  # of the meter's course before


@dataclass(frozen=True)
class Silence:
    """The last long silence of the meter in column `meter`: intervals [first, last), and its usual course, (T,)."""

    meter: int
    first: int
    last: int
    course: Floats


def last_silences(x: Floats, instants_us: Instants) -> list[Silence]:
    """The last silence of each meter that lasted 20 h or more and in which it would have registered something.

    `x` (T, N) quantities between `instants_us` (T + 1,).
    """
    step = int(instants_us[1] - instants_us[0])
    least = -(-_LEAST_US // step)
    slots = max(DAY_US // step, 1)
    slot = (instants_us[:-1] // step) % slots
    out = []
    for i in range(x.shape[1]):
        run = _last_run(x[:, i] == 0, least)
        if run is None or run[0] * step < _LEAST_KNOWN:
            continue
        before = slice(0, run[0])
        count = np.bincount(slot[before], minlength=slots)
        mean = float(x[before, i].mean())
        usual = (np.bincount(slot[before], weights=x[before, i], minlength=slots) + mean) / (count + 1)
        course = np.zeros(x.shape[0])
        course[run[0] : run[1]] = usual[slot[run[0] : run[1]]]
        if abs(course.sum()) > 0:
            out.append(Silence(i, *run, course))
    return out


def _last_run(still: "np.ndarray[tuple[int], np.dtype[np.bool_]]", least: int) -> tuple[int, int] | None:
    """The last run [first, last) of at least `least` true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.view(np.int8), [0]])))
    for first, last in zip(edges[-2::-2], edges[::-2], strict=True):
        if last - first >= least:
            return int(first), int(last)
    return None
