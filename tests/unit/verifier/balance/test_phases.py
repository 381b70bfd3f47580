"""Phases told: columns of losses by phase, and what they are worth where the neutral loses much."""

from dataclasses import replace

import numpy as np
import pytest
from balance_zones import (
    FACTS,
    INTERVAL_S,
    PER_DAY,
    REFERENCE,
    START_US,
    by_meter,
    days_of,
    loads,
)

from verifier.balance.model import Beliefs, Intervals, Terms, terms
from verifier.balance.types import Floats, MemberSeries, SideInformation

DAYS = 21
TURN = {1: 1.0, 2: np.exp(-2j * np.pi / 3), 3: np.exp(2j * np.pi / 3)}
BELIEFS = Beliefs(2.0, 3.0, 0.3, 0.5, 0.0)
X = np.array([[1.0, 2.0, 4.0, 3.0], [0.5, 0.0, 1.0, 2.5]])
LOAD = 7.0


def columns(phases: list[int], x: Floats = X, inner: int | None = None, load: float = LOAD) -> Terms:
    at, nothing = np.zeros(1, dtype=np.int64), np.zeros(1)
    members = [
        MemberSeries(i, False, 1, at, nothing, 0.001, 0.6, 2.0, phase=phase, passes_on=i == inner)
        for i, phase in enumerate(phases)
    ]
    reference = x.sum(axis=1)[:, None]
    middle_us = START_US + np.arange(len(x)) * INTERVAL_S * 1_000_000
    data = Intervals(x, x, x, reference, middle_us, 0.5, load, x)
    return terms(FACTS, members, SideInformation(), BELIEFS, data)


def column(held: Terms, name: str) -> Floats:
    return held.design[:, held.columns(name)]


@pytest.mark.parametrize("phases", [[0] * 4, [123] * 4, [0, 123, 0, 123]])
def test_where_no_phase_is_known_losses_go_with_the_whole_load(phases: list[int]) -> None:
    held, total = columns(phases), X.sum(axis=1)
    assert "unbalance" not in {group.name for group in held.groups}
    np.testing.assert_allclose(column(held, "quadratic")[:, 0], total**2 / LOAD, rtol=1e-14)
    np.testing.assert_allclose(column(held, "places"), X * total[:, None] / LOAD, rtol=1e-14)


def test_losses_go_with_each_phases_load_and_with_the_neutrals() -> None:
    held = columns([1, 2, 1, 123])
    on = {1: X[:, 0] + X[:, 2] + X[:, 3] / 3, 2: X[:, 1] + X[:, 3] / 3, 3: X[:, 3] / 3}
    neutral = sum(TURN[p] * load for p, load in on.items())
    np.testing.assert_allclose(column(held, "quadratic")[:, 0], 3 * sum(v**2 for v in on.values()) / LOAD)
    np.testing.assert_allclose(column(held, "unbalance")[:, 0], 3 * np.abs(neutral) ** 2 / LOAD)
    met = np.stack([3 * on[1], 3 * on[2], 3 * on[1], X.sum(axis=1)], axis=1)
    np.testing.assert_allclose(column(held, "places"), X * met / LOAD)


def test_an_even_load_on_known_phases_loses_what_it_did_without() -> None:
    even = np.array([[2.0, 2.0, 2.0, 1.5]])
    held, unknown = columns([1, 2, 3, 123], even), columns([0] * 4, even)
    np.testing.assert_allclose(column(held, "unbalance"), 0.0, atol=1e-14)
    for name in ("quadratic", "places"):
        np.testing.assert_allclose(column(held, name), column(unknown, name))


def test_beside_a_zone_inside_its_own_customers_count_by_phase_too() -> None:
    held = columns([1, 1, 2, 123], inner=3)
    np.testing.assert_allclose(
        column(held, "own_quadratic")[:, 0], 3 * ((X[:, 0] + X[:, 1]) ** 2 + X[:, 2] ** 2) / LOAD
    )


def uneven_zone(seed: int, resistance_ohm: float = 0.15) -> tuple[list[MemberSeries], Floats]:
    """Nine homes on one phase each at the end of one four-wire line, more of them on the first phase."""
    rng = np.random.default_rng(seed)
    phases = [1, 1, 1, 1, 1, 2, 2, 3, 3]
    x = loads(rng, DAYS * PER_DAY, len(phases))
    hours = INTERVAL_S / 3600
    amperes = {p: x[:, np.equal(phases, p)].sum(axis=1) * 1000 / hours / (400 / np.sqrt(3)) * TURN[p] for p in TURN}
    neutral = sum(amperes.values())
    watts = resistance_ohm * (sum(np.abs(i) ** 2 for i in amperes.values()) + np.abs(neutral) ** 2)
    error = rng.normal(0, 0.4, len(phases))
    reference = x.sum(axis=1) + watts * hours / 1000
    quantities = np.column_stack([x * (1 + error / 100), reference])
    begun = rng.uniform(0, 1, len(phases) + 1)
    total = np.floor(np.vstack([begun, begun + np.cumsum(quantities, axis=0)]) * 1000) / 1000
    at = START_US + np.arange(len(total)) * INTERVAL_S * 1_000_000
    members = [
        MemberSeries(i, False, 1, at, total[:, i], 0.001, 0.6, 2.0, phase=phase) for i, phase in enumerate(phases)
    ]
    return [*members, MemberSeries(REFERENCE, True, 1, at, total[:, -1], 0.001, 0.6, None)], error


def wrong_by(members: list[MemberSeries], error: Floats) -> tuple[float, float]:
    """RMSE and mean standard uncertainty [%] at the end."""
    told = by_meter(days_of(members, [DAYS])[0])
    found = [told[i] for i in range(error.size)]
    estimates = np.array([one.error_pct for one in found], dtype=np.float64)
    return float(np.sqrt(np.mean((estimates - error) ** 2))), float(np.mean([one.std_pct for one in found]))


def test_phases_tell_more_where_unbalance_makes_the_losses() -> None:
    told, untold = [], []
    for seed in (1, 2, 3):
        members, error = uneven_zone(seed)
        told.append(wrong_by(members, error))
        untold.append(wrong_by([replace(member, phase=0) for member in members], error))
    rmse, std = np.mean(told, axis=0)
    rmse_untold, std_untold = np.mean(untold, axis=0)
    assert rmse < 0.6 * rmse_untold
    assert std < 0.8 * std_untold
