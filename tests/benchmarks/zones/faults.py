"""Which customers are at fault in a case, and which of them register what flows through them."""

import numpy as np
from numpy.typing import NDArray

from zones.case import DAY_US, START_US, FaultTruth, ZoneCase

OTHERS = ("foreign", "swapped")  # the meter is right, but it shows another's quantities
SILENT = ("stopped", "reversed")


def faults_of(case: ZoneCase) -> dict[int, FaultTruth]:
    """By customer's place."""
    place = {case.meters[p].serial: i for i, p in enumerate(case.customers)}
    return {place[fault.serial]: fault for fault in case.truth.faults}


def began_by(fault: FaultTruth, end_day: int) -> bool:
    """Whether the fault was there before the end of a day, counted from 1."""
    return fault.begins_us < START_US + end_day * DAY_US


def registering(case: ZoneCase, end_day: int, first_day: int | None = None) -> NDArray[np.bool_]:
    """Customers whose figure means something at a day's end: not stopped, reversed, foreign nor swapped by then.

    With `first_day` also without those whose error changed within the days from there on but the last.
    """
    out = np.ones(len(case.customers), dtype=np.bool_)
    for i, fault in faults_of(case).items():
        if fault.kind in (*OTHERS, *SILENT) and began_by(fault, end_day):
            out[i] = False
        elif fault.kind == "step" and first_day is not None and first_day < end_day - 1:
            out[i] = began_by(fault, first_day) or not began_by(fault, end_day)
    return out
