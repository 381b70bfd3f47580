"""What rounding draws off columns by phase, against the columns' derivatives taken by differences."""

import numpy as np
import pytest
from balance_zones import FACTS, INTERVAL_S, START_US
from test_phases import BELIEFS, DAYS, column, columns, uneven_zone

from verifier.balance.days import day_block
from verifier.balance.history import history
from verifier.balance.noise import first_shape
from verifier.balance.timeline import zone_timeline
from verifier.balance.types import DAY_US, SideInformation


@pytest.mark.parametrize("name", ["quadratic", "unbalance", "places"])
def test_rounding_lowers_a_columns_moment_as_its_slopes_say(name: str) -> None:
    """The moment of f falls by Σ_i ∂f/∂x_i of what that of x_i falls by, at the mean load."""
    members, _ = uneven_zone(1)
    timeline = zone_timeline(
        members[:-1], members[-1:], START_US, START_US + DAYS * DAY_US, INTERVAL_S * 1_000_000, 1.5
    )
    past = history(FACTS, members[:-1], SideInformation(), BELIEFS, timeline)
    phases = [member.phase for member in members[:-1]]
    bias = day_block(past, 3, first_shape(past.load)).bias
    mean, step = timeline.customers.mean(axis=0), 1e-4
    expected = 0.0
    for i, of_meter in enumerate(bias[past.terms.columns("meters")]):
        more, less = np.tile(mean, (2, 1)) + np.outer([step, -step], np.eye(mean.size)[i])
        slope = np.subtract(*(column(columns(phases, x[None, :], load=past.load), name)[0] for x in (more, less)))
        expected = expected + slope / (2 * step) * of_meter
    np.testing.assert_allclose(bias[past.terms.columns(name)], expected, rtol=1e-6)
    assert np.all(bias[past.terms.columns("quadratic")] > 0)
