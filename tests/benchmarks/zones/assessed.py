"""What the estimator under test said of one zone, day by day, as arrays."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.conformity import Outcome
from verifier.balance_settings import BalanceSettings
from zones.case import DAY_US, START_US, ZoneCase
from zones.course import Floats
from zones.members import assess_case

OUTCOMES = (Outcome.CONFORMING, Outcome.INCONCLUSIVE, Outcome.WITHHELD, Outcome.NONCONFORMING)


@dataclass(frozen=True)
class Assessed:
    """By day's end, shape (E,) [days since the start], and customer, shape (E, N): NaN where nothing was estimated.

    `first_day` is where the estimate's window began [days since the start]; `outcome` counts within OUTCOMES.
    """

    end_day: NDArray[np.int64]
    first_day: Floats
    error_pct: Floats
    std_pct: Floats
    outcome: NDArray[np.int8]
    seconds: float = 0.0


def assess_days_of(case: ZoneCase, settings: BalanceSettings, end_days: Sequence[int]) -> Assessed:
    """The assessments at the ends of these days, counted from 1, ascending."""
    begun = time.perf_counter()
    days = list(assess_case(case, settings, end_days))
    seconds = time.perf_counter() - begun
    return Assessed(
        np.array([(end_us - START_US) // DAY_US for end_us, _ in days]),
        np.array([[(one.start_us - START_US) / DAY_US for one in told] for _, told in days]),
        np.array([[_or_nan(one.error_pct) for one in told] for _, told in days]),
        np.array([[_or_nan(one.std_pct) for one in told] for _, told in days]),
        np.array([[OUTCOMES.index(one.outcome) for one in told] for _, told in days], dtype=np.int8),
        seconds,
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else float(value)
