"""What a test on site says of a meter's running error: its points weighted by the loads that the meter sees. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from metrology.outcomes import Reason
from metrology.quantities import Medium
from metrology.uncertainty import Budget, Component, Correlation
from verifier.balance.types import Comparison
from verifier.comparison import standard_reasons
from verifier.comparison_budget import CumulativeSeries, Standard, drift_line
from verifier.comparison_settings import ComparisonSettings

_HOUR_US = 3_600_000_000
_FINE_STEPS = 3.0  # a quantity of so many steps of the register tells its rate by the time that it was read over
_IDLE_US = 86_400_000_000  # an increment after longer than this says nothing of the rate at which it came


@dataclass(frozen=True, slots=True)
class TestPoint:
    """The error found at a load [kW or m3/h, at the meter, after its multiplier]; U [%] with its coverage factor."""

    __test__ = False  # for pytest: a record, not a test

    load: float
    error_pct: float
    expanded_uncertainty_pct: float
    coverage_factor: float


@dataclass(frozen=True, slots=True)
class SiteTest:
    """A recorded test: when, with which standard, and its points."""

    meter_id: int
    tested_us: int
    standard: Standard
    points: tuple[TestPoint, ...]


@dataclass(frozen=True)
class LoadProfile:
    """At which rates [kW or m3/h] a meter's quantity flowed: `share` of it, summing to 1; both shape (K,)."""

    rate: NDArray[np.float64]
    share: NDArray[np.float64]


@dataclass(frozen=True)
class SiteTestResult:
    """The measurement with its budget, or the reasons why there is none; `uncovered_share` of the quantity flows at
    loads beyond the tested ones."""

    comparison: Comparison | None
    budget: Budget | None
    reasons: tuple[Reason, ...]
    uncovered_share: float


def load_profile(series: CumulativeSeries, start_us: int, end_us: int) -> LoadProfile | None:
    """The rates at which the quantity in [start_us, end_us) was registered; None where nothing was.

    A step of several resolutions tells its rate by the time between the readings around it. A step of one or two came
    at any time since the increment before: its rate is counted over that time, so that a coarse register does not make
    a small flow look like bursts. Steps whose time is longer than a day are left out: the rate within is not known.
    """
    inside = (series.observed_us >= start_us) & (series.observed_us < end_us)
    times, totals = series.observed_us[inside], series.total[inside]
    quantity = np.diff(totals)
    rose = np.flatnonzero(quantity > 0)
    if rose.size == 0:
        return None
    since_reading = np.diff(times)[rose]
    before = np.concatenate([[times[0]], times[rose[:-1] + 1]])
    since_increment = times[rose + 1] - before
    coarse = quantity[rose] < _FINE_STEPS * series.resolution * (1 - 1e-9)
    time = np.where(coarse, since_increment, since_reading)
    kept = time <= _IDLE_US
    if not kept.any():
        return None
    rate = quantity[rose][kept] / (time[kept] / _HOUR_US)
    order = np.argsort(rate)
    share = quantity[rose][kept][order]
    return LoadProfile(rate[order], share / share.sum())


def evaluate_site_test(
    test: SiteTest, medium: Medium, mpe_pct: float | None, profile: LoadProfile | None, settings: ComparisonSettings
) -> SiteTestResult:
    """The error weighted by the profile, ē = Σ s_k e(q_k), e linear in log q between the points and level beyond [%].

    The points were found with one standard, so their uncertainties are taken as fully correlated (GUM 5.2.2, note 1).
    Between two points the error lies anywhere from one's to the other's (uniform, GUM 4.3.7), weighted by the share
    that flows there. What flows at loads below or above every point has the nearest one's error with the additional
    standard deviation of the setting `uncovered_…_pct`.
    """
    day = np.datetime64(test.tested_us, "us").astype("datetime64[D]").item()
    reasons = standard_reasons(test.standard, day, mpe_pct)
    if not test.points:
        reasons = (*reasons, Reason("no_points", "the test has no points"))
    if profile is None:
        reasons = (*reasons, Reason("no_load_profile", "the meter registered nothing before the test to weight it by"))
    if reasons or profile is None:
        return SiteTestResult(None, None, reasons, float("nan"))
    points = sorted(test.points, key=lambda point: point.load)
    place = np.log([point.load for point in points])
    error = np.array([point.error_pct for point in points])
    rate = np.log(profile.rate)
    weights = [float(np.interp(rate, place, unit) @ profile.share) for unit in np.eye(len(points))]
    below = float(profile.share[rate < place[0]].sum())
    above = float(profile.share[rate > place[-1]].sum())
    lines = _point_lines(points, weights)
    pairs = [Correlation(first.name, second.name, 1.0) for first, second in combinations(lines, 2)]
    lines += _between_lines(points, place, error, rate, profile.share)
    spread_pct = settings.uncovered_pct(medium)
    for name, share in (("below", below), ("above", above)):
        source = f"{100 * share:.1f} % flows {name} every tested load (GUM 4.3.8)"
        lines.append(Component(f"loads {name}", 0.0, spread_pct, share, "%", source=source))
    lines.append(drift_line(test.standard, test.tested_us, settings))
    value = float(np.dot(weights, error))
    budget = Budget("error of indication", "%", value, tuple(lines), tuple(pairs))
    std_pct = budget.combined_std_uncertainty
    comparison = Comparison(test.meter_id, test.tested_us, test.tested_us, value, std_pct, "site_test")
    return SiteTestResult(comparison, budget, (), below + above)


def _point_lines(points: Sequence[TestPoint], weights: Sequence[float]) -> list[Component]:
    return [
        Component.from_expanded(
            f"point {number}", point.error_pct, point.expanded_uncertainty_pct, point.coverage_factor,
            sensitivity=weight, unit="%", source=f"test at {point.load:g}, U / k (GUM 4.3.3)",
        )
        for number, (point, weight) in enumerate(zip(points, weights, strict=True), start=1)
    ]  # fmt: skip


def _between_lines(
    points: Sequence[TestPoint],
    place: NDArray[np.float64],
    error: NDArray[np.float64],
    rate: NDArray[np.float64],
    share: NDArray[np.float64],
) -> list[Component]:
    lines = []
    for low in range(len(points) - 1):
        flows = float(share[(rate > place[low]) & (rate < place[low + 1])].sum())
        half_width_pct = abs(float(error[low + 1] - error[low])) / 2
        name = f"between points {low + 1} and {low + 2}"
        source = f"{100 * flows:.1f} % flows there (GUM 4.3.7)"
        more = {"sensitivity": flows, "unit": "%", "source": source}
        lines.append(Component.from_half_width(name, 0.0, half_width_pct, "rectangular", **more))
    return lines
