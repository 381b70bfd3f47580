"""Cases: what flows in flows out, registers say what they should, the truth agrees with both, files hold it all."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from zones.case import DAY_US, START_US, ZoneCase
from zones.electricity import homes_zone
from zones.files import write_case
from zones.injection import EXACT, Injection, missing_mask
from zones.members import assess_case, members_of

from metrology.quantities import MICRO
from verifier.balance_settings import BalanceSettings

ALL_WRONG = replace(Injection(), steps=1, drifts=1, stopped=1, swapped=1, foreign=1, thefts=1, unlisted=1)


@pytest.fixture(autouse=True)
def _synthetic_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERPROOF_HOMES", "nowhere.npz")


def zone(injection: Injection, days: int = 10, **losses: float) -> ZoneCase:
    return homes_zone("test", 3, 12, injection, days=days, **losses)


def daily_totals(case: ZoneCase, place: int) -> np.ndarray:
    at_days = START_US + DAY_US * np.arange(case.days + 1)
    assert np.isin(at_days, case.observed_us[place]).all()
    return np.diff(case.total(place)[np.searchsorted(case.observed_us[place], at_days)])


def test_exact_meters_balance_to_the_losses() -> None:
    case = zone(EXACT, fixed_loss_share=0.003, series_loss_share=0.01)
    customers = np.sum([daily_totals(case, place) for place in case.customers], axis=0)
    assert daily_totals(case, 0) == pytest.approx(customers + case.truth.loss, abs=3e-5)
    assert case.truth.loss.sum() / case.truth.reference.sum() == pytest.approx(0.013 / 1.013, rel=0.01)


def test_an_unmetered_load_and_no_foreign_meter_pass_through_the_reference() -> None:
    case = zone(replace(EXACT, thefts=1, unlisted=1, foreign=1))
    listed = np.sum([daily_totals(case, place) for place in case.customers[:12]], axis=0)
    assert daily_totals(case, 0) == pytest.approx(listed + case.truth.unmetered, abs=3e-5)
    assert len(case.customers) == 13
    assert daily_totals(case, case.customers[12]).sum() > 1
    theft = next(load for load in case.truth.unmetered_loads if load.kind == "theft")
    hours = (case.end_us - theft.begins_us) / 3.6e9
    unlisted = next(load for load in case.truth.unmetered_loads if load.kind == "unlisted")
    total = theft.mean_per_h * hours + unlisted.mean_per_h * 240
    assert case.truth.unmetered.sum() == pytest.approx(total)


def test_the_truth_is_what_the_registers_counted_over_what_flowed() -> None:
    case = zone(replace(ALL_WRONG, swapped=0, resolution=1e-6, clock_max_s=0.0))
    for row, place in enumerate(case.customers):
        shown = daily_totals(case, place)
        assert shown == pytest.approx(case.truth.true_use[row] * (1 + case.truth.error_pct[row] / 100), abs=1e-5)
    kinds = {fault.kind for fault in case.truth.faults}
    assert kinds == {"step", "drift", "stopped", "foreign"}
    for fault in case.truth.faults:
        row = [case.meters[place].serial for place in case.customers].index(fault.serial)
        assert case.truth.error_pct[row, -1] == pytest.approx(fault.size_pct, abs=1.0)


def test_the_reference_carries_its_gain() -> None:
    case = zone(replace(EXACT, reference_sd_pct=0.5))
    gain_pct = 100 * (daily_totals(case, 0).sum() / case.truth.reference.sum() - 1)
    assert case.truth.reference_gain_pct != 0
    assert gain_pct == pytest.approx(case.truth.reference_gain_pct, abs=1e-4)


def test_registers_ascend_and_show_their_resolution() -> None:
    case = zone(replace(ALL_WRONG, resolution=0.01, missing_share=0.02))
    for place in case.customers:
        assert np.diff(case.register_micro[place]).min() >= 0
        assert np.all(case.register_micro[place] % 10_000 == 0)


def test_a_clock_that_is_ahead_reads_early() -> None:
    case = zone(replace(EXACT, clock_max_s=600.0))
    exact = zone(EXACT)
    ahead = case.truth.clock_offset_s
    assert ahead[0] == 0
    for place in case.customers:
        behind = case.total(place) - case.total(place)[0] - (exact.total(place) - exact.total(place)[0])
        rate = np.diff(exact.total(place)).sum() / (10 * 86_400)
        # What a clock's offset takes from one interval it gives to the next: never more than the offset can hold.
        assert np.abs(behind).max() <= 15.0 / 3600 * abs(ahead[place]) + rate * abs(ahead[place])
    assert np.abs(ahead[1:]).max() > 100


@pytest.mark.parametrize("share", [0.001, 0.02])
def test_the_share_of_missing_readings_is_what_was_asked(share: float) -> None:
    mask = missing_mask(200, 5000, 1800, Injection(missing_share=share), np.random.default_rng(1))
    assert mask.mean() == pytest.approx(share, rel=0.15)
    runs = np.diff(mask.astype(int), axis=1) == 1
    assert mask.sum() / runs.sum() > 1.5  # singles and runs of eight


def test_an_outage_takes_all_customers_and_leaves_the_reference() -> None:
    case = zone(replace(Injection(), outages=1, outage_h=6.0))
    assert case.observed_us[0].size == 10 * 48 + 1
    assert {case.observed_us[place].size for place in case.customers} == {10 * 48 + 1 - 12}


def test_swapped_meters_leave_the_sum_and_change_the_parts() -> None:
    whole, case = zone(EXACT), zone(replace(EXACT, swapped=1))
    sums = [np.sum([daily_totals(one, p) for p in one.customers], axis=0) for one in (whole, case)]
    assert sums[0] == pytest.approx(sums[1], abs=3e-5)
    pair = [fault.serial for fault in case.truth.faults if fault.kind == "swapped"]
    changed = [m.serial for p, m in enumerate(whole.meters)
               if p and np.abs(daily_totals(whole, p) - daily_totals(case, p)).max() > 1e-3]  # fmt: skip
    assert sorted(pair) == changed


def test_a_seed_is_one_zone() -> None:
    first, again = zone(ALL_WRONG), zone(ALL_WRONG)
    other = homes_zone("test", 4, 12, ALL_WRONG, days=10)
    assert all(np.array_equal(a, b) for a, b in zip(first.register_micro, again.register_micro, strict=True))
    assert not np.array_equal(first.register_micro[1], other.register_micro[1])


def test_files_hold_the_registers_to_the_digit_and_the_truth(tmp_path: Path) -> None:
    case = zone(replace(ALL_WRONG, missing_share=0.02))
    write_case(case, tmp_path)
    table = pq.read_table(tmp_path / "readings.parquet").to_pydict()
    micro = [round(value * MICRO) for value in table["register"]]
    assert micro == np.concatenate(case.register_micro).tolist()
    assert len(set(table["meter"])) == len(case.meters)
    with (tmp_path / "truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(case.customers) * case.days
    assert {row["fault"] for row in rows} == {"", "step", "drift", "stopped", "swapped", "foreign"}


def test_the_estimator_takes_the_case_in_memory() -> None:
    case = zone(Injection(), days=10)
    facts, members, _ = members_of(case)
    assert (facts.interval_s, len(members), sum(m.is_reference for m in members)) == (1800, 13, 1)
    first, last = assess_case(case, BalanceSettings(), [9, 10])
    assert (first.end_us, last.end_us) == (case.end_us - DAY_US, case.end_us)
    assert [a.meter_id for a in last.assessments] == list(case.customers)
