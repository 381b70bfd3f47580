"""Steps that no meter in order makes: what they were, judged from the readings before and after.

A register only rises, and no faster than its meter can. A step that breaks this opens an *excursion*. If a later
reading within the horizon lies back at the old level, the readings in between were a transient glitch and are left
out. If none does before the horizon has passed, the new level is taken as it is, and the step was a rollover, a
reset, a backward step or an implausible rise. Until the horizon has passed the conclusion is provisional.

Only a few steps in a thousand come here; all others are found in order at once by `verifier.steps`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from verifier.arrays import NEVER_US, Floats, Ints, Mask, Rows
from verifier.kinds import FindingKind
from verifier.settings import StepSettings

_PAST_HALF: Final = 0.5  # a return is one jump over more than half of the excursion; a climb in small steps is none


@dataclass(frozen=True, slots=True)
class MeterRows:
    """One meter's rows in order of time, shape (n,); row 0 may be its anchor.

    `max_rate` [millionths per us] and `boundary` (another installation than the row before) hold per row.
    `prev_us`, `prev_micro`: the accepted reading before row 0 (NEVER_US: none).
    """

    observed_us: Ints
    register_micro: Ints
    max_rate: Floats
    boundary: Mask
    resolution_micro: int
    noise_micro: int
    modulus_micro: int
    prev_us: int
    prev_micro: int


@dataclass(frozen=True, slots=True)
class Excursion:
    """What became of a step from row `before` to row `first`.

    Rows `first` to `stop` (excluded) are left out of the accepted ones; `after` is the row that returned, or the first
    of the new level. `added_micro` is what a rollover adds; `counted` says whether the step enters the total.
    `looked_back`: row `before` itself was the glitch, seen from the reading before it. `reach_us`: the conclusion
    rests on readings up to this time.
    """

    kind: FindingKind
    before: int
    first: int
    stop: int
    after: int
    counted: bool
    provisional: bool
    reach_us: int
    added_micro: int = 0
    looked_back: bool = False


def plausible_rise(rows: MeterRows, start: int, end: int, settings: StepSettings) -> float:
    """The most the register can have risen from row `start` to row `end` [millionths]."""
    elapsed_us = int(rows.observed_us[end] - rows.observed_us[start])
    return float(rows.max_rate[end]) * (elapsed_us + settings.rate_time_slack_s * 1e6) + rows.resolution_micro


def _plausible_fall(rows: MeterRows, start: int, end: int, settings: StepSettings) -> float:
    """The most the register can have run back [millionths]; beyond it, the step is between two registers or times.

    Running back at full rate is believed for the horizon at most: a reading dated years off must not count.
    """
    elapsed_us = min(int(rows.observed_us[end] - rows.observed_us[start]), settings.return_horizon_s * 1e6)
    return float(rows.max_rate[end]) * (elapsed_us + settings.rate_time_slack_s * 1e6) + rows.resolution_micro


def scan(rows: MeterRows, suspects: Rows, settings: StepSettings) -> list[Excursion]:
    """The excursions among a meter's rows; `suspects` numbers, ascending, the rows whose step is not in order."""
    found: list[Excursion] = []
    resume = 0  # rows before are dealt with
    prev_row = -1  # the last accepted row before the one at `resume`
    for first in suspects.tolist():
        if first <= resume:
            continue
        before = first - 1
        previous = before - 1 if before > resume else prev_row
        excursion = _look_back(rows, previous, before, first, settings) or _look_ahead(rows, before, first, settings)
        found.append(excursion)
        resume, prev_row = excursion.after, before
    return found


def _look_back(rows: MeterRows, previous: int, before: int, first: int, settings: StepSettings) -> Excursion | None:
    """A single value that rose plausibly and fell back: it shows only when the next one comes."""
    if rows.boundary[before]:
        return None
    if previous < 0:
        if before > 0 or rows.prev_us == NEVER_US:
            return None
        base, base_us = rows.prev_micro, rows.prev_us
    else:
        base, base_us = int(rows.register_micro[previous]), int(rows.observed_us[previous])
    top, bottom = int(rows.register_micro[before]), int(rows.register_micro[first])
    risen = bottom - base
    elapsed_us = int(rows.observed_us[first]) - base_us
    most = float(rows.max_rate[first]) * (elapsed_us + settings.rate_time_slack_s * 1e6) + rows.resolution_micro
    if top - base <= rows.noise_micro or top <= bottom:
        return None
    if not -rows.noise_micro <= risen <= most or risen > settings.return_share * (top - base):
        return None
    return Excursion(
        FindingKind.TRANSIENT_GLITCH,
        before,
        first,
        first,
        first,
        True,
        False,
        int(rows.observed_us[first]),
        looked_back=True,
    )


def _look_ahead(rows: MeterRows, before: int, first: int, settings: StepSettings) -> Excursion:
    stop, closed = _window(rows, first, settings)
    after = _returning_row(rows, before, first, stop, settings)
    if after is not None:
        return Excursion(
            FindingKind.TRANSIENT_GLITCH, before, first, after, after, True, False, int(rows.observed_us[after])
        )
    return _new_level(rows, before, first, stop, closed, settings)


def _window(rows: MeterRows, first: int, settings: StepSettings) -> tuple[int, bool]:
    """Rows up to which (excluded) a return is looked for, and whether later readings can't add to them."""
    horizon_us = int(rows.observed_us[first]) + round(settings.return_horizon_s * 1e6)
    by_time = int(np.searchsorted(rows.observed_us, horizon_us, side="right"))
    stop = max(by_time, first + settings.return_readings + 1)
    boundaries = np.flatnonzero(rows.boundary[first + 1 : stop])
    if len(boundaries):
        return first + 1 + int(boundaries[0]), True
    return min(stop, len(rows.observed_us)), stop < len(rows.observed_us)


def _returning_row(rows: MeterRows, before: int, first: int, stop: int, settings: StepSettings) -> int | None:
    """The first row from `first + 1` that lies back at the level of `before`, reached by a jump."""
    level = int(rows.register_micro[before])
    deepest = abs(int(rows.register_micro[first]) - level)
    for row in range(first + 1, stop):
        risen = int(rows.register_micro[row]) - level
        depth = abs(int(rows.register_micro[row - 1]) - level)
        deepest = max(deepest, depth)
        jump = abs(int(rows.register_micro[row]) - int(rows.register_micro[row - 1]))
        if (
            -rows.noise_micro <= risen <= plausible_rise(rows, before, row, settings)
            and risen <= settings.return_share * depth
            and jump > _PAST_HALF * deepest
        ):
            return row
    return None


def _new_level(rows: MeterRows, before: int, first: int, stop: int, closed: bool, settings: StepSettings) -> Excursion:
    old, new = int(rows.register_micro[before]), int(rows.register_micro[first])
    most = plausible_rise(rows, before, first, settings)
    wrapped = new + rows.modulus_micro - old
    added, counted = 0, True
    if new > old:
        kind = FindingKind.IMPLAUSIBLE_RATE
        counted = new - old <= settings.uncounted_rate_factor * most
    elif rows.modulus_micro and 0 <= wrapped <= most:
        kind, added = FindingKind.ROLLOVER, rows.modulus_micro
    elif new <= settings.reset_share * old:
        kind, counted = FindingKind.RESET, False
    else:
        kind = FindingKind.BACKWARD_STEP
        counted = old - new <= _plausible_fall(rows, before, first, settings)
    reach_us = int(rows.observed_us[first]) + round(settings.return_horizon_s * 1e6)
    if closed:
        reach_us = max(reach_us, int(rows.observed_us[stop - 1]))
    return Excursion(kind, before, first, first, first, counted, not closed, reach_us, added_micro=added)
