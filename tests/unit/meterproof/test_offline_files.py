"""Files of readings, of a zone's network and conditions, and of tests on site: exact values, and faults by place."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_zone import meter_row, read_files, write_csv

from meterproof.offline.readings_file import ReadingOptions
from meterproof.offline.times import parse_observed_at
from metrology.errors import InvalidInputError
from metrology.status import ReadingStatus
from store.times import to_datetime
from verifier.accepted import StepResults
from verifier.offline import zone_files
from verifier.settings import VerifierSettings
from verifier.zone_members import member_series


def rows_of(folder: Path, readings: list[dict[str, Any]], meters: list[dict[str, str]], **options: Any) -> np.ndarray:
    write_csv(folder / "readings.csv", readings)
    write_csv(folder / "meters.csv", meters)
    return read_files(folder, ReadingOptions(**options)).readings.rows


UNITS = {"kWh": 0, "Wh": 3, "MWh": -3}


@given(st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from(list(UNITS))), min_size=1, max_size=20))
def test_units_are_converted_exactly(tmp_path_factory: pytest.TempPathFactory, given: list[tuple[int, str]]) -> None:
    folder = tmp_path_factory.mktemp("units")
    readings = []
    for i, (micro, unit) in enumerate(given):
        value = Fraction(micro, 10**6) * Fraction(10) ** UNITS[unit]
        digits = f"{int(value * 10**9):010d}"
        text = f"{digits[:-9]}.{digits[-9:]}"
        readings.append({"meter": "M", "observed_at": f"2026-01-05T00:{i:02d}:00Z", "register": text, "unit": unit})
    rows = rows_of(folder, readings, [meter_row("M", unit="kWh")])
    assert rows["register_micro"].tolist() == [micro for micro, _ in given]
    assert rows["batch_id"].tolist() == list(range(2, len(given) + 2))


def test_the_meters_unit_holds_where_a_row_states_none(tmp_path: Path) -> None:
    readings = [
        {"meter": "E", "observed_at": "2026-01-05T00:00:00Z", "register": "1500", "unit": ""},
        {"meter": "W", "observed_at": "2026-01-05T00:00:00Z", "register": "2500", "unit": "L"},
        {"meter": "G", "observed_at": "2026-01-05T00:00:00Z", "register": "7", "unit": ""},
    ]
    meters = [
        meter_row("E", unit="Wh"),
        meter_row("W", zone="W") | {"medium": "water"},
        meter_row("G", zone="G") | {"medium": "gas"},
    ]
    assert rows_of(tmp_path, readings, meters)["register_micro"].tolist() == [1_500_000, 2_500_000, 7_000_000]


@given(
    st.datetimes(
        min_value=to_datetime(10**15).replace(tzinfo=None), max_value=to_datetime(7 * 10**15).replace(tzinfo=None)
    ),
    st.integers(-14 * 60, 14 * 60),
    st.booleans(),
)
def test_an_offset_is_taken_off(moment: Any, minutes: int, colon: bool) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    offset = f"{sign}{hours:02d}{':' if colon else ''}{rest:02d}"
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{offset}"
    parsed = parse_observed_at(pa.array([text, f"{moment:%Y-%m-%d %H:%M:%S}", f"{moment:%Y-%m-%dT%H:%M:%S}Z"]))
    clock_us = int(np.datetime64(moment.replace(microsecond=0), "us").astype(np.int64))
    assert parsed.time_us.tolist() == [clock_us - minutes * 60_000_000, clock_us, clock_us]
    assert parsed.utc.tolist() == [True, False, True]
    assert not parsed.bad.any()


@pytest.mark.parametrize(
    "text", ["2026-01-05T00:00:00+15:00", "2026-01-05T00:00:00+08:75", "2026-01-05T25:00:00+08:00"]
)
def test_an_offset_or_time_of_no_world_is_wrong(text: str) -> None:
    assert parse_observed_at(pa.array([text])).bad.tolist() == [True]


def test_local_times_are_placed_and_the_hour_that_occurs_twice_is_divided(tmp_path: Path) -> None:
    times = ["2026-10-25T01:30:00", "2026-10-25T02:30:00", "2026-10-25T02:30:00", "2026-10-25T03:30:00"]
    readings = [{"meter": "M", "observed_at": t, "register": i} for i, t in enumerate(times)]
    rows = rows_of(tmp_path, readings, [meter_row("M")], time_zone="Europe/Madrid")
    hours = [f"{to_datetime(t):%H:%M}" for t in rows["observed_us"]]
    assert hours == ["23:30", "00:30", "01:30", "02:30"]
    assert [bool(s & ReadingStatus.TIME_AMBIGUOUS) for s in rows["status"]] == [False, True, True, False]


def test_a_local_time_that_never_was_is_refused(tmp_path: Path) -> None:
    readings = [{"meter": "M", "observed_at": "2026-03-29T02:30:00", "register": 1}]
    with pytest.raises(InvalidInputError, match=r"line 2, column observed_at.*set forward"):
        rows_of(tmp_path, readings, [meter_row("M")], time_zone="Europe/Madrid")


def test_parquet_of_several_types_gives_the_same_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "meters.csv", [meter_row("1", resolution="0.001")])
    stamps = pa.array([1_767_571_200_000_000], pa.timestamp("us", tz="Asia/Shanghai"))
    columns = [
        {"meter": pa.array([1]), "observed_at": stamps, "register": pa.array([12.345])},
        {"meter": pa.array(["1"]).dictionary_encode(), "observed_at": stamps.cast(pa.timestamp("ns", tz="UTC")),
         "register": pa.array(["12.345"])},
        {"Meter": pa.array(["1"]), "observed_at": pa.array(["2026-01-05T08:00:00+08:00"]),
         "register": pa.array([12345], pa.int64()), "unit": pa.array(["Wh"])},
    ]  # fmt: skip
    found = []
    for content in columns:
        pq.write_table(pa.table(content), tmp_path / "readings.csv")  # its first bytes tell, not its name
        rows = read_files(tmp_path).readings.rows
        found.append((rows["observed_us"].tolist(), rows["register_micro"].tolist()))
    assert found == [([1_767_571_200_000_000], [12_345_000])] * 3


def test_separators_blank_lines_and_unknown_meters(tmp_path: Path) -> None:
    write_csv(tmp_path / "meters.csv", [meter_row("M")])
    text = (
        "\ufeffobserved_at;note;register;meter\r\n2026-01-05T00:00:00Z;x;1;M\r\n\r\n2026-01-05T00:00:00Z;;2;OTHER\r\n"
    )
    (tmp_path / "readings.csv").write_bytes(text.encode())
    held = read_files(tmp_path).readings
    assert (len(held.rows), held.lines, dict(held.unknown)) == (1, 2, {"OTHER": 1})
    assert held.ignored_columns == ("note",)


def test_a_file_without_rows_and_serials_that_lost_their_digits(tmp_path: Path) -> None:
    write_csv(tmp_path / "meters.csv", [meter_row("M")])
    (tmp_path / "readings.csv").write_text("meter,observed_at,register\n")
    with pytest.raises(InvalidInputError, match="holds no reading"):
        read_files(tmp_path)
    content = {"meter": [1.5], "observed_at": ["2026-01-05T00:00:00Z"], "register": [1]}
    pq.write_table(pa.table(content), tmp_path / "readings.csv")
    with pytest.raises(InvalidInputError, match="column 'meter' holds numbers"):
        read_files(tmp_path)


def zone_of(folder: Path, medium: str) -> Path:
    """A zone `Z` of two customers and a reference; the folder for what stands beside it."""
    meters = [meter_row(name) | {"medium": medium, "mpe_pct": "4"} for name in ("A", "B")]
    write_csv(folder / "meters.csv", [*meters, meter_row("R", "reference") | {"medium": medium}])
    write_csv(folder / "readings.csv", [{"meter": "A", "observed_at": "2026-01-05T00:00:00Z", "register": 1}])
    (folder / "side" / "Z").mkdir(parents=True)
    return folder / "side" / "Z"


def test_a_customers_phase_comes_to_the_balance_as_the_meters_file_states_it(tmp_path: Path) -> None:
    phases = {"A": "1", "B": "3", "C": ""}
    meters = [meter_row(name) | {"phase": phase} for name, phase in phases.items()]
    write_csv(tmp_path / "meters.csv", meters)
    write_csv(tmp_path / "readings.csv", [{"meter": "A", "observed_at": "2026-01-05T00:00:00Z", "register": 1}])
    (zone,) = zone_files(read_files(tmp_path).registry, StepResults({}, ()), {}, ())
    members = member_series(zone.zone, 0, 2**60, {}, VerifierSettings())
    assert [member.phase for member in members] == [1, 3, 123]


def test_a_networks_resistances_are_taken(tmp_path: Path) -> None:
    matrix = np.array([[0.2, 0.1], [0.1, 0.3]], dtype=np.float32)
    np.save(zone_of(tmp_path, "electricity") / "resistance_ohm.npy", matrix)
    side = read_files(tmp_path, side=tmp_path / "side").side[0]
    assert side.resistance_ohm is not None
    np.testing.assert_allclose(side.resistance_ohm, matrix)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.eye(3), r"shape \(3, 3\); expected \(2, 2\)"),
        (np.array([[0.2, 0.1], [0.15, 0.3]]), r"place \[0, 1\]: 0.1 but \[1, 0\]: 0.15"),
        (np.array([[0.2, np.nan], [0.1, 0.3]]), r"place \[0, 1\]: nan; expected a finite number"),
        (np.array([[0.2, 0.5], [0.5, 0.3]]), "least eigenvalue is -0.25"),
        (np.array([["a", "b"], ["c", "d"]]), "expected an array of real numbers"),
        (np.array([[{}, {}], [{}, {}]], dtype=object), "no readable .npy file"),
        (b"text", "no readable .npy file"),
    ],
)
def test_a_matrix_that_is_no_networks_is_refused_by_place(tmp_path: Path, content: Any, message: str) -> None:
    path = zone_of(tmp_path, "electricity") / "resistance_ohm.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(InvalidInputError, match=message) as raised:
        read_files(tmp_path, side=tmp_path / "side")
    assert str(path) in str(raised.value)


def test_a_networks_neutral_is_as_large_as_its_phases_unless_told(tmp_path: Path) -> None:
    folder = zone_of(tmp_path, "electricity")
    np.save(folder / "resistance_ohm.npy", np.eye(2))
    assert read_files(tmp_path, side=tmp_path / "side").side[0].neutral_ratio == 1.0
    (folder / "network.csv").write_text("neutral_ratio\n2.0\n")
    side = read_files(tmp_path, side=tmp_path / "side").side[0]
    assert side.neutral_ratio == 2.0
    assert side.resistance_ohm is not None
    np.testing.assert_allclose(side.resistance_ohm, np.eye(2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("neutral_ratio\n-1\n", "line 2, column neutral_ratio: '-1'; expected a number from 0 to 10"),
        ("neutral_ratio\nhalf\n", "line 2, column neutral_ratio: 'half'; expected"),
        ("neutral_ratio\n", "holds 0 rows; expected one"),
        ("neutral_ratio\n1\n2\n", "holds 2 rows; expected one"),
        ("neutral\n1\n", "column 'neutral_ratio' is missing"),
    ],
)
def test_a_wrong_neutral_is_refused_by_place(tmp_path: Path, content: str, message: str) -> None:
    folder = zone_of(tmp_path, "electricity")
    np.save(folder / "resistance_ohm.npy", np.eye(2))
    (folder / "network.csv").write_text(content)
    with pytest.raises(InvalidInputError, match=f"(?s){message}") as raised:
        read_files(tmp_path, side=tmp_path / "side")
    assert str(folder / "network.csv") in str(raised.value)


def test_a_neutral_without_resistances_is_refused(tmp_path: Path) -> None:
    (zone_of(tmp_path, "electricity") / "network.csv").write_text("neutral_ratio\n1\n")
    with pytest.raises(InvalidInputError, match=r"network.csv: zone Z has no resistance_ohm.npy"):
        read_files(tmp_path, side=tmp_path / "side")


def test_conditions_are_taken(tmp_path: Path) -> None:
    folder = zone_of(tmp_path, "gas")
    rows = [
        {"observed_at": f"2026-01-0{d}T00:00:00+08:00", "temperature_degc": d, "atmospheric_hpa": 1010 + d}
        for d in (5, 6)
    ]
    write_csv(folder / "conditions.csv", rows)
    side = read_files(tmp_path, side=tmp_path / "side").side[0]
    assert side.conditions_us is not None
    assert [f"{to_datetime(t):%dT%H}" for t in side.conditions_us] == ["04T16", "05T16"]
    assert side.temperature_degc is not None
    assert side.atmospheric_hpa is not None
    assert (side.temperature_degc.tolist(), side.atmospheric_hpa.tolist()) == ([5, 6], [1015, 1016])


@pytest.mark.parametrize(
    ("medium", "content", "message"),
    [
        ("water", "observed_at,pressure_m\n2026-01-05T00:00:00Z,x\n", "line 2, column pressure_m: 'x'; expected"),
        ("water", "observed_at,pressure_m\n2026-01-05T00:00:00Z,\n", "line 2, column pressure_m: empty; expected"),
        ("water", "observed_at,pressure_m\n2026-01-05T00:00:00Z,4000\n", "a number from -10 to 1000"),
        ("water", "observed_at,pressure_m\n2026-01-05T00:00:00,40\n", "line 2, column observed_at.*--time-zone"),
        ("water", "observed_at,pressure_m\nnow,40\n", "line 2, column observed_at: 'now'"),
        ("water", "observed_at,pressure_m\n2026-01-05T01:00:00Z,4\n2026-01-05T00:00:00Z,4\n", "line 3.*sort them"),
        ("water", "observed_at,temperature_degc\n2026-01-05T01:00:00Z,4\n", "column 'pressure_m' is missing"),
        ("gas", "observed_at,temperature_degc\n2026-01-05T01:00:00Z,4\n", "column 'atmospheric_hpa' is missing"),
        ("water", "observed_at,pressure_m\n", "holds no row"),
        ("electricity", "observed_at,pressure_m\n2026-01-05T01:00:00Z,4\n", "conditions are for water and gas"),
    ],
)
def test_wrong_conditions_are_refused_by_place(tmp_path: Path, medium: str, content: str, message: str) -> None:
    path = zone_of(tmp_path, medium) / "conditions.csv"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=f"(?s){message}") as raised:
        read_files(tmp_path, side=tmp_path / "side")
    assert str(path) in str(raised.value)


def test_the_faults_of_all_files_beside_are_told_at_once(tmp_path: Path) -> None:
    folder = zone_of(tmp_path, "water")
    np.save(folder / "resistance_ohm.npy", np.eye(2))
    (folder / "conditions.csv").write_text("observed_at,pressure_m\n2026-01-05T00:00:00Z,x\nnow,40\n")
    with pytest.raises(InvalidInputError) as raised:
        read_files(tmp_path, side=tmp_path / "side")
    text = str(raised.value)
    assert "nothing was assessed, 3 faults" in text
    assert f"{folder / 'resistance_ohm.npy'}: zone Z is one of water" in text
    assert f"{folder / 'conditions.csv'}, line 2, column pressure_m: 'x'" in text
    assert f"{folder / 'conditions.csv'}, line 3, column observed_at: 'now'" in text


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: (folder / "side").rename(folder / "beside")])
def test_a_side_folder_with_nothing_for_the_zones_is_refused(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    zone_of(tmp_path, "water")
    make(tmp_path)
    with pytest.raises(InvalidInputError, match="--side"):
        read_files(tmp_path, side=tmp_path / "side")


def test_tests_on_site_state_their_uncertainty_in_either_way(tmp_path: Path) -> None:
    zone_of(tmp_path, "water")
    tests = [
        {"meter": "A", "tested_at": "2026-01-05T10:00:00Z", "error_pct": "-1.5", "std_pct": "0.2"},
        {"meter": "B", "tested_at": "2026-01-05T10:00:00Z", "error_pct": "1", "expanded_uncertainty_pct": "0.6",
         "coverage_factor": "3"},
        {"meter": "B", "tested_at": "2026-01-06T10:00:00Z", "error_pct": "1", "expanded_uncertainty_pct": "0.6"},
    ]  # fmt: skip
    found = read_files(tmp_path, site_tests=write_csv(tmp_path / "tests.csv", tests)).site_tests
    assert [(t.meter_id, t.error_pct, t.std_pct) for t in found] == [(0, -1.5, 0.2), (1, 1.0, 0.2), (1, 1.0, 0.3)]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("meter", "X", "line 2, column meter: 'X'; expected a meter of the meters file"),
        ("tested_at", "2026-01-05", "column tested_at"),
        ("error_pct", "", "column error_pct: empty; expected the meter's error"),
        ("error_pct", "-101", "an error from -100"),
        ("std_pct", "0", "column std_pct: '0'; expected a number above 0"),
        ("std_pct", "", "column std_pct: empty; expected the standard uncertainty"),
        ("expanded_uncertainty_pct", "1", "nothing, since std_pct"),
    ],
)
def test_a_wrong_test_on_site_is_told_by_place(tmp_path: Path, column: str, value: str, message: str) -> None:
    zone_of(tmp_path, "water")
    row = {"meter": "A", "tested_at": "2026-01-05T10:00:00Z", "error_pct": "1", "std_pct": "0.2"} | {column: value}
    with pytest.raises(InvalidInputError, match=message):
        read_files(tmp_path, site_tests=write_csv(tmp_path / "tests.csv", [row]))
