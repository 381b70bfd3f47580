"""Outcomes by probability, the decidable set, what the uncertainty comes from, comparisons and remedies."""

from dataclasses import replace

import numpy as np
import pytest
from balance_zones import FACTS, REFERENCE, SETTINGS, START_US, Made, by_meter, codes, days_of, make_zone

from metrology.outcomes import Outcome
from verifier.balance.types import DAY_US, Comparison, MemberSeries, ZoneDay
from verifier.balance.verdict import decidable

DAYS = 14
ERRORS = {0: 0.0, 1: 2.0, 2: -4.0, 3: 4.0}


@pytest.fixture(scope="module")
def members() -> list[MemberSeries]:
    return make_zone(Made(60, days=DAYS, errors_pct=ERRORS)).members


@pytest.fixture(scope="module")
def day(members: list[MemberSeries]) -> ZoneDay:
    (one,) = days_of(members, [DAYS])
    return one


def test_outcomes_follow_the_probability_of_nonconformity(day: ZoneDay) -> None:
    found = by_meter(day)
    expected = {
        0: (Outcome.CONFORMING, "within_limits"),
        1: (Outcome.INCONCLUSIVE, "straddles_limit"),
        2: (Outcome.NONCONFORMING, "outside_limits"),
        3: (Outcome.NONCONFORMING, "outside_limits"),
    }
    for meter, (outcome, code) in expected.items():
        one = found[meter]
        assert (one.outcome, codes(one)) == (outcome, {code})
        assert one.p_nonconforming is not None
        assert (one.p_nonconforming > 0.95) is (outcome is Outcome.NONCONFORMING)
        assert (one.p_nonconforming < 0.05) is (outcome is Outcome.CONFORMING)
        assert one.error_pct == pytest.approx(ERRORS[meter], abs=2.5 * (one.std_pct or 0))


def test_a_wide_estimate_within_narrow_limits_may_lie_beyond_either(members: list[MemberSeries]) -> None:
    (day,) = days_of([replace(member, mpe_pct=0.2) for member in members], [DAYS])
    one = by_meter(day)[0]
    assert (one.outcome, codes(one), one.decidable) == (Outcome.INCONCLUSIVE, {"uncertainty_too_large"}, False)


def test_without_a_limit_there_is_an_estimate_and_no_verdict(members: list[MemberSeries]) -> None:
    (day,) = days_of([replace(members[0], mpe_pct=None, no_limit="class 9 is unknown"), *members[1:]], [DAYS])
    one = by_meter(day)[0]
    assert (one.outcome, codes(one), one.p_nonconforming) == (Outcome.WITHHELD, {"no_limit"}, None)
    assert one.error_pct is not None
    assert by_meter(day)[2].outcome is Outcome.NONCONFORMING


def test_decidable_is_whether_no_error_and_twice_the_limit_would_both_be_told(day: ZoneDay) -> None:
    """At 1.645 sd: an error of 0 conforms with 95 %, and one of twice the limit lies beyond it with as much."""
    assert decidable(2.0 / (2 * 1.645), 2.0)
    assert not decidable(2.0 / (2 * 1.645) * 1.01, 2.0)
    assert not decidable(0.01, None)
    assert day.report.decidable == tuple(a.meter_id for a in day.assessments if a.decidable)
    assert all(a.decidable is decidable(a.std_pct or 9, a.mpe_pct) for a in day.assessments)


def test_contributions_add_up_to_the_uncertainty(day: ZoneDay) -> None:
    for one in day.assessments:
        assert one.std_pct is not None
        squares = sum(part**2 for part in one.contributions_pct.values())
        assert squares == pytest.approx(one.std_pct**2, rel=1e-6)
        assert {"gains", "noise", "meters", "constant", "left_out", "changes"} <= set(one.contributions_pct)
        assert one.contributions_pct["left_out"] >= 0.8 * SETTINGS.std_floor_pct


def test_an_uncertain_reference_is_the_largest_contribution(members: list[MemberSeries]) -> None:
    (day,) = days_of(members, [DAYS], facts=replace(FACTS, reference_uncertainty_pct=2.0))
    for one in day.assessments:
        assert max(one.contributions_pct, key=lambda name: one.contributions_pct[name]) in {"gains", "meters"}


def test_without_a_network_plan_its_losses_stay_in_the_uncertainty(members: list[MemberSeries], day: ZoneDay) -> None:
    (doubted,) = days_of(members, [DAYS], SETTINGS.model_copy(update={"network_doubt": 1.0}))
    for meter, one in by_meter(doubted).items():
        assert (one.std_pct or 0) > (by_meter(day)[meter].std_pct or 9)
        assert one.contributions_pct["left_out"] > SETTINGS.std_floor_pct


def comparison(meter: int, truth: float) -> Comparison:
    return Comparison(meter, START_US, START_US + DAYS * DAY_US, truth, 0.3, "site_test")


def test_a_site_test_sharpens_its_meter_and_the_neighbours_as_was_expected(members: list[MemberSeries]) -> None:
    """The fall of the mean standard uncertainty that the remedy promises, against that with the comparison given."""
    facts = replace(FACTS, reference_uncertainty_pct=1.5)
    settings = SETTINGS.model_copy(update={"std_floor_pct": 0.02})
    healthy = make_zone(Made(61, days=DAYS))
    (before,) = days_of(healthy.members, [DAYS], settings, facts=facts)
    (remedy,) = (one for one in before.report.remedies if one.code == "site_test")
    meter = remedy.data["meter_id"]
    given = (comparison(meter, float(healthy.error_pct[meter])),)
    (after,) = days_of(healthy.members, [DAYS], settings, given, facts=facts)
    falls = {m: (by_meter(before)[m].std_pct or 0) - (one.std_pct or 9) for m, one in by_meter(after).items()}
    assert np.mean(list(falls.values())) == pytest.approx(remedy.std_fall_pct, rel=0.25)
    assert falls[meter] == max(falls.values())
    assert all(fall > 0 for fall in falls.values())


def test_remedies_are_ranked_and_a_worse_reference_makes_it_the_first(members: list[MemberSeries]) -> None:
    (day,) = days_of(
        make_zone(Made(62, days=DAYS)).members, [DAYS], facts=replace(FACTS, reference_uncertainty_pct=1.5)
    )
    ranks = [(one.newly_decidable, one.std_fall_pct) for one in day.report.remedies]
    assert ranks == sorted(ranks, reverse=True)
    assert REFERENCE not in {one.data.get("meter_id") for one in day.report.remedies}
    assert "reference" in {one.code for one in day.report.remedies}
