"""What the readings themselves tell where the files do not: a register's resolution, a zone's interval. Pure."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import MICRO

_DAY_S = 86_400
_NEAR = 0.1
# Whole parts of a day that intervals of meters are: the grid falls on the same times every day.
_USUAL_S = np.array([s for s in range(60, _DAY_S + 1) if _DAY_S % s == 0 and (s % 60 == 0)])


def resolution_micro(register_micro: NDArray[np.int64]) -> int:
    """The largest power of ten [millionths] of which all registers, shape (R,), are whole multiples; at most one unit.

    A step that is no power of ten (0.2 L) is taken finer than it is, which costs nothing but a little confidence.
    """
    divisor = int(np.gcd.reduce(np.abs(register_micro), initial=0))
    size = MICRO
    while size > 1 and divisor % size:
        size //= 10
    return size if divisor else 1


def usual_interval_s(times_us: Iterable[NDArray[np.int64]]) -> int | None:
    """The interval [s] at which most of the meters are read, None where none was read twice.

    `times_us`: for each meter its times, ascending. Of each the median distance, of these the median; brought to the
    nearest whole part of a day if that is within a tenth of it.
    """
    medians = []
    for one in times_us:
        distance = np.diff(one)
        distance = distance[distance > 0]
        if distance.size:
            medians.append(float(np.median(distance)) / 1e6)
    if not medians:
        return None
    typical = float(np.median(medians))
    nearest = int(_USUAL_S[np.argmin(np.abs(_USUAL_S - typical))])
    if abs(nearest - typical) <= _NEAR * typical:
        return nearest
    return min(max(round(typical), 1), _DAY_S)
