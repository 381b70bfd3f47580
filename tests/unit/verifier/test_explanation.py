"""The explanation of an estimate: its budget adds up, and it tells readings, prior and remedies."""

import pytest
from balanced_zone import SETTINGS, ZONE, make_members

from verifier.balance.assess import assess_days
from verifier.balance.types import DAY_US, SideInformation
from verifier.explanation import explain_assessment


@pytest.mark.parametrize(("seed", "errors"), [(1, {}), (2, {3: 0.05}), (3, {3: -0.2, 5: 0.02})])
def test_the_budget_adds_up_to_the_assessment(seed: int, errors: dict[int, float]) -> None:
    members = make_members(seed, 7, errors)
    [day] = assess_days(ZONE, members, SideInformation(), lambda _end_us: (), [7 * DAY_US], SETTINGS)
    for one in day.assessments:
        told = explain_assessment(members, one, day.report)
        assert told is not None
        assert sum(part.std_pct**2 for part in told.budget) == pytest.approx((one.std_pct or 0.0) ** 2)
        assert [part.std_pct for part in told.budget] == sorted((p.std_pct for p in told.budget), reverse=True)
        assert (told.readings, told.first_us, told.last_us) == (7 * 96 + 1, 0, 7 * DAY_US)
        assert (told.prior_sd_pct, told.decidable) == (0.6, one.decidable)
        assert told.remedies == day.report.remedies


def test_without_a_reference_there_is_nothing_to_explain() -> None:
    members = make_members(6, 7, {})[1:]
    [day] = assess_days(ZONE, members, SideInformation(), lambda _end_us: (), [7 * DAY_US], SETTINGS)
    assert explain_assessment(members, day.assessments[0], day.report) is None
