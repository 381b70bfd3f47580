"""Tests on site at an alert and at a meter: what was found, and the form by which an inspector records one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from pydantic import ValidationError

from api.errors import ParameterError
from api.models import Alert
from api.routers.meters import known_meter
from api.routers.site_tests import record_body
from api.site_test_models import SiteTest, SiteTestBody
from api.texts import Texts
from metrology.errors import MeterproofError, NotFoundError, StateConflictError
from store.listings import find_meter
from store.site_tests import list_site_tests

POINT_ROWS: Final = 5  # in the form; more points go by file or over the interface
_SHOWN: Final = 20
LOAD_UNIT: Final = {"electricity": "kW", "water": "m³/h", "gas": "m³/h"}


@dataclass(frozen=True, slots=True)
class SiteTestForm:
    """What was typed, and what was wrong with it; the lists hold a text for each row of points."""

    tested_at: str = ""
    standard: str = ""
    tested_by: str = ""
    note: str = ""
    corrects: str = ""
    load: tuple[str, ...] = ()
    error_pct: tuple[str, ...] = ()
    expanded_uncertainty_pct: tuple[str, ...] = ()
    coverage_factor: str = "2"
    error: str = ""

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The texts of each row of points, empty ones up to what the form shows."""
        columns = (self.load, self.error_pct, self.expanded_uncertainty_pct)
        filled = [(*column, *[""] * POINT_ROWS)[:POINT_ROWS] for column in columns]
        return list(zip(*filled, strict=True))


def site_test_values(
    conn: psycopg.Connection[Any], meter_id: int | None, medium: str, form: SiteTestForm
) -> dict[str, Any]:
    """What the templates' part on tests needs."""
    rows = [] if meter_id is None else list_site_tests(conn, meter_id, None, _SHOWN)
    return {
        "site_tests": [SiteTest.model_validate(row) for row in rows],
        "site_test_form": form,
        "load_unit": LOAD_UNIT[medium],
    }


def record_by_form(conn: psycopg.Connection[Any], alert: Alert, form: SiteTestForm, zone: ZoneInfo) -> None:
    """Records the test that was typed at an alert. The caller commits.

    Raises ValidationError or MeterproofError as `form_error` tells them.
    """
    if alert.serial is None:
        raise NotFoundError(f"alert {alert.alert_id} is of a zone; a test on site is of a meter")
    meter = known_meter(find_meter(conn, alert.utility, alert.serial), alert.utility, alert.serial)
    points = [
        {
            "load": load.strip(),
            "error_pct": error.strip(),
            "expanded_uncertainty_pct": uncertainty.strip(),
            "coverage_factor": form.coverage_factor.strip(),
        }
        for load, error, uncertainty in form.rows
        if load.strip() or error.strip() or uncertainty.strip()
    ]
    body = SiteTestBody.model_validate(
        {
            "tested_at": _instant(form.tested_at, zone),
            "standard": form.standard.strip(),
            "tested_by": form.tested_by,
            "note": form.note,
            "points": points,
            "alert_id": alert.alert_id,
            "corrects": form.corrects.strip() or None,
        }
    )
    record_body(conn, meter, body)


def form_error(error: ValidationError | MeterproofError, texts: Texts) -> tuple[str, int]:
    """What was wrong, in the reader's words, and the status of the answer."""
    if isinstance(error, ValidationError):
        place = error.errors()[0]["loc"]
        name = str(place[-1]) if place else ""
        row = f" {int(place[1]) + 1}" if len(place) > 1 else ""
        known = texts.has("site_test_field", name)
        return texts("site_test_wrong", field=texts.of("site_test_field", name if known else "other") + row), 422
    if isinstance(error, ParameterError):
        name = error.problem.parameter.rpartition(".")[2]
        return texts("site_test_wrong", field=texts.of("site_test_field", name)) + " " + error.problem.message, 422
    if isinstance(error, StateConflictError):
        return texts("site_test_conflict"), error.status
    if isinstance(error, NotFoundError):
        return texts("site_test_unknown"), error.status
    return str(error), error.status


def _instant(text: str, zone: ZoneInfo) -> str:
    """The local time of a form (`2026-03-05T10:30`) with its offset; another text as it is, to be refused."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    local = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return local.astimezone(UTC).isoformat()
