"""One zone scored: estimates and alerts against the truth, for the method and for its peers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.conformity import Outcome
from zones.assessed import OUTCOMES, Assessed
from zones.case import DAY_US, START_US, FaultTruth, ZoneCase
from zones.course import Floats
from zones.peers import PeerResult

ALARM_P = 1.645  # one-sided 95 %
SETTLED_DAYS = 10  # a fault younger than that at the case's end is not asked for
BAD_KINDS = ("step", "drift", "constant", "stopped", "reversed")


@dataclass(frozen=True)
class Alert:
    """A persistent run of nonconforming days: of which customer, told when [days], and whether the meter was beyond."""

    customer: int
    told_day: float
    right: bool


@dataclass(frozen=True)
class BadMeter:
    """A meter that is beyond its limit: whether its posterior could tell so, and how late it was told [days]."""

    kind: str
    decidable: bool
    delay_days: float | None


@dataclass(frozen=True)
class ZoneScore:
    """The method on one zone. RMSE [%] at the last day's end, over meters without a fault; prior: guessing zero.

    `rmse_by_day` at 7, 14, 28, 60 and 90 days where the case reaches so far. Coverage is counted over all customers
    but foreign and swapped ones at every tenth day's end: (covered, asked), of the window's mean and of the last week.
    """

    zone_class: str
    seed: str
    customers: int
    rmse_pct: float
    prior_rmse_pct: float
    rmse_by_day: dict[int, float]
    covered: tuple[int, int]
    covered_now: tuple[int, int]
    withheld_share: float
    mean_std_pct: float
    alerts: tuple[Alert, ...]
    bad: tuple[BadMeter, ...]
    meter_months: float
    seconds: float


@dataclass(frozen=True)
class PeerScore:
    """A peer on one zone: RMSE over healthy meters [%], coverage (None: it states no uncertainty), found and false."""

    zone_class: str
    peer: str
    rmse_pct: float
    covered: tuple[int, int] | None
    found: tuple[int, int]  # of the meters beyond their limit at the end
    false: tuple[int, int]  # of the others
    seconds: float


def true_error_pct(case: ZoneCase, first_day: NDArray[np.int64], last_day: int) -> Floats:
    """The error of each customer over days [first_day, last_day), weighted by use; NaN where nothing was used."""
    day = np.arange(case.days)
    inside = (day >= first_day[:, None]) & (day < last_day)
    use = np.where(inside, case.truth.true_use, 0.0)
    total = use.sum(axis=1)
    mean = np.sum(use * case.truth.error_pct, axis=1) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan)


def score_zone(case: ZoneCase, told: Assessed, persistence_days: int) -> ZoneScore:
    """The method's score."""
    healthy, judged = ~_kind_mask(case, None), ~_kind_mask(case, ("foreign", "swapped"))
    by_day = {
        int(day): _rmse(case, told, e, healthy) for e, day in enumerate(told.end_day) if day in (7, 14, 28, 60, 90)
    }
    final = true_error_pct(case, told.first_day[-1].astype(int), case.days)
    tenth = [e for e, day in enumerate(told.end_day) if day % 10 == 0 or e == told.end_day.size - 1]
    alerts = _alerts(case, told, persistence_days)
    return ZoneScore(
        case.zone_class, case.name, len(case.customers),
        _rmse(case, told, -1, healthy), float(np.sqrt(np.nanmean(final[healthy] ** 2))), by_day,
        _covered(case, told, tenth, judged, 0), _covered(case, told, tenth, judged, 7),
        float(np.mean(told.outcome == OUTCOMES.index(Outcome.WITHHELD))),
        _mean_std(told),
        tuple(alerts), tuple(_bad_meters(case, told, alerts)),
        len(case.customers) * float(told.end_day[-1] - told.end_day[0] + 1) / 30.4, told.seconds,
    )  # fmt: skip


def score_peer(case: ZoneCase, peer: str, result: PeerResult, days: tuple[int, int], seconds: float) -> PeerScore:
    """A peer's: a meter is told as bad if its error is beyond the limit, with 95 % where an uncertainty is stated."""
    healthy, judged = ~_kind_mask(case, None), ~_kind_mask(case, ("foreign", "swapped"))
    truth = true_error_pct(case, np.full(len(case.customers), days[0]), days[1])
    limit = np.array([case.meters[place].mpe_pct or np.inf for place in case.customers])
    margin = ALARM_P * result.std_pct if result.std_pct is not None else 0.0
    told = np.abs(result.error_pct) - margin > limit
    beyond = _left_limit(case)
    covered = None
    if result.std_pct is not None:
        inside = np.abs(result.error_pct - truth) <= 1.96 * result.std_pct
        covered = (int(np.sum(inside[judged])), int(np.sum(judged)))
    return PeerScore(
        case.zone_class, peer, float(np.sqrt(np.nanmean((result.error_pct - truth)[healthy] ** 2))), covered,
        (int(np.sum(told & beyond & judged)), int(np.sum(beyond & judged))),
        (int(np.sum(told & ~beyond & judged)), int(np.sum(~beyond & judged))), seconds,
    )  # fmt: skip


def _mean_std(told: Assessed) -> float:
    """Of the estimates that carried a verdict [%]; NaN where all were withheld."""
    given = (told.outcome != OUTCOMES.index(Outcome.WITHHELD)) & np.isfinite(told.std_pct)
    return float(np.mean(told.std_pct[given])) if given.any() else np.nan


def _faults(case: ZoneCase) -> dict[int, FaultTruth]:
    place = {case.meters[p].serial: i for i, p in enumerate(case.customers)}
    return {place[fault.serial]: fault for fault in case.truth.faults}


def _kind_mask(case: ZoneCase, kinds: tuple[str, ...] | None) -> NDArray[np.bool_]:
    """Customers with a fault of these kinds (None: of any)."""
    faults = _faults(case)
    return np.array([i in faults and (kinds is None or faults[i].kind in kinds) for i in range(len(case.customers))])


def _left_limit(case: ZoneCase) -> NDArray[np.bool_]:
    faults = _faults(case)
    return np.array([i in faults and faults[i].leaves_limit_us is not None for i in range(len(case.customers))])


def _rmse(case: ZoneCase, told: Assessed, e: int, healthy: NDArray[np.bool_]) -> float:
    """Where nothing was estimated the prior stands."""
    truth = true_error_pct(case, told.first_day[e].astype(int), int(told.end_day[e]))
    estimate = np.where(np.isfinite(told.error_pct[e]), told.error_pct[e], 0.0)
    return float(np.sqrt(np.nanmean((estimate - truth)[healthy] ** 2)))


def _covered(
    case: ZoneCase, told: Assessed, ends: list[int], judged: NDArray[np.bool_], last_days: int
) -> tuple[int, int]:
    """Of the window's mean, or of the last days where `last_days` is given."""
    covered = asked = 0
    for e in ends:
        end = int(told.end_day[e])
        first = np.full(judged.size, end - last_days) if last_days else told.first_day[e].astype(int)
        truth = true_error_pct(case, np.maximum(first, 0), end)
        there = judged & np.isfinite(told.error_pct[e]) & np.isfinite(truth)
        there &= told.outcome[e] != OUTCOMES.index(Outcome.WITHHELD)
        covered += int(np.sum(np.abs(told.error_pct[e] - truth)[there] <= 1.96 * told.std_pct[e][there]))
        asked += int(np.sum(there))
    return covered, asked


def _alerts(case: ZoneCase, told: Assessed, persistence_days: int) -> list[Alert]:
    """A meter's first persistent run; right if its error was beyond the limit that day, in its week or the window."""
    bad = told.outcome == OUTCOMES.index(Outcome.NONCONFORMING)
    limit = [case.meters[place].mpe_pct or np.inf for place in case.customers]
    out = []
    for i in range(bad.shape[1]):
        run = 0
        for e in range(bad.shape[0]):
            run = run + 1 if bad[e, i] and (run == 0 or told.end_day[e] - told.end_day[e - 1] == 1) else int(bad[e, i])
            if run == persistence_days:
                end = int(told.end_day[e])
                firsts = (max(end - 7, 0), int(told.first_day[e, i]), end - 1)
                errors = [true_error_pct(case, np.full(bad.shape[1], first), end)[i] for first in firsts]
                out.append(Alert(i, float(end), bool(np.nanmax(np.abs(errors)) > limit[i])))
                break
    return out


def _bad_meters(case: ZoneCase, told: Assessed, alerts: list[Alert]) -> list[BadMeter]:
    """Decidable: beyond the limit by more than 1.645 of the posterior's own standard deviations at the end."""
    first_told = {alert.customer: alert.told_day for alert in alerts if alert.right}
    asked_from = float(told.end_day[0]) - 1
    now = true_error_pct(case, np.full(len(case.customers), case.days - 7), case.days)
    out = []
    for i, fault in _faults(case).items():
        if fault.kind not in BAD_KINDS or fault.leaves_limit_us is None:
            continue
        left_day = (fault.leaves_limit_us - START_US) / DAY_US
        if left_day > case.days - SETTLED_DAYS:
            continue
        limit = case.meters[case.customers[i]].mpe_pct or np.inf
        error = fault.size_pct if not np.isfinite(now[i]) else now[i]
        std = told.std_pct[-1, i]
        decidable = bool(np.isfinite(std) and abs(error) - ALARM_P * std > limit)
        delay = first_told[i] - max(left_day, asked_from) if i in first_told else None
        out.append(BadMeter(fault.kind, decidable, delay))
    return out
