"""`meterproof assess` as a scientist meets it: files in, a row a meter out, against the simulator's truth."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from zone_files import assess, electricity_city, read_csv, reading_rows, write_city, write_csv, write_parquet

from simulators.city import City

CONTRACT = ["zone", "meter", "error_pct", "std_pct", "p_nonconforming", "outcome", "reasons", "first_alert_at"]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, City]:
    """Two zones, one with a meter that steps by about 10 %, one with a meter that stops."""
    folder, city = tmp_path_factory.mktemp("zones"), electricity_city(zones=2, days=16, stepped=1, stopped=1)
    write_city(city, folder)
    return folder, city


def faults_of(city: City) -> dict[str, Any]:
    return {entry.kind: entry for entry in city.truth().items if entry.kind in ("stepped", "stopped")}


def test_the_faulty_meters_are_found_and_the_healthy_ones_not(faulty: tuple[Path, City]) -> None:
    folder, city = faulty
    result = assess(folder, "--zones", "zones.csv")
    assert result.returncode == 0, result.stderr
    rows = {row["meter"]: row for row in read_csv(folder / "out.csv")}
    assert list(next(iter(rows.values())))[:8] == CONTRACT
    assert set(rows) == set(city.serials)
    truth = faults_of(city)
    stepped, stopped = rows[truth["stepped"].meter], rows[truth["stopped"].meter]
    assert stepped["outcome"] == "nonconforming"
    assert abs(float(stepped["error_pct"]) - truth["stepped"].magnitude_pct) < 3 * float(stepped["std_pct"]) + 1
    assert truth["stepped"].begins_at.isoformat()[:10] <= stepped["first_alert_at"][:10] <= "2026-01-21"
    assert (stopped["outcome"], stopped["error_pct"]) == ("nonconforming", "")
    assert stopped["reasons"].startswith("stopped: ")
    others = [row for serial, row in rows.items() if serial not in {one.meter for one in truth.values()}]
    assert all(row["outcome"] != "nonconforming" and not row["first_alert_at"] for row in others)
    assert {row["reasons"].split(":")[0] for row in others if row["role"] == "reference"} == {"is_reference"}


def test_parquet_and_csv_give_the_same_and_names_alone_suffice(faulty: tuple[Path, City]) -> None:
    folder, city = faulty
    rows = reading_rows(city)
    write_parquet(folder / "readings.parquet", [row | {"register": float(row["register"])} for row in rows])
    few = [{k: row[k] for k in ("meter", "zone", "role", "medium")} for row in read_csv(folder / "meters.csv")]
    write_csv(folder / "few.csv", few)
    outputs = []
    for readings, out in (("readings.csv", "a.parquet"), ("readings.parquet", "b.parquet")):
        result = assess(folder, "--meters", "few.csv", "--json", readings=readings, out=out)
        assert result.returncode == 0, result.stderr
        outputs.append((pq.read_table(folder / out), json.loads(result.stdout)))
    assert outputs[0][0].equals(outputs[1][0])
    summary = outputs[0][1]
    assert {zone["interval_s"] for zone in summary["zones"]} == {900}
    assert summary["notes"]["accuracy class taken as 2 (electricity)"] == "16 meters"
    assert faults_of(city)["stepped"].meter in {
        row["meter"] for row in outputs[0][0].to_pylist() if row["outcome"] == "nonconforming"
    }


def test_a_meter_without_readings_appears_and_a_zone_that_cannot_be_judged_says_why(tmp_path: Path) -> None:
    write_city(electricity_city(days=6, customers=3), tmp_path)
    meters = read_csv(tmp_path / "meters.csv")
    silent = meters[0] | {"meter": "SILENT", "service_point": "P-S"}
    write_csv(tmp_path / "meters.csv", [*meters, silent])
    assert assess(tmp_path).returncode == 0
    rows = {row["meter"]: row for row in read_csv(tmp_path / "out.csv")}
    assert rows["SILENT"]["reasons"].startswith("no_readings: ")
    assert {row["outcome"] for row in rows.values()} == {"withheld"}
    assert "insufficient_data" in rows[meters[0]["meter"]]["reasons"]


WRONG_CELLS = {
    "readings.csv": [
        ("meter", "", "a meter's serial"),
        ("observed_at", "yesterday", "a time as YYYY-MM-DD"),
        ("observed_at", "2026-01-05T00:00:00", "--time-zone"),
        ("observed_at", "2026-02-30T00:00:00Z", "a time as YYYY-MM-DD"),
        ("register", "12,5", "a point before its decimals"),
        ("register", "nan", "a number of ordinary size"),
        ("unit", "m3", "a unit of the meter's medium"),
        ("status", "-1", "a whole number from 0"),
    ],
    "meters.csv": [
        ("meter", "", "a text"),
        ("role", "boss", "one of customer, reference, check"),
        ("medium", "steam", "one of electricity, water, gas"),
        ("unit", "m3", "one of Wh"),
        ("resolution", "0", "a number above 0"),
        ("multiplier", "-1", "a number above 0"),
        ("mpe_pct", "x", "a number"),
        ("prior_sd_pct", "0", "a number above 0"),
        ("direction", "up", "one of import, export"),
        ("phase", "4", "one of 123, 1, 2, 3"),
        ("installed_on", "soon", "a date as YYYY-MM-DD"),
    ],
    "zones.csv": [
        ("zone", "", "a text"),
        ("medium", "steam", "one of electricity, water, gas"),
        ("parent", "nowhere", "a zone of this file"),
        ("interval_s", "0", "a whole number from 60 to 86400"),
        ("reference_uncertainty_pct", "-1", "a number of at least 0"),
    ],
}


@pytest.mark.parametrize("file", list(WRONG_CELLS))
def test_every_wrong_cell_is_told_with_line_column_value_and_what_was_expected(
    small: Path, tmp_path: Path, file: str
) -> None:
    for name in WRONG_CELLS:
        rows = read_csv(small / name)
        if name == file:
            rows = [row | {column: row.get(column, "") for column, _, _ in WRONG_CELLS[file]} for row in rows]
            for row, (column, value, _) in zip(rows, WRONG_CELLS[file], strict=False):
                row[column] = value
        write_csv(tmp_path / name, rows)
    result = assess(tmp_path, "--zones", "zones.csv")
    assert result.returncode == 2, result.stdout
    assert "Traceback" not in result.stderr
    assert f"{file}: nothing was assessed, {len(WRONG_CELLS[file])} faults" in result.stderr
    told = result.stderr.splitlines()
    for line, (column, value, expected) in enumerate(WRONG_CELLS[file], start=2):
        shown = repr(value) if value else "empty"
        mine = [one for one in told if one.startswith(f"  line {line}, column {column}: {shown}; expected ")]
        assert len(mine) == 1, result.stderr
        assert expected in mine[0]
    assert not (tmp_path / "out.csv").exists()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_city(electricity_city(days=1, customers=2, zones=5), folder)
    return folder


def test_bad_rows_are_counted_if_so_wanted(small: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "meters.csv", read_csv(small / "meters.csv"))
    rows = read_csv(small / "readings.csv")
    for i in range(30):
        rows[i] |= {"register": "?"}
    write_csv(tmp_path / "readings.csv", rows)
    refused = assess(tmp_path)
    assert refused.returncode == 2
    assert "30 faults" in refused.stderr
    assert "... and 10 more" in refused.stderr
    result = assess(tmp_path, "--skip-bad-rows", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["skipped"], summary["lines"], summary["readings"]) == (30, len(rows), len(rows) - 30)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["--readings", "absent.csv"], "absent.csv"),
        (["--readings", "empty.csv"], "empty.csv: the file is empty"),
        (["--readings", "meters.csv"], "column 'observed_at', 'register' is missing"),
        (["--meters", "empty.csv"], "empty.csv: the file is empty"),
        (["--meters", "readings.csv"], "column 'zone', 'role', 'medium' is missing"),
        (["--zones", "readings.csv"], "column 'zone', 'medium' is missing"),
        (["--out", "out.xlsx"], "use .csv or .parquet"),
        (["--out", "readings.csv"], "would overwrite an input"),
        (["--out", "nowhere/out.csv"], "no folder"),
        (["--time-zone", "Mars"], "time zone 'Mars' is unknown"),
        (["--encoding", "latin-9"], "--encoding 'latin-9'"),
        (["--readings", "damaged.parquet"], "damaged.parquet"),
    ],
)
def test_wrong_files_and_options_get_one_message(small: Path, arguments: list[str], place: str) -> None:
    (small / "empty.csv").write_text("")
    (small / "damaged.parquet").write_bytes(b"PAR1 nothing")
    result = assess(small, *arguments)
    assert result.returncode == 2, result.stdout
    assert place in result.stderr
    assert "Traceback" not in result.stderr


def test_the_evidence_of_a_meter_adds_up_and_a_figure_is_drawn(faulty: tuple[Path, City]) -> None:
    folder, city = faulty
    truth = faults_of(city)
    stepped, stopped = truth["stepped"].meter, truth["stopped"].meter
    wanted = ("--zones", "zones.csv", "--explain", stepped, "--explain", stopped, "--figures", "figures")
    result = assess(folder, *wanted, "--json", out="explained.csv")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    told, other = summary["explained"]
    row = next(row for row in read_csv(folder / "explained.csv") if row["meter"] == stepped)
    assert repr(told["error_pct"]) == row["error_pct"]
    assert told["change_at"] is not None
    assert sum(std**2 for std in told["budget_std_pct"].values()) == pytest.approx(told["std_pct"] ** 2)
    assert told["limit"] == {"mpe_pct": 3.5, "source": "stated for this meter (mpe_pct)"}
    assert told["made_by"]["settings_digest"] == summary["settings_digest"]
    assert [found["kind"] for found in other["register_findings"]].count("stopped") == 1
    assert other["outcome"] == "nonconforming"
    names = sorted(file.name for file in (folder / "figures").iterdir())
    assert names == ["EZ001.png", "EZ001.svg", "EZ002.png", "EZ002.svg"]
    plain = assess(folder, *wanted, out="explained.csv")
    assert plain.returncode == 0, plain.stderr
    wanted_texts = ("left its former level", "what would make the zone surer", "prior: mean 0 %")
    assert [text for text in wanted_texts if text not in plain.stdout] == []


def test_a_meter_to_explain_that_is_not_there_is_told_before_the_work(small: Path) -> None:
    result = assess(small, "--explain", "NOBODY")
    assert result.returncode == 2
    assert "--explain 'NOBODY': the meters file names no such meter" in result.stderr
