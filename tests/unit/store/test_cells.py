"""Cells to values: what is accepted, and what a fault says."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from metrology.errors import InvalidInputError
from store.cells import MAX_PROBLEMS, Problems, RowReader, check_columns, read_zone
from store.errors import ImportRefusedError
from store.tables import Table, TableRow

MADRID = ZoneInfo("Europe/Madrid")


def read(text: str, method: Callable[[RowReader], Any]) -> tuple[Any, list[str]]:
    """The cell's value, and the faults noted."""
    table = Table("f.csv", ("x",), (TableRow(7, (text,)),))
    problems = Problems("f.csv")
    reader = RowReader(table, problems)
    reader.start(table.rows[0])
    value = method(reader)
    try:
        problems.refuse_if_any()
    except ImportRefusedError as error:
        return value, list(error.problems)
    return value, []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-05", datetime(2024, 1, 4, 23, tzinfo=UTC)),
        ("2024/7/5", datetime(2024, 7, 4, 22, tzinfo=UTC)),
        ("2024/7/5 8:30", datetime(2024, 7, 5, 6, 30, tzinfo=UTC)),
        ("2024-07-05T08:30:15.5", datetime(2024, 7, 5, 6, 30, 15, 500_000, tzinfo=UTC)),
        ("2024-07-05T08:30:15Z", datetime(2024, 7, 5, 8, 30, 15, tzinfo=UTC)),
        ("2024-07-05 08:30:15+0800", datetime(2024, 7, 5, 0, 30, 15, tzinfo=UTC)),
        ("2024-10-27T02:30:00+01:00", datetime(2024, 10, 27, 1, 30, tzinfo=UTC)),
        ("", None),
    ],
)
def test_times_are_local_unless_they_say_otherwise(text: str, expected: datetime | None) -> None:
    assert read(text, lambda reader: reader.time("x", MADRID)) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5.1.2024", "a date as YYYY-MM-DD"),
        ("2024-02-30", "that exist"),
        ("2024-01-01T25:00:00", "that exist"),
        ("2024-10-27 02:30:00", "offset"),  # occurs twice
        ("2024-03-31 02:30:00", "offset"),  # does not occur
        ("0001-01-01T00:00:00+14:00", "that exist"),
    ],
)
def test_times_that_can_not_be_are_faults(text: str, expected: str) -> None:
    value, faults = read(text, lambda reader: reader.time("x", MADRID))
    assert value is None
    assert len(faults) == 1
    assert faults[0].startswith(f"line 7, column x: {text!r}; expected ")
    assert expected in faults[0]


@pytest.mark.parametrize(
    ("text", "method", "value"),
    [
        ("0.001", lambda r: r.positive("x"), Decimal("0.001")),
        ("1e-3", lambda r: r.positive("x"), Decimal("0.001")),
        ("0", lambda r: r.positive("x", or_zero=True), Decimal(0)),
        ("900.0", lambda r: r.integer("x", 1, 86_400), 900),
        ("2024-05-06", lambda r: r.day("x"), date(2024, 5, 6)),
        ("2024-05-06 00:00:00", lambda r: r.day("x"), date(2024, 5, 6)),
        ("", lambda r: r.choice("x", ("a", "b"), "b"), "b"),
        ("00012", lambda r: r.name("x"), "00012"),
        ("", lambda r: r.integer("x", 1, 2, 2), 2),
        ("", lambda r: r.name("y"), ""),
    ],
)
def test_values(text: str, method: Callable[[RowReader], Any], value: Any) -> None:
    assert read(text, method) == (value, [])


@pytest.mark.parametrize(
    ("text", "method", "expected"),
    [
        ("1,5", lambda r: r.positive("x"), "'1,5'; expected a number with a point"),
        ("one", lambda r: r.positive("x"), "a number"),
        ("0", lambda r: r.positive("x"), "above 0"),
        ("nan", lambda r: r.positive("x"), "ordinary size"),
        ("1e999999", lambda r: r.positive("x"), "ordinary size"),
        ("1.5", lambda r: r.integer("x", 1, 9), "a whole number from 1 to 9"),
        ("2024-05-06 12:00", lambda r: r.day("x"), "a date as"),
        ("2023-02-29", lambda r: r.day("x"), "a date that exists"),
        ("", lambda r: r.day("x", required=True), "empty; expected a date"),
        ("c", lambda r: r.choice("x", ("a", "b"), "b"), "one of a, b"),
        ("", lambda r: r.choice("x", ("a", "b")), "empty; expected one of a, b"),
        ("", lambda r: r.name("x", required=True), "empty; expected a text"),
        ("1.23457E+11", lambda r: r.name("x"), "format the column as text"),
        ("a" * 129, lambda r: r.name("x"), "at most 128"),
        ("a\nb", lambda r: r.name("x"), "on one line"),
        ("12\u200b34", lambda r: r.name("x"), "invisible characters"),
    ],
)
def test_faults(text: str, method: Callable[[RowReader], Any], expected: str) -> None:
    _, faults = read(text, method)
    assert len(faults) == 1
    assert expected in faults[0]


def test_the_first_faults_are_told_in_the_order_of_lines_and_all_are_counted() -> None:
    problems = Problems("f.csv")
    for line in range(30, 0, -1):
        problems.add(line, "x", "v", "w")
    with pytest.raises(ImportRefusedError, match=r"f\.csv: nothing was imported, 30 faults") as caught:
        problems.refuse_if_any()
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert caught.value.problems[0] == "line 11, column x: 'v'; expected w"
    assert str(caught.value).endswith("... and 10 more")


def test_columns_that_are_missing_or_misspelt_are_refused_and_others_ignored() -> None:
    def table(*columns: str) -> Table:
        return Table("f.csv", columns, ())

    known = ("meter", "medium", "accuracy_class")
    assert check_columns(table("meter", "street"), ["meter"], known) == ["street"]
    with pytest.raises(InvalidInputError, match=r"'accuracy_clas' is unknown; did you mean 'accuracy_class'"):
        check_columns(table("meter", "accuracy_clas"), ["meter"], known)
    with pytest.raises(InvalidInputError, match=r"column 'meter', 'medium' is missing; its first line names 'a'"):
        check_columns(table("a"), ["meter", "medium"], known)


@pytest.mark.parametrize("text", ["0001-01-01", "1949-12-31", "9999-12-31", "2500-01-01T00:00:00Z"])
def test_dates_that_no_meter_can_have_are_faults(text: str) -> None:
    value, faults = read(text, lambda reader: reader.time("x", UTC))
    assert value is None
    assert "expected a date from 1950-01-01 to " in faults[0]


@pytest.mark.parametrize("days", [-1, 0, 364])
def test_dates_up_to_a_year_ahead_are_plans(days: int) -> None:
    day = (datetime.now(UTC) + timedelta(days=days)).date()
    assert read(day.isoformat(), lambda reader: reader.time("x", UTC))[1] == []


@pytest.mark.parametrize("name", [".", "..", "7/readings", "a/readings/downsampled"])
def test_names_that_an_address_would_take_for_something_else_are_faults(name: str) -> None:
    value, faults = read(name, lambda reader: reader.name("x", in_address=True))
    assert value == ""
    assert "another name" in faults[0]


@pytest.mark.parametrize("name", ["ä/ö?#% x", "...", "readings", "a/../b"])
def test_other_names_may_hold_what_they_like(name: str) -> None:
    assert read(name, lambda reader: reader.name("x", in_address=True)) == (name, [])


def test_a_long_value_is_shortened_in_its_fault() -> None:
    _, faults = read("z" * 100_000, lambda reader: reader.name("x"))
    assert len(faults[0]) < 200
    assert "(100,000 characters)" in faults[0]
    with pytest.raises(InvalidInputError) as caught:
        read_zone("z" * 100_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "hours"), [("+08:00", 8), ("-0330", -3.5), ("+00:00", 0), ("Asia/Shanghai", 8), ("UTC", 0)]
)
def test_a_time_zone_is_a_name_or_an_offset(name: str, hours: float) -> None:
    assert datetime(2026, 1, 1, tzinfo=read_zone(name)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "+24:00", "+08:60", "+8", "+"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="is unknown; use an IANA name"):
        read_zone(name)
