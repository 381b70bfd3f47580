"""Check meters that files tell of: the full budget, what stands for a certificate, and only what is known by then."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from test_comparison import DAY_US, START, power_kw, read

from store.registry import Installation, Meter, Zone, ZoneMember
from verifier.comparison import compare_still
from verifier.comparison_budget import ComparisonFacts, CumulativeSeries, Standard
from verifier.file_comparisons import file_comparisons, stated_standard, still_comparisons
from verifier.settings import VerifierSettings

SETTINGS = VerifierSettings()
END_US = START + 28 * DAY_US
OWN, CHECK, OTHER = 1, 2, 3


def meter(meter_id, **facts):
    known = {"accuracy_class": "2", "mpe_pct": 3.5, "prior_sd_pct": None} | facts
    return Meter(
        meter_id=meter_id, utility_id=0, utility="file", serial=f"M{meter_id}", medium="electricity", unit="kWh",
        resolution_micro=1000, register_modulus_micro=None, manufacturer="", model="", lot="", validity_until=None,
        registered_at=datetime(2026, 1, 1, tzinfo=UTC), **known,
    )  # fmt: skip


def member(meter_id, role, point="P", start_us=None, end_us=None, direction="import"):
    place = Installation(0, meter_id, 0, point, role, direction, "123", Decimal(1), start_us, end_us, None, None)
    return ZoneMember(1, start_us, end_us, place)


def zone(*members):
    return Zone(1, 0, "file", "Z", "electricity", None, 900, 0.3, members)


METERS = (meter(OWN), meter(CHECK, prior_sd_pct=0.1), meter(OTHER))
PAIR = (member(OWN, "customer"), member(CHECK, "check"), member(OTHER, "customer", "Q"))


@pytest.fixture(scope="module")
def series():
    """Four weeks in which the customer's meter registers 2 % too much."""
    kw = power_kw(np.random.default_rng(1), 28)
    shown = {OWN: read(kw, 2.0, 1e-3), CHECK: read(kw, 0.0, 1e-3), OTHER: read(kw, 0.0, 1e-3)}
    return {i: (one.observed_us, one.total) for i, one in shown.items()}


def test_the_budget_is_the_full_one_with_what_the_files_state(series):
    [found] = file_comparisons(zone(*PAIR), METERS, series, END_US, SETTINGS)
    assert (found.meter_id, found.kind, found.reasons) == (OWN, "check_meter", ())
    assert found.comparison.error_pct == pytest.approx(2.0, abs=0.01)
    lines = {line.name: line for line in found.budget.components}
    assert lines["standard"].contribution == pytest.approx(0.1)
    assert "prior_sd_pct" in lines["standard"].source
    assert lines["own consumption"].contribution > 0.03
    assert lines["start-stop synchronisation"].contribution > 0
    assert found.comparison.std_pct == found.budget.combined_std_uncertainty > 0.1


def test_a_check_meter_without_a_statement_is_as_uncertain_as_a_reference_and_must_be_fit(series):
    meters = (METERS[0], meter(CHECK), METERS[2])
    standard = stated_standard(meters[1], zone(*PAIR), START)
    assert standard.expanded_uncertainty_pct / standard.coverage_factor == pytest.approx(0.3)
    [found] = file_comparisons(zone(*PAIR), meters, series, END_US, SETTINGS)
    assert found.comparison is not None
    tight = (meter(OWN, mpe_pct=1.0), *meters[1:])
    [refused] = file_comparisons(zone(*PAIR), tight, series, END_US, SETTINGS)
    assert (refused.comparison, [reason.code for reason in refused.reasons]) == (None, ["standard_unfit"])


def test_what_is_read_later_does_not_matter(series):
    until_us = START + 20 * DAY_US
    cut = {i: (t[t < until_us], total[t < until_us]) for i, (t, total) in series.items()}
    [now] = file_comparisons(zone(*PAIR), METERS, series, until_us, SETTINGS)
    assert now == file_comparisons(zone(*PAIR), METERS, cut, until_us, SETTINGS)[0]
    assert now.comparison.end_us < until_us


def test_a_check_meter_that_was_taken_away_is_compared_up_to_then_and_known_for_four_weeks(series):
    gone_us = START + 14 * DAY_US
    placed = zone(PAIR[0], member(CHECK, "check", start_us=START, end_us=gone_us))
    [found] = file_comparisons(placed, METERS, series, END_US, SETTINGS)
    assert found.comparison.start_us == START
    assert gone_us - DAY_US < found.comparison.end_us <= gone_us
    assert file_comparisons(placed, METERS, series, START, SETTINGS) == []
    assert file_comparisons(placed, METERS, series, gone_us + 28 * DAY_US, SETTINGS) == []


@pytest.mark.parametrize("other", [{"point": "Q"}, {"direction": "export"}])
def test_only_meters_in_series_are_compared(series, other):
    assert file_comparisons(zone(PAIR[0], member(CHECK, "check", **other)), METERS, series, END_US, SETTINGS) == []


def test_a_still_register_lost_all_that_its_check_meter_counted(series):
    since_us = START + 25 * DAY_US
    t, total = series[OWN]
    still = series | {OWN: (t, np.minimum(total, total[t == since_us]))}
    [found] = still_comparisons(zone(*PAIR), METERS, still, OWN, since_us, SETTINGS)
    assert found.comparison.error_pct == -100.0
    assert 0.1 < found.comparison.std_pct < 1.0
    [moved] = still_comparisons(zone(*PAIR), METERS, series, OWN, since_us, SETTINGS)
    assert [reason.code for reason in moved.reasons] == ["no_consumption"]
    assert still_comparisons(zone(*PAIR), METERS, still, OTHER, since_us, SETTINGS) == []


def test_a_check_meter_that_moved_by_a_step_shows_no_loss():
    times = START + np.arange(5) * DAY_US
    own = CumulativeSeries(times, np.full(5, 7.0), 1e-3)
    step = replace(own, total=np.array([7.0, 7.0, 7.0, 7.0, 7.001]))
    facts = ComparisonFacts(OWN, "electricity", 3.5, START, START + 5 * DAY_US, 3.0)
    standard = Standard("C", 0.2, 2.0, datetime(2026, 1, 1, tzinfo=UTC).date(), datetime(2027, 1, 1, tzinfo=UTC).date())
    found = compare_still(facts, own, step, standard, SETTINGS.comparison)
    assert [reason.code for reason in found.reasons] == ["no_consumption"]
    more = replace(own, total=np.array([7.0, 7.5, 8.0, 8.5, 9.0]))
    assert compare_still(facts, own, more, standard, SETTINGS.comparison).comparison.error_pct == -100.0
