"""A meter and the check meter in series with it: the time that is compared, and what came of it. Pure.

The same for the database (`comparison_sources.py`) and for files (`file_comparisons.py`).
"""

from dataclasses import dataclass

import numpy as np

from metrology.outcomes import Reason
from metrology.quantities import Medium
from metrology.uncertainty import Budget
from store.check_meters import CheckPair
from store.registry import Meter
from verifier.accepted import Series
from verifier.balance.types import Comparison, ComparisonKind
from verifier.comparison import DAY_US, compare_longest
from verifier.comparison_budget import ComparisonFacts, CumulativeSeries, Standard
from verifier.limits import limit_of_meter_pct
from verifier.settings import VerifierSettings

_NOTHING = (np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class FoundComparison:
    """A comparison that was tried: its result with the budget, or the reasons why it is no measurement."""

    meter_id: int
    kind: ComparisonKind
    comparison: Comparison | None
    budget: Budget | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class PairSeries:
    """Accepted totals of a meter and its check meter, with their steps [base unit] after multipliers."""

    series: Series
    resolution: float
    check_resolution: float


def pair_span_us(pair: CheckPair, end_us: int, settings: VerifierSettings) -> tuple[int, int]:
    """The time [start, end) of a pair that is compared as seen from `end_us`.

    A check meter that was taken away is compared up to then: what it measured stays known.
    """
    last_us = end_us if pair.end_us is None else min(pair.end_us, end_us)
    first_us = last_us - settings.comparison.windows_days[0] * DAY_US
    return (first_us if pair.start_us is None else max(first_us, pair.start_us)), last_us


def compare_pair(
    pair: CheckPair,
    end_us: int,
    meter: Meter,
    given: PairSeries,
    standard: Standard | None,
    settings: VerifierSettings,
) -> FoundComparison:
    """The pair's comparison as known at `end_us` [us since 1970]; `standard` is the check meter's certificate."""
    facts = facts_of_pair(pair, pair_span_us(pair, end_us, settings), meter, settings)
    span_us = facts.start_us, facts.end_us
    own = cumulative(given.series, pair.meter_id, given.resolution, *span_us)
    check = cumulative(given.series, pair.check_meter_id, given.check_resolution, *span_us)
    found = compare_longest(facts, own, check, standard, settings.comparison)
    return FoundComparison(pair.meter_id, "check_meter", found.comparison, found.budget, found.reasons)


def facts_of_pair(
    pair: CheckPair, span_us: tuple[int, int], meter: Meter, settings: VerifierSettings
) -> ComparisonFacts:
    """What is compared over a span, with the limit of the meter and the clocks of its medium."""
    medium = Medium(meter.medium)
    limit_pct = limit_of_meter_pct(meter, settings)
    return ComparisonFacts(pair.meter_id, medium, limit_pct, *span_us, settings.balance.clock_sd_s(medium))


def cumulative(series: Series, meter_id: int, resolution: float, start_us: int, end_us: int) -> CumulativeSeries:
    """A meter's totals within [start_us, end_us)."""
    observed_us, total = series.get(meter_id, _NOTHING)
    inside = (observed_us >= start_us) & (observed_us < end_us)
    return CumulativeSeries(observed_us[inside], total[inside], resolution)
