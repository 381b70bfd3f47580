"""Tests on site in the store: imported all or nothing, corrected without losing what was there, with their standard."""

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from metrology.errors import InvalidInputError, NotFoundError
from store.errors import ImportRefusedError
from store.import_summary import ImportSummary
from store.meter_import import import_meters
from store.site_test_import import import_site_tests
from store.site_tests import (
    PointRow,
    SiteTestConflictError,
    SiteTestDraft,
    find_standard,
    list_site_tests,
    record_site_test,
    site_tests_until,
)
from store.standard_import import import_standards
from store.tables import parse_csv, read_table

Connection = psycopg.Connection[Any]
STANDARDS = """\
code,certificate,expanded_uncertainty_pct,valid_from,valid_until
S1,C-24,0.3,2024-01-01,2024-12-31
S1,C-26,0.2,2026-01-01,2026-12-31
"""
HEADER = "meter,tested_at,standard,load,load_unit,error_pct,expanded_uncertainty_pct,coverage_factor,tested_by,note\n"
GOOD = (
    HEADER
    + """\
0001,2026-05-04 10:30,S1,30,L/h,-6.2,0.5,2,王敏,现场
0001,2026-05-04 10:30,S1,1.5,m3/h,0.4,0.4,2,王敏,现场
0002,2026-05-05T09:00:00+08:00,S1,0.3,,1.0,0.4,,王敏,
"""
)


@pytest.fixture
def registry(connection: Connection) -> Connection:
    meters = "meter,medium,unit,resolution\n0001,water,m3,0.001\n0002,water,m3,0.001\nE1,electricity,kWh,0.01\n"
    import_meters(connection, parse_csv(meters, "m.csv"), utility="w", time_zone="UTC", actor="t")
    import_standards(connection, parse_csv(STANDARDS, "s.csv"), utility="w", actor="t")
    return connection


def bring(connection: Connection, text: str) -> ImportSummary:
    table = parse_csv(text, "tests.csv")
    return import_site_tests(connection, table, utility="w", time_zone="Asia/Shanghai", actor="office")


def meter_id(connection: Connection, serial: str) -> int:
    return connection.execute("select meter_id from meter where serial = %s", (serial,)).fetchone()[0]  # type: ignore[index]


def recorded(connection: Connection, serial: str) -> list[dict[str, Any]]:
    return list_site_tests(connection, meter_id(connection, serial), None, 100)


def test_a_file_of_tests_is_recorded_with_the_certificate_that_held(registry: Connection) -> None:
    summary = bring(registry, GOOD)
    assert (summary.added, summary.changed, summary.unchanged) == (2, 0, 0)
    [test] = recorded(registry, "0001")
    assert test["tested_at"] == datetime(2026, 5, 4, 2, 30, tzinfo=UTC)
    assert (test["standard"], test["certificate"], test["standard_expanded_uncertainty_pct"]) == ("S1", "C-26", 0.2)
    assert (test["tested_by"], test["recorded_by"], test["note"]) == ("王敏", "office", "现场")
    assert [point["load"] for point in test["points"]] == [0.03, 1.5]
    assert test["points"][0] == {
        "load": 0.03,
        "error_pct": -6.2,
        "expanded_uncertainty_pct": 0.5,
        "coverage_factor": 2.0,
    }
    assert recorded(registry, "0002")[0]["points"][0]["coverage_factor"] == 2.0
    actions = [row[0] for row in registry.execute("select action from audit_log order by audit_id").fetchall()]
    assert actions[-3:] == ["site_test.record", "site_test.record", "import_site_tests"]


def test_the_same_again_changes_nothing_and_another_content_corrects(registry: Connection) -> None:
    bring(registry, GOOD)
    again = bring(registry, GOOD)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    corrected = bring(registry, GOOD.replace("-6.2", "-5.2"))
    assert (corrected.added, corrected.changed, corrected.unchanged) == (0, 1, 1)
    later, first = sorted(recorded(registry, "0001"), key=lambda test: test["site_test_id"], reverse=True)
    assert (later["points"][0]["error_pct"], later["superseded_at"]) == (-5.2, None)
    assert first["points"][0]["error_pct"] == -6.2
    assert first["superseded_at"] is not None
    assert later["supersedes_id"] == first["site_test_id"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("X,2026-05-04 10:30,S1,1,,0,0.5,2,a,", "line 5, column meter: 'X'; expected a meter that is registered"),
        ("0002,2026-05-04 10:30,S9,1,,0,0.5,2,a,", "column standard: 'S9'; expected a reference standard"),
        ("0002,,S1,1,,0,0.5,2,a,", "column tested_at: empty"),
        ("0002,2222-01-01,S1,1,,0,0.5,2,a,", "column tested_at: '2222-01-01'"),
        ("0002,2026-05-04 10:30,S1,0,,0,0.5,2,a,", "column load: '0'; expected a number above 0"),
        ("0002,2026-05-04 10:30,S1,1,kW,0,0.5,2,a,", "column load_unit: 'kW'; expected one of m3/h, L/h"),
        ("0002,2026-05-04 10:30,S1,1,,x,0.5,2,a,", "column error_pct: 'x'; expected a number"),
        ("0002,2026-05-04 10:30,S1,1,,2000,0.5,2,a,", "column error_pct: '2000'; expected an error from"),
        ("0002,2026-05-04 10:30,S1,1,,0,,2,a,", "column expanded_uncertainty_pct: empty"),
        ("0002,2026-05-04 10:30,S1,1,,0,0.1,2,a,", "column expanded_uncertainty_pct: '0.1'; expected an expanded"),
        ("0002,2026-05-04 10:30,S1,1,,0,0.5,0.5,a,", "column coverage_factor: '0.5'"),
        ("0002,2026-05-04 10:30,S1,1,,0,0.5,2,,", "column tested_by: empty"),
        (
            "0001,2026-05-04 10:30,S1,0.03,m3/h,0,0.5,2,王敏,现场",
            "column load: '0.03'; expected each load of a test once",
        ),
        ("0001,2026-05-04 10:30,S1,0.7,m3/h,0,0.5,2,李,现场", "column tested_by: '李'; expected the same in every row"),
    ],
)
def test_a_wrong_cell_refuses_the_whole_file_and_is_named(registry: Connection, wrong: str, named: str) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        bring(registry, GOOD + wrong + "\n")
    assert named in str(refused.value)
    assert registry.execute("select count(*) from site_test").fetchone() == (0,)


def test_parquet_is_read_as_well(registry: Connection, tmp_path: Any) -> None:
    import pyarrow as pa  # noqa: PLC0415  # only here
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {"meter": ["0001"], "tested_at": ["2026-05-04T10:30:00Z"], "standard": ["S1"], "load": [0.3],
               "error_pct": [-1.5], "expanded_uncertainty_pct": [0.4], "tested_by": ["a"]}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert import_site_tests(registry, table, utility="w", time_zone="UTC", actor="x").added == 1


def test_a_standard_that_had_expired_is_recorded_as_such(registry: Connection) -> None:
    assert find_standard(registry, "w", "S1", date(2024, 6, 1)).certificate == "C-24"
    assert find_standard(registry, "w", "S1", date(2025, 6, 1)).certificate == "C-24"
    assert find_standard(registry, "w", "S1", date(2026, 12, 31)).certificate == "C-26"
    assert find_standard(registry, "w", "S1", date(2023, 1, 1)).certificate == "C-24"
    with pytest.raises(NotFoundError, match="import standards"):
        find_standard(registry, "w", "S2", date(2026, 1, 1))
    bring(registry, GOOD.replace("2026-05-04", "2025-05-04"))
    assert recorded(registry, "0001")[0]["standard_valid_until"] == date(2024, 12, 31)


def test_recording_needs_to_name_what_it_corrects(registry: Connection) -> None:
    bring(registry, GOOD)
    standard = find_standard(registry, "w", "S1", date(2026, 5, 4))
    ids = {serial: meter_id(registry, serial) for serial in ("0001", "0002")}
    known = recorded(registry, "0001")[0]

    def draft(points: tuple[PointRow, ...], corrects: int | None, serial: str = "0001") -> SiteTestDraft:
        return SiteTestDraft(ids[serial], known["tested_at"], standard, points, "a", "b", corrects=corrects)

    good = (PointRow(0.5, 1.0, 0.4, 2.0),)
    with pytest.raises(SiteTestConflictError) as conflict:
        record_site_test(registry, draft(good, None))
    assert conflict.value.site_test_id == known["site_test_id"]
    with pytest.raises(NotFoundError):
        record_site_test(registry, draft(good, known["site_test_id"], "0002"))
    for points in ((), good * 2, (PointRow(0.5, 1.0, 0.1, 2.0),)):
        with pytest.raises(InvalidInputError):
            record_site_test(registry, draft(points, known["site_test_id"]))
    assert len(recorded(registry, "0001")) == 1
    record_site_test(registry, draft(good, known["site_test_id"]))
    assert len(recorded(registry, "0001")) == 2
    with pytest.raises(NotFoundError):  # no longer in force
        record_site_test(registry, draft(good, known["site_test_id"]))


def test_what_is_known_until_a_time_is_what_is_in_force(registry: Connection) -> None:
    bring(registry, GOOD)
    bring(registry, GOOD.replace("-6.2", "-5.2"))
    ids = [meter_id(registry, "0001"), meter_id(registry, "0002")]
    start, end = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 5, 1, tzinfo=UTC)
    found = site_tests_until(registry, ids, start, end)
    assert [(test.meter_id, test.points[0].error_pct) for test in found] == [(ids[0], -5.2)]
    assert (found[0].certificate, found[0].expanded_uncertainty_pct) == ("C-26", 0.2)
    assert len(site_tests_until(registry, ids, start, datetime(2026, 5, 6, tzinfo=UTC))) == 2
    assert site_tests_until(registry, ids, found[0].tested_at, found[0].tested_at) == []
