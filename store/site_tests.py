"""Tests of meters on site: recorded with the standard that was used, corrected by a further row, never overwritten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import args_row, dict_row

from metrology.errors import InvalidInputError, NotFoundError, StateConflictError
from store.query import Row, fetch_rows
from store.registry_state import audit

Connection = psycopg.Connection[Any]
MAX_POINTS = 50


class SiteTestConflictError(StateConflictError):
    """Another test of the meter at that time is in force; `site_test_id` names it."""

    def __init__(self, site_test_id: int, message: str) -> None:
        super().__init__(message)
        self.site_test_id = site_test_id


@dataclass(frozen=True, slots=True)
class StandardRow:
    """A certificate of a reference standard."""

    reference_standard_id: int
    code: str
    certificate: str
    expanded_uncertainty_pct: float
    coverage_factor: float
    valid_from: date
    valid_until: date


@dataclass(frozen=True, slots=True)
class PointRow:
    """The error found at a load [kW or m3/h, at the meter]; U [%] with its coverage factor."""

    load: float
    error_pct: float
    expanded_uncertainty_pct: float
    coverage_factor: float


@dataclass(frozen=True, slots=True)
class SiteTestDraft:
    """A test as it is brought in; the points ascend by load. `corrects`: the test in force that it takes the place of.

    `tested_by` made the test, `recorded_by` brings it in.
    """

    meter_id: int
    tested_at: datetime
    standard: StandardRow
    points: tuple[PointRow, ...]
    tested_by: str
    recorded_by: str
    note: str = ""
    alert_id: int | None = None
    corrects: int | None = None


@dataclass(frozen=True, slots=True)
class SiteTestRow:
    """A test in force, with the standard as it was recorded."""

    site_test_id: int
    meter_id: int
    tested_at: datetime
    certificate: str
    expanded_uncertainty_pct: float
    coverage_factor: float
    valid_from: date
    valid_until: date
    points: tuple[PointRow, ...]


def find_standard(connection: Connection, utility: str, code: str, on: date) -> StandardRow:
    """The standard's certificate that held on a day, else the one that was valid last before, else the first.

    One of the utility, or of no utility. What was expired or is not valid yet is still recorded: that it was so is a
    reason not to measure with it. Raises NotFoundError.
    """
    with connection.cursor(row_factory=args_row(StandardRow)) as cursor:
        found = cursor.execute(
            "select r.reference_standard_id, r.code, r.certificate, r.expanded_uncertainty_pct, r.coverage_factor,"
            " r.valid_from, r.valid_until from reference_standard r left join utility u using (utility_id)"
            " where r.code = %(code)s and (u.code = %(utility)s or r.utility_id is null)"
            " order by (r.valid_from <= %(on)s and %(on)s <= r.valid_until) desc, r.valid_from <= %(on)s desc,"
            " case when r.valid_from <= %(on)s then r.valid_from end desc, r.valid_from, r.utility_id is null limit 1",
            {"code": code, "utility": utility, "on": on},
        ).fetchone()
    if found is None:
        raise NotFoundError(
            f"reference standard {code!r} of utility {utility!r} is not registered; import it:"
            " meterproof import standards FILE"
        )
    return found


def check_points(standard: StandardRow, points: Sequence[PointRow]) -> None:
    """Refuses points that can't be: none, too many, a load twice, a smaller uncertainty than the standard's own.

    Raises InvalidInputError naming the point.
    """
    if not 1 <= len(points) <= MAX_POINTS:
        raise InvalidInputError(f"{len(points)} points; a test has 1 to {MAX_POINTS}")
    loads = [point.load for point in points]
    if len(set(loads)) < len(loads):
        twice = next(load for load in loads if loads.count(load) > 1)
        raise InvalidInputError(f"load {twice:g} stands in two points; give each load once")
    for point in points:
        if problem := uncertainty_problem(standard, point):
            raise InvalidInputError(f"point at load {point.load:g}: give {problem}")


def uncertainty_problem(standard: StandardRow, point: PointRow) -> str:
    """What is wrong with a point's uncertainty; empty where nothing is."""
    own_pct = standard.expanded_uncertainty_pct / standard.coverage_factor
    if point.expanded_uncertainty_pct / point.coverage_factor >= own_pct * (1 - 1e-6):
        return ""
    found = f"{point.expanded_uncertainty_pct:g} % (k = {point.coverage_factor:g})"
    own = f"{standard.expanded_uncertainty_pct:g} % (k = {standard.coverage_factor:g})"
    return f"an expanded uncertainty that holds the standard's own, {own}, and more; {found} is below it"


def record_site_test(connection: Connection, draft: SiteTestDraft) -> int:
    """Records a test and returns its number. The caller commits.

    Raises SiteTestConflictError where a test of the meter at that time is in force that the draft does not correct,
    NotFoundError where the one to correct is none of the meter's in force, InvalidInputError as `check_points`.
    """
    check_points(draft.standard, draft.points)
    # One recording of a meter at a time, so that of two at once the second sees the first.
    connection.execute("select 1 from meter where meter_id = %s for no key update", (draft.meter_id,))
    if draft.corrects is not None:
        _supersede(connection, draft.meter_id, draft.corrects)
    row = connection.execute(
        "select site_test_id from site_test where meter_id = %s and tested_at = %s and superseded_at is null",
        (draft.meter_id, draft.tested_at),
    ).fetchone()
    if row is not None:
        raise SiteTestConflictError(
            row[0],
            f"site test {row[0]} of this meter at {draft.tested_at.isoformat()} is in force; to correct it, name it"
            " as corrects",
        )
    site_test_id = _insert(connection, draft)
    _recheck(connection, draft)
    detail = {
        "meter_id": draft.meter_id,
        "tested_at": draft.tested_at,
        "certificate": draft.standard.certificate,
        "points": len(draft.points),
        "corrects": draft.corrects,
    }
    audit(connection, draft.recorded_by, [("site_test.record", f"site_test/{site_test_id}", detail)])
    return site_test_id


def _supersede(connection: Connection, meter_id: int, site_test_id: int) -> None:
    done = connection.execute(
        "update site_test set superseded_at = clock_timestamp()"
        " where site_test_id = %s and meter_id = %s and superseded_at is null",
        (site_test_id, meter_id),
    )
    if done.rowcount != 1:
        raise NotFoundError(f"site test {site_test_id} is none of this meter's tests in force; list them and name one")


def _recheck(connection: Connection, draft: SiteTestDraft) -> None:
    """The meter's zones are to be assessed again from the test on, and from the one that it corrects."""
    connection.execute(
        "insert into zone_recheck (zone_id, from_at)"
        " select distinct z.zone_id, least(%(at)s, (select tested_at from site_test where site_test_id = %(old)s))"
        " from installation i join zone_membership m using (service_point_id, medium) join zone z using (zone_id)"
        " where i.meter_id = %(meter_id)s",
        {"at": draft.tested_at, "old": draft.corrects, "meter_id": draft.meter_id},
    )


def _insert(connection: Connection, draft: SiteTestDraft) -> int:
    standard = draft.standard
    row = connection.execute(
        "insert into site_test (meter_id, tested_at, reference_standard_id, certificate,"
        " standard_expanded_uncertainty_pct, standard_coverage_factor, standard_valid_from, standard_valid_until,"
        " tested_by, note, alert_id, recorded_by, supersedes_id)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning site_test_id",
        (draft.meter_id, draft.tested_at, standard.reference_standard_id, standard.certificate,
         standard.expanded_uncertainty_pct, standard.coverage_factor, standard.valid_from, standard.valid_until,
         draft.tested_by, draft.note, draft.alert_id, draft.recorded_by, draft.corrects),
    ).fetchone()  # fmt: skip
    assert row is not None
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into site_test_point (site_test_id, point_no, load, error_pct, expanded_uncertainty_pct,"
            " coverage_factor) values (%s, %s, %s, %s, %s, %s)",
            [
                (row[0], number, point.load, point.error_pct, point.expanded_uncertainty_pct, point.coverage_factor)
                for number, point in enumerate(sorted(draft.points, key=lambda point: point.load), start=1)
            ],
        )
    return int(row[0])


def site_tests_until(
    connection: Connection, meter_ids: Sequence[int], start: datetime, end: datetime
) -> list[SiteTestRow]:
    """The meters' tests in force made in [start, end), by meter and time."""
    query = sql.SQL(
        "select {} from site_test t where t.meter_id = any(%(ids)s) and t.superseded_at is null"
        " and t.tested_at >= %(start)s and t.tested_at < %(end)s order by t.meter_id, t.tested_at"
    ).format(_POINTS)
    params = {"ids": [int(meter_id) for meter_id in meter_ids], "start": start, "end": end}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, params).fetchall()
    return [
        SiteTestRow(
            row["site_test_id"],
            row["meter_id"],
            row["tested_at"],
            row["certificate"],
            row["standard_expanded_uncertainty_pct"],
            row["standard_coverage_factor"],
            row["standard_valid_from"],
            row["standard_valid_until"],
            tuple(PointRow(**point) for point in row["points"]),
        )
        for row in rows
    ]


def find_site_test(connection: Connection, meter_id: int, tested_at: datetime) -> Row | None:
    """The meter's test of that time in force, if there is one."""
    query = sql.SQL(
        "select {} from site_test t"
        " where t.meter_id = %(meter_id)s and t.tested_at = %(at)s and t.superseded_at is null"
    ).format(_POINTS)
    return next(iter(fetch_rows(connection, query, {"meter_id": meter_id, "at": tested_at})), None)


def load_site_test(connection: Connection, site_test_id: int) -> Row:
    """A test by its number, which must exist, as `list_site_tests` has it."""
    query = sql.SQL(
        "select {}, s.code as standard from site_test t join reference_standard s using (reference_standard_id)"
        " where t.site_test_id = %(id)s"
    ).format(_POINTS)
    return fetch_rows(connection, query, {"id": site_test_id})[0]


def list_site_tests(connection: Connection, meter_id: int, after: tuple[datetime, int] | None, limit: int) -> list[Row]:
    """A meter's tests, the latest first, those that were corrected among them.

    `after` is (tested_at, site_test_id) of the last row seen.
    """
    query = sql.SQL(
        "select {}, s.code as standard from site_test t join reference_standard s using (reference_standard_id)"
        " where t.meter_id = %(meter_id)s"
        " and (%(at)s::timestamptz is null or (t.tested_at, t.site_test_id) < (%(at)s, %(id)s))"
        " order by t.tested_at desc, t.site_test_id desc limit %(limit)s"
    ).format(_POINTS)
    at, number = after or (None, None)
    params = {"meter_id": meter_id, "at": at, "id": number, "limit": limit}
    return fetch_rows(connection, query, params)


_POINTS = sql.SQL("""t.*, (
    select jsonb_agg(jsonb_build_object('load', p.load, 'error_pct', p.error_pct, 'expanded_uncertainty_pct',
        p.expanded_uncertainty_pct, 'coverage_factor', p.coverage_factor) order by p.point_no)
    from site_test_point p where p.site_test_id = t.site_test_id) as points""")
