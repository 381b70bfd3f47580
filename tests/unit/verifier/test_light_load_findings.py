"""What never stops, what never varies, and how much runs at small loads: from digests to findings."""

from dataclasses import replace

import pytest
from households import START
from hypothesis import given
from hypothesis import strategies as st

from metrology.quantities import Medium
from verifier.light_load import DAY_US, HOUR_US, MONDAY_US, WEEK_US, SmallLoads, WeekDigest, week_start
from verifier.light_load_due import due_weeks, late_us
from verifier.light_load_findings import LightLoadMeter, evidence_times, light_load_findings
from verifier.light_load_settings import LightLoadSettings
from verifier.settings import VerifierSettings

SETTINGS = LightLoadSettings()
WATER = LightLoadMeter(7, Medium.WATER, SmallLoads(0.05, 0.0))
POWER = LightLoadMeter(8, Medium.ELECTRICITY, SmallLoads(0.11, 0.0044))
FIRST = START - (START - MONDAY_US) % (4 * WEEK_US)  # where a period of four weeks begins


def week(number, **changes):
    start = FIRST + number * WEEK_US
    plain = WeekDigest(
        start_us=start, block_s=3600, known=168, large=20, idle=80, small=(10, 10, 10, 10), quantity=5.0,
        light_quantity_least=0.1, light_quantity_most=1.0, least_rate=(0.0,) * 7, steady_rate=None,
        first_us=start, last_us=start + WEEK_US - HOUR_US,
    )  # fmt: skip
    return replace(plain, **changes)


def kinds(meter, weeks):
    return [one.kind for one in light_load_findings(meter, weeks, SETTINGS)]


def test_water_that_never_stops_is_noted_with_its_rate_and_its_end():
    flowing = (0.012, None, 0.01, 0.014, 0.012, 0.02, 0.011)
    weeks = [week(0), week(1, least_rate=flowing), week(2, least_rate=flowing)]
    [one] = light_load_findings(WATER, weeks, SETTINGS)
    # Seven known days: an unknown one neither counts nor ends the run.
    assert (one.kind, one.severity) == ("continuous_flow", "info")
    assert one.starts_us == FIRST + WEEK_US
    assert one.detail["told_us"] == one.ends_us == FIRST + 2 * WEEK_US + DAY_US
    assert one.detail["least_flow_m3ph"] == pytest.approx(0.012)
    assert (one.detail["days"], one.detail["ongoing"]) == (7, True)
    [longer] = light_load_findings(WATER, [*weeks, week(3, least_rate=flowing)], SETTINGS)
    assert longer == one
    stopped = (0.01, 0.0, 0.01, 0.01, 0.01, 0.01, 0.01)
    [ended] = light_load_findings(WATER, [*weeks, week(3, least_rate=stopped)], SETTINGS)
    assert (ended.ends_us, ended.detail["days"], ended.detail["ongoing"]) == (FIRST + 3 * WEEK_US + DAY_US, 13, False)
    assert [part for part, _ in evidence_times(ended, [*weeks, week(3)])] == ["before", "start", "told", "end"]


def test_six_days_or_a_long_silence_are_not_enough():
    six = (0.0, *[0.01] * 6)
    assert kinds(WATER, [week(0, least_rate=six), week(1)]) == []
    silent = (0.01, 0.01, 0.01, *[None] * 4)
    assert kinds(WATER, [week(0, least_rate=silent), week(3, least_rate=silent[::-1])]) == []
    assert kinds(POWER, [week(n, least_rate=(0.05,) * 7) for n in range(3)]) == []  # a standby load is none


def test_a_constant_small_rate_over_two_weeks_may_be_creep():
    steady = [week(n, steady_rate=0.004 if n in (2, 3, 4) else None) for n in range(6)]
    assert kinds(POWER, steady[:3]) == []
    [one] = light_load_findings(POWER, steady[:4], SETTINGS)
    assert (one.kind, one.severity, one.detail["ongoing"]) == ("creep", "info", True)
    assert one.detail["steady_load_w"] == pytest.approx(4.0)
    assert one.detail["start_load_w"] == pytest.approx(4.4)
    [ended] = light_load_findings(POWER, steady, SETTINGS)
    assert (ended.starts_us, ended.ends_us) == (FIRST + 2 * WEEK_US, FIRST + 5 * WEEK_US)


def test_the_share_at_light_load_is_told_by_periods_of_four_weeks():
    much = {"light_quantity_least": 0.5, "light_quantity_most": 3.0}
    weeks = [week(n, **(much if n < 8 else {})) for n in range(12)]
    [one] = light_load_findings(POWER, weeks, SETTINGS)
    assert (one.kind, one.severity) == ("light_load", "info")
    assert (one.starts_us, one.ends_us) == (FIRST, FIRST + 8 * WEEK_US)
    assert (one.detail["light_share_least_pct"], one.detail["light_share_most_pct"]) == (10.0, 60.0)
    assert kinds(WATER, weeks) == []  # by the hour's mean alone nothing is known of a flow rate
    assert kinds(WATER, [week(n, light_quantity_least=2.0) for n in range(4)]) == ["light_load"]
    assert kinds(POWER, weeks[:3]) == []
    assert kinds(POWER, [week(n, known=100 if n == 2 else 168, **much) for n in range(4)]) == []


SMALL = VerifierSettings()
HOURS = st.integers(0, 60 * 24).map(lambda hour: MONDAY_US + hour * HOUR_US)


@given(st.lists(st.tuples(HOURS, HOURS), min_size=1, max_size=6))
def test_every_week_ends_digested_after_all_that_touches_it(groups):
    """Whatever the order, each complete week with a reading was digested when the last one about it had come."""
    late = late_us(SMALL)
    through, fresh = None, {}
    seen = []
    for one, other in groups:
        earliest, latest = min(one, other), max(one, other)
        seen += [earliest, latest]
        due = due_weeks(earliest, latest, min(seen) if through is None else None, through, SMALL)
        touched = {start for start in fresh if any(start - DAY_US <= t < start + WEEK_US + late for t in (one, other))}
        for start in range(due.start_us, due.end_us, WEEK_US):
            fresh[start] = True
            touched.discard(start)
        assert touched == set()
        through = due.through_us
        complete = week_start(max(seen) - late)
        assert {week_start(t) for t in seen if week_start(t) < complete} <= set(fresh)
        assert due.through_us == max(complete, due.through_us)
        assert all(start + WEEK_US + late <= max(seen) for start in fresh)


def test_a_week_waits_for_a_day_past_its_end():
    settings = VerifierSettings()
    end = MONDAY_US + WEEK_US
    waiting = due_weeks(end, end + late_us(settings) - 1, None, MONDAY_US, settings)
    assert waiting.start_us == waiting.end_us
    complete = due_weeks(end, end + late_us(settings), None, MONDAY_US, settings)
    assert (complete.start_us, complete.end_us) == (MONDAY_US, end)
    assert late_us(settings) >= DAY_US
