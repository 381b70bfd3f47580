"""The explanation of an estimate: its terms add up, its budget too, and its remedies do what they say."""

from dataclasses import replace

import numpy as np
import pytest
from test_zone_window import SETTINGS, ZONE, make_members
from verifier.zone_window import DAY_US, assess_window

from verifier.explanation import explain_window

# Without the parts that no remedy here touches.
BARE = SETTINGS.model_copy(update={"clock_sd_electricity_s": 0.0, "std_floor_pct": 0.001})


@pytest.mark.parametrize(("seed", "errors"), [(1, {}), (2, {3: 0.05}), (3, {3: -0.2, 5: 0.02})])
def test_terms_and_budget_add_up_to_the_assessment(seed: int, errors: dict[int, float]) -> None:
    members = make_members(seed, 7, errors)
    for one in assess_window(ZONE, members, 0, 7 * DAY_US, SETTINGS):
        told = explain_window(ZONE, members, one, SETTINGS)
        assert told is not None
        assert told.error_pct == one.error_pct
        assert one.std_pct == pytest.approx(told.std_pct, rel=1e-9)
        assert told.d_pct == pytest.approx(sum(part for _, part in told.terms_pct), abs=1e-8)
        assert told.error_pct == pytest.approx(100 * (1 / (1 + told.d_pct / 100) - 1))
        assert [day // DAY_US for day, _ in told.terms_pct] == list(range(7))
        assert (told.readings, told.intervals) == (7 * 96 + 1, 7 * 96)
        assert (told.first_us, told.last_us) == (0, 7 * DAY_US)


def test_each_remedy_says_what_comes_of_it() -> None:
    """Twice the days are had: the uncertainty that was foretold is the one that comes."""
    zone = replace(ZONE, reference_uncertainty_pct=0.01)
    members = make_members(4, 8, {})
    short = assess_window(zone, members, 4 * DAY_US, 8 * DAY_US, BARE)[0]
    long = assess_window(zone, members, 0, 8 * DAY_US, BARE)[0]
    told = explain_window(zone, members, short, BARE)
    assert told is not None
    foretold = {remedy.text: remedy for remedy in told.remedies}
    assert long.std_pct == pytest.approx(foretold["twice as many days"].std_pct, rel=0.1)
    gains = [remedy.gain_nat for remedy in told.remedies]
    assert gains == sorted(gains, reverse=True)
    assert all(remedy.gain_nat == pytest.approx(np.log(told.std_pct / remedy.std_pct)) for remedy in told.remedies)


def test_a_surer_reference_is_the_remedy_where_the_reference_is_what_is_not_known() -> None:
    zone = replace(ZONE, reference_uncertainty_pct=0.5)
    members = [replace(member, prior_sd_pct=5.0) for member in make_members(5, 14, {})]
    told = explain_window(zone, members, assess_window(zone, members, 0, 14 * DAY_US, BARE)[0], BARE)
    assert told is not None
    assert told.budget[0].name == "gain of the reference"
    remedies = {remedy.text: remedy.std_pct for remedy in told.remedies}
    assert remedies["a reference three times as sure"] < 0.6 * told.std_pct


def test_without_a_reference_there_is_nothing_to_explain() -> None:
    members = make_members(6, 7, {})
    one = assess_window(ZONE, members, 0, 7 * DAY_US, SETTINGS)[0]
    assert explain_window(ZONE, members[1:], one, SETTINGS) is None
