"""The gate before verdicts: unmetered loads, members that do not belong, losses, faults, sufficiency."""

from dataclasses import replace

import numpy as np
import pytest
from balance_zones import FACTS, PER_DAY, REFERENCE, START_US, Made, by_meter, codes, days_of, make_zone, without

from metrology.outcomes import Outcome
from verifier.balance.gate import member_faults
from verifier.balance.types import DAY_US, MemberSeries


def with_reference(
    members: list[MemberSeries], factor: float = 1.0, leak: float = 0.0, day: int = 0
) -> list[MemberSeries]:
    """The reference's register times a factor, with a constant load more from a day on [kWh an interval]."""
    one = members[-1]
    more = leak * np.maximum(np.arange(one.total.size) - day * PER_DAY, 0)
    return [*members[:-1], replace(one, total=np.round(factor * one.total + more, 3))]


@pytest.mark.parametrize("size", [0.4, 0.15])
def test_theft_shuts_the_gate_and_nobody_is_accused(size: float) -> None:
    """A load as of one or two more homes, which comes and goes, from day 14 on."""
    before, *later = days_of(make_zone(Made(43, days=18, theft=size, theft_day=14.0)).members, [14, 15, 16, 18])
    assert {a.outcome for a in before.assessments} == {Outcome.CONFORMING}
    for day in later:
        assert Outcome.NONCONFORMING not in {a.outcome for a in day.assessments}
    for day in later[1:]:
        assert {a.outcome for a in day.assessments} == {Outcome.WITHHELD}
        assert codes(day.report) & {"zone_not_understood", "unmetered_load"}
        assert day.report.decidable == ()


@pytest.mark.parametrize("leak", [0.05, 0.2])
def test_a_constant_unmetered_load_is_told_with_size_and_date(leak: float) -> None:
    members = with_reference(make_zone(Made(47, days=16)).members, leak=leak, day=12)
    before, after = days_of(members, [12, 16])
    assert before.report.unmetered is None
    assert before.report.reasons == ()
    assert after.report.unmetered == pytest.approx(leak, rel=0.05)
    assert after.report.unmetered_since_us == START_US + 12 * DAY_US
    assert "unmetered_load" in codes(after.report)
    assert {a.outcome for a in after.assessments} == {Outcome.WITHHELD}


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_step_of_the_reference_is_told_of_it_and_not_of_all_meters(factor: float) -> None:
    zone = make_zone(Made(60, days=14))
    reference, at = zone.members[-1], 7 * PER_DAY
    total = reference.total.copy()
    total[at:] = total[at] + factor * (total[at:] - total[at])
    (day,) = days_of([*zone.members[:-1], replace(reference, total=total)], [14])
    (reason,) = day.report.reasons
    assert (reason.code, reason.data["since_us"]) == ("reference_changed", START_US + 7 * DAY_US)
    assert reason.data["change_pct"] == pytest.approx(100 * (factor - 1), abs=0.3)
    assert {a.outcome for a in day.assessments} == {Outcome.WITHHELD}
    for one, truth in zip(day.assessments, zone.error_pct, strict=True):
        assert one.error_pct == pytest.approx(truth, abs=0.6)


def test_a_member_whose_load_does_not_pass_the_reference_is_foreign() -> None:
    zone = make_zone(Made(44, days=21, meters=8, foreign=(5,)))
    (day,) = days_of(zone.members, [21])
    one = by_meter(day)[5]
    assert one.outcome is Outcome.WITHHELD
    assert "foreign_member" in codes(one)
    assert {a.outcome for meter, a in by_meter(day).items() if meter != 5} == {Outcome.CONFORMING}


@pytest.mark.parametrize(("factor", "refused"), [(0.998, False), (0.95, True), (1.15, True)])
def test_losses_beyond_the_regulation_refuse_the_zone(factor: float, refused: bool) -> None:
    """JJF(赣)017-2020: a loss of 0 to 10 %. Errors explain a little below 0."""
    members = with_reference(make_zone(Made(48, days=10, loss_pct=0.0)).members, factor)
    (day,) = days_of(members, [10])
    assert ("zone_refused" in codes(day.report)) is refused
    assert day.report.loss_pct == pytest.approx(100 * (1 - 1 / factor), abs=0.5)
    assert ({a.outcome for a in day.assessments} == {Outcome.WITHHELD}) is refused


def test_too_few_readings_withhold() -> None:
    """JJF(滇)21-2022: 99 % collected."""
    members = make_zone(Made(49, days=10)).members
    for share, enough in ((0.003, True), (0.03, False)):
        (day,) = days_of(without(members, np.random.default_rng(2), share), [10])
        assert day.report.collected_pct == pytest.approx(100 * (1 - share), abs=0.3)
        assert ("insufficient_data" in codes(day.report)) is not enough


def test_fewer_than_300_groups_withhold() -> None:
    (day,) = days_of(make_zone(Made(49, days=6)).members, [6])
    assert day.report.groups == 6 * PER_DAY
    assert "insufficient_data" in codes(day.report)
    assert FACTS.interval_s * day.report.groups == 6 * 86_400


def test_faults_that_the_model_accounts_for_do_not_shut_the_gate() -> None:
    customer, reference = make_zone(Made(50, days=1, meters=1)).members
    assert member_faults([replace(customer, faults=("stopped", "reversed_running")), reference]) == ()
    (reason,) = member_faults([replace(customer, faults=("stopped", "register_reset")), reference])
    assert reason.data == {"meter_id": 0, "findings": ["register_reset"]}
    (reason,) = member_faults([customer, replace(reference, faults=("stopped",))])
    assert reason.data["meter_id"] == REFERENCE
    (reason,) = member_faults([customer, reference], {0: ("register_jump",)})
    assert reason.code == "member_at_fault"


def test_a_large_meter_far_beyond_its_limit_does_not_refuse_its_own_zone() -> None:
    """It shows more than flowed: the raw loss is negative, what it errs taken off it is the line losses."""
    zone = make_zone(Made(60, errors_pct={3: 10}, days=14))
    (day,) = days_of(zone.members, [14])
    assert "zone_refused" not in codes(day.report)
    assert by_meter(day)[3].outcome is Outcome.NONCONFORMING
    assert day.report.loss_pct == pytest.approx(1.5, abs=0.5)
