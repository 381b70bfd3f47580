"""A zone on a SimBench grid: it balances, its lines lose what was asked, its resistances are those of the losses."""

from dataclasses import replace

import numpy as np
import pytest
from zones.case import ZoneCase
from zones.grid_electricity import GridPlan, grid_zone
from zones.injection import EXACT
from zones.power_flow import NOMINAL_V, TURN, phase_shares


@pytest.fixture(autouse=True)
def _synthetic_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERPROOF_HOMES", "nowhere.npz")


def losses_by_resistance_w(case: ZoneCase) -> tuple[np.ndarray, np.ndarray]:
    """What the zone lost [W] in each interval, and what the known resistances say: R·I² in phases and neutral."""
    hours = case.interval_s / 3600
    load_w = np.diff(np.array([case.total(place) for place in case.customers]), axis=1) * 1000 / hours
    lost_w = np.diff(case.total(0)) * 1000 / hours - load_w.sum(axis=0)
    current = load_w[:, None, :] * phase_shares([case.meters[p].phase for p in case.customers])[:, :, None] / NOMINAL_V
    neutral = np.sum(current * TURN[None, :, None], axis=1)
    known = case.side.resistance_ohm
    assert known is not None
    parts = [*np.moveaxis(current, 1, 0), neutral.real, neutral.imag]
    return lost_w, np.sum([np.sum((known @ part) * part, axis=0) for part in parts], axis=0)


def check_a_zone_on_a_grid_balances_to_its_losses() -> None:
    plan = GridPlan("rural1", 10, loss_share=0.01, topology_error=0.0)
    case = grid_zone("test", 1, plan, replace(EXACT, thefts=1, foreign=1), days=8)
    per_day = np.add.reduceat(np.diff(case.total(0)), np.arange(0, 8 * 96, 96))
    assert per_day == pytest.approx(case.truth.reference, abs=1e-4)
    own = case.truth.true_use[:10].sum(axis=0)
    assert case.truth.reference == pytest.approx(own + case.truth.loss + case.truth.unmetered)
    line_share = (case.truth.loss.sum() - 0.01 * 24 * 8) / (own.sum() + case.truth.unmetered.sum())  # 10 meters, 1 W
    assert line_share == pytest.approx(0.01, rel=0.2)  # scaled on the first week, before the theft
    known = case.side.resistance_ohm
    assert known is not None
    assert known.shape == (11, 11)
    assert np.all(known[10] == 0)
    assert np.linalg.eigvalsh(known).min() > -1e-12


def check_the_known_resistances_are_those_of_the_losses() -> None:
    exact = grid_zone("test", 1, GridPlan("rural2", 15, 0.01, topology_error=0.0), EXACT, days=8)
    wrong = grid_zone("test", 1, GridPlan("rural2", 15, 0.01, topology_error=0.3), EXACT, days=8)
    lost_w, said_w = losses_by_resistance_w(exact)
    assert np.corrcoef(lost_w, said_w)[0, 1] > 0.97
    # Within an interval the load goes up and down, and reactive currents flow: more is lost than the means say.
    assert 1.0 < np.mean(lost_w - 15.0) / np.mean(said_w) < 2.0
    shared = exact.side.resistance_ohm > 0
    ratio = wrong.side.resistance_ohm[shared] / exact.side.resistance_ohm[shared]
    assert 0.02 < ratio.std() < 0.6
