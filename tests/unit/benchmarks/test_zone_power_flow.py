"""The sweep by hand: one customer on one line, phases that cancel in the neutral, paths that are shared."""

import numpy as np
import pytest
from zones.power_flow import NOMINAL_V, RadialGrid, line_losses_w, phase_shares


def line(count: int) -> RadialGrid:
    """Nodes 1 to `count` one behind the other, 0.1 ohm each."""
    nodes = np.arange(count)
    return RadialGrid("line", nodes, nodes + 1, np.full(count, 0.1 + 0j), nodes + 1)


def test_one_customer_on_one_line_by_the_quadratic_equation() -> None:
    common = line(1).common_path_ohm(np.array([1]))
    loss_w = line_losses_w(common, phase_shares(["2"]), np.array([[5000.0]]), np.zeros(1))[0]
    # V0·I - 2R·I² = P with the conductor and the neutral of 0.1 ohm each.
    current = (NOMINAL_V - np.sqrt(NOMINAL_V**2 - 4 * 0.2 * 5000.0)) / (2 * 0.2)
    assert loss_w == pytest.approx(0.2 * current**2, rel=1e-8)


def test_balanced_phases_need_no_neutral() -> None:
    common = line(1).common_path_ohm(np.array([1, 1, 1]))
    single = line_losses_w(common, phase_shares(["1", "2", "3"]), np.full((3, 1), 2000.0), np.zeros(3))[0]
    whole = line_losses_w(common[:1, :1], phase_shares(["123"]), np.full((1, 1), 6000.0), np.zeros(1))[0]
    one_phase = line_losses_w(common, phase_shares(["1", "1", "1"]), np.full((3, 1), 2000.0), np.zeros(3))[0]
    assert single == pytest.approx(whole, rel=1e-9)
    assert one_phase > 5.9 * whole  # three times the current twice over: 9 / 3 times, and as much in the neutral


def test_the_shared_path_is_that_to_the_nearer_customer() -> None:
    common = line(4).common_path_ohm(np.array([1, 3, 4]))
    assert common.real == pytest.approx(np.array([[0.1, 0.1, 0.1], [0.1, 0.3, 0.3], [0.1, 0.3, 0.4]]))


def test_reactive_power_costs_current() -> None:
    common = line(1).common_path_ohm(np.array([1]))
    losses = [line_losses_w(common, phase_shares(["123"]), np.full((1, 1), 9000.0), np.full(1, q))[0] for q in (0, 0.5)]
    assert losses[1] / losses[0] == pytest.approx(1.25, rel=0.02)


def test_a_load_that_the_line_cannot_carry_is_refused() -> None:
    common = line(1).common_path_ohm(np.array([1]))
    with pytest.raises(ValueError, match="shorter lines"):
        line_losses_w(common, phase_shares(["1"]), np.array([[100_000.0]]), np.zeros(1))
