"""Estimators that others use, on the same complete intervals: reference − Σx = Σ x_i·d_i + c, e_i = 1/(1 + d_i) − 1.

The error of a reading is that of its indication, d_i what must be added to it. Each returns errors and, where its
method states one, standard uncertainties. The optional packages are imported by the peer that needs them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zones.course import Floats
from zones.intervals import Intervals

RECURSIVE_MOST_METERS = 60  # statsmodels keeps the covariance of every step: 200 meters would need gigabytes


@dataclass(frozen=True)
class PeerResult:
    """Errors [%] and standard uncertainties [%] (None: the method states none), shape (N,)."""

    error_pct: Floats
    std_pct: Floats | None


Peer = Callable[[Intervals, Floats], PeerResult | None]


def _result(added: Floats, std: Floats | None) -> PeerResult:
    # Far off estimates happen to those without a prior: 1 + d is kept positive so that an error can be stated.
    safe = np.maximum(1.0 + added, 0.05)
    return PeerResult(100.0 * (1.0 / safe - 1.0), None if std is None else 100.0 * std / safe**2)


def _equation(data: Intervals) -> tuple[Floats, Floats]:
    return data.customers, data.reference - data.customers.sum(axis=1)


def _in_use(x: Floats) -> NDArray[np.bool_]:
    """Meters that registered something, in at least one of a hundred intervals: the others have no estimate."""
    return np.mean(x != 0, axis=0) >= 0.01


def _placed(values: Floats, used: NDArray[np.bool_], otherwise: Floats) -> Floats:
    """Values of the meters in use among all; the others keep what was believed before."""
    out = np.array(otherwise, dtype=np.float64)
    out[used] = values
    return out


def guess_zero(data: Intervals, prior_sd_pct: Floats) -> PeerResult:
    """The prior: every meter is right, give or take the fleet's spread."""
    return PeerResult(np.zeros(data.customers.shape[1]), prior_sd_pct)


def ordinary(data: Intervals, prior_sd_pct: Floats) -> PeerResult:
    """Ordinary least squares with a constant, and its textbook standard errors."""
    x, y = _equation(data)
    used = _in_use(x)
    design = np.column_stack([x[:, used], np.ones(y.size)])
    inverse = np.linalg.pinv(design.T @ design)
    beta = inverse @ (design.T @ y)
    left = y - design @ beta
    variance = float(left @ left) / max(y.size - beta.size, 1)
    std = np.sqrt(np.maximum(variance * np.diag(inverse), 0.0))
    return _result(_placed(beta[:-1], used, np.zeros(used.size)), _placed(std[:-1], used, prior_sd_pct / 100))


def ridge(data: Intervals, prior_sd_pct: Floats) -> PeerResult:
    """Ridge regression (scikit-learn), its penalty by leave-one-out cross-validation."""
    from sklearn.linear_model import RidgeCV  # noqa: PLC0415

    x, y = _equation(data)
    scale = float(np.mean(np.var(x, axis=0)) * y.size)
    fitted = RidgeCV(alphas=scale * np.logspace(-5, 3, 25)).fit(x, y)
    return _result(np.asarray(fitted.coef_), None)


def lasso(data: Intervals, prior_sd_pct: Floats) -> PeerResult:
    """Lasso (scikit-learn), its penalty by five-fold cross-validation over blocks of time."""
    from sklearn.linear_model import LassoCV  # noqa: PLC0415

    x, y = _equation(data)
    unit = float(np.mean(np.std(x, axis=0)))
    fitted = LassoCV(alphas=30, cv=5, eps=1e-3, max_iter=5000, tol=1e-4).fit(x / unit, y / unit)
    return _result(np.asarray(fitted.coef_), None)


def recursive(data: Intervals, prior_sd_pct: Floats) -> PeerResult | None:
    """Recursive least squares (statsmodels); None above RECURSIVE_MOST_METERS meters."""
    from statsmodels.regression.recursive_ls import RecursiveLS  # noqa: PLC0415

    x, y = _equation(data)
    if x.shape[1] > RECURSIVE_MOST_METERS or y.size < 2 * x.shape[1]:
        return None
    used, unit = _in_use(x), float(np.mean(np.std(x, axis=0)))
    fitted = RecursiveLS(y / unit, np.column_stack([x[:, used], np.full(y.size, unit)]) / unit).fit()
    coefficients = fitted.recursive_coefficients
    std = np.sqrt(np.maximum(np.diag(coefficients.filtered_cov[:, :, -1]), 0.0))
    beta = coefficients.filtered[:, -1]
    return _result(_placed(beta[:-1], used, np.zeros(used.size)), _placed(std[:-1], used, prior_sd_pct / 100))


def kalman(data: Intervals, prior_sd_pct: Floats) -> PeerResult:
    """A Kalman filter (filterpy): errors as a slow random walk (0.01 % by the square root of a day) from the prior."""
    from filterpy.kalman import KalmanFilter  # noqa: PLC0415

    x, y = _equation(data)
    count = x.shape[1]
    noise = _noise_variance(x, y)
    filt = KalmanFilter(dim_x=count + 1, dim_z=1)
    filt.x = np.zeros((count + 1, 1))
    filt.P = np.diag(np.append((prior_sd_pct / 100.0) ** 2, (0.02 * float(np.mean(data.reference))) ** 2))
    filt.F, filt.R = np.eye(count + 1), np.array([[noise]])
    per_day = y.size / max((data.end_us[-1] - data.end_us[0]) / 86.4e9, 1e-9)
    walk = np.diag(np.append(np.full(count, 1e-8 / per_day), 0.0))
    rows: NDArray[np.float64] = np.column_stack([x, np.ones(y.size)])
    for row, value in zip(rows, y, strict=True):
        filt.P = filt.P + walk
        filt.update(value, H=row[None, :])
    return _result(filt.x[:count, 0], np.sqrt(np.diag(filt.P))[:count])


def _noise_variance(x: Floats, y: Floats) -> float:
    """The variance of what a ridge of the prior's size leaves: a first look that gives the filter its noise."""
    design = np.column_stack([x, np.ones(y.size)])
    beta = np.linalg.solve(
        design.T @ design + 1e-9 * np.trace(design.T @ design) * np.eye(design.shape[1]), design.T @ y
    )
    left = y - design @ beta
    return max(float(left @ left) / max(y.size - design.shape[1], 1), 1e-12)


PEERS: dict[str, Peer] = {
    "guess zero": guess_zero,
    "OLS": ordinary,
    "ridge (scikit-learn)": ridge,
    "lasso (scikit-learn)": lasso,
    "RLS (statsmodels)": recursive,
    "Kalman (filterpy)": kalman,
}
