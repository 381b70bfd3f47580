"""Scores of zones gathered by class: the figures that the aims are stated in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from zones.alerts import BadMeter
from zones.running import ZoneRun

DELAY_KINDS = ("step", "drift", "stopped", "reversed")


@dataclass(frozen=True)
class ClassFigures:
    """Of one class, or of all: RMSE and prior [%] over its zones' meters, coverage [%], alerts, recall, delays [days].

    `worst_ratio` is the largest RMSE of a zone over that of the prior there; None stands where nothing was asked.
    `open_*` are of the zones, or days, whose gate stood open.
    """

    zone_class: str
    zones: int
    customers: int
    rmse_pct: float
    prior_rmse_pct: float
    all_rmse_pct: float
    open_zones: int
    open_rmse_pct: float | None
    open_days_pct: float
    worst_ratio: float
    not_worse: int
    coverage_pct: float | None
    open_coverage_pct: float | None
    week_coverage_pct: float | None
    mean_std_pct: float | None
    decidable_now_pct: float
    right_alerts: int
    false_alerts: int
    other_alerts: int
    false_per_1000_meter_months: float
    precision: float | None
    bad: int
    told: int
    decidable: int
    recall: float | None
    clear: int
    clear_recall: float | None
    delays_days: dict[str, float | None]
    told_of_kind: dict[str, int]


def figures(runs: Sequence[ZoneRun]) -> ClassFigures:
    """The figures of some runs, named by the first's class."""
    zones = [run.zone for run in runs]
    still_open = [zone for zone in zones if zone.is_open]
    right, false, other = (
        sum(alert.verdict == verdict for zone in zones for alert in zone.alerts)
        for verdict in ("right", "false", "other")
    )
    bad = [one for zone in zones for one in zone.bad]
    decidable, clear = [one for one in bad if one.decidable], [one for one in bad if one.clear]
    months = sum(zone.meter_months for zone in zones)
    return ClassFigures(
        zones[0].zone_class, len(zones), zones[0].customers,
        pooled(zone.rmse_pct for zone in zones), pooled(zone.prior_rmse_pct for zone in zones),
        pooled(zone.all_rmse_pct for zone in zones),
        len(still_open), pooled(zone.rmse_pct for zone in still_open) if still_open else None,
        100.0 * float(np.mean([zone.open_share for zone in zones])),
        max(zone.rmse_pct / zone.prior_rmse_pct for zone in zones),
        sum(zone.rmse_pct <= zone.prior_rmse_pct for zone in zones),
        percentage(zone.covered for zone in zones), percentage(zone.covered_open for zone in zones),
        percentage(zone.covered_week for zone in zones),
        _mean([zone.mean_std_pct for zone in zones if np.isfinite(zone.mean_std_pct)]),
        100.0 * float(np.mean([zone.decidable_share for zone in zones])),
        right, false, other, 1000.0 * false / months, right / (right + false) if right + false else None,
        len(bad), sum(one.delay_days is not None for one in bad),
        len(decidable), _recall(decidable), len(clear), _recall(clear),
        {kind: _delay(bad, kind) for kind in DELAY_KINDS},
        {kind: sum(one.kind == kind and one.delay_days is not None for one in bad) for kind in DELAY_KINDS},
    )  # fmt: skip


def _recall(bad: Sequence[BadMeter]) -> float | None:
    return sum(one.delay_days is not None for one in bad) / len(bad) if bad else None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _delay(bad: Iterable[BadMeter], kind: str) -> float | None:
    delays = [one.delay_days for one in bad if one.kind == kind and one.delay_days is not None]
    return median(delays) if delays else None


def pooled(rmse_pct: Iterable[float]) -> float:
    """The root of the mean square of zones' RMSE."""
    return float(np.sqrt(np.mean(np.square(list(rmse_pct)))))


def percentage(counts: Iterable[tuple[int, int]]) -> float | None:
    """Hits among asked [%]; None where nothing was asked."""
    hits, asked = np.sum([*counts, (0, 0)], axis=0)
    return 100.0 * float(hits) / float(asked) if asked else None
