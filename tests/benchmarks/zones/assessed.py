"""What the estimator under test said of one zone, day by day, as arrays."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.outcomes import Outcome
from verifier.balance.types import MeterAssessment
from verifier.balance_settings import BalanceSettings
from zones.case import DAY_US, START_US, ZoneCase
from zones.course import Floats
from zones.members import assess_case

OUTCOMES = (Outcome.CONFORMING, Outcome.INCONCLUSIVE, Outcome.WITHHELD, Outcome.NONCONFORMING)
AT_ONCE = ("stopped", "reversed_running")  # reasons that need no days on end: the registers themselves show them


@dataclass(frozen=True)
class Assessed:
    """By day's end, shape (E,) [days since the start], and customer, shape (E, N): NaN where nothing was estimated.

    `outcome` counts within OUTCOMES; `at_once` tells the nonconforming ones that need no persistence; `decidable` as
    the method says it. `open_gate` (E,): nothing of the zone as a whole forbade verdicts.
    """

    end_day: NDArray[np.int64]
    error_pct: Floats
    std_pct: Floats
    outcome: NDArray[np.int8]
    at_once: NDArray[np.bool_]
    decidable: NDArray[np.bool_]
    open_gate: NDArray[np.bool_]
    seconds: float = 0.0


def assess_days_of(case: ZoneCase, settings: BalanceSettings, end_days: Sequence[int]) -> Assessed:
    """The assessments at the ends of these days, counted from 1, ascending."""
    begun = time.perf_counter()
    days = list(assess_case(case, settings, end_days))
    seconds = time.perf_counter() - begun
    told = [day.assessments for day in days]
    return Assessed(
        np.array([(day.end_us - START_US) // DAY_US for day in days]),
        np.array([[_or_nan(one.error_pct) for one in of_day] for of_day in told]),
        np.array([[_or_nan(one.std_pct) for one in of_day] for of_day in told]),
        np.array([[OUTCOMES.index(one.outcome) for one in of_day] for of_day in told], dtype=np.int8),
        np.array([[_at_once(one) for one in of_day] for of_day in told]),
        np.array([[one.decidable for one in of_day] for of_day in told]),
        np.array([not day.report.reasons for day in days]),
        seconds,
    )


def _at_once(one: MeterAssessment) -> bool:
    return one.outcome is Outcome.NONCONFORMING and any(reason.code in AT_ONCE for reason in one.reasons)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else float(value)
