"""Line losses by shared paths against circuits of four wires whose currents are added up conductor by conductor."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.balance.network import met_in_neutral, met_on_phases, path_losses, phase_shares
from verifier.balance.types import Floats

# A main of three pieces; customers hang at its nodes, each by a service line of its own. [ohm] of one conductor.
MAIN_OHM = np.array([0.05, 0.08, 0.03])
NODE = np.array([0, 1, 1, 2, 2])
SERVICE_OHM = np.array([0.02, 0.01, 0.04, 0.03, 0.02])
HOURS = 0.25
POWER_KW = np.array([[2.0, 3.5, 1.0, 0.5, 4.0], [0.2, 0.0, 6.0, 2.5, 1.0]])
ANGLE = {1: 0.0, 2: -2 * np.pi / 3, 3: 2 * np.pi / 3}
PHASES = [
    [123] * 5,
    [0] * 5,
    [2] * 5,
    [1, 2, 3, 1, 2],
    [123, 1, 2, 123, 1],
    [0, 3, 3, 1, 123],
]
NAMES = ["three-phase", "unknown", "one-phase", "spread", "mixed", "mixed-unknown"]


def shared_paths() -> Floats:
    reach = np.cumsum(MAIN_OHM)
    shared = reach[np.minimum.outer(NODE, NODE)]
    return np.asarray(shared + np.diag(SERVICE_OHM), dtype=np.float64)


def swept_losses(power_kw: Floats, phases: list[int], neutral_ratio: float, scale: float = 1.0) -> float:
    """Losses [kWh an interval] of the four wires by backward and forward sweeps, lines' lengths times `scale`.

    Every conductor carries its own phasor, the neutral's included; voltages fall along it, and loads of constant power
    take what current they need at their own voltage. Nothing is known of shared paths.
    """
    source = {phase: 400 / np.sqrt(3) * np.exp(1j * angle) for phase, angle in ANGLE.items()}
    served = [(phase,) if phase in ANGLE else (1, 2, 3) for phase in phases]
    volts = [{phase: source[phase] for phase in one} for one in served]
    for _ in range(50):
        taken = [
            {p: np.conj(1000 * kw / len(one) / at[p]) for p in one}
            for kw, one, at in zip(power_kw, served, volts, strict=True)
        ]
        lost, at_node = 0.0, {**source, "n": 0j}
        node_volts = []
        for piece, ohm in enumerate(MAIN_OHM * scale):
            beyond = [one for one, node in zip(taken, NODE, strict=True) if node >= piece]
            current = {p: sum(one.get(p, 0j) for one in beyond) for p in ANGLE}
            back = sum(current.values())
            at_node = {p: at_node[p] - ohm * current[p] for p in ANGLE} | {
                "n": at_node["n"] + neutral_ratio * ohm * back
            }
            node_volts.append(at_node)
            lost += ohm * (sum(abs(c) ** 2 for c in current.values()) + neutral_ratio * abs(back) ** 2)
        for i, (one, ohm) in enumerate(zip(taken, SERVICE_OHM * scale, strict=True)):
            back = sum(one.values())
            star = node_volts[NODE[i]]["n"] + neutral_ratio * ohm * back
            volts[i] = {p: node_volts[NODE[i]][p] - ohm * one[p] - star for p in one}
            lost += ohm * (sum(abs(c) ** 2 for c in one.values()) + neutral_ratio * abs(back) ** 2)
    return float(lost / 1000 * HOURS)


@pytest.mark.parametrize("neutral_ratio", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("phases", PHASES, ids=NAMES)
def test_losses_are_those_of_a_power_flow_to_first_order(phases: list[int], neutral_ratio: float) -> None:
    """Losses at lines a hundredth and a thousandth as long: what differs falls with the length."""
    by_customer = path_losses(shared_paths(), phases, POWER_KW * HOURS, HOURS, neutral_ratio)
    for row, total in zip(POWER_KW, by_customer.sum(axis=1), strict=True):
        for scale, within in ((1e-2, 5e-3), (1e-3, 5e-4)):
            swept = swept_losses(row, phases, neutral_ratio, scale) / scale
            assert total == pytest.approx(swept, rel=within)


def test_the_neutral_is_as_large_as_the_phases_unless_told() -> None:
    given_one = path_losses(shared_paths(), [1, 2, 3, 1, 2], POWER_KW, HOURS, 1.0)
    np.testing.assert_array_equal(path_losses(shared_paths(), [1, 2, 3, 1, 2], POWER_KW, HOURS), given_one)


def test_a_single_customer_loses_in_its_conductor_and_the_neutral_alike() -> None:
    """One customer on one phase, P = 2 kW over 0.1 ohm and back: 2·0.1·(2000/230.94)² W."""
    lost = path_losses(np.array([[0.1]]), [2], np.array([[2.0]]), 1.0)
    assert lost[0, 0] == pytest.approx(2 * 0.1 * (2000 / (400 / np.sqrt(3))) ** 2 / 1000)


@pytest.mark.parametrize("phases", PHASES, ids=NAMES)
def test_twice_a_customers_part_is_what_its_load_adds_at_the_margin(phases: list[int]) -> None:
    """∂W/∂x_i = 2·part_i/x_i: what the columns `network_places` stand for."""
    x = POWER_KW[:1] * HOURS
    part = path_losses(shared_paths(), phases, x, HOURS)[0]
    for i in range(5):
        more, less = x.copy(), x.copy()
        more[0, i] *= 1 + 1e-4
        less[0, i] *= 1 - 1e-4
        rise = sum(
            path_losses(shared_paths(), phases, more, HOURS)[0] - path_losses(shared_paths(), phases, less, HOURS)[0]
        )
        assert rise / 2e-4 == pytest.approx(2 * part[i], rel=1e-6)


customers = st.integers(1, 8)
ratios = st.floats(0.0, 4.0)


def drawn(data: st.DataObject, count: int) -> tuple[Floats, list[int], Floats]:
    """A network of random trunks, each shared by some customers, their phases, and loads (3, N)."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    paths = rng.random((count, count + 3)) < 0.5
    resistance = (paths * rng.exponential(0.1, count + 3)) @ paths.T
    phases = data.draw(st.lists(st.sampled_from([0, 1, 2, 3, 123]), min_size=count, max_size=count))
    return np.asarray(resistance), phases, rng.exponential(1.0, (3, count))


@given(st.data(), customers, ratios)
def test_what_the_neutral_loses_is_never_negative(data: st.DataObject, count: int, ratio: float) -> None:
    resistance, phases, x = drawn(data, count)
    phase_conductors = path_losses(resistance, phases, x, HOURS, 0.0).sum(axis=1)
    assert np.all(path_losses(resistance, phases, x, HOURS, ratio).sum(axis=1) >= phase_conductors * (1 - 1e-12))


@given(st.data(), customers, ratios)
def test_names_of_phases_change_nothing(data: st.DataObject, count: int, ratio: float) -> None:
    resistance, phases, x = drawn(data, count)
    expected = path_losses(resistance, phases, x, HOURS, ratio)
    for order in permutations((1, 2, 3)):
        renamed = [order[phase - 1] if phase in (1, 2, 3) else phase for phase in phases]
        np.testing.assert_allclose(path_losses(resistance, renamed, x, HOURS, ratio), expected, atol=1e-12, rtol=1e-9)


@given(st.data(), customers, ratios)
def test_three_even_single_phase_customers_at_a_place_are_one_of_three_phases(
    data: st.DataObject, count: int, ratio: float
) -> None:
    resistance, phases, x = drawn(data, count)
    phases[0] = 123
    whole = path_losses(resistance, phases, x, HOURS, ratio)
    places = [0, 0, 0, *range(1, count)]
    split_x = np.hstack([np.repeat(x[:, :1] / 3, 3, axis=1), x[:, 1:]])
    split = path_losses(resistance[np.ix_(places, places)], [1, 2, 3, *phases[1:]], split_x, HOURS, ratio)
    np.testing.assert_allclose(split[:, :3].sum(axis=1), whole[:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(split[:, 3:], whole[:, 1:], rtol=1e-9, atol=1e-12)


@given(st.data(), customers)
def test_loads_met_add_up_to_the_squares_of_phases_and_neutral(data: st.DataObject, count: int) -> None:
    """3·Σ S_p² and 3·|S_n|², S_n added up as phasors; on one path of resistance 1 they are the losses by paths."""
    _, phases, x = drawn(data, count)
    on = [[p for p in ANGLE if phase in (p, 0, 123)] for phase in phases]
    loads = {p: sum(x[:, i] / len(on[i]) for i in range(count) if p in on[i]) + np.zeros(3) for p in ANGLE}
    neutral = np.abs(sum(load * np.exp(1j * ANGLE[p]) for p, load in loads.items())) ** 2
    shares = phase_shares(phases)
    squares = np.sum(x * met_on_phases(shares, x), axis=1)
    np.testing.assert_allclose(squares, 3 * sum(load**2 for load in loads.values()), rtol=1e-9)
    np.testing.assert_allclose(np.sum(x * met_in_neutral(shares, x), axis=1), 3 * neutral, rtol=1e-9, atol=1e-9)
    by_paths = path_losses(np.ones((count, count)), phases, x, 1.0, 0.7).sum(axis=1)
    np.testing.assert_allclose(by_paths, (squares + 0.7 * 3 * neutral) * 1000 / 400**2, rtol=1e-9)


@pytest.mark.parametrize("phases", [[123, 0, 123], [0, 0, 0]])
def test_without_a_known_phase_every_customer_meets_the_whole_load(phases: list[int]) -> None:
    x, shares = np.array([[1.0, 2.0, 4.0]]), phase_shares(phases)
    np.testing.assert_allclose(met_on_phases(shares, x), [[7.0, 7.0, 7.0]], rtol=1e-14)
    np.testing.assert_allclose(met_in_neutral(shares, x), np.zeros((1, 3)), atol=1e-14)
