"""What is known of a zone beside its readings, in the database: it counts as in files, from the right day on."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from zone_city import ELECTRICITY, START, ZoneCity, make_scenario, table_of

from meterproof.offline.inputs import Files, read_inputs
from meterproof.offline.readings_file import ReadingOptions
from meterproof.side_folder import import_folder
from simulators.city import City
from simulators.scenario import Scenario
from store.explaining import load_finding, load_settings_body
from store.import_summary import ImportSummary
from store.registry import load_zone
from store.times import to_datetime, to_micros
from store.zone_import import import_zones
from verifier.accepted import step_results
from verifier.balance.types import DAY_US
from verifier.offline import judge_zone, zone_files
from verifier.recompute import differences, recompute
from verifier.settings import VerifierSettings
from verifier.zone_assessor import ZoneAssessor
from verifier.zone_members import load_zone_meters

Make = Callable[..., ZoneCity]
SETTINGS = VerifierSettings()
START_US = to_micros(START)
Figures = dict[tuple[str, int], tuple[Any, ...]]


@pytest.fixture
def make(migrated_dsn: str, tmp_path: Path) -> Iterator[Make]:
    """Makes the database's city of one zone; its files come to `tmp_path`/city."""
    (tmp_path / "city").mkdir()
    with psycopg.connect(migrated_dsn) as connection:

        def build(scenario: Scenario) -> ZoneCity:
            return ZoneCity(connection, City(scenario), tmp_path / "city", SETTINGS)

        yield build


def piped(medium: str, days: int) -> Scenario:
    """A city of one small zone of water or gas."""
    plan = {**ELECTRICITY, "resolution": "0.0001", "accuracy_class": "2" if medium == "water" else "1.5"}
    return Scenario.model_validate({"name": "t", "utility": "u", "seed": 3, "start": START, "days": days, medium: plan})


def network(customers: int, scale: float = 1.0) -> np.ndarray:
    """A line with a customer every so often: two share the path to the nearer one [ohm]."""
    place = 0.1 * scale * np.arange(1, customers + 1)
    return np.minimum(place[:, None], place[None, :])


def bring(zone: ZoneCity, folder: Path, meters: list[dict[str, Any]] | None = None) -> ImportSummary:
    table = None if meters is None else table_of(meters, zone.folder)
    summary = import_folder(
        zone.connection, folder, table, utility="u", time_zone="UTC", actor="test", now=datetime(2100, 1, 1, tzinfo=UTC)
    )
    zone.connection.commit()
    return summary


def put_network(zone: ZoneCity, folder: Path, matrix: np.ndarray) -> list[dict[str, Any]]:
    """Writes the zone's matrix; returns the meters in its order, which is not the one of their registration."""
    code = zone.city.zones_rows()[0]["zone"]
    (folder / code).mkdir(parents=True, exist_ok=True)
    np.save(folder / code / "resistance_ohm.npy", matrix)
    return zone.city.meters_rows()[::-1]


def put_conditions(zone: ZoneCity, folder: Path, days: np.ndarray, **columns: np.ndarray) -> None:
    code = zone.city.zones_rows()[0]["zone"]
    (folder / code).mkdir(parents=True, exist_ok=True)
    lines = [",".join(["observed_at", *columns])]
    for day, *values in zip(days.tolist(), *columns.values(), strict=True):
        lines.append(",".join([f"{START + timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}", *(f"{v:.4f}" for v in values)]))
    (folder / code / "conditions.csv").write_text("\n".join(lines) + "\n")


def figures(zone: ZoneCity) -> Figures:
    """Every outcome's figures by meter and day, to the bit."""
    rows = zone.query("select serial, window_end, error_pct, std_pct, p_nonconforming from assessment"
                      " join meter using (meter_id)")  # fmt: skip
    return {(serial, (end - START).days): tuple(values) for serial, end, *values in rows}


def changed_days(before: Figures, after: Figures) -> set[int]:
    assert before.keys() == after.keys()
    return {day for serial, day in before if before[serial, day] != after[serial, day]}


def of_files(
    zone: ZoneCity, meters: list[dict[str, Any]], side: Path, through: float
) -> dict[str, tuple[float, float]]:
    """Errors and uncertainties as `assess` gives them for the same readings."""
    serials = {meter_id: serial for serial, meter_id in zone.ids.items()}
    readings = [
        {"meter": serials[int(row["meter_id"])], "observed_at": f"{to_datetime(int(row['observed_us'])):%FT%TZ}",
         "register": f"{row['register_micro'] / 1e6:.6f}"}
        for row in zone.readings(0, through)
    ]  # fmt: skip
    places = [Path(table_of(rows, zone.folder).source) for rows in (readings, meters, zone.city.zones_rows())]
    given = read_inputs(Files(*places, side), ReadingOptions(), SETTINGS, lambda _: None)
    steps = step_results(given.readings.rows, given.registry.records, SETTINGS)
    [one] = zone_files(given.registry, steps, given.side, given.site_tests)
    found = judge_zone(one, SETTINGS).meters
    return {
        m.meter.serial: (m.error_pct, m.std_pct) for m in found if m.std_pct is not None and m.error_pct is not None
    }


def last_day(of: Figures, day: int) -> dict[str, tuple[float, float]]:
    return {serial: values[:2] for (serial, end), values in of.items() if end == day}


def same(one: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]]) -> None:
    assert one.keys() == other.keys() != set()
    for serial, values in one.items():
        assert values == pytest.approx(other[serial], rel=1e-6, abs=1e-9), serial


def test_an_imported_network_counts_as_in_files_for_all_days(make: Make, tmp_path: Path) -> None:
    zone, side = make(make_scenario(8)), tmp_path / "side"
    zone.run([zone.readings(0, 8.4)])
    before = figures(zone)
    assert {day for _, day in before} == {4, 5, 6, 7, 8}
    meters = put_network(zone, side, network(8))
    assert bring(zone, side, meters).added == 1
    zone.run([zone.readings(8.4, 8.5)])  # completes no day
    after = figures(zone)
    assert changed_days(before, after) == {4, 5, 6, 7, 8}
    same(last_day(after, 8), of_files(zone, meters, side, 8.5))

    assert bring(zone, side, meters).unchanged == 1
    assert zone.query("select count(*) from zone_recheck") == [(0,)]
    put_network(zone, side, network(8, 3.0))
    assert bring(zone, side, meters).changed == 1
    zone.run([zone.readings(8.5, 8.6)])
    same(last_day(figures(zone), 8), of_files(zone, meters, side, 8.6))
    assert changed_days(after, figures(zone)) == {4, 5, 6, 7, 8}


def test_an_exchanged_meters_path_stays_with_the_place(make: Make, tmp_path: Path) -> None:
    zone, side = make(make_scenario(12, faults={"exchanged": 1})), tmp_path / "side"
    old, new = next((s, f"{s}N") for s in zone.ids if f"{s}N" in zone.ids)
    meters = [row for row in put_network(zone, side, network(8)) if row["meter"] != new]  # drawn before the exchange
    bring(zone, side, meters)
    zone.run([zone.readings(0, 12.5)])
    end_us = START_US + 12 * DAY_US
    loaded = load_zone_meters(zone.connection, load_zone(zone.connection, zone.query("select zone_id from zone")[0][0]))
    [given] = ZoneAssessor(SETTINGS).inputs(zone.connection, loaded, [end_us], [], 10**6)
    zone.connection.rollback()
    customers = [member.meter_id for member in given.members if not member.is_reference]
    at = {serial: customers.index(zone.ids[serial]) for serial in (old, new)}
    matrix = given.side.resistance_ohm
    assert matrix is not None
    assert matrix[at[new], at[new]] > 0
    np.testing.assert_array_equal(matrix[at[new]], matrix[at[old]])


def test_errors_under_a_network_are_made_again_to_the_bit(make: Make, migrated_dsn: str, tmp_path: Path) -> None:
    zone, side = make(make_scenario(14, faults={"stepped": 1})), tmp_path / "side"
    meters = put_network(zone, side, network(8, 2.0))
    bring(zone, side, meters)
    zone.run(zone.readings(day, day + 2) for day in range(0, 14, 2))

    def made_again() -> list[dict[str, Any]]:
        found = []
        for (number,) in zone.query(
            "select finding_id from finding where kind = 'error_beyond_mpe' and superseded_at is null"
        ):
            record = load_finding(zone.connection, number)
            then = VerifierSettings.model_validate(
                load_settings_body(zone.connection, record.provenance.settings_digest)
            )
            found.append(differences(record.draft, recompute(zone.connection, record, then)))
            zone.connection.rollback()
        return found

    assert made_again() == [{}]
    [(number,)] = zone.query("select finding_id from finding where kind = 'error_beyond_mpe'")
    put_network(zone, side, network(8, 0.5))
    bring(zone, side, meters)
    [difference] = made_again()  # until the zone is assessed again
    assert any(place.endswith("std_pct") for place in difference)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
    told = subprocess.run(
        [sys.executable, "-m", "meterproof", "explain", str(number)],
        env=plain | {"METERPROOF_DATABASE__DSN": migrated_dsn},
        capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert (told.returncode, "differs: detail." in told.stderr) == (1, True), told.stderr
    zone.run([zone.readings(14, 14.1)])
    assert made_again() == [{}]


def test_conditions_count_from_the_day_on_on_which_they_changed(make: Make, tmp_path: Path) -> None:
    zone, side = make(piped("water", 8)), tmp_path / "side"
    times = np.arange(0, 8.01, 1 / 24)
    pressure = 40 + 5 * np.sin(2 * np.pi * times) + np.random.default_rng(1).normal(0, 2, times.size)
    zone.run([zone.readings(0, 8.4)])
    without = figures(zone)
    put_conditions(zone, side, times, pressure_m=pressure)
    assert bring(zone, side).added == 1
    zone.run([zone.readings(8.4, 8.5)])
    first = figures(zone)
    assert changed_days(without, first) == {4, 5, 6, 7, 8}
    same(last_day(first, 8), of_files(zone, zone.city.meters_rows(), side, 8.5))

    late = times > 6.2
    put_conditions(zone, side, times, pressure_m=np.where(late, pressure - 10, pressure))
    assert bring(zone, side).changed == 1
    [(from_at,)] = zone.query("select from_at from zone_recheck")
    assert START + timedelta(days=6.2) < from_at < START + timedelta(days=6.3)
    zone.run([zone.readings(8.5, 8.6)])
    second = figures(zone)
    assert changed_days(first, second) == {7, 8}
    same(last_day(second, 8), of_files(zone, zone.city.meters_rows(), side, 8.6))
    # That the days before were left alone is right: assessed again from the beginning they come out the same.
    zone.connection.execute("insert into zone_recheck (zone_id, from_at) select zone_id, %s from zone", (START,))
    zone.connection.commit()
    zone.run([zone.readings(8.6, 8.7)])
    assert figures(zone) == second


def test_gas_is_converted_by_the_conditions_of_its_zone(make: Make, tmp_path: Path) -> None:
    zone, side = make(piped("gas", 6)), tmp_path / "side"
    times = np.arange(0, 6.01, 1 / 24)
    weather = {
        "temperature_degc": 5 + 8 * np.sin(2 * np.pi * times),
        "atmospheric_hpa": 1000 + 10 * np.cos(np.pi * times / 3),
    }
    put_conditions(zone, side, times, **weather)
    bring(zone, side)
    zone.run([zone.readings(0, 6.5)])
    same(last_day(figures(zone), 6), of_files(zone, zone.city.meters_rows(), side, 6.5))


def test_another_zone_is_left_alone(make: Make, tmp_path: Path) -> None:
    zone, side = make(make_scenario(6, zones=2, customers_per_zone=(6, 6))), tmp_path / "side"
    import_zones(zone.connection, table_of(zone.city.zones_rows(), zone.folder), utility="u", actor="test")
    zone.connection.commit()
    zone.run([zone.readings(0, 6.4)])
    before = zone.query("select zone_id, max(commit_seq) from assessment group by 1 order by 1")
    bring(zone, side, put_network(zone, side, network(6)))
    zone.run([zone.readings(6.4, 6.5)])
    after = zone.query("select zone_id, max(commit_seq) from assessment group by 1 order by 1")
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, False]


def test_the_command_takes_the_folder_of_assess(make: Make, migrated_dsn: str, tmp_path: Path) -> None:
    zone, side = make(make_scenario(5)), tmp_path / "side"
    meters = Path(table_of(put_network(zone, side, network(8)), zone.folder).source)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
        return subprocess.run(
            [sys.executable, "-m", "meterproof", "import", "side", str(side), "-u", "u", *arguments],
            env=plain | {"METERPROOF_DATABASE__DSN": migrated_dsn},
            capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        )  # fmt: skip

    refused = run()
    assert refused.returncode == 2
    assert "name the meters file in whose order (--meters)" in " ".join(refused.stderr.split())
    done = run("--meters", str(meters), "--actor", "office")
    assert (done.returncode, "1 added, 0 changed, 0 unchanged" in done.stdout) == (0, True), done.stderr
    [(actor, at)] = zone.query("select imported_by, imported_at from side_import")
    assert actor == "office"
    assert at <= datetime.now(UTC)
