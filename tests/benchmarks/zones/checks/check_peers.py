"""The peers by what they must give: exact data give exact errors, recursion equals the batch, Kalman its posterior."""

import numpy as np
import pytest
from zones.intervals import Intervals
from zones.peers import PEERS

ERRORS_PCT = np.array([2.0, -3.0, 0.5, 0.0])
PRIOR_PCT = np.full(4, 2.0)


def data(noise: float = 0.0) -> Intervals:
    rng = np.random.default_rng(6)
    use = rng.gamma(1.0, 0.5, (600, 4))
    reference = use.sum(axis=1) + 0.1 + noise * rng.normal(size=600)
    return Intervals(1_800_000_000 * np.arange(600), use * (1 + ERRORS_PCT / 100), reference)


@pytest.mark.parametrize("peer", ["OLS", "RLS (statsmodels)"])
def check_exact_data_give_exact_errors(peer: str) -> None:
    result = PEERS[peer](data(), PRIOR_PCT)
    assert result is not None
    assert result.error_pct == pytest.approx(ERRORS_PCT, abs=1e-3)


@pytest.mark.parametrize("peer", ["ridge (scikit-learn)", "lasso (scikit-learn)", "Kalman (filterpy)"])
def check_good_data_give_nearly_the_errors(peer: str) -> None:
    result = PEERS[peer](data(0.002), PRIOR_PCT)
    assert result is not None
    assert result.error_pct == pytest.approx(ERRORS_PCT, abs=0.15)


def check_recursion_ends_at_the_batch() -> None:
    batch, recursive = (PEERS[name](data(0.05), PRIOR_PCT) for name in ("OLS", "RLS (statsmodels)"))
    assert batch is not None
    assert recursive is not None
    assert recursive.error_pct == pytest.approx(batch.error_pct, abs=1e-3)
    assert recursive.std_pct == pytest.approx(batch.std_pct, rel=0.02)


def check_a_meter_without_use_keeps_the_prior() -> None:
    some = data(0.01)
    idle = Intervals(some.end_us, np.column_stack([some.customers, np.zeros(600)]), some.reference)
    for name in ("OLS", "RLS (statsmodels)", "Kalman (filterpy)"):
        result = PEERS[name](idle, np.full(5, 2.0))
        assert result is not None
        assert result.std_pct is not None
        assert result.error_pct[4] == pytest.approx(0.0, abs=1e-6)
        assert result.std_pct[4] == pytest.approx(2.0, rel=0.05)
        assert np.abs(result.error_pct[:4] - ERRORS_PCT).max() < 0.5
