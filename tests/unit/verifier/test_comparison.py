"""A meter against a check meter in series: its budget holds in simulation, and what must not be measured with isn't."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from metrology.quantities import Medium
from verifier.comparison import compare_longest, compare_series, standard_reasons
from verifier.comparison_budget import ComparisonFacts, CumulativeSeries, Standard
from verifier.comparison_settings import ComparisonSettings

DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
START = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000
STANDARD = Standard("C-1", 0.2, 2.0, date(2025, 7, 1), date(2027, 6, 30))
SETTINGS = ComparisonSettings()
# A standard and conditions without any uncertainty, so that the ends of the span alone are left.
EXACT = Standard("C-0", 1e-9, 2.0, date(2025, 7, 1), date(2027, 6, 30))
BARE = ComparisonSettings(drift_pct_per_year=0, own_consumption_w=0, temperature_electricity_pct=0)


def facts(days=28, mpe_pct=2.0, clock_sd_s=3.0):
    return ComparisonFacts(7, Medium.ELECTRICITY, mpe_pct, START, START + days * DAY_US, clock_sd_s)


def power_kw(rng, days, interval_s=900):
    per_day = 86_400 // interval_s
    hours = np.arange(days * per_day) % per_day / per_day * 24
    return (0.2 + 0.5 * np.exp(-((hours - 19) ** 2) / 6)) * rng.lognormal(0, 0.6, days * per_day)


def read(kw, error_pct, resolution, offset_s=0.0, interval_s=900, phase=0.0):
    """A register read at its own clock's quarter hours; `error_pct` a number or by interval."""
    edges = np.arange(kw.size + 1) * interval_s
    total = np.concatenate([[0.0], np.cumsum(kw * (1 + np.asarray(error_pct) / 100) * interval_s / 3600)])
    shown = np.floor((np.interp(edges + offset_s, edges, total) + phase) / resolution) * resolution
    return CumulativeSeries(START + (edges * 1_000_000).astype(np.int64), shown, resolution)


def test_the_error_is_the_ratio_of_the_totals_and_every_line_names_its_clause():
    kw = power_kw(np.random.default_rng(1), 28)
    found = compare_series(facts(), read(kw, 1.5, 1e-6), read(kw, 0.0, 1e-6), STANDARD, SETTINGS)
    assert found.reasons == ()
    assert found.comparison.error_pct == pytest.approx(1.5, abs=1e-3)
    assert (found.comparison.start_us, found.comparison.end_us) == (START, START + 28 * DAY_US)
    assert (found.comparison.meter_id, found.comparison.kind) == (7, "check_meter")
    assert found.comparison.std_pct == found.budget.combined_std_uncertainty
    names = {line.name for line in found.budget.components}
    assert names >= {"standard", "drift of the standard", "resolution of the meter", "resolution of the standard",
                     "start-stop synchronisation", "repeats", "temperature", "own consumption"}  # fmt: skip
    assert all("GUM" in line.source for line in found.budget.components)
    by_name = {line.name: line.contribution for line in found.budget.components}
    assert by_name["standard"] == pytest.approx(0.1)
    assert by_name["drift of the standard"] == pytest.approx(0.1 * 202 / 365.25 / np.sqrt(3), rel=0.01)


@pytest.mark.parametrize(("resolution", "clock_sd_s", "days"), [(0.1, 0.0, 8), (1.0, 0.0, 8), (0.001, 60.0, 8)])
def test_monte_carlo_the_ends_scatter_no_more_than_the_budget_says(resolution, clock_sd_s, days):
    """Random phases of the registers and offsets of the clocks, each run anew: the spread is the stated one."""
    errors, stds = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        kw = power_kw(np.random.default_rng(9), days) * rng.uniform(0.8, 1.2)  # another fraction of a step each time
        meter = read(kw, 1.0, resolution, rng.normal(0, clock_sd_s), phase=rng.uniform(0, resolution))
        standard = read(kw, 0.0, resolution, phase=rng.uniform(0, resolution))
        # Clear of the ends of the simulated power.
        inner = replace(
            facts(days, clock_sd_s=clock_sd_s), start_us=START + HOUR_US, end_us=START + days * DAY_US - HOUR_US
        )
        found = compare_series(inner, meter, standard, EXACT, BARE)
        errors.append(found.comparison.error_pct)
        stds.append(found.comparison.std_pct)
    assert abs(np.mean(errors) - 1.0) < 4 * np.std(errors) / np.sqrt(300) + 1e-3
    spread, stated = np.std(errors), np.median(stds)
    assert spread <= stated * 1.1
    # A constant offset cancels between start and stop; resolution alone is stated exactly.
    assert clock_sd_s > 0 or stated <= 1.25 * spread


def test_what_the_days_scatter_beyond_the_budget_is_added_and_told():
    kw = power_kw(np.random.default_rng(2), 28)
    of_day = np.repeat(np.random.default_rng(3).normal(0.5, 0.4, 28), 96)
    quiet = compare_series(facts(), read(kw, 0.5, 1e-3), read(kw, 0, 1e-3), STANDARD, SETTINGS)
    loud = compare_series(facts(), read(kw, of_day, 1e-3), read(kw, 0, 1e-3), STANDARD, SETTINGS)
    assert quiet.p_consistent > 0.01
    assert loud.p_consistent < 1e-6
    repeats = {line.name: line for line in loud.budget.components}["repeats"]
    assert repeats.std_uncertainty == pytest.approx(0.4 / np.sqrt(28), rel=0.4)
    assert repeats.degrees_of_freedom == 27
    assert loud.comparison.std_pct > quiet.comparison.std_pct


def test_the_share_of_false_inconsistencies_is_the_stated_one_or_less():
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        kw = power_kw(rng, 14)
        meter = read(kw, 0.3, 0.01, rng.normal(0, 3), phase=rng.uniform(0, 0.01))
        standard = read(kw, 0.0, 0.01, rng.normal(0, 3), phase=rng.uniform(0, 0.01))
        alarms += compare_series(facts(14), meter, standard, STANDARD, SETTINGS).p_consistent < 0.05
    assert alarms / 200 <= 0.08


def test_a_step_leaves_the_longest_span_that_agrees():
    kw = power_kw(np.random.default_rng(4), 28)
    stepped = np.where(np.arange(kw.size) < 18 * 96, 0.0, 4.0)
    found = compare_longest(facts(), read(kw, stepped, 1e-3), read(kw, 0, 1e-3), STANDARD, SETTINGS)
    assert found.comparison.start_us == START + 21 * DAY_US
    assert found.comparison.error_pct == pytest.approx(4.0, abs=0.05)
    late = np.where(np.arange(kw.size) < 25 * 96, 0.0, 4.0)
    none = compare_longest(facts(), read(kw, late, 1e-3), read(kw, 0, 1e-3), STANDARD, SETTINGS)
    assert none.comparison is None
    assert [reason.code for reason in none.reasons] == ["days_inconsistent"]


def test_gaps_cost_nothing_and_readings_at_different_times_cost_what_flowed_between():
    kw = power_kw(np.random.default_rng(5), 28)
    meter, standard = read(kw, 1.0, 1e-3), read(kw, 0, 1e-3)
    kept = np.ones(kw.size + 1, bool)
    kept[500:1500] = False
    holed = CumulativeSeries(meter.observed_us[kept], meter.total[kept], 1e-3)
    found = compare_series(facts(), holed, standard, STANDARD, SETTINGS)
    assert found.comparison.error_pct == pytest.approx(1.0, abs=0.01)
    shifted = CumulativeSeries(standard.observed_us + 400_000_000, standard.total, 1e-3)
    apart = compare_series(facts(), meter, shifted, EXACT, BARE)
    between = {line.name: line for line in apart.budget.components}["time between readings"]
    assert between.contribution > 0.005
    assert abs(apart.comparison.error_pct - 1.0) < 3 * apart.comparison.std_pct


@pytest.mark.parametrize(
    ("standard", "mpe_pct", "code"),
    [
        (None, 2.0, "no_certificate"),
        (Standard("C", 0.2, 2.0, date(2020, 1, 1), date(2025, 12, 31)), 2.0, "standard_expired"),
        (Standard("C", 0.2, 2.0, date(2026, 3, 1), date(2027, 12, 31)), 2.0, "standard_expired"),
        (Standard("C", 0.7, 2.0, date(2025, 1, 1), date(2027, 12, 31)), 2.0, "standard_unfit"),
        (Standard("C", 0.4, 1.0, date(2025, 1, 1), date(2027, 12, 31)), 2.0, "standard_unfit"),  # k = 1: U is 0.8 %
    ],
)
def test_an_expired_or_unfit_standard_gives_a_reason_and_no_measurement(standard, mpe_pct, code):
    kw = power_kw(np.random.default_rng(6), 28)
    found = compare_series(facts(mpe_pct=mpe_pct), read(kw, 1, 1e-3), read(kw, 0, 1e-3), standard, SETTINGS)
    assert found.comparison is None
    assert [reason.code for reason in found.reasons] == [code]


def test_a_standard_of_exactly_a_third_is_fit():
    third = Standard("C", 0.2, 2.0, date(2025, 1, 1), date(2027, 12, 31))
    assert standard_reasons(third, date(2026, 1, 1), 0.6) == ()
    assert standard_reasons(third, date(2026, 1, 1), 0.59)[0].code == "standard_unfit"


def test_too_little_in_common_is_a_reason():
    kw = power_kw(np.random.default_rng(7), 28)
    meter, standard = read(kw, 1, 1e-3), read(kw, 0, 1e-3)
    empty = CumulativeSeries(np.empty(0, np.int64), np.empty(0), 1e-3)
    still = CumulativeSeries(standard.observed_us, np.zeros(kw.size + 1), 1e-3)
    cases = ((facts(3), meter, standard, "too_few_days"), (facts(), meter, empty, "no_common_span"),
             (facts(), meter, still, "no_consumption"))  # fmt: skip
    for case, one, other, code in cases:
        found = compare_longest(case, one, other, STANDARD, SETTINGS)
        assert [reason.code for reason in found.reasons] == [code]
