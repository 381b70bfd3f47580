"""Small zones judged day by day: coverage, changes with their dates, stopped and reversed meters, nothing to go by."""

from dataclasses import replace

import numpy as np
import pytest
from balance_zones import FACTS, PER_DAY, REFERENCE, SETTINGS, START_US, Made, by_meter, codes, days_of, make_zone

from metrology.outcomes import Outcome
from verifier.balance.types import DAY_US


def test_intervals_cover_the_truth_and_no_healthy_meter_is_accused() -> None:
    """Ten zones: 95 % intervals hold between 90 and 99.9 % of the errors, and are far narrower than the prior's.

    Without the floor for what the model leaves out, for it leaves nothing out of these zones.
    """
    settings = SETTINGS.model_copy(update={"std_floor_pct": 0.02})
    z, std_pct, outcomes = [], [], []
    for seed in range(20, 30):
        gain_pct = float(np.random.default_rng(seed + 1000).normal(0, FACTS.reference_uncertainty_pct))
        zone = make_zone(Made(seed, days=12, meters=5, reference_gain_pct=gain_pct))
        (day,) = days_of(zone.members, [12], settings)
        for one, truth in zip(day.assessments, zone.error_pct, strict=True):
            assert one.error_pct is not None
            assert one.std_pct is not None
            z.append((one.error_pct - truth) / one.std_pct)
            std_pct.append(one.std_pct)
            outcomes.append(one.outcome)
    assert 0.90 <= np.mean(np.abs(z) < 1.96) <= 0.999
    assert 0.6 < np.std(z) < 1.3  # as wide as it must be
    assert np.max(std_pct) < 0.3
    assert set(outcomes) == {Outcome.CONFORMING}


@pytest.mark.parametrize("grows_days", [0.0, 30.0], ids=["step", "drift"])
def test_a_change_is_found_with_its_date(grows_days: float) -> None:
    zone = make_zone(
        Made(40, days=42, errors_pct={3: 9.0 if grows_days else 5.0}, begins_day=14, grows_days=grows_days)
    )
    before, *later = days_of(zone.members, [14, 17, 28, 42])
    assert by_meter(before)[3].outcome is Outcome.CONFORMING
    assert by_meter(before)[3].change_us is None
    one = by_meter(later[-1])[3]
    assert one.outcome is Outcome.NONCONFORMING
    assert one.change_us is not None
    assert (one.change_us - START_US) / DAY_US == pytest.approx(14, abs=4.0 if grows_days else 0.0)
    assert one.error_pct == pytest.approx(zone.error_pct[3], abs=3 * one.std_pct)
    if not grows_days:
        assert by_meter(later[0])[3].outcome is Outcome.NONCONFORMING
    others = {a.outcome for day in (before, *later) for meter, a in by_meter(day).items() if meter != 3}
    assert Outcome.NONCONFORMING not in others


@pytest.mark.parametrize("seed", [51, 52, 53])
def test_a_stopped_meter_is_found_within_two_days_and_accuses_nobody_else(seed: int) -> None:
    zone = make_zone(Made(seed, days=16, meters=8, silent={1: 14.0}))
    before, after = days_of(zone.members, [14, 16])
    assert by_meter(before)[1].outcome is Outcome.CONFORMING
    stopped = by_meter(after)[1]
    assert (stopped.outcome, codes(stopped)) == (Outcome.NONCONFORMING, {"stopped"})
    data = stopped.reasons[0].data
    assert data["since_us"] == pytest.approx(START_US + 14 * DAY_US, abs=DAY_US / 8)
    assert data["missing_share"] == pytest.approx(1, abs=0.5)
    others = {a.outcome for meter, a in by_meter(after).items() if meter != 1}
    assert Outcome.NONCONFORMING not in others


def test_an_empty_home_is_no_stopped_meter() -> None:
    zone = make_zone(Made(51, days=17, meters=8, away={1: 14.0}))
    for day in days_of(zone.members, [15, 16, 17]):
        empty = by_meter(day)[1]
        assert empty.outcome is Outcome.INCONCLUSIVE
        assert codes(empty) <= {"little_recent_use", "little_information"}
        others = {a.outcome for meter, a in by_meter(day).items() if meter != 1}
        assert others == {Outcome.CONFORMING}


def test_a_reversed_meter_is_found_on_the_day_after() -> None:
    zone = make_zone(Made(42, days=15, turned={2: 14.0}))
    before, after = days_of(zone.members, [14, 15])
    assert by_meter(before)[2].outcome is Outcome.CONFORMING
    assert (by_meter(after)[2].outcome, codes(by_meter(after)[2])) == (Outcome.NONCONFORMING, {"reversed_running"})
    assert Outcome.NONCONFORMING not in {a.outcome for meter, a in by_meter(after).items() if meter != 2}


def test_swapped_meters_of_one_zone_leave_its_balance_as_it_is() -> None:
    """What no balance can see, as its page says: names do not stand in the sum."""
    members = make_zone(Made(45, days=14)).members
    at = PER_DAY * 7
    first, second = members[0].total, members[1].total
    grown = [np.diff(total, prepend=total[0])[at + 1 :].cumsum() for total in (first, second)]
    crossed = [np.concatenate([first[: at + 1], first[at] + grown[1]])]
    crossed.append(np.concatenate([second[: at + 1], second[at] + grown[0]]))
    swapped = [replace(member, total=total) for member, total in zip(members[:2], crossed, strict=True)]
    (day,) = days_of([*swapped, *members[2:]], [14])
    assert {one.outcome for one in day.assessments} == {Outcome.CONFORMING}


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("reference", "no_reference"),
        ("customers", "no_customers"),
        ("short", "insufficient_data"),
        ("silent", "no_consumption"),
    ],
)
def test_what_no_balance_can_be_made_of_is_withheld_with_its_reason(what: str, code: str) -> None:
    members, days = make_zone(Made(46, days=9)).members, 9
    if what == "reference":
        members = members[:-1]
    elif what == "customers":
        members = members[-1:]
    elif what == "short":
        days = 2
    else:
        members = [replace(member, total=member.total * 0) for member in members]
    (day,) = days_of(members, [days])
    assert code in codes(day.report)
    assert len(day.assessments) == sum(member.meter_id != REFERENCE for member in members)
    assert all(one.outcome is Outcome.WITHHELD and one.error_pct is None for one in day.assessments)


def test_beside_a_stopped_meter_others_are_judged_but_new_changes_wait() -> None:
    """Meter 1 stands still from day 14 on; meter 3 changed before that, meter 5 after it."""
    before = make_zone(Made(54, days=26, meters=10, silent={1: 14.0}, errors_pct={3: 8.0}, begins_day=8.0)).members
    later = make_zone(Made(54, days=26, meters=10, silent={1: 14.0}, errors_pct={5: 30.0}, begins_day=17.0)).members
    for members, meter, outcome, code in (
        (before, 3, Outcome.NONCONFORMING, "outside_limits"),
        (later, 5, Outcome.INCONCLUSIVE, "change_not_settled"),
    ):
        (day,) = days_of(members, [26])
        found = by_meter(day)
        assert day.report.reasons == ()
        assert codes(found[1]) == {"stopped"}
        assert (found[meter].outcome, codes(found[meter])) == (outcome, {code})
        others = [one.outcome for i, one in found.items() if i not in (1, meter)]
        assert Outcome.NONCONFORMING not in others
        assert others.count(Outcome.CONFORMING) >= 6
