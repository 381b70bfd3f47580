from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.quantities import Medium
from simulators.city import City
from simulators.fleet import Fault
from simulators.scenario import Scenario, load_scenario

SCENARIOS = Path(__file__).parents[3] / "simulators/scenarios"
TINY = load_scenario(SCENARIOS / "tiny.toml")


@pytest.fixture(scope="module")
def city() -> City:
    return City(TINY)


@pytest.fixture(scope="module")
def readings(city: City) -> np.ndarray:
    return city.readings(TINY.start, TINY.end)


def of(readings: np.ndarray, city: City, fault: Fault) -> tuple[np.ndarray, int]:
    """Readings and the fault's beginning [µs] of the first meter with that fault."""
    for first, fleet in zip(city.first_meter, city.fleets, strict=True):
        for i, device in enumerate(fleet.devices):
            if device.fault is fault:
                return readings[readings["meter"] == first + i], device.begins_us
    raise AssertionError(fault)


def test_the_same_seed_gives_the_same_data_and_another_seed_others(readings: np.ndarray) -> None:
    assert (City(TINY).readings(TINY.start, TINY.end) == readings).all()
    other = TINY.model_copy(update={"seed": 8})
    assert not np.array_equal(City(other).readings(TINY.start, TINY.end), readings)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 10 * 86_400), max_size=6))
def test_any_cut_of_time_gives_the_same_readings(cuts: list[int]) -> None:
    whole = City(TINY).readings(TINY.start, TINY.end)
    edges = [TINY.start, *(TINY.start + timedelta(seconds=s) for s in sorted(cuts)), TINY.end]
    city = City(TINY)
    parts = np.concatenate([city.readings(a, b) for a, b in pairwise(edges)])
    key = ["meter", "observed_us", "register_micro"]
    assert (np.sort(parts, order=key) == np.sort(whole, order=key)).all()


def test_a_late_first_look_gives_the_same_as_a_run_from_the_start(city: City) -> None:
    late = City(TINY).readings(TINY.end - timedelta(hours=5), TINY.end)
    assert (late == city.readings(TINY.end - timedelta(hours=5), TINY.end)).all()


def test_healthy_registers_never_fall_and_stand_on_their_resolution(city: City, readings: np.ndarray) -> None:
    struck = {d.device for d in city.defects[0].defects}
    checked = 0
    for i, device in enumerate(city.fleets[0].devices):
        mine = readings[readings["meter"] == i]
        assert (mine["register_micro"] % 1000 == 0).all()
        if device.fault in (Fault.HEALTHY, Fault.DRIFTING, Fault.STEPPED, Fault.STOPPED) and i not in struck:
            assert (np.diff(mine["register_micro"]) >= 0).all()
            checked += 1
    assert checked >= 3


def test_the_reference_measures_the_customers_and_the_losses(city: City) -> None:
    for registers, fleet in zip(city.registers, city.fleets, strict=True):
        for day in range(registers.first_day, registers.first_day + 3):
            true = registers.true_day(day)
            sums = np.stack(
                [true.customers[:, fleet.zone_of_customer == z].sum(axis=1) for z in range(fleet.plan.zones)], 1
            )
            np.testing.assert_allclose(true.inflow, sums + true.losses, rtol=1e-12)
            assert (true.customers >= 0).all()
            assert (true.losses >= 0).all()
            share = true.losses.sum() / true.inflow.sum()
            assert 0.01 < share < 0.08


def test_registers_show_true_use_times_one_plus_the_error(city: City, readings: np.ndarray) -> None:
    """An independent sum over the whole history, for healthy meters and the reference."""
    registers, fleet = city.registers[0], city.fleets[0]
    days = [registers.true_day(registers.first_day + k) for k in range(TINY.days)]
    use = np.concatenate([np.concatenate([day.customers, day.inflow], axis=1) for day in days])[:-1].sum(axis=0)
    checked = 0
    for i, device in enumerate(fleet.devices):
        if device.fault in (Fault.HEALTHY, Fault.REFERENCE) and device.active_from_us == 0:
            mine = readings[readings["meter"] == i]["register_micro"]
            expected = use[device.source] * (1 + device.error_pct / 100)
            assert (mine[-1] - mine[0]) / 1e6 == pytest.approx(expected, abs=0.0011)
            checked += 1
    assert checked >= 4


def test_loads_are_far_from_collinear() -> None:
    registers = City(TINY).registers[0]
    use = np.concatenate([registers.true_day(registers.first_day + k).customers for k in range(10)])
    correlation = np.corrcoef(use.T)[np.triu_indices(use.shape[1], 1)]
    assert correlation.max() < 0.8


def test_faults_show_from_their_beginning_on(city: City, readings: np.ndarray) -> None:
    rows, begins = of(readings, city, Fault.STOPPED)
    assert np.unique(rows["register_micro"][rows["observed_us"] >= begins]).size == 1
    rows, begins = of(readings, city, Fault.REVERSED)
    assert (np.diff(rows["register_micro"][rows["observed_us"] >= begins]) <= 0).all()
    assert (np.diff(rows["register_micro"][rows["observed_us"] < begins]) >= 0).all()
    for fault, lowest in ((Fault.RESET, 0.0), (Fault.SWAPPED, 7.3)):
        rows, begins = of(readings, city, fault)
        drop = np.flatnonzero(np.diff(rows["register_micro"]) < 0)
        assert len(drop) == 1
        assert rows["observed_us"][drop[0]] <= begins < rows["observed_us"][drop[0] + 1]
        assert lowest <= rows["register_micro"][drop[0] + 1] / 1e6 < lowest + 10
    rows, _ = of(readings, city, Fault.ROLLOVER)
    assert np.diff(rows["register_micro"]).min() < -0.9e12


def test_an_exchange_hands_over_at_one_moment(city: City, readings: np.ndarray) -> None:
    old, at = of(readings, city, Fault.EXCHANGED)
    rows = {row["meter"]: row for row in city.meters_rows()}
    old_serial = city.serials[int(old["meter"][0])]
    new = readings[readings["meter"] == city.serials.index(f"{old_serial}N")]
    assert old["observed_us"].max() < at == new["observed_us"].min()
    assert rows[f"{old_serial}N"]["service_point"] == rows[old_serial]["service_point"]
    assert rows[f"{old_serial}N"]["installed_on"] == f"{np.datetime64(at, 'us').astype('datetime64[D]')}T00:00:00Z"


def test_listed_defects_are_in_the_data_and_nothing_else_is_sent_twice(city: City, readings: np.ndarray) -> None:
    for first, fleet, plan in zip(city.first_meter, city.fleets, city.defects, strict=True):
        wanted = fleet.plan.defects
        assert len(plan.defects) == wanted.gaps + wanted.glitches + wanted.repeats + wanted.conflicts
        doubled: dict[tuple[int, int], int] = {}
        for defect in plan.defects:
            meter = first + defect.device
            mine = readings[readings["meter"] == meter]
            struck = mine[(mine["observed_us"] >= defect.begins_us) & (mine["observed_us"] < defect.ends_us)]
            if defect.kind == "gap":
                assert len(struck) == 0
            elif defect.kind == "glitch":
                assert struck["register_micro"].tolist() == [0]
            else:
                doubled[meter, defect.begins_us] = len(set(struck["register_micro"].tolist()))
                assert doubled[meter, defect.begins_us] == (2 if defect.kind == "conflict" else 1)
        mine = readings[(readings["meter"] >= first) & (readings["meter"] < first + len(fleet.devices))]
        keys, counts = np.unique(mine[["meter", "observed_us"]], return_counts=True)
        assert {(int(m), int(t)) for m, t in keys[counts > 1]} == set(doubled)


def test_rows_for_the_registry_have_the_files_columns(city: City) -> None:
    meters, zones = city.meters_rows(), city.zones_rows()
    assert [row["meter"] for row in meters] != []
    assert {row["meter"] for row in meters} == set(city.serials)
    assert {row["zone"] for row in meters} == {row["zone"] for row in zones} == {"EZ001", "WZ001"}
    assert sum(row["role"] == "reference" for row in meters) == 2
    assert set(meters[0]) >= {"meter", "service_point", "zone", "role", "medium", "unit", "resolution", "installed_on"}
    assert set(zones[0]) == {"zone", "medium", "parent", "interval_s", "reference_uncertainty_pct"}


def test_messages_carry_all_readings_by_medium_and_are_always_the_same(city: City, readings: np.ndarray) -> None:
    messages = list(city.messages(TINY.start, TINY.end, rows=300))
    assert sum(message.readings for message in messages) == len(readings)
    assert {message.topic for message in messages} == {
        "mp/v1/tinytown/sim-electricity/readings", "mp/v1/tinytown/sim-water/readings"}  # fmt: skip
    assert [m.payload for m in City(TINY).messages(TINY.start, TINY.end, rows=300)] == [m.payload for m in messages]


def test_missing_readings_have_the_stated_share() -> None:
    plan = TINY.water
    assert plan is not None
    lossy = plan.model_copy(update={"defects": plan.defects.model_copy(update={"missing_share": 0.1})})
    scenario = TINY.model_copy(update={"water": lossy, "electricity": None})
    full = len(City(TINY.model_copy(update={"electricity": None})).readings(TINY.start, TINY.end))
    share = 1 - len(City(scenario).readings(TINY.start, TINY.end)) / full
    assert share == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / full) ** 0.5)


def test_a_clock_that_runs_ahead_shows_less_than_has_flowed() -> None:
    plan = TINY.electricity
    assert plan is not None
    calm = plan.model_copy(update={"faults": type(plan.faults)(), "defects": type(plan.defects)()})
    ahead = calm.model_copy(update={"clock_ahead_s": 1000.0})
    punctual, early = (
        City(TINY.model_copy(update={"electricity": p, "water": None})).registers[0].day(20_514) for p in (calm, ahead)
    )
    lag = punctual.register_micro - early.register_micro
    assert (lag >= 0).all()
    assert lag[:, :12].max() > 0
    assert (lag[:, 12] == 0).all(), "references keep the time"


def test_the_demo_has_all_media_and_a_manageable_size() -> None:
    demo = load_scenario(SCENARIOS / "demo.toml")
    city = City(demo)
    assert set(demo.media) == set(Medium)
    assert 60 <= len(city.serials) <= 100
    moved = demo.with_history_before(demo.end + timedelta(days=100, hours=7))
    assert moved.end == demo.end + timedelta(days=100)
    assert len(City(moved).readings(moved.start, moved.start + timedelta(hours=1))) > 0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("interval_s = 1800", "interval_s = 7000", "does not divide a day"),
        ("start = 2026-03-02T00:00:00Z", "start = 2026-03-02T01:00:00Z", "midnight UTC"),
        ("start = 2026-03-02T00:00:00Z", "start = 2026-03-02T00:00:00", "start"),
        ("seed = 7", "sede = 7", "sede"),
        ("drifting = 1", "drifting = 100", "more faults"),
        ("days = 10", "days = ", "not valid TOML"),
        ("clock_ahead_s = 20.0", "clock_ahead_s = 3600.0", "below interval_s"),
    ],
)
def test_a_wrong_scenario_is_refused_with_place_and_remedy(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = tmp_path / "s.toml"
    text = (SCENARIOS / "tiny.toml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InvalidInputError, match=expected):
        load_scenario(path)


def test_naive_times_are_refused(city: City) -> None:
    with pytest.raises(InvalidInputError, match="offset from UTC"):
        city.readings(TINY.start.replace(tzinfo=None), TINY.end)


def test_a_scenario_without_media_is_refused() -> None:
    plain = {"name": "x", "utility": "u", "seed": 1, "start": "2026-01-01T00:00:00Z", "days": 1}
    with pytest.raises(ValueError, match="at least one"):
        Scenario.model_validate(plain)
