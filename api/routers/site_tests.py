"""Tests of a meter on site: recorded with the standard that was used, and listed with those that were corrected."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Query

from api.context import ContextDep
from api.errors import ParameterError
from api.models import Page
from api.parameters import PageParameters, SerialPath, UtilityPath, decode_cursor, encode_cursor, refuse_parameters
from api.routers.meters import known_meter
from api.site_test_models import SiteTest, SiteTestBody
from metrology.errors import InvalidInputError
from store.alert_listings import find_alert
from store.listings import find_meter
from store.query import Row
from store.site_tests import (
    PointRow,
    SiteTestDraft,
    check_points,
    find_standard,
    list_site_tests,
    load_site_test,
    record_site_test,
)

router = APIRouter(prefix="/v1/meters/{utility}/{serial:path}/site-tests", tags=["site tests"])
_CLOCKS_DIFFER = timedelta(minutes=5)


@router.get("")
def get_site_tests(
    utility: UtilityPath, serial: SerialPath, query: Annotated[PageParameters, Query()], context: ContextDep
) -> Page[SiteTest]:
    """A meter's tests on site, the latest first; a test that was corrected says since when."""
    limit = query.rows(context)
    after = decode_cursor(query.cursor, datetime, int)
    with context.reading() as conn:
        meter = known_meter(find_meter(conn, utility, serial), utility, serial)
        rows = list_site_tests(conn, meter["meter_id"], (after[0], after[1]) if after else None, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode_cursor(last["tested_at"], last["site_test_id"]) if last else None
    return Page[SiteTest](items=[SiteTest.model_validate(row) for row in rows[:limit]], next=following)


@router.post("", status_code=201, dependencies=[Depends(refuse_parameters)])
def post_site_test(utility: UtilityPath, serial: SerialPath, body: SiteTestBody, context: ContextDep) -> SiteTest:
    """Records a test on site; `corrects` puts it in the place of one that is in force."""
    with context.writing() as conn:
        meter = known_meter(find_meter(conn, utility, serial), utility, serial)
        return SiteTest.model_validate(record_body(conn, meter, body))


def record_body(conn: psycopg.Connection[Any], meter: Row, body: SiteTestBody) -> Row:
    """Records the body's test of a meter and returns its row. The caller commits.

    Raises ParameterError, NotFoundError or StateConflictError; nothing has changed then.
    """
    if body.tested_at > datetime.now(UTC) + _CLOCKS_DIFFER:
        shown = body.tested_at.isoformat()
        raise ParameterError("body.tested_at", shown, "lies in the future; give the time of the test")
    if body.alert_id is not None:
        alert = find_alert(conn, body.alert_id)
        if alert is None or alert["meter_id"] != meter["meter_id"]:
            raise ParameterError("body.alert_id", str(body.alert_id), "is no alert of this meter; leave it out")
    standard = find_standard(conn, meter["utility"], body.standard, body.tested_at.date())
    points = tuple(PointRow(**point.model_dump()) for point in body.points)
    try:
        check_points(standard, points)
    except InvalidInputError as error:
        raise ParameterError("body.points", f"{len(points)} points", str(error)) from None
    draft = SiteTestDraft(
        meter["meter_id"], body.tested_at, standard, points, body.tested_by, body.tested_by, body.note, body.alert_id,
        body.corrects,
    )  # fmt: skip
    return load_site_test(conn, record_site_test(conn, draft))
