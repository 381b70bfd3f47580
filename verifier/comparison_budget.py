"""The lines of a comparison's uncertainty budget (JCGM 100): standard, registers, clocks, conditions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import Medium
from metrology.uncertainty import Component
from verifier.comparison_settings import ComparisonSettings

_HOUR_US = 3_600_000_000
_YEAR_DAYS = 365.25


@dataclass(frozen=True, slots=True)
class Standard:
    """A reference standard as its certificate states it: expanded uncertainty [%] with its coverage factor."""

    certificate: str
    expanded_uncertainty_pct: float
    coverage_factor: float
    valid_from: date
    valid_until: date


@dataclass(frozen=True)
class CumulativeSeries:
    """Accepted totals [base unit] of a register, glitches left out, at `observed_us` ascending; both shape (R,).

    `resolution`: the register's smallest step [base unit], after multipliers.
    """

    observed_us: NDArray[np.int64]
    total: NDArray[np.float64]
    resolution: float


@dataclass(frozen=True)
class ComparisonFacts:
    """What is compared when: the meter, its medium and limit [%], and the span [start_us, end_us)."""

    meter_id: int
    medium: Medium
    mpe_pct: float | None
    start_us: int
    end_us: int
    clock_sd_s: float


@dataclass(frozen=True)
class Steps:
    """Both registers between common instants, shape (D,): quantities and their random standard uncertainty."""

    meter: NDArray[np.float64]
    standard: NDArray[np.float64]
    std: NDArray[np.float64]  # of (meter - standard) [base unit]


def known_at(series: CumulativeSeries, instants: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The total at instants within the series, and how much the register counted between the readings around each.

    A register can't fall, so it lies between those two: what it counted is the width of all that is possible.
    """
    after = np.clip(np.searchsorted(series.observed_us, instants, side="left"), 0, series.observed_us.size - 1)
    exact = series.observed_us[after] == instants
    before = np.where(exact, after, np.maximum(after - 1, 0))
    value = np.interp(instants, series.observed_us, series.total)
    return value, series.total[after] - series.total[before]


def _rate_at(series: CumulativeSeries, instants: NDArray[np.int64]) -> NDArray[np.float64]:
    """The larger of the mean rates within an hour before and after each instant [base unit/s]."""
    near = np.stack([instants - _HOUR_US, instants, instants + _HOUR_US])
    near = np.clip(near, series.observed_us[0], series.observed_us[-1])
    value = np.interp(near.ravel(), series.observed_us, series.total).reshape(near.shape)
    span_s = np.maximum(np.diff(near, axis=0), 1) / 1e6
    rate: NDArray[np.float64] = np.max(np.diff(value, axis=0) / span_s, axis=0)
    return rate


def _end_variances(
    meter: CumulativeSeries, reference: CumulativeSeries, instants: NDArray[np.int64], clock_sd_s: float
) -> NDArray[np.float64]:
    """Variance that one end of a span brings [base unit²], shape (4, I).

    Rows: the meter's and the standard's register, whose last step is uniform within a resolution (GUM F.2.2.1); the
    clocks, σ·rate, taken as independent at either end; and the time between readings, uniform over what was counted
    (GUM 4.3.7).
    """
    between = known_at(meter, instants)[1] ** 2 + known_at(reference, instants)[1] ** 2
    clocks = (clock_sd_s * _rate_at(reference, instants)) ** 2
    flat = np.ones(instants.size)
    return np.stack([meter.resolution**2 / 12 * flat, reference.resolution**2 / 12 * flat, clocks, between / 12])


def register_steps(
    meter: CumulativeSeries, reference: CumulativeSeries, instants: NDArray[np.int64], clock_sd_s: float
) -> Steps:
    ends = _end_variances(meter, reference, instants, clock_sd_s).sum(axis=0)
    quantity = [np.diff(known_at(series, instants)[0]) for series in (meter, reference)]
    return Steps(quantity[0], quantity[1], np.sqrt(ends[:-1] + ends[1:]))


def drift_line(standard: Standard, at_us: int, settings: ComparisonSettings) -> Component:
    """What the standard may have drifted since its certificate [%]: uniform within the drift a year times the years."""
    day = np.datetime64(at_us, "us").astype("datetime64[D]").item()
    age_years = max((day - standard.valid_from).days, 0) / _YEAR_DAYS
    source = f"{age_years:.2f} years since the certificate (GUM 4.3.7)"
    half_width_pct = settings.drift_pct_per_year * age_years
    return Component.from_half_width(
        "drift of the standard", 0.0, half_width_pct, "rectangular", unit="%", source=source
    )  # fmt: skip


def systematic_lines(
    facts: ComparisonFacts, whole: Steps, span: tuple[int, int], standard: Standard, settings: ComparisonSettings
) -> list[Component]:
    """The lines that no repetition makes smaller [%]."""
    lines = [
        Component.from_expanded(
            "standard", 0.0, standard.expanded_uncertainty_pct, standard.coverage_factor, unit="%",
            source=f"certificate {standard.certificate}, U / k (GUM 4.3.3)",
        ),
        drift_line(standard, (span[0] + span[1]) // 2, settings),
        Component(
            "temperature", 0.0, settings.temperature_pct(facts.medium), unit="%",
            source="unequal temperatures of meter and standard (GUM 4.3.4)",
        ),
    ]  # fmt: skip
    if facts.medium is Medium.ELECTRICITY and settings.own_consumption_w > 0:
        mean_w = whole.standard[0] / ((span[1] - span[0]) / _HOUR_US) * 1000.0
        lines.append(
            Component.from_half_width(
                "own consumption", 0.0, settings.own_consumption_w, "rectangular", unit="W",
                sensitivity=100.0 / mean_w, source="one meter may register what the other takes (GUM 4.3.7)",
            )
        )  # fmt: skip
    return lines


def end_lines(
    facts: ComparisonFacts,
    meter: CumulativeSeries,
    reference: CumulativeSeries,
    span: tuple[int, int],
    whole: Steps,
) -> list[Component]:
    """The lines that the two ends of the span bring [base unit]."""
    parts = np.sqrt(_end_variances(meter, reference, np.array(span), facts.clock_sd_s).sum(axis=1))
    unit = "kWh" if facts.medium is Medium.ELECTRICITY else "m3"
    named: Sequence[tuple[str, str]] = (
        ("resolution of the meter", "last step, at start and stop (GUM F.2.2.1)"),
        ("resolution of the standard", "last step, at start and stop (GUM F.2.2.1)"),
        ("start-stop synchronisation", f"clocks within {facts.clock_sd_s:g} s against the load there (GUM 5.1.2)"),
        ("time between readings", "what was counted between the readings around an end (GUM 4.3.7)"),
    )
    sensitivity = 100.0 / float(whole.standard[0])
    return [
        Component(name, 0.0, float(std), sensitivity, unit, source=source)
        for (name, source), std in zip(named, parts, strict=True)
    ]
