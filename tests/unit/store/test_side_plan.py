"""What an import of conditions changes: only what differs, only within its own span."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from store.side import ConditionRecords
from store.side_import import plan_conditions

RECORDS = st.dictionaries(st.integers(0, 30), st.sampled_from([1.0, 2.0]), max_size=12)


def records(by_time: dict[int, float]) -> ConditionRecords:
    """Pressures by time."""
    times = sorted(by_time)
    values = np.array([[by_time[time], np.nan, np.nan] for time in times], dtype=np.float64).reshape(-1, 3)
    return ConditionRecords(np.array(times, dtype=np.int64), values)


def by_time(given: ConditionRecords) -> dict[int, float]:
    return dict(zip(given.observed_us.tolist(), given.values[:, 0].tolist(), strict=True))


def test_only_what_differs_is_changed_from_its_first_instant_on() -> None:
    known = records({0: 40.0, 10: 41.0, 20: 42.0, 30: 43.0, 90: 50.0})
    plan = plan_conditions(known, records({0: 40.0, 10: 41.5, 30: 43.0, 40: 44.0}))
    assert plan.withdrawn_us.tolist() == [10, 20]
    assert by_time(plan.fresh) == {10: 41.5, 40: 44.0}
    assert plan.first_us == 10


def test_a_record_that_only_goes_away_is_a_change() -> None:
    plan = plan_conditions(records({0: 1.0, 5: 2.0, 9: 3.0}), records({0: 1.0, 9: 3.0}))
    assert (plan.withdrawn_us.tolist(), plan.fresh.observed_us.size, plan.first_us) == ([5], 0, 5)


def test_a_quantity_that_is_missing_differs_from_one_that_is_there() -> None:
    one = ConditionRecords(np.array([7]), np.array([[np.nan, 12.0, np.nan]]))
    other = ConditionRecords(np.array([7]), np.array([[np.nan, 12.0, 1013.0]]))
    assert plan_conditions(one, one).first_us is None
    assert plan_conditions(one, other).first_us == 7


@given(RECORDS, RECORDS.filter(bool))
def test_afterwards_the_span_holds_what_was_given_and_the_rest_what_it_held(
    known: dict[int, float], new: dict[int, float]
) -> None:
    plan = plan_conditions(records(known), records(new))
    after = {time: value for time, value in known.items() if time not in plan.withdrawn_us.tolist()}
    assert not after.keys() & by_time(plan.fresh).keys()
    after |= by_time(plan.fresh)
    outside = {time: value for time, value in known.items() if not min(new) <= time <= max(new)}
    assert after == outside | new
    assert plan_conditions(records(after), records(new)).first_us is None


def test_a_day_needs_the_last_record_before_it() -> None:
    series = records({0: 1.0, 10: 2.0, 20: 3.0, 30: 4.0})
    assert series.within(15, 30).observed_us.tolist() == [10, 20, 30]
    assert series.within(10, 29).observed_us.tolist() == [10, 20]
    assert series.within(-5, -1).observed_us.tolist() == []
    assert series.within(40, 50).observed_us.tolist() == [30]
    assert series.of("atmospheric_hpa") is None
