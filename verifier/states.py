"""The states from which a meter's checks can go on: what has to be remembered of everything before a reading."""

from dataclasses import dataclass

import numpy as np

from verifier.arrays import NEVER_US, POINT, STATE, Ints, Mask, Rows, Structured
from verifier.excursions import Excursion
from verifier.quantities import Placed
from verifier.runs import IN_STATE, NO_ROW, PeakRows, RunRows


@dataclass(frozen=True, slots=True)
class History:
    """Everything that a state draws on; vectors over the accepted rows, shape (K,), `rows` their row numbers."""

    placed: Placed
    rows: Rows
    states: Structured
    total_micro: Ints
    uncounted_steps: Ints
    runs: RunRows
    peaks: PeakRows
    excursions: list[tuple[int, Excursion]]


def anchor_rows(placed: Placed, rows: Rows, excursions: list[tuple[int, Excursion]]) -> Rows:
    """For each meter the accepted row (its number among the accepted) up to which all is settled, shape (M,).

    The last one, or the one before the first excursion that is still open.
    """
    sequence = placed.sequence
    anchors = np.searchsorted(rows, sequence.last, side="right") - 1
    open_rows = [start + excursion.before for start, excursion in excursions if excursion.provisional]
    for row in reversed(open_rows):
        anchors[sequence.pos[row]] = np.searchsorted(rows, row)
    result: Rows = anchors
    return result


def checkpoint_rows(placed: Placed, rows: Rows, anchors: Rows, checkpoint_us: int) -> Rows:
    """The accepted rows, up to the anchors, that begin a new span of `checkpoint_us` at their meter."""
    sequence = placed.sequence
    spans = sequence.points["observed_us"][rows] // checkpoint_us
    begins = np.ones(len(rows), dtype=np.bool_)
    begins[1:] = (spans[1:] != spans[:-1]) | ~sequence.inner[rows[1:]]
    settled = np.arange(len(rows)) <= anchors[sequence.pos[rows]]
    return np.flatnonzero(begins & settled & ~sequence.is_head[rows])


def states_at(history: History, at: Rows) -> Structured:
    """The states at some accepted rows (numbers among the accepted), STATE."""
    sequence, rows = history.placed.sequence, history.rows
    pos = sequence.pos[rows[at]]
    old = history.states[pos]
    states = np.zeros(len(at), dtype=STATE)
    states["meter_id"] = old["meter_id"]
    states["facts_digest"] = history.placed.facts.meters["facts_digest"][pos]
    points = sequence.points[rows]
    states["anchor"] = points[at]
    states["prev"] = _previous(history, at, points, old)
    states["run"] = _point(history.runs.start[at], points, old["run"])
    told = np.where(history.runs.told[at] > at, NO_ROW, history.runs.told[at])
    states["stopped"] = _point(told, points, old["stopped"])
    states["peak"] = _point(history.peaks.peak[at], points, old["peak"])
    told = np.where(history.peaks.told[at] > at, NO_ROW, history.peaks.told[at])
    states["reversed"] = _point(told, points, old["reversed"])
    states["peak_total_micro"] = history.peaks.peak_total_micro[at]
    states["down_steps"] = history.peaks.down_steps[at]
    states["total_micro"] = history.total_micro[at]
    states["uncounted_steps"] = history.uncounted_steps[at]
    states["reach_us"] = np.maximum(old["reach_us"], _reach(history, at))
    states["last_us"] = np.maximum(old["last_us"], sequence.points["observed_us"][sequence.last[pos]])
    return states


def _point(row: Rows, points: Structured, carried: Structured) -> Structured:
    """The point of each row, the carried one where it is IN_STATE, none where it is NO_ROW."""
    chosen = points[np.maximum(row, 0)]
    in_state = row == IN_STATE
    chosen[in_state] = carried[in_state]
    nothing = np.zeros((), dtype=POINT)
    nothing["observed_us"] = NEVER_US
    chosen[row == NO_ROW] = nothing
    return chosen


def _previous(history: History, at: Rows, points: Structured, old: Structured) -> Structured:
    sequence, rows = history.placed.sequence, history.rows
    row = np.where(sequence.inner[rows[at]], at - 1, NO_ROW)
    row[sequence.is_head[rows[at]]] = IN_STATE
    row[_moved_place(history.placed, rows, at)] = NO_ROW
    return _point(row, points, old["prev"])


def _moved_place(placed: Placed, rows: Rows, at: Rows) -> Mask:
    """Whether the accepted row before lies in another stretch."""
    moved: Mask = placed.boundary[rows[at]]
    return moved


def _reach(history: History, at: Rows) -> Ints:
    """Up to which time readings entered the settled decisions about the rows up to each of `at`, within its meter."""
    reach = np.full(len(at), NEVER_US, dtype=np.int64)
    if not history.excursions:
        return reach
    sequence = history.placed.sequence
    after: list[int] = []
    until_us: list[int] = []
    meter, latest_us = -1, NEVER_US
    for start, excursion in history.excursions:
        if excursion.provisional:
            continue
        own = int(sequence.pos[start])
        latest_us = max(latest_us if own == meter else NEVER_US, excursion.reach_us)
        meter = own
        after.append(start + excursion.after)
        until_us.append(latest_us)
    if not after:
        return reach
    rows, ends = np.array(after, dtype=np.intp), np.array(until_us, dtype=np.int64)
    latest = np.searchsorted(rows, history.rows[at], side="right") - 1
    same_meter = (latest >= 0) & (sequence.pos[rows[np.maximum(latest, 0)]] == sequence.pos[history.rows[at]])
    reach[same_meter] = ends[latest[same_meter]]
    return reach
