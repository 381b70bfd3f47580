"""A zone's meters judged from its history: the gate, sufficiency, and outcomes on zones with known errors."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from balanced_zone import QUARTER_US, SETTINGS, ZONE, make_members

from metrology.conformity import Outcome
from metrology.errors import InvalidInputError
from metrology.quantities import Medium
from verifier.balance.assess import assess_days
from verifier.balance.days import day_block, with_comparisons
from verifier.balance.history import history, known_after
from verifier.balance.information import sums_of
from verifier.balance.noise import first_shape
from verifier.balance.timeline import zone_timeline
from verifier.balance.types import DAY_US, Comparison, MemberSeries, MeterAssessment, SideInformation
from verifier.balance.walk import beliefs
from verifier.limits import running_limit_pct


def assess(
    members: Sequence[MemberSeries], days: int, comparisons: Sequence[Comparison] = ()
) -> dict[int, MeterAssessment]:
    [day] = assess_days(ZONE, members, SideInformation(), lambda _end_us: comparisons, [days * DAY_US], SETTINGS)
    return {one.meter_id: one for one in day.assessments}


def codes(assessment: MeterAssessment) -> set[str]:
    return {reason.code for reason in assessment.reasons}


def test_a_meter_beyond_its_limit_is_nonconforming_and_healthy_ones_conform() -> None:
    result = assess(make_members(1, 14, {3: 0.05}), 14)
    assert result[3].outcome is Outcome.NONCONFORMING
    assert (result[3].p_nonconforming or 0.0) > 0.999
    assert [a.outcome for meter, a in result.items() if meter != 3] == [Outcome.CONFORMING] * 9


def test_an_error_near_the_limit_is_inconclusive() -> None:
    assert assess(make_members(2, 14, {3: 0.0201}), 14)[3].outcome is Outcome.INCONCLUSIVE


def test_a_change_is_told_with_its_day() -> None:
    changed = assess(make_members(3, 28, {3: 0.06}, step_day=20), 28)[3]
    assert changed.outcome is Outcome.NONCONFORMING
    assert changed.change_us is not None
    assert abs(changed.change_us - 20 * DAY_US) <= DAY_US


def test_too_few_days_withhold_every_verdict() -> None:
    short = assess(make_members(4, 3, {}), 3)
    assert {a.outcome for a in short.values()} == {Outcome.WITHHELD}
    assert "insufficient_data" in codes(short[1])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda members: members[1:], "no_reference"),
        (lambda members: [replace(members[0], faults=("stopped",)), *members[1:]], "member_at_fault"),
        (lambda members: [members[0], replace(members[1], faults=("reset",)), *members[2:]], "member_at_fault"),
        (lambda members: [members[0], *members[2:]], "zone_refused"),  # a customer on no list looks like loss
    ],
)
def test_the_gate_is_shut(change, code) -> None:  # type: ignore[no-untyped-def]  # parametrised lambdas
    result = assess(change(make_members(6, 14, {})), 14)
    assert {a.outcome for a in result.values()} == {Outcome.WITHHELD}
    assert all(code in codes(a) for a in result.values())


def test_a_meter_without_a_limit_gets_an_estimate_and_no_verdict() -> None:
    members = make_members(7, 14, {})
    members[1] = replace(members[1], mpe_pct=None, no_limit="class 9 is unknown")
    result = assess(members, 14)
    assert (result[1].outcome, codes(result[1])) == (Outcome.WITHHELD, {"no_limit"})
    assert result[1].error_pct is not None
    assert result[2].outcome is Outcome.CONFORMING


def test_a_meter_that_may_have_stopped_today_is_not_called_conforming() -> None:
    members = make_members(9, 14, {})
    total = members[2].total.copy()
    total[13 * 96 :] = total[13 * 96]
    # Nobody was at home either: the reference misses nothing.
    reference = members[0].total - (members[2].total - total)
    members = [replace(members[0], total=reference), members[1], replace(members[2], total=total), *members[3:]]
    result = assess(members, 14)
    assert result[2].outcome is Outcome.INCONCLUSIVE
    assert codes(result[2]) <= {"little_recent_use", "little_information"}


def test_an_exchanged_meter_leaves_the_neighbours_history_whole() -> None:
    """From the eighth day on another meter counts; the old one's register is not heard of any more."""
    members = make_members(11, 14, {})
    at, half = members[2].observed_us, 8 * 96
    old = replace(members[2], observed_us=at[: half + 1], total=members[2].total[: half + 1], removed_us=8 * DAY_US)
    new = replace(
        members[2], meter_id=99, observed_us=at[half:], total=members[2].total[half:] - members[2].total[half],
        installed_us=8 * DAY_US,
    )  # fmt: skip
    whole, parted = assess(members, 14), assess([*members[:2], old, *members[3:], new], 14)
    others = [meter for meter in whole if meter != 2]
    assert [parted[meter].outcome for meter in others] == [Outcome.CONFORMING] * 9
    assert parted[99].outcome is Outcome.CONFORMING
    for meter in others:
        assert parted[meter].error_pct == pytest.approx(whole[meter].error_pct, abs=0.05)
        assert parted[meter].start_us == 0


def test_a_comparison_in_a_day_block_equals_the_kalman_update() -> None:
    """m' = m + K (z − H m), C' = (I − K H) C with K = C Hᵀ (H C Hᵀ + R)⁻¹ (Kalman, 1960)."""
    members = make_members(5, 4, {})
    customers, references = members[1:], members[:1]
    line = zone_timeline(customers, references, 0, 4 * DAY_US, QUARTER_US, 1.5)
    compared = [
        Comparison(3, 0, 2 * DAY_US, 1.2, 0.15, "check_meter"),
        Comparison(3, 3 * DAY_US, 3 * DAY_US, 1.0, 0.4, "site_test"),
        Comparison(8, DAY_US, DAY_US, -0.7, 0.2, "site_test"),
        Comparison(77, DAY_US, DAY_US, 5.0, 0.1, "site_test"),  # of another zone
    ]
    own = beliefs(ZONE.medium, SideInformation(), SETTINGS)

    def posterior(comparisons: Sequence[Comparison]) -> tuple[np.ndarray, np.ndarray]:
        past = known_after(history(ZONE, customers, SideInformation(), own, line), 4, customers, comparisons)
        bare = [day_block(past, day, first_shape(past.load)) for day in range(past.days)]
        blocks, sums = with_comparisons(past, bare, sums_of(bare, past.terms.sd.size))
        np.testing.assert_allclose(sums.gram, sums_of(blocks, past.terms.sd.size).gram, rtol=1e-12)
        precision = past.terms.prior.precision
        covariance = np.linalg.inv(sums.gram + precision)
        return covariance @ (sums.moment + precision @ past.terms.prior.mean), covariance

    (mean, covariance), (found, narrowed) = posterior(()), posterior(compared)
    picks = np.zeros((3, mean.size))
    picks[[0, 1, 2], [2, 2, 7]] = 1.0
    ratio = 1 / (1 + np.array([1.2, 1.0, -0.7]) / 100)
    noise = np.diag((np.array([0.15, 0.4, 0.2]) / 100 * ratio**2) ** 2)
    gain = covariance @ picks.T @ np.linalg.inv(picks @ covariance @ picks.T + noise)
    np.testing.assert_allclose(found, mean + gain @ (ratio - 1 - picks @ mean), atol=1e-10)
    np.testing.assert_allclose(narrowed, covariance - gain @ picks @ covariance, atol=1e-12)


def test_one_site_test_sharpens_the_neighbours() -> None:
    members = make_members(12, 7, {})
    tested = assess(members, 7, [Comparison(3, 6 * DAY_US, 6 * DAY_US, 0.1, 0.02, "site_test")])
    plain = assess(members, 7)
    assert all((tested[meter].std_pct or 9.0) < (plain[meter].std_pct or 0.0) for meter in plain)


def test_limits_come_from_the_regulation() -> None:
    """JJF(冀)174-2020: 1.75 / 3.5 %; OIML R 49 and R 137 in service: twice the initial limits of the upper zone."""
    assert running_limit_pct("jjf-hebei-174-2020", Medium.ELECTRICITY, "1") == 1.75
    assert running_limit_pct("jjf-hebei-174-2020", Medium.ELECTRICITY, "A") == 3.5
    assert running_limit_pct("oiml-r49-2013", Medium.WATER, "2") == 4.0
    assert running_limit_pct("oiml-r137-2012", Medium.GAS, "1.5") == 3.0
    with pytest.raises(InvalidInputError, match="use one of 1, 2"):
        running_limit_pct("jjf-hebei-174-2020", Medium.ELECTRICITY, "0.5S")
