"""What the peers need for one more day of the same zone."""

import warnings

import numpy as np
from threadpoolctl import threadpool_limits
from zones.classes import CLEAN
from zones.course import Floats
from zones.intervals import Intervals, complete_intervals
from zones.peers import ordinary, ridge

from speed.measuring import FIRST_SEED, STEPS, Size, made, median_s

RECURSIVE_STEPS = 288  # statsmodels keeps a covariance of every step; the cost of a step is the same for all


def peers_day(size: Size) -> dict[str, float]:
    """Seconds of the peers for one more day of the same zone: the steps of a day, or the fit of all days anew."""
    warnings.simplefilter("ignore")
    data = complete_intervals(made(size, FIRST_SEED))
    prior_pct = np.full(size.meters, CLEAN.healthy_sd_pct)
    with threadpool_limits(limits=1):
        return {
            "RLS (statsmodels)": _recursive_day_s(data),
            "Kalman (filterpy)": _kalman_day_s(data, prior_pct, size.repeats),
            "OLS, all days anew": median_s(lambda: ordinary(data, prior_pct), size.repeats),
            "ridge (scikit-learn), all days anew": median_s(lambda: ridge(data, prior_pct), 1),
        }


def _recursive_day_s(data: Intervals) -> float:
    from statsmodels.regression.recursive_ls import RecursiveLS  # noqa: PLC0415

    design = np.column_stack([data.customers, np.ones(data.reference.size)])[-RECURSIVE_STEPS:]
    target = (data.reference - data.customers.sum(axis=1))[-RECURSIVE_STEPS:]
    model = RecursiveLS(target, design)
    return median_s(model.filter, 1) * STEPS / target.size


def _kalman_day_s(data: Intervals, prior_pct: Floats, repeats: int) -> float:
    from filterpy.kalman import KalmanFilter  # noqa: PLC0415

    count = prior_pct.size
    target = data.reference - data.customers.sum(axis=1)
    rows: Floats = np.column_stack([data.customers, np.ones(target.size)])
    filt = KalmanFilter(dim_x=count + 1, dim_z=1)
    filt.x = np.zeros((count + 1, 1))
    filt.P = np.diag(np.append((prior_pct / 100.0) ** 2, (0.02 * float(np.mean(data.reference))) ** 2))
    filt.F, filt.R = np.eye(count + 1), np.array([[float(np.var(target)) * 0.01]])

    def day() -> None:
        for row, value in zip(rows[-STEPS:], target[-STEPS:], strict=True):
            filt.update(value, H=row[None, :])

    return median_s(day, repeats)
