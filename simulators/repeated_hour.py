"""The autumn hour that occurs twice: which of a meter's rows belong to its first and which to its second pass.

Local time alone does not tell. What does, in this order: registers don't run backward, two registers can't hold at
one moment, and the rows' spacing is the meter's usual one, through the hour and at its edges. Of all ways to divide
a meter's rows the one that breaks these least is taken; where two are equal, the earlier pass. Up to eight rows every
division is tried; beyond, those that keep an order: of registers, of the file, or first and second of equal times.
Whatever is chosen was chosen by rule: callers flag the rows (`ReadingStatus.TIME_AMBIGUOUS`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulators.local_time import Localised

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

EXHAUSTIVE_ROWS: Final = 8  # 256 divisions
DUPLICATE_COST: Final = float(np.log(2.0))  # a line written twice is as strange as one missed reading
_BLOCK_CELLS: Final = 4_000_000  # bounds the memory of one pass
_NEVER: Final = np.iinfo(np.int64).min
_DEFAULT_INTERVAL_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class MeterRows:
    """Rows in file order, shape (n,): the meter's index, the candidates in UTC [µs] and the register [micro]."""

    meter: NDArray[np.int32]
    times: Localised
    register_micro: Int64s


def place_rows(rows: MeterRows) -> Int64s:
    """UTC of every row [µs], shape (n,): the only one where there is no doubt, the chosen pass elsewhere."""
    placed = rows.times.earlier_us.copy()
    doubtful = np.flatnonzero(rows.times.ambiguous)
    if not len(doubtful):
        return placed
    known = _KnownRows(rows)
    for group in _equal_sized_groups(rows, doubtful):
        placed[group] = _choose(rows, known, group)
    return placed


def _equal_sized_groups(rows: MeterRows, doubtful: Int64s) -> Iterator[Int64s]:
    """Row numbers, shape (g, n): each line the rows of one meter in one repeated hour, by register, then file order."""
    order = np.lexsort((doubtful, rows.register_micro[doubtful], rows.times.piece[doubtful], rows.meter[doubtful]))
    sorted_rows = doubtful[order]
    changes = (np.diff(rows.meter[sorted_rows]) != 0) | (np.diff(rows.times.piece[sorted_rows]) != 0)
    starts = np.flatnonzero(np.append(True, changes))
    sizes = np.diff(np.append(starts, len(sorted_rows)))
    for size in np.unique(sizes):
        first = starts[sizes == size]
        block = max(1, _BLOCK_CELLS // (int(size) * _division_count(int(size))))
        for at in range(0, len(first), block):
            yield sorted_rows[first[at : at + block, None] + np.arange(size)]


def _division_count(size: int) -> int:
    return 2**size if size <= EXHAUSTIVE_ROWS else 2 * (size + 1) + 1


class _KnownRows:
    """A file's unambiguous rows by meter and time: what stands before and after a moment, and the usual interval."""

    def __init__(self, rows: MeterRows) -> None:
        index = np.flatnonzero(~rows.times.ambiguous & ~rows.times.nonexistent)
        time, meter = rows.times.earlier_us[index], rows.meter[index]
        order = np.lexsort((index, time, meter))
        self.time, self.register, meter = time[order], rows.register_micro[index][order], meter[order]
        meters = int(rows.meter.max()) + 1
        self.first = np.searchsorted(meter, np.arange(meters))
        self.end = np.searchsorted(meter, np.arange(meters), side="right")
        self._interval: dict[int, int] = {}

    def usual_interval_us(self, meter: int) -> int:
        """Median distance of the meter's successive rows; an hour if there is none."""
        if meter not in self._interval:
            gaps = np.diff(self.time[self.first[meter] : self.end[meter]])
            gaps = gaps[gaps > 0]
            self._interval[meter] = int(np.median(gaps)) if len(gaps) else _DEFAULT_INTERVAL_US
        return self._interval[meter]

    def neighbour(self, meter: int, time_us: int, *, before: bool) -> tuple[int, int]:
        """Time and register of the last row before, or the first after, `time_us`; (_NEVER, 0) if there is none."""
        first, end = int(self.first[meter]), int(self.end[meter])
        at = first + int(np.searchsorted(self.time[first:end], time_us)) - (1 if before else 0)
        return (int(self.time[at]), int(self.register[at])) if first <= at < end else (_NEVER, 0)


def _choose(rows: MeterRows, known: _KnownRows, group: Int64s) -> Int64s:
    """Chosen UTC times [µs] of groups of rows, shape (g, n)."""
    earlier, later = rows.times.earlier_us[group], rows.times.later_us[group]
    meters = [int(m) for m in rows.meter[group[:, 0]]]
    before = np.array(
        [known.neighbour(m, int(t), before=True) for m, t in zip(meters, earlier.min(axis=1), strict=True)],
        dtype=np.int64,
    )
    after = np.array(
        [known.neighbour(m, int(t), before=False) for m, t in zip(meters, later.max(axis=1), strict=True)],
        dtype=np.int64,
    )
    usual = np.array([known.usual_interval_us(m) for m in meters], dtype=np.float64)
    divisions = _divisions(group, earlier)
    times = np.where(divisions, later[:, None, :], earlier[:, None, :])
    registers = np.broadcast_to(rows.register_micro[group][:, None, :], times.shape)
    broken, strangeness = _cost(times, registers, before, after, usual)
    best = _least(broken, strangeness)
    chosen: Int64s = np.take_along_axis(times, best[:, None, None], axis=1)[:, 0, :]
    return chosen


def _divisions(group: Int64s, earlier: Int64s) -> Bools:
    """Ways to divide the rows, True for the second pass, shape (g or 1, k, n); earlier passes come first."""
    size = group.shape[1]
    if size <= EXHAUSTIVE_ROWS:
        return np.array(list(product((False, True), repeat=size)), dtype=np.bool_)[None]
    rank = np.arange(size)
    cuts = np.arange(size, -1, -1)[:, None]
    by_register = np.broadcast_to(rank >= cuts, (len(group), size + 1, size))
    file_rank = np.argsort(np.argsort(group, axis=1), axis=1)
    by_file = file_rank[:, None, :] >= cuts
    seen = (earlier[:, :, None] == earlier[:, None, :]) & (rank[None, :, None] > rank[None, None, :])
    second_of_equals = seen.any(axis=2)[:, None, :]
    return np.concatenate([second_of_equals, by_register, by_file], axis=1)


def _cost(
    times: Int64s, registers: Int64s, before: Int64s, after: Int64s, usual_us: NDArray[np.float64]
) -> tuple[Int64s, NDArray[np.float64]]:
    """Per group and division, shape (g, k): how often registers contradict, and how unusual the spacing is.

    The spacing's strangeness is the sum of |ln(distance / usual distance)|, the same for twice as for half the usual.
    """
    edge = (times.shape[0], times.shape[1], 1)
    times = np.concatenate(
        [np.broadcast_to(before[:, 0, None, None], edge), times, np.broadcast_to(after[:, 0, None, None], edge)], axis=2
    )
    registers = np.concatenate(
        [np.broadcast_to(before[:, 1, None, None], edge), registers, np.broadcast_to(after[:, 1, None, None], edge)],
        axis=2,
    )
    known = times != _NEVER
    # A missing neighbour takes the place at its end, where it adds nothing.
    times[..., -1] = np.where(known[..., -1], times[..., -1], np.iinfo(np.int64).max)
    order = np.lexsort((registers, times), axis=-1)
    times, registers, known = (np.take_along_axis(a, order, axis=-1) for a in (times, registers, known))
    pair = known[..., 1:] & known[..., :-1]
    distance = np.where(pair, times[..., 1:] - np.where(pair, times[..., :-1], 0), 1)
    change = np.where(pair, registers[..., 1:] - registers[..., :-1], 0)
    broken = (pair & ((change < 0) | ((distance == 0) & (change != 0)))).sum(axis=-1)
    ratio = np.abs(np.log(np.maximum(distance, 1) / usual_us[:, None, None]))
    strange = np.where(distance == 0, DUPLICATE_COST, ratio)
    return broken, np.where(pair, strange, 0.0).sum(axis=-1)


def _least(broken: Int64s, strangeness: NDArray[np.float64]) -> Int64s:
    """The division with the fewest contradictions, then the least strangeness, then the first; shape (g,)."""
    rounded = np.round(strangeness, 9)  # equal but for the last bits is equal
    masked = np.where(broken == broken.min(axis=1, keepdims=True), rounded, np.inf)
    best: Int64s = np.argmin(masked, axis=1)
    return best
