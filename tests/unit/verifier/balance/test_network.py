"""Line losses by shared paths against a circuit whose currents are added up conductor by conductor."""

import numpy as np
import pytest

from verifier.balance.network import path_losses
from verifier.balance.types import Floats

# A main of three pieces; customers hang at its nodes, each by a service line of its own. [ohm] of one conductor.
MAIN_OHM = np.array([0.05, 0.08, 0.03])
NODE = np.array([0, 1, 1, 2, 2])
SERVICE_OHM = np.array([0.02, 0.01, 0.04, 0.03, 0.02])
HOURS = 0.25
POWER_KW = np.array([[2.0, 3.5, 1.0, 0.5, 4.0], [0.2, 0.0, 6.0, 2.5, 1.0]])


def shared_paths() -> Floats:
    reach = np.cumsum(MAIN_OHM)
    shared = reach[np.minimum.outer(NODE, NODE)]
    return np.asarray(shared + np.diag(SERVICE_OHM), dtype=np.float64)


def circuit_losses(phases: list[int]) -> Floats:
    """I²·R of every piece and phase conductor [kWh an interval]; the neutral is left out, as in the model."""
    current = np.zeros((*POWER_KW.shape, 3))
    for i, phase in enumerate(phases):
        watts = 1000 * POWER_KW[:, i]
        if phase in (1, 2, 3):
            current[:, i, phase - 1] = watts / 230
        else:
            current[:, i, :] = (watts / (np.sqrt(3) * 400))[:, None]
    watts_lost = np.einsum("tip,i->t", current**2, SERVICE_OHM)
    for piece, ohm in enumerate(MAIN_OHM):
        watts_lost += ohm * np.sum(current[:, piece <= NODE].sum(axis=1) ** 2, axis=1)
    return np.asarray(watts_lost / 1000 * HOURS, dtype=np.float64)


@pytest.mark.parametrize(
    "phases",
    [[123] * 5, [0] * 5, [2] * 5, [1, 2, 3, 1, 2], [123, 1, 2, 123, 1], [0, 3, 3, 1, 123]],
    ids=["three-phase", "unknown", "one-phase", "spread", "mixed", "mixed-unknown"],
)
def test_losses_are_those_of_the_circuit(phases: list[int]) -> None:
    by_customer = path_losses(shared_paths(), phases, POWER_KW * HOURS, HOURS)
    np.testing.assert_allclose(by_customer.sum(axis=1), circuit_losses(phases), rtol=1e-12)


def test_twice_a_customers_part_is_what_its_load_adds_at_the_margin() -> None:
    """∂W/∂x_i = 2·part_i/x_i: what the columns `network_places` stand for."""
    x = POWER_KW[:1] * HOURS
    part = path_losses(shared_paths(), [123] * 5, x, HOURS)[0]
    for i in range(5):
        more = x.copy()
        more[0, i] *= 1 + 1e-6
        rise = path_losses(shared_paths(), [123] * 5, more, HOURS).sum() - part.sum()
        assert rise / 1e-6 == pytest.approx(2 * part[i], rel=1e-4)
