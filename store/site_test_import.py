"""Imports of tests made on site, all rows of a file or none. A row is a point; one meter and time make a test."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

import psycopg

from metrology.errors import NotFoundError
from store.cells import Problems, RowReader, check_columns, read_zone
from store.import_summary import ImportSummary, audit_detail, check_utility
from store.registry import lock_registry, registry_version
from store.registry_state import audit
from store.site_tests import (
    MAX_POINTS,
    PointRow,
    SiteTestDraft,
    StandardRow,
    find_site_test,
    find_standard,
    record_site_test,
    uncertainty_problem,
)
from store.tables import Table

Connection = psycopg.Connection[Any]

REQUIRED: Final = ("meter", "tested_at", "standard", "load", "error_pct", "expanded_uncertainty_pct", "tested_by")
KNOWN: Final = (*REQUIRED, "load_unit", "coverage_factor", "note")
# Units of loads by medium, in the base unit per hour.
LOAD_UNITS: Final = {
    "electricity": {"kW": 1.0, "W": 1e-3},
    "water": {"m3/h": 1.0, "L/h": 1e-3},
    "gas": {"m3/h": 1.0, "L/h": 1e-3},
}


@dataclass(slots=True)
class _Test:
    line: int
    meter_id: int
    tested_at: datetime
    standard: StandardRow
    tested_by: str
    note: str
    points: dict[float, PointRow] = field(default_factory=dict)


def import_site_tests(
    connection: Connection, table: Table, *, utility: str, time_zone: str, actor: str
) -> ImportSummary:
    """Records the tests of a file: `meter, tested_at, standard, load, error_pct, expanded_uncertainty_pct, tested_by`.

    Optional: `load_unit` (kW, W; m3/h, L/h; the first by default), `coverage_factor` (2), `note`. Times without an
    offset are local to `time_zone`. A test that is recorded already is left as it is; another content for its meter
    and time corrects it. Raises ImportRefusedError with the file's faults, InvalidInputError for a wrong argument or
    header.
    """
    check_utility(utility)
    problems, zone = Problems(table.source), read_zone(time_zone)
    ignored = check_columns(table, REQUIRED, KNOWN)
    lock_registry(connection)
    tests = _Reader(connection, table, utility, problems).read(zone)
    problems.refuse_if_any()

    counts = {"added": 0, "changed": 0, "unchanged": 0}
    for test in tests:
        counts[_record(connection, test, actor)] += 1
    summary = ImportSummary(
        added=counts["added"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
        released=0,
        registry_version=registry_version(connection),
        ignored_columns=tuple(ignored),
    )
    audit(connection, actor, [("import_site_tests", utility, audit_detail(table, summary))])
    return summary


class _Reader:
    """Puts a file's rows together to tests; faults go to `problems`."""

    def __init__(self, connection: Connection, table: Table, utility: str, problems: Problems) -> None:
        self._connection, self._table, self._utility = connection, table, utility
        self._problems, self._reader = problems, RowReader(table, problems)
        self._meters = {
            serial: (meter_id, medium)
            for serial, meter_id, medium in connection.execute(
                "select serial, meter_id, medium from meter join utility using (utility_id) where code = %s", (utility,)
            )
        }
        self._standards: dict[tuple[str, object], StandardRow | None] = {}
        self._tests: dict[tuple[int, datetime], _Test] = {}

    def read(self, zone: tzinfo) -> Sequence[_Test]:
        """The file's tests in order of their first lines."""
        latest = datetime.now(UTC) + timedelta(minutes=5)
        for raw in self._table.rows:
            before = self._problems.total
            self._reader.start(raw)
            test = self._test(raw.line, zone, latest)
            point = self._point()
            if test is None or point is None or self._problems.total > before:
                continue
            if problem := uncertainty_problem(test.standard, point):
                self._reader.fault("expanded_uncertainty_pct", problem)
            elif point.load in test.points:
                self._reader.fault("load", "each load of a test once")
            elif len(test.points) >= MAX_POINTS:
                self._reader.fault("load", f"at most {MAX_POINTS} points a test")
            else:
                test.points[point.load] = point
        return list(self._tests.values())

    def _test(self, line: int, zone: tzinfo, latest: datetime) -> _Test | None:
        reader = self._reader
        serial, code = reader.name("meter", required=True), reader.name("standard", required=True)
        tested_by, note = reader.name("tested_by", required=True), reader.name("note")
        tested_at = reader.time("tested_at", zone)
        if not reader.raw("tested_at"):
            reader.fault("tested_at", "the date and time of the test")
        if serial and serial not in self._meters:
            reader.fault("meter", "a meter that is registered; import the meters first")
        if tested_at is not None and tested_at > latest:
            reader.fault("tested_at", "a time that has passed")
        if not (serial in self._meters and code and tested_by and tested_at):
            return None
        standard = self._standard(code, tested_at)
        if standard is None:
            reader.fault("standard", "a reference standard that is registered; import it: import standards")
            return None
        meter_id = self._meters[serial][0]
        fresh = _Test(line, meter_id, tested_at, standard, tested_by, note)
        test = self._tests.setdefault((meter_id, tested_at), fresh)
        for column, own, first in (
            ("standard", standard, test.standard),
            ("tested_by", tested_by, test.tested_by),
            ("note", note, test.note),
        ):
            if own != first:
                reader.fault(column, f"the same in every row of a test; line {test.line} has another")
        return test

    def _standard(self, code: str, tested_at: datetime) -> StandardRow | None:
        key = code, tested_at.date()
        if key not in self._standards:
            try:
                self._standards[key] = find_standard(self._connection, self._utility, *key)
            except NotFoundError:
                self._standards[key] = None
        return self._standards[key]

    def _point(self) -> PointRow | None:
        reader = self._reader
        medium = self._meters.get(reader.raw("meter"), (0, ""))[1]
        load, uncertainty = reader.positive("load"), reader.positive("expanded_uncertainty_pct")
        error, factor = reader.decimal("error_pct"), reader.positive("coverage_factor", Decimal(2))
        units = LOAD_UNITS.get(medium, {})
        unit = reader.choice("load_unit", units, next(iter(units))) if units else ""
        for column in ("load", "error_pct", "expanded_uncertainty_pct"):
            if not reader.raw(column):
                reader.fault(column, "a number" if column == "error_pct" else "a number above 0")
        if error is not None and not -100 <= error <= 1000:
            reader.fault("error_pct", "an error from -100 to 1000 %")
        if uncertainty is not None and uncertainty > 100:
            reader.fault("expanded_uncertainty_pct", "an expanded uncertainty of at most 100 %")
        if factor is not None and not 1 <= factor <= 20:
            reader.fault("coverage_factor", "a coverage factor from 1 to 20")
        if load is None or error is None or uncertainty is None or factor is None or not units:
            return None
        return PointRow(float(load) * units[unit], float(error), float(uncertainty), float(factor))


def _record(connection: Connection, test: _Test, actor: str) -> str:
    """Records the test unless it is there already; returns what became of it."""
    points = tuple(sorted(test.points.values(), key=lambda point: point.load))
    known = find_site_test(connection, test.meter_id, test.tested_at)
    corrects = alert_id = None
    if known is not None:
        corrects, alert_id = known["site_test_id"], known["alert_id"]
        same = (known["reference_standard_id"], known["certificate"], known["tested_by"], known["note"]) == (
            test.standard.reference_standard_id,
            test.standard.certificate,
            test.tested_by,
            test.note,
        )
        if same and [PointRow(**point) for point in known["points"]] == list(points):
            return "unchanged"
    draft = SiteTestDraft(
        test.meter_id, test.tested_at, test.standard, points, test.tested_by, actor, test.note, alert_id, corrects
    )
    record_site_test(connection, draft)
    return "added" if known is None else "changed"
