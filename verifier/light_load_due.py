"""Which weeks of which meters are to be digested, given what is new of them. Pure."""

from typing import NamedTuple

from verifier.light_load import DAY_US, WEEK_US, week_start
from verifier.settings import VerifierSettings


class Weeks(NamedTuple):
    """The weeks that start in [start_us, end_us), both week starts; `through_us`: up to when all is digested then."""

    start_us: int
    end_us: int
    through_us: int


def late_us(settings: VerifierSettings) -> int:
    """How long after its end a week is settled: the stretches that begin in it, and the return of glitches in these."""
    seconds = settings.steps.return_horizon_s + 2 * settings.light_load.night_window_s
    return max(DAY_US, int(seconds * 1e6))


def due_weeks(
    earliest_us: int, latest_us: int, first_us: int | None, through_us: int | None, settings: VerifierSettings
) -> Weeks:
    """The weeks to digest now, none where start equals end.

    `earliest_us`, `latest_us`: of the new readings; `first_us`: the meter's first reading ever where all is to be
    digested anew, else None; `through_us`: up to when it was. A week is complete when a reading came from `late_us`
    past its end. A reading touches the weeks that end up to `late_us` before it or hold it, and the one after, for the
    checks on steps may rest on what was read a day before.
    """
    late = late_us(settings)
    complete_us = week_start(latest_us - late)
    reached_us = complete_us if through_us is None else max(complete_us, through_us)
    if first_us is not None or through_us is None:
        start_us = week_start(earliest_us if first_us is None else first_us)
        return Weeks(start_us, max(start_us, reached_us), reached_us)
    start_us = min(week_start(earliest_us - late), through_us)
    touched_us = week_start(latest_us + DAY_US) + WEEK_US
    end_us = complete_us if complete_us > through_us else min(through_us, touched_us)
    return Weeks(start_us, max(start_us, end_us), reached_us)
