"""The water district: EPANET gives what the zone claims, leakage follows pressure, a burst begins at its date."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wntr
from zones.injection import EXACT
from zones.water import WaterPlan, water_zone
from zones.water_network import District, network, solve


@pytest.fixture(autouse=True)
def _synthetic_households(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERPROOF_WATER", "nowhere.zip")


def district(exponent: float = 1.1, bursts: tuple[tuple[int, float], ...] = ()) -> District:
    rng = np.random.default_rng(8)
    return District(rng.exponential(0.05, (72, 12)), 3600, 0.2, exponent, bursts, 5)


def check_the_inlet_gives_demand_and_leakage() -> None:
    one = district(bursts=((3, 0.3),))
    model, _ = network(one, True)
    with tempfile.TemporaryDirectory() as folder:
        result = wntr.sim.EpanetSimulator(model).run_sim(file_prefix=str(Path(folder) / "d"))
    inflow = -3600.0 * result.node["demand"]["inlet"].to_numpy()[:72]
    _, after = solve(one)
    assert inflow == pytest.approx(one.demand.sum(axis=1) + after.leak + after.bursts.sum(axis=1), rel=1e-3)
    assert after.bursts[:, 0].mean() == pytest.approx(0.3, rel=0.1)


def check_leakage_follows_pressure_with_its_exponent() -> None:
    slopes = []
    for exponent in (0.6, 1.3):
        found, _ = solve(district(exponent))
        slopes.append(np.polyfit(np.log(found.pressure_m), np.log(found.leak), 1)[0])
    assert slopes == pytest.approx([0.6, 1.3], abs=0.1)


def check_a_zone_balances_and_its_burst_begins_at_its_date() -> None:
    case = water_zone("test", 1, WaterPlan(customers=12, bursts=1), EXACT, days=20)
    per_day = np.add.reduceat(np.diff(case.total(0)), np.arange(0, 20 * 24, 24))
    assert per_day == pytest.approx(case.truth.reference, abs=1e-4)
    assert case.truth.reference == pytest.approx(
        case.truth.true_use.sum(axis=0) + case.truth.loss + case.truth.unmetered
    )
    (burst,) = case.truth.unmetered_loads
    first_day = int(np.searchsorted(case.truth.days_us, burst.begins_us, side="right")) - 1
    assert case.truth.unmetered[:first_day].max() == 0
    assert case.truth.unmetered[first_day + 1 :] / 24 == pytest.approx(burst.mean_per_h, rel=0.15)
    assert case.side.pressure_m is not None
    assert 20 < case.side.pressure_m.mean() < 50


def check_registers_ascend_and_meters_lose_at_low_flow() -> None:
    case = water_zone("test", 2, WaterPlan(customers=12), replace(EXACT, resolution=0.001), days=20)
    assert min(int(np.diff(case.register_micro[place]).min()) for place in case.customers) >= 0
    assert -15 < np.average(case.truth.error_pct, weights=case.truth.true_use) < -1.0
