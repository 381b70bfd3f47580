"""The direct comparisons of meters that are known up to a time: check meters in series, and tests on site."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg

from metrology.quantities import MICRO, Medium
from store.check_meters import certificates_of_meters, check_pairs
from store.meter_facts import MeterRecord, load_meter_records
from store.readings import read_conflicts, read_meter_readings
from store.registry import Meter, load_meters
from store.site_tests import SiteTestRow, StandardRow, site_tests_until
from store.times import to_datetime, to_micros
from verifier.accepted import Series, accepted_totals
from verifier.comparison import DAY_US
from verifier.comparison_budget import Standard
from verifier.limits import limit_of_meter_pct
from verifier.pair_comparison import FoundComparison, PairSeries, compare_pair, cumulative, pair_span_us
from verifier.resume import followed_and_placeable
from verifier.settings import VerifierSettings
from verifier.site_test import SiteTest, TestPoint, evaluate_site_test, load_profile

Connection = psycopg.Connection[Any]


def comparisons_until(
    connection: Connection, meter_ids: Sequence[int], end_us: int, last_seq: int, settings: VerifierSettings
) -> list[FoundComparison]:
    """The comparisons of the meters from what is known before `end_us` [us since 1970], by meter, check meters first.

    Of readings those of batches up to `last_seq`; of tests on site those in force made within `site_test_days` before.
    """
    if not meter_ids:
        return []
    ids, own = sorted({int(meter_id) for meter_id in meter_ids}), settings.comparison
    end, moment = to_datetime(end_us), timedelta(microseconds=1)
    window = timedelta(days=own.windows_days[0])
    pairs = check_pairs(connection, ids, end - window, end - moment)
    tests = site_tests_until(connection, ids, end - timedelta(days=own.site_test_days), end)
    concerned = sorted({m for p in pairs for m in (p.meter_id, p.check_meter_id)} | {t.meter_id for t in tests})
    if not concerned:
        return []
    records = {record.meter_id: record for record in load_meter_records(connection, concerned)}
    meters = {meter.meter_id: meter for meter in load_meters(connection, concerned)}
    starts = [pair_span_us(pair, end_us, settings)[0] for pair in pairs]
    earliest_us = min([end_us, *starts, *(_profile_start(t, own.profile_days) for t in tests)])
    series = _series(connection, concerned, earliest_us - DAY_US, end_us, last_seq, records, settings)
    found = []
    for pair in pairs:
        last_us = pair_span_us(pair, end_us, settings)[1]
        steps = [_resolution(records[m], last_us) for m in (pair.meter_id, pair.check_meter_id)]
        certificates = certificates_of_meters(connection, [pair.check_meter_id], to_datetime(last_us - 1).date())
        standard = _standard(certificates[pair.check_meter_id]) if certificates else None
        given = PairSeries(series, *steps)
        found.append(compare_pair(pair, end_us, meters[pair.meter_id], given, standard, settings))
    found += [_of_test(test, meters, records, series, settings) for test in tests]
    return sorted(found, key=lambda one: one.meter_id)


def _series(
    connection: Connection,
    ids: Sequence[int],
    start_us: int,
    end_us: int,
    last_seq: int,
    records: Mapping[int, MeterRecord],
    settings: VerifierSettings,
) -> Series:
    stored = read_meter_readings(connection, ids, start_us, end_us)
    held = np.concatenate([stored, read_conflicts(connection, ids, start_us, end_us)])
    held = followed_and_placeable(connection, held, last_seq, settings.steps)
    return accepted_totals(held, [records[meter_id] for meter_id in ids if meter_id in records], settings)


def _of_test(
    test: SiteTestRow,
    meters: Mapping[int, Meter],
    records: Mapping[int, MeterRecord],
    series: Series,
    settings: VerifierSettings,
) -> FoundComparison:
    meter, tested_us = meters[test.meter_id], to_micros(test.tested_at)
    # Loads of a test are at the meter, totals behind its transformers.
    multiplier = _multiplier(records[test.meter_id], tested_us)
    points = tuple(
        TestPoint(p.load * multiplier, p.error_pct, p.expanded_uncertainty_pct, p.coverage_factor) for p in test.points
    )
    given = SiteTest(test.meter_id, tested_us, _standard(test), points)
    start_us = _profile_start(test, settings.comparison.profile_days)
    resolution = _resolution(records[test.meter_id], tested_us)
    own = cumulative(series, test.meter_id, resolution, start_us, tested_us)
    profile = load_profile(own, start_us, tested_us)
    found = evaluate_site_test(
        given, Medium(meter.medium), limit_of_meter_pct(meter, settings), profile, settings.comparison
    )  # fmt: skip
    return FoundComparison(test.meter_id, "site_test", found.comparison, found.budget, found.reasons)


def _profile_start(test: SiteTestRow, days: int) -> int:
    return to_micros(test.tested_at) - days * DAY_US


def _standard(row: StandardRow | SiteTestRow) -> Standard:
    return Standard(row.certificate, row.expanded_uncertainty_pct, row.coverage_factor, row.valid_from, row.valid_until)


def _resolution(record: MeterRecord, at_us: int) -> float:
    return record.resolution_micro * _multiplier(record, at_us - 1) / MICRO


def _multiplier(record: MeterRecord, at_us: int) -> float:
    for place in record.installations:
        if (place.start_us is None or place.start_us <= at_us) and (place.end_us is None or at_us < place.end_us):
            return place.multiplier
    return 1.0
