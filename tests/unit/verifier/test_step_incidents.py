"""Register sequences that were really reported, and what the checks must make of them."""

import numpy as np
import pytest
from step_cases import DAY, HOUR, SECOND, START, MemoryFollower, check, meter, place, readings

from verifier.settings import StepSettings, VerifierSettings, WaterLimits

POWER = [meter(medium="electricity", resolution_micro=1_000)]  # a watt-hour


def hourly(start_hour, registers):
    return [(start_hour + hour, register) for hour, register in enumerate(registers)]


def test_a_zero_between_two_readings_within_seconds_is_a_glitch():
    at = [0, 1, 1 + 1.2 / 3600, 1 + 3.4 / 3600]
    outcome = check(readings(zip(at, [3.7, 3.737, 0.0, 3.746], strict=True)), POWER)
    [glitch] = outcome.findings
    assert (glitch.kind, glitch.severity) == ("transient_glitch", "info")
    assert glitch.detail["largest_step_micro"] == -3_737_000
    assert glitch.detail["returned_after_s"] == pytest.approx(2.2)
    assert [e["register_micro"] for e in glitch.evidence] == [3_737_000, 0, 3_746_000]
    assert [e["part"] for e in glitch.evidence] == ["before", "foreign", "after"]
    assert outcome.total == pytest.approx(0.046)


def test_a_restart_that_goes_on_from_little_is_a_reset():
    after = [0.718 + 0.4 * hour for hour in range(10)]
    outcome = check(readings([*hourly(0, [438.9, 439.534]), *hourly(2, after)]), POWER)
    [reset] = outcome.findings
    assert (reset.kind, reset.severity) == ("reset", "warning")
    assert reset.detail["step_micro"] == -438_816_000
    assert not reset.detail["counted"]
    assert reset.detail["may_be_unregistered_exchange"]
    assert outcome.total == pytest.approx(0.634 + 3.6)  # what passed between 439.534 and 0.718 isn't known
    assert outcome.checked.states["uncounted_steps"][0] == 1


def test_a_new_meter_that_starts_small_but_not_at_zero_may_be_an_exchange():
    outcome = check(readings([*hourly(0, [61.2, 61.3]), *hourly(2, [3.1 + 0.01 * k for k in range(10)])]))
    [reset] = outcome.findings
    assert (reset.kind, reset.severity, reset.detail["may_be_unregistered_exchange"]) == ("reset", "warning", True)
    assert outcome.total == pytest.approx(0.1 + 0.09)


@pytest.mark.parametrize(("modulus_micro", "kind"), [(838_860_800, "rollover"), (None, "reset")])
def test_a_rollover_of_23_bits_adds_the_modulus(modulus_micro, kind):
    # The register counts tenths of a watt-hour up to 838860.7 Wh: its modulus is 2^23 of them, 838.8608 kWh.
    records = [meter(medium="electricity", resolution_micro=100, register_modulus_micro=modulus_micro)]
    before, after = [838.5607, 838.8607], [0.0599 + 0.1 * hour for hour in range(8)]
    outcome = check(readings([*hourly(0, before), *hourly(2, after)]), records)
    [finding] = outcome.findings
    assert finding.kind == kind
    if kind == "rollover":
        assert finding.severity == "info"
        assert finding.detail["wrapped_step_micro"] == 60_000
    assert outcome.total == pytest.approx(0.3 + 0.7 + (0.06 if kind == "rollover" else 0.0))


def test_a_rollover_must_be_plausible_in_size():
    records = [meter(medium="electricity", register_modulus_micro=1_000_000_000)]
    outcome = check(readings([*hourly(0, [600.0, 600.1]), *hourly(2, [10.0 + 0.1 * k for k in range(8)])]), records)
    assert outcome.kinds == ["reset"]


def test_a_passing_zero_does_not_make_a_slot_of_megawatt_hours():
    outcome = check(readings([*hourly(0, [53_700.0, 53_700.4, 0.0, 53_701.2, 53_701.6])]), POWER)
    [glitch] = outcome.findings
    assert (glitch.kind, glitch.severity) == ("transient_glitch", "warning")
    assert outcome.total == pytest.approx(1.6)


def test_a_first_reading_of_zero_does_not_count_the_whole_register():
    outcome = check(readings([(0, 0.0), *hourly(1, [53_700.0 + 0.4 * hour for hour in range(9)])]), POWER)
    [finding] = outcome.findings
    assert (finding.kind, finding.severity) == ("implausible_rate", "warning")
    assert finding.detail["rate_kw"] == pytest.approx(53_700.0)
    assert outcome.total == pytest.approx(3.2)


def test_registers_repeated_across_clock_hours_are_no_finding():
    outcome = check(readings(hourly(0, [1.0, 1.4, 1.4, 1.4, 1.9, 1.9, 2.2])), POWER)
    assert outcome.findings == []
    assert outcome.total == pytest.approx(1.2)


def test_interleaved_foreign_readings_are_left_out_one_by_one():
    # Two meters under one number for four hours: this one and one 248 m3 ahead.
    own = [(hour, 207.7 + 0.03 * hour) for hour in range(12)]
    foreign = [(hour - 0.05, 456.0 + 0.08 * hour) for hour in range(4, 8)]
    outcome = check(readings(sorted(own + foreign)))
    assert outcome.kinds == ["transient_glitch"] * 4
    assert {f.severity for f in outcome.findings} == {"warning"}
    assert outcome.total == pytest.approx(0.33)


def test_a_run_of_foreign_readings_is_one_glitch():
    course = [10.0 + 0.01 * hour for hour in range(12)]
    course[4:7] = [1.0, 2.0, 1.5]
    [glitch] = check(readings(hourly(0, course))).findings
    assert (glitch.kind, glitch.detail["foreign_readings"]) == ("transient_glitch", 3)
    assert [e["register_micro"] for e in glitch.evidence[1:-1]] == [1_000_000, 2_000_000, 1_500_000]


def test_a_rise_that_the_meter_could_make_is_seen_as_a_glitch_when_it_falls_back():
    outcome = check(readings(hourly(0, [10.0, 10.01, 15.0, 10.02, 10.03])))
    [glitch] = outcome.findings
    assert (glitch.kind, glitch.severity) == ("transient_glitch", "warning")
    assert [e["register_micro"] for e in glitch.evidence] == [10_010_000, 15_000_000, 10_020_000]
    assert outcome.total == pytest.approx(0.03)
    assert outcome.checked.usable.tolist() == [True, True, False, True, True]


def test_a_value_that_stays_is_taken_as_the_new_level_only_after_the_horizon():
    low = [8.0 + 0.01 * hour for hour in range(8)]
    for count, provisional in ((1, True), (6, True), (8, False)):
        [finding] = check(readings(hourly(0, [10.0, 10.01, *low[:count]]))).findings
        assert finding.kind == "backward_step"
        assert finding.detail.get("provisional", False) is provisional
        assert finding.severity == ("info" if provisional else "warning")


def test_a_meter_read_once_a_day_gets_its_further_readings_to_return():
    daily = [(24 * day, 10.0 + 0.1 * day) for day in range(9)]
    daily[4] = (96, 0.0)
    outcome = check(readings(daily))
    assert [f.kind for f in outcome.findings if f.kind != "gap"] == ["transient_glitch"]


def test_steps_within_the_noise_are_noted_and_counted():
    outcome = check(readings(hourly(0, [5.0, 5.010, 5.009, 5.009, 5.020, 5.018])))
    assert [(f.kind, f.severity, f.detail["step_micro"]) for f in outcome.findings] == [
        ("backward_step", "info", -1_000),
        ("backward_step", "info", -2_000),
    ]
    assert all(f.detail["within_noise"] and len(f.evidence) == 2 for f in outcome.findings)
    assert outcome.total == pytest.approx(0.018)


def test_a_backward_step_counts_only_as_far_as_a_meter_can_run_back():
    settings = VerifierSettings(water=WaterLimits(max_rate_m3ph=2.0))
    for drop, counted in ((1.5, True), (30.0, False)):
        rows = readings(hourly(0, [90.0, 90.5, *[90.5 - drop + 0.01 * k for k in range(9)]]))
        outcome = check(rows, settings=settings)
        [finding] = outcome.findings
        assert (finding.kind, finding.severity, finding.detail["counted"]) == ("backward_step", "warning", counted)
        assert outcome.total == pytest.approx(0.58 - (drop if counted else 0))


def test_a_first_reading_dated_years_too_early_does_not_count_against_the_total():
    outcome = check(readings([(-16 * 365 * 24, 500.0), *hourly(0, [200.0 + 0.01 * hour for hour in range(10)])]))
    assert [f.detail["counted"] for f in outcome.of_kind("backward_step")] == [False]
    assert outcome.total == pytest.approx(0.09)


def test_a_register_that_keeps_running_backwards_is_an_alarm_told_once():
    backwards = readings(hourly(0, [50.0 + 0.02 * min(hour, 5) - 0.015 * max(0, hour - 5) for hour in range(80)]))
    [alarm] = check(backwards).of_kind("reversed_running")
    assert (alarm.severity, alarm.detail["ongoing"]) == ("alarm", True)
    assert alarm.detail["net_register_micro"] == -24 * 15_000
    assert alarm.starts_us == START + 5 * HOUR
    # It stays as it is while more of the same comes, and is completed when the register is back.
    assert check(backwards[:60]).of_kind("reversed_running") == [alarm]
    back = np.concatenate([backwards, readings(hourly(80, [49.0 + 0.1 * k for k in range(20)]))])
    [ended] = check(back).of_kind("reversed_running")
    assert (ended.detail["ongoing"], ended.detail["backward_steps"]) == (False, 74)


def test_noise_on_a_meter_without_flow_is_not_running_backwards():
    wiggle = [10.0 - 0.001 * (hour % 2) for hour in range(100)]
    outcome = check(readings(hourly(0, wiggle)))
    assert {f.kind for f in outcome.findings} == {"backward_step"}
    assert {f.severity for f in outcome.findings} == {"info"}


def test_a_stopped_meter_is_told_once_and_completed_when_it_moves():
    settings = VerifierSettings(water=WaterLimits(stopped_s=48 * 3600.0))
    still = readings(hourly(0, [1.0, 1.1, *[1.2] * 60]))
    [stopped] = check(still, settings=settings).findings
    assert (stopped.kind, stopped.severity, stopped.detail) == (
        "stopped",
        "warning",
        {"ongoing": True, "lasted_s": 48 * 3600.0},
    )
    assert (stopped.starts_us, stopped.ends_us) == (START + 2 * HOUR, START + 50 * HOUR)
    assert check(still[:52], settings=settings).findings == [stopped]
    moving = np.concatenate([still, readings([(62, 1.3)])])
    [ended] = check(moving, settings=settings).findings
    assert ended.detail == {"ongoing": False, "lasted_s": 59 * 3600.0}
    assert [e["part"] for e in ended.evidence] == ["start", "told", "last", "end"]
    assert check(still[:50], settings=settings).findings == []


def test_a_meter_out_of_service_is_neither_stopped_nor_missing():
    taken_out = [meter(installations=[place(end_us=START + 3 * HOUR)])]
    settings = VerifierSettings(water=WaterLimits(stopped_s=48 * 3600.0))
    rows = readings([*hourly(0, [1.0, 1.1, 1.2]), *[(4 + 10 * k, 1.2) for k in range(20)]])
    assert check(rows, taken_out, settings).findings == []


def test_gaps_are_told_with_the_readings_around_them():
    outcome = check(readings([(0, 1.0), (2, 1.1), (4.01, 1.2), (5, 1.3)]))
    [gap] = outcome.findings
    assert (gap.kind, gap.severity, gap.detail["gap_s"]) == ("gap", "info", pytest.approx(2.01 * 3600))
    assert [e["register_micro"] for e in gap.evidence] == [1_100_000, 1_200_000]


def test_of_several_values_for_a_time_the_lowest_is_used_whichever_came_first():
    for order in ([0, 1, 2, 3], [0, 2, 1, 3]):
        rows = readings([(0, 1.0), (1, 1.5), (1, 1.1), (2, 1.6)])[order]
        outcome = check(rows)
        [finding] = outcome.findings
        assert (finding.kind, finding.severity) == ("conflicting_values", "info")
        assert finding.detail["used_register_micro"] == 1_100_000
        assert [e["register_micro"] for e in finding.evidence] == [1_100_000, 1_500_000]
    far = check(readings([(0, 1.0), (1, 1.1), (1, 9.0), (2, 1.6)]))
    assert [f.severity for f in far.findings] == ["warning"]


def test_a_registered_exchange_counts_by_start_and_end_registers():
    records = [
        meter(
            installations=[
                place(end_us=START + 2 * HOUR + 600 * SECOND, end_register_micro=1_250_000),
                place(
                    service_point="P2",
                    start_us=START + DAY,
                    start_register_micro=1_300_000,
                    multiplier=10.0,
                ),
            ]
        )
    ]
    outcome = check(readings([*hourly(0, [1.0, 1.1, 1.2]), *hourly(25, [1.31, 1.32])]), records)
    [exchange] = outcome.findings
    assert (exchange.kind, exchange.severity) == ("meter_exchange", "info")
    assert exchange.detail["service_point"] == "P2"
    assert exchange.detail["start_register_micro"] == 1_300_000
    assert exchange.detail["end_register_micro"] == 1_250_000
    assert outcome.total == pytest.approx(0.25 + 10 * 0.02)  # the 0.05 on the bench belong to nobody


def test_a_meter_in_place_of_another_names_it_and_counts_from_its_start_register():
    successor = place(
        start_us=START - HOUR,
        start_register_micro=200_000,
        predecessor_serial="OLD",
        predecessor_end_register_micro=900_000_000,
    )
    outcome = check(readings(hourly(0, [0.25, 0.3])), [meter(installations=[successor])])
    [exchange] = outcome.findings
    assert exchange.detail["predecessor_serial"] == "OLD"
    assert exchange.detail["predecessor_end_register_micro"] == 900_000_000
    assert (exchange.starts_us, exchange.ends_us) == (START - HOUR, START)
    assert outcome.total == pytest.approx(0.1)


def test_a_start_register_that_contradicts_the_readings_is_a_warning_and_counts_nothing():
    successor = place(start_us=START - HOUR, start_register_micro=77_000_000, predecessor_serial="OLD")
    outcome = check(readings(hourly(0, [0.25, 0.3])), [meter(installations=[successor])])
    [exchange] = outcome.findings
    assert (exchange.severity, exchange.detail["contradicts_registers"]) == ("warning", True)
    assert outcome.total == pytest.approx(0.05)


def test_multipliers_apply_to_rates_and_totals_but_not_to_registers():
    transformer = [meter(medium="electricity", installations=[place(multiplier=120.0)])]
    within = check(readings(hourly(0, [5.0, 5.8, 6.6])), transformer)  # 96 kW
    assert within.findings == []
    assert within.total == pytest.approx(192.0)
    beyond = check(readings(hourly(0, [5.0, 5.8, 7.0, *[7.1 + 0.1 * k for k in range(8)]])), transformer)  # 144 kW
    [finding] = beyond.findings
    assert (finding.kind, finding.detail["rate_kw"]) == ("implausible_rate", pytest.approx(144.0))
    assert finding.detail["step_micro"] == 1_200_000
    assert finding.detail["counted"]
    assert beyond.total == pytest.approx((7.8 - 5.0) * 120)


def test_limits_by_meter_go_before_those_of_model_and_medium():
    rows = readings(hourly(0, [1.0, 4.0, 7.0]))
    for settings, expected in (
        (VerifierSettings(), 0),
        (VerifierSettings(max_rate_by_model={"X": 2.0}), 2),
        (VerifierSettings(max_rate_by_model={"X": 2.0}, max_rate_by_meter={"u/S1": 5.0}), 0),
    ):
        assert len(check(rows, [meter(model="X")], settings).findings) == expected
    reference = meter(installations=[place(role="reference")])
    assert check(readings(hourly(0, [1.0, 900.0])), [reference]).findings == []


def test_a_late_reading_within_the_horizon_of_a_settled_step_is_heeded():
    # The fall at hour 1 is settled at hour 8; the one at hour 6 is still open then, so the anchor stays at hour 5.
    settings = VerifierSettings(steps=StepSettings(return_readings=1))
    course = [(0, 90.0), *[(hour, 70.0 + 0.01 * hour) for hour in range(1, 6)], (6, 50.0), (7.5, 50.01)]
    follower = MemoryFollower(meter(), settings)
    follower.deliver(readings(course))
    assert sorted(f.kind for f in follower.in_force.values()) == ["backward_step"] * 2
    assert follower.anchor_us == START + 5 * HOUR
    late = readings([(5.5, 90.05)])
    follower.deliver(late)
    whole = check(np.concatenate([readings(course), late]), settings=settings)
    assert "transient_glitch" in whole.kinds
    assert sorted(follower.in_force.values(), key=lambda f: f.key) == sorted(whole.findings, key=lambda f: f.key)
