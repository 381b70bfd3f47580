"""Scores of zones gathered by class: the figures that the aims are stated in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from zones.running import ZoneRun
from zones.scoring import BadMeter


@dataclass(frozen=True)
class ClassFigures:
    """Of one class: RMSE and prior [%] over its zones' healthy meters, coverage [%], alerts, recall, delays [days].

    `worst_ratio` is the largest RMSE of a zone over that of the prior there; None stands where nothing was asked.
    """

    zone_class: str
    zones: int
    customers: int
    rmse_pct: float
    prior_rmse_pct: float
    worst_ratio: float
    not_worse: int
    coverage_pct: float | None
    coverage_now_pct: float | None
    mean_std_pct: float | None
    withheld_pct: float
    right_alerts: int
    wrong_alerts: int
    wrong_per_1000_meter_months: float
    precision: float | None
    bad: int
    decidable: int
    recall: float | None
    delays_days: dict[str, float | None]


def figures(runs: Sequence[ZoneRun]) -> ClassFigures:
    """The figures of runs of one class."""
    zones = [run.zone for run in runs]
    alerts = [alert for zone in zones for alert in zone.alerts]
    right = sum(alert.right for alert in alerts)
    wrong = len(alerts) - right
    bad = [one for zone in zones for one in zone.bad]
    decidable = [one for one in bad if one.decidable]
    months = sum(zone.meter_months for zone in zones)
    return ClassFigures(
        zones[0].zone_class, len(zones), zones[0].customers,
        pooled(zone.rmse_pct for zone in zones), pooled(zone.prior_rmse_pct for zone in zones),
        max(zone.rmse_pct / zone.prior_rmse_pct for zone in zones),
        sum(zone.rmse_pct <= zone.prior_rmse_pct for zone in zones),
        percentage(zone.covered for zone in zones), percentage(zone.covered_now for zone in zones),
        _mean([zone.mean_std_pct for zone in zones if np.isfinite(zone.mean_std_pct)]),
        100.0 * float(np.mean([zone.withheld_share for zone in zones])),
        right, wrong, 1000.0 * wrong / months, right / len(alerts) if alerts else None,
        len(bad), len(decidable),
        sum(one.delay_days is not None for one in decidable) / len(decidable) if decidable else None,
        {kind: _delay(bad, kind) for kind in ("step", "drift", "stopped", "reversed")},
    )  # fmt: skip


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
