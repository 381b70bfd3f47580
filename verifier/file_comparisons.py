"""Check meters in series as files tell them: the pairs, what stands for their certificates, the comparisons. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np

from metrology.quantities import MICRO
from store.check_meters import CheckPair
from store.registry import Meter, Zone, ZoneMember
from verifier.accepted import Series
from verifier.comparison import DAY_US, SeriesComparison, compare_still
from verifier.comparison_budget import Standard
from verifier.pair_comparison import (
    FoundComparison,
    PairSeries,
    compare_pair,
    cumulative,
    facts_of_pair,
    pair_span_us,
)
from verifier.settings import VerifierSettings

_FACTOR = 2.0  # of the expanded uncertainty that stands for a certificate's


def file_comparisons(
    zone: Zone, meters: Sequence[Meter], series: Series, end_us: int, settings: VerifierSettings
) -> list[FoundComparison]:
    """The customers' meters against the check meters at their service points as known before `end_us`, by meter.

    `series` holds accepted totals; readings at `end_us` or later are not looked at. In series are meters at the same
    service point, of the same direction and phase.
    """
    of_id = {meter.meter_id: meter for meter in meters}
    found = []
    for pair, check, other in _pairs(zone, of_id):
        start_us, last_us = pair_span_us(pair, end_us, settings)
        there = other.end_us is None or end_us <= other.end_us
        if not there or last_us <= start_us or last_us <= end_us - _window_us(settings):
            continue
        given = _series_of(check, other, of_id, series)
        standard = stated_standard(of_id[pair.check_meter_id], zone, start_us)
        found.append(compare_pair(pair, end_us, of_id[pair.meter_id], given, standard, settings))
    return sorted(found, key=lambda one: one.meter_id)


def still_comparisons(
    zone: Zone,
    meters: Sequence[Meter],
    series: Series,
    meter_id: int,
    since_us: int,
    settings: VerifierSettings,
) -> list[SeriesComparison]:
    """A meter whose register stands still since `since_us` against each of its check meters; see `compare_still`."""
    of_id = {meter.meter_id: meter for meter in meters}
    found = []
    for pair, check, other in _pairs(zone, of_id):
        span_us = max(since_us, pair.start_us or since_us), pair.end_us or _last_us(series, meter_id) + 1
        if pair.meter_id != meter_id or span_us[0] >= span_us[1]:
            continue
        given = _series_of(check, other, of_id, series)
        facts = facts_of_pair(pair, span_us, of_id[meter_id], settings)
        own = cumulative(series, meter_id, given.resolution, *span_us)
        beside = cumulative(series, pair.check_meter_id, given.check_resolution, *span_us)
        standard = stated_standard(of_id[pair.check_meter_id], zone, span_us[0])
        found.append(compare_still(facts, own, beside, standard, settings.comparison))
    return found


def stated_standard(check: Meter, zone: Zone, start_us: int) -> Standard:
    """What files state in place of a check meter's certificate.

    Its standard uncertainty is its `prior_sd_pct`, else the zone's reference uncertainty; it is told as of the
    comparison's start, so that what it drifted before is within it.
    """
    own = check.prior_sd_pct is not None
    std_pct = check.prior_sd_pct if check.prior_sd_pct is not None else zone.reference_uncertainty_pct
    name = "none; prior_sd_pct of the meters file" if own else "none; reference_uncertainty_pct of the zone"
    day = np.datetime64(start_us, "us").astype("datetime64[D]").item()
    return Standard(name, _FACTOR * std_pct, _FACTOR, day, date.max)


def _pairs(zone: Zone, meters: dict[int, Meter]) -> Iterator[tuple[CheckPair, ZoneMember, ZoneMember]]:
    """Check meters and customers' meters in series, with the time that both were there."""
    own = [m for m in zone.members if m.zone_id == zone.zone_id and m.installation.meter_id in meters]
    for check in (m for m in own if m.installation.role == "check"):
        for other in (m for m in own if m.installation.role == "customer"):
            one, two = check.installation, other.installation
            same_place = (one.service_point, one.direction, one.phase) == (two.service_point, two.direction, two.phase)
            if same_place and meters[one.meter_id].medium == meters[two.meter_id].medium:
                starts = [t for t in (check.start_us, other.start_us) if t is not None]
                ends = [t for t in (check.end_us, other.end_us) if t is not None]
                yield (
                    CheckPair(two.meter_id, one.meter_id, max(starts, default=None), min(ends, default=None)),
                    check,
                    other,
                )


def _series_of(check: ZoneMember, other: ZoneMember, meters: dict[int, Meter], series: Series) -> PairSeries:
    steps = [
        meters[m.installation.meter_id].resolution_micro * float(m.installation.multiplier) / MICRO
        for m in (other, check)
    ]
    return PairSeries(series, *steps)


def _window_us(settings: VerifierSettings) -> int:
    return settings.comparison.windows_days[0] * DAY_US


def _last_us(series: Series, meter_id: int) -> int:
    observed_us = series[meter_id][0] if meter_id in series else np.empty(0, np.int64)
    return int(observed_us[-1]) if observed_us.size else 0
