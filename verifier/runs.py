"""What shows over a stretch of accepted readings only: a register that stands still, and one that runs backwards.

Both findings stay as they were made while the condition goes on, and are completed when it ends: a finding that grew
with every reading would leave a superseded one behind each time.
"""

from dataclasses import dataclass

import numpy as np

from verifier.arrays import NEVER_US, Ints, Mask, Rows, Structured
from verifier.settings import StepSettings

IN_STATE = -2  # a row number that stands for the point carried in the meter's state
NO_ROW = -1


@dataclass(frozen=True, slots=True)
class Accepted:
    """The accepted rows of all meters, K in all, sorted by meter and time.

    `moved_micro`: change of the register since the accepted row before; `counted_micro`: quantity that the step adds
    to the total; `total_micro`: running total; `new_run`: the row begins anew (first of its meter, moved, or put
    elsewhere); `is_head`: the row is its meter's anchor; `resolution_micro`: of the total, after the multiplier.
    """

    observed_us: Ints
    pos: Rows
    counted_micro: Ints
    total_micro: Ints
    new_run: Mask
    is_head: Mask
    installed: Mask
    resolution_micro: Ints


@dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of rows of one meter: from `start` (or IN_STATE), recognised at `told`, last row `last`.

    `end` is the row that ended it, NO_ROW while it goes on.
    """

    pos: int
    start: int
    told: int
    last: int
    end: int
    down_steps: int = 0


@dataclass(frozen=True, slots=True)
class RunRows:
    """For each accepted row, shape (K,): the row at which its run began and at which the stop was told, or IN_STATE."""

    start: Rows
    told: Rows


def find_stopped(rows: Accepted, states: Structured, stopped_us: Ints) -> tuple[list[Spell], RunRows]:
    """Runs in which the register of an installed meter did not move for `stopped_us`, shape (M,)."""
    count = len(rows.pos)
    starts = np.flatnonzero(rows.new_run)
    if not count:
        return [], RunRows(starts, starts)
    run_of = np.cumsum(rows.new_run) - 1
    lasts = np.append(starts[1:], count) - 1
    in_state = rows.is_head[starts]
    pos = rows.pos[starts]
    start_us = np.where(in_state, states["run"]["observed_us"][pos], rows.observed_us[starts])
    long_enough = rows.observed_us[lasts] - start_us >= stopped_us[pos]
    told = np.full(len(starts), NO_ROW, dtype=np.intp)
    spells: list[Spell] = []
    for run in np.flatnonzero(long_enough & rows.installed[lasts]).tolist():
        first, last, meter = int(starts[run]), int(lasts[run]), int(pos[run])
        if in_state[run] and states["stopped"]["observed_us"][meter] != NEVER_US:
            told[run] = IN_STATE
        else:
            wanted_us = start_us[run] + stopped_us[meter]
            told[run] = first + int(np.searchsorted(rows.observed_us[first : last + 1], wanted_us))
        ended = last + 1 < count and rows.pos[last + 1] == meter
        spells.append(
            Spell(meter, IN_STATE if in_state[run] else first, int(told[run]), last, last + 1 if ended else NO_ROW)
        )
    run_start = np.where(in_state, IN_STATE, starts)
    return spells, RunRows(run_start[run_of], told[run_of])


@dataclass(frozen=True, slots=True)
class PeakRows:
    """For each accepted row, shape (K,), while its total lies below an earlier one.

    `peak`: the row of the peak, or IN_STATE, NO_ROW if it is not below; `peak_total_micro`; `down_steps` since then;
    `told`: the row at which running backwards was told.
    """

    peak: Rows
    peak_total_micro: Ints
    down_steps: Ints
    told: Rows


def find_reversed(rows: Accepted, states: Structured, settings: StepSettings) -> tuple[list[Spell], PeakRows]:
    """Spells in which the total stays below its peak for long while going back step by step."""
    count = len(rows.pos)
    out = PeakRows(
        peak=np.full(count, NO_ROW, dtype=np.intp),
        peak_total_micro=np.zeros(count, dtype=np.int64),
        down_steps=np.zeros(count, dtype=np.int64),
        told=np.full(count, NO_ROW, dtype=np.intp),
    )
    affected = states["peak"]["observed_us"] != NEVER_US
    affected[rows.pos[rows.counted_micro < 0]] = True
    spells: list[Spell] = []
    for meter in np.flatnonzero(affected).tolist():
        start, stop = np.searchsorted(rows.pos, [meter, meter + 1])
        spells += _reversed_of_meter(rows, int(start), int(stop), states[meter], settings, out)
    return spells, out


def _reversed_of_meter(
    rows: Accepted, start: int, stop: int, state: np.void, settings: StepSettings, out: PeakRows
) -> list[Spell]:
    carried = state["peak"]["observed_us"] != NEVER_US
    total = rows.total_micro[start:stop]
    peaks = np.maximum.accumulate(total)
    if carried:
        peaks = np.maximum(peaks, state["peak_total_micro"])
    below = total < peaks
    edges = np.flatnonzero(np.diff(np.concatenate([[False], below, [False]]).astype(np.int8)))
    spells: list[Spell] = []
    for low, high in edges.reshape(-1, 2).tolist():
        span = slice(start + low, start + high)
        from_state = carried and low == 0
        peak = IN_STATE if from_state else start + low - 1
        downs = np.cumsum(rows.counted_micro[span] < 0) + (int(state["down_steps"]) if from_state else 0)
        out.peak[span], out.peak_total_micro[span], out.down_steps[span] = peak, peaks[low], downs
        peak_us = int(state["peak"]["observed_us"]) if from_state else int(rows.observed_us[peak])
        told = _told_at(rows, span, int(peaks[low]), peak_us, downs, settings)
        if from_state and state["reversed"]["observed_us"] != NEVER_US:
            told = IN_STATE
        if told == NO_ROW:
            continue
        out.told[span] = told
        end = start + high if start + high < stop else NO_ROW
        spells.append(Spell(int(rows.pos[start]), peak, told, start + high - 1, end, int(downs[-1])))
    return spells


def _told_at(rows: Accepted, span: slice, peak_micro: int, peak_us: int, downs: Ints, settings: StepSettings) -> int:
    least_micro = settings.reversed_resolutions * rows.resolution_micro[span]
    told = (
        (rows.observed_us[span] - peak_us >= settings.reversed_s * 1e6)
        & (downs >= settings.reversed_steps)
        & (peak_micro - rows.total_micro[span] > least_micro)
    )
    return span.start + int(np.argmax(told)) if told.any() else NO_ROW
