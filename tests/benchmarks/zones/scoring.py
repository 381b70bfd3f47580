"""One zone scored: estimates against the truth of the day at whose end they were made, for the method and its peers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zones.alerts import Alert, BadMeter, alerts_of, bad_meters
from zones.assessed import Assessed
from zones.case import ZoneCase
from zones.course import Floats
from zones.faults import faults_of, registering
from zones.peers import PeerResult

ALARM_P = 1.645  # one-sided 95 %
CHECKPOINTS = (7, 14, 28, 56, 90)  # days at which the fall of errors is looked at


@dataclass(frozen=True)
class ZoneScore:
    """The method on one zone. RMSE [%] at the last day's end; prior: guessing zero; both over meters without a fault.

    `all_rmse_pct` is over all meters that register what flows through them, changed ones too. `rmse_by_day` at the
    checkpoints that the case reaches. Coverage (covered, asked) is counted over all meters that register, at every
    tenth day's end: of that day's error, and of the last week's; `covered_open` where the gate stood open. `is_open`:
    it did at the last day's end; `open_share` of the days. `decidable_share` of meters at the last day's end.
    """

    zone_class: str
    seed: str
    customers: int
    rmse_pct: float
    prior_rmse_pct: float
    all_rmse_pct: float
    rmse_by_day: dict[int, float]
    covered: tuple[int, int]
    covered_open: tuple[int, int]
    covered_week: tuple[int, int]
    is_open: bool
    open_share: float
    decidable_share: float
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


def true_error_pct(case: ZoneCase, first_day: int, last_day: int) -> Floats:
    """The error of each customer over days [first_day, last_day), weighted by use; NaN where nothing was used."""
    use = case.truth.true_use[:, first_day:last_day]
    total = use.sum(axis=1)
    mean = np.sum(use * case.truth.error_pct[:, first_day:last_day], axis=1) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan)


def score_zone(case: ZoneCase, told: Assessed, persistence_days: int) -> ZoneScore:
    """The method's score."""
    healthy = np.array([i not in faults_of(case) for i in range(len(case.customers))])
    last = int(told.end_day[-1])
    by_day = {int(day): _rmse(case, told, e, healthy) for e, day in enumerate(told.end_day) if day in CHECKPOINTS}
    tenth = [e for e, day in enumerate(told.end_day) if day % 10 == 0 or e == told.end_day.size - 1]
    alerts = alerts_of(case, told, persistence_days)
    std = told.std_pct[told.open_gate]
    return ZoneScore(
        case.zone_class, case.name, len(case.customers),
        _rmse(case, told, -1, healthy), float(np.sqrt(np.mean(case.truth.error_pct[healthy, last - 1] ** 2))),
        _rmse(case, told, -1, registering(case, last)), by_day,
        _covered(case, told, tenth, 1),
        _covered(case, told, [e for e in tenth if told.open_gate[e]], 1),
        _covered(case, told, tenth, 7),
        bool(told.open_gate[-1]), float(np.mean(told.open_gate)), float(np.mean(told.decidable[-1])),
        float(np.nanmean(std)) if np.isfinite(std).any() else np.nan,
        tuple(alerts), tuple(bad_meters(case, told, alerts)),
        len(case.customers) * float(told.end_day[-1] - told.end_day[0] + 1) / 30.4, told.seconds,
    )  # fmt: skip


def score_peer(case: ZoneCase, peer: str, result: PeerResult, days: tuple[int, int], seconds: float) -> PeerScore:
    """A peer's, against the mean error of the days it got, which it takes for constant.

    A meter is told as bad if its error is beyond the limit, with 95 % where an uncertainty is stated.
    """
    faults = faults_of(case)
    healthy = np.array([i not in faults for i in range(len(case.customers))])
    judged = np.array([i not in faults or faults[i].kind not in ("foreign", "swapped") for i in range(healthy.size)])
    truth = true_error_pct(case, *days)
    limit = np.array([case.meters[place].mpe_pct or np.inf for place in case.customers])
    margin = ALARM_P * result.std_pct if result.std_pct is not None else 0.0
    told = np.abs(result.error_pct) - margin > limit
    beyond = np.array([i in faults and faults[i].leaves_limit_us is not None for i in range(healthy.size)])
    covered = None
    if result.std_pct is not None:
        inside = np.abs(result.error_pct - truth) <= 1.96 * result.std_pct
        covered = (int(np.sum(inside[judged])), int(np.sum(judged)))
    return PeerScore(
        case.zone_class, peer, float(np.sqrt(np.nanmean((result.error_pct - truth)[healthy] ** 2))), covered,
        (int(np.sum(told & beyond & judged)), int(np.sum(beyond & judged))),
        (int(np.sum(told & ~beyond & judged)), int(np.sum(~beyond & judged))), seconds,
    )  # fmt: skip


def _rmse(case: ZoneCase, told: Assessed, e: int, which: NDArray[np.bool_]) -> float:
    """Against the truth of the last day; where nothing was estimated the prior stands."""
    truth = case.truth.error_pct[:, int(told.end_day[e]) - 1]
    estimate = np.where(np.isfinite(told.error_pct[e]), told.error_pct[e], 0.0)
    return float(np.sqrt(np.mean((estimate - truth)[which] ** 2)))


def _covered(case: ZoneCase, told: Assessed, ends: list[int], last_days: int) -> tuple[int, int]:
    """Of the error over the last days before each of the ends, withheld or not."""
    covered = asked = 0
    for e in ends:
        end = int(told.end_day[e])
        first = max(end - last_days, 0)
        truth = case.truth.error_pct[:, end - 1] if last_days == 1 else true_error_pct(case, first, end)
        there = registering(case, end, first) & np.isfinite(told.error_pct[e]) & np.isfinite(truth)
        covered += int(np.sum(np.abs(told.error_pct[e] - truth)[there] <= 1.96 * told.std_pct[e][there]))
        asked += int(np.sum(there))
    return covered, asked
