"""Alerts as a user gets them, held against the truth: right, false, or of a meter that shows another's quantities."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metrology.outcomes import Outcome
from zones.assessed import OUTCOMES, Assessed
from zones.case import DAY_US, START_US, ZoneCase
from zones.faults import OTHERS, SILENT, began_by, faults_of

ALARM_P = 1.645  # one-sided 95 %
SETTLED_DAYS = 10  # a meter that left its limit later than that before the case's end is not asked for
BAD_KINDS = ("step", "drift", "constant", "stopped", "reversed")


@dataclass(frozen=True)
class Alert:
    """A run of nonconforming days long enough to be told: of which customer, told when [days since the start].

    `verdict`: right (beyond the limit that day, stopped or reversed), false, or other (foreign or swapped).
    """

    customer: int
    told_day: float
    verdict: str


@dataclass(frozen=True)
class BadMeter:
    """A meter beyond its limit, and how late it was told [days].

    `decidable`: the method said so on some day after the meter left its limit. `clear`: on some such day the error was
    beyond the limit by more than 1.645 of the posterior's own standard deviations.
    """

    kind: str
    decidable: bool
    clear: bool
    delay_days: float | None


def alerts_of(case: ZoneCase, told: Assessed, persistence_days: int) -> list[Alert]:
    """Every run of nonconforming days on end is told once, after `persistence_days`; what needs none, at once."""
    return [
        Alert(i, float(told.end_day[e]), _verdict(case, i, int(told.end_day[e])))
        for i in range(told.outcome.shape[1])
        for e in _told_at(told, i, persistence_days)
    ]


def _told_at(told: Assessed, customer: int, persistence_days: int) -> Iterator[int]:
    bad = told.outcome[:, customer] == OUTCOMES.index(Outcome.NONCONFORMING)
    run, is_told = 0, False
    for e in range(bad.size):
        if run and told.end_day[e] - told.end_day[e - 1] > 1:
            run, is_told = 0, False
        run = run + 1 if bad[e] else 0
        is_told = is_told and run > 0
        if run and not is_told and (run >= persistence_days or told.at_once[e, customer]):
            is_told = True
            yield e


def _verdict(case: ZoneCase, customer: int, end_day: int) -> str:
    fault = faults_of(case).get(customer)
    begun = fault is not None and began_by(fault, end_day)
    if fault is not None and begun and fault.kind in OTHERS:
        return "other"
    limit = case.meters[case.customers[customer]].mpe_pct or np.inf
    if abs(case.truth.error_pct[customer, end_day - 1]) > limit:
        return "right"
    return "right" if fault is not None and begun and fault.kind in SILENT else "false"


def bad_meters(case: ZoneCase, told: Assessed, alerts: list[Alert]) -> list[BadMeter]:
    """Every meter that left its limit, SETTLED_DAYS or more before the end, with the delay of its first right alert."""
    first_told: dict[int, float] = {}
    for alert in alerts:
        if alert.verdict == "right":
            first_told.setdefault(alert.customer, alert.told_day)
    out = []
    for i, fault in faults_of(case).items():
        if fault.kind not in BAD_KINDS or fault.leaves_limit_us is None:
            continue
        left_day = (fault.leaves_limit_us - START_US) / DAY_US
        if left_day > case.days - SETTLED_DAYS:
            continue
        late = told.end_day > left_day
        margin = np.abs(case.truth.error_pct[i, told.end_day - 1]) - ALARM_P * told.std_pct[:, i]
        limit = case.meters[case.customers[i]].mpe_pct or np.inf
        delay = first_told[i] - max(left_day, float(told.end_day[0]) - 1) if i in first_told else None
        out.append(
            BadMeter(fault.kind, bool(np.any(told.decidable[late, i])), bool(np.any(margin[late] > limit)), delay)
        )
    return out
