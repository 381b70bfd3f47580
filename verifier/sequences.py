"""Readings put into the order that the checks need: by meter and time, one value each, every meter's anchor in front.

Where several values are held for one time, none is known to be right. The lowest register (then status) is used: that
choice does not depend on which came first, and nobody is charged for the higher one. The finding shows them all.
"""

from dataclasses import dataclass

import numpy as np

from verifier.arrays import NEVER_US, POINT, Ints, Mask, Rows, Structured


@dataclass(frozen=True, slots=True)
class OneValued:
    """Readings with one value a meter and time (READING, sorted), and the further values' groups.

    `conflicts` lists, for each time with several values, all of them (READING rows, the used one first).
    """

    readings: Structured
    conflicts: list[Structured]


def one_valued(readings: Structured) -> OneValued:
    """Sorts readings (READING, any order, conflicting values among them) and picks one value a meter and time."""
    order = np.lexsort((readings["observed_us"], readings["meter_id"]))
    rows = readings[order]
    same = np.zeros(len(rows), dtype=np.bool_)
    same[1:] = (rows["meter_id"][1:] == rows["meter_id"][:-1]) & (rows["observed_us"][1:] == rows["observed_us"][:-1])
    if not same.any():
        return OneValued(rows, [])
    rows = readings[
        np.lexsort((readings["status"], readings["register_micro"], readings["observed_us"], readings["meter_id"]))
    ]
    firsts = np.flatnonzero(~same)
    counts = np.diff(firsts, append=len(rows))
    groups = [rows[first : first + count] for first, count in zip(firsts, counts, strict=True) if count > 1]
    return OneValued(rows[firsts], groups)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Rows of M meters, N in all, sorted by meter and time; a meter's anchor, if it has one, is its first row.

    `points`: POINT, shape (N,); `pos`: the meter of each row; `first`, `last`: row numbers, shape (M,);
    `is_head`: whether a row is an anchor; `inner`: whether a row has one of the same meter before it.
    """

    points: Structured
    pos: Rows
    first: Rows
    last: Rows
    is_head: Mask
    inner: Mask


def build_sequence(states: Structured, readings: Structured, pos: Rows) -> Sequence:
    """Joins states (STATE, shape (M,)) and readings (READING, sorted; `pos`: the meter of each) to a Sequence.

    Every meter must have an anchor or a reading.
    """
    has_anchor = states["anchor"]["observed_us"] != NEVER_US
    counts = np.bincount(pos, minlength=len(states)) + has_anchor
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
    total = int(counts.sum())
    before = np.concatenate([[0], np.cumsum(has_anchor)]).astype(np.intp)
    target = np.arange(len(readings)) + before[pos + 1]  # each meter's anchor shifts its rows and all later ones
    points = np.empty(total, dtype=POINT)
    for name in POINT.names or ():
        points[name][target] = readings[name]
    points[first[has_anchor]] = states["anchor"][has_anchor]
    is_head = np.zeros(total, dtype=np.bool_)
    is_head[first[has_anchor]] = True
    inner = np.ones(total, dtype=np.bool_)
    inner[first] = False
    return Sequence(points, np.repeat(np.arange(len(states)), counts), first, first + counts - 1, is_head, inner)


def stretch_of_rows(observed_us: Ints, pos: Rows, start_us: Ints, first_stretch: Rows) -> Rows:
    """The stretch that each row's time lies in; `start_us`: starts of all stretches, see MeterFacts."""
    counts = np.diff(first_stretch)
    number = np.zeros(len(pos), dtype=np.intp)
    for k in range(1, int(counts.max(initial=1))):
        # The k-th start of every meter that has so many; NEVER_US is below every time, so mask the others.
        has = counts > k
        starts = np.zeros(len(counts), dtype=np.int64)
        starts[has] = start_us[first_stretch[:-1][has] + k]
        number += has[pos] & (observed_us >= starts[pos])
    result: Rows = first_stretch[:-1][pos] + number
    return result
