"""What the console draws beside an alert: registers and consumption around the evidence, or the error over time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg
from pydantic import BaseModel, Field

from api.evidence import EvidenceReading
from api.models import base_unit
from store.alert_listings import list_assessments
from store.query import Row
from store.reading_series import count_readings, downsample, list_readings, reading_span

MICRO = 1_000_000
COVERAGE_FACTOR = 2.0  # of the interval drawn about an error estimate (GUM, 6.3.3: about 95 %)
MAX_ASSESSMENTS = 1000
_SHORTEST_MARGIN = timedelta(hours=36)
_LONGEST_MARGIN = timedelta(days=45)
_LONGEST_SPAN = timedelta(days=800)
_TICK = timedelta(microseconds=1)


class EvidencePoint(BaseModel):
    """A reading that the finding rests on."""

    at_s: float = Field(description="Time since 1970 UTC [s].")
    register_value: float | None


class RegisterChart(BaseModel):
    """Registers and the mean rate between them, for drawing; exact figures are in the readings."""

    type: Literal["register"] = "register"
    unit: str
    rate_unit: str
    at_s: list[float] = Field(description="Times since 1970 UTC [s].")
    register_values: list[float | None]
    rates: list[float | None] = Field(description="Mean rate from the reading before to this one.")
    evidence: list[EvidencePoint]
    concerned_s: tuple[float, float] = Field(description="The span of the finding [s].")
    thinned: bool = Field(description="True if only the extremes of stretches are shown.")


class ErrorChart(BaseModel):
    """Estimates of a meter's error with their interval and the limits."""

    type: Literal["error"] = "error"
    at_s: list[float]
    error_pct: list[float | None]
    lower_pct: list[float | None]
    upper_pct: list[float | None]
    mpe_pct: list[float | None]
    outcomes: list[str]
    coverage_factor: float = COVERAGE_FACTOR


class NoChart(BaseModel):
    """There is nothing to draw."""

    type: Literal["none"] = "none"


Chart = RegisterChart | ErrorChart | NoChart


def error_chart(conn: psycopg.Connection[Any], meter_id: int) -> ErrorChart | NoChart:
    """The error of a meter's indication over time, as assessed."""
    rows = [row for row in list_assessments(conn, meter_id, MAX_ASSESSMENTS) if row["error_pct"] is not None]
    if not rows:
        return NoChart()

    def bound(row: Row, sign: float) -> float | None:
        return None if row["std_pct"] is None else row["error_pct"] + sign * COVERAGE_FACTOR * row["std_pct"]

    return ErrorChart(
        at_s=[row["window_end"].timestamp() for row in rows],
        error_pct=[row["error_pct"] for row in rows],
        lower_pct=[bound(row, -1.0) for row in rows],
        upper_pct=[bound(row, +1.0) for row in rows],
        mpe_pct=[row["mpe_pct"] for row in rows],
        outcomes=[row["outcome"] for row in rows],
    )


def register_chart(
    conn: psycopg.Connection[Any],
    meter: tuple[int, str],
    span: tuple[datetime, datetime],
    evidence: Sequence[EvidenceReading],
    points_max: int,
) -> RegisterChart | NoChart:
    """Registers of `meter` (meter_id, medium) around `span` and the evidence."""
    meter_id, medium = meter
    known = reading_span(conn, meter_id)
    if known is None:
        return NoChart()
    start, end = chart_window(span, evidence, known)
    times, registers, thinned = _points(conn, meter_id, (start, end), points_max)
    if not times:
        return NoChart()
    unit = base_unit(medium)
    return RegisterChart(
        unit=unit,
        rate_unit="kW" if unit == "kWh" else f"{unit}/h",
        at_s=[time.timestamp() for time in times],
        register_values=[micro / MICRO for micro in registers],
        rates=_rates(times, registers),
        evidence=[
            EvidencePoint(
                at_s=reading.observed_at.timestamp(),
                register_value=None if reading.register_micro is None else reading.register_micro / MICRO,
            )
            for reading in evidence
            if start <= reading.observed_at < end
        ],
        concerned_s=(span[0].timestamp(), span[1].timestamp()),
        thinned=thinned,
    )


def chart_window(
    span: tuple[datetime, datetime], evidence: Sequence[EvidenceReading], known: tuple[datetime, datetime]
) -> tuple[datetime, datetime]:
    """The stretch to show: finding and evidence with as much again on each side, within what is known.

    The margin is at least 36 hours, so that a day's pattern can be seen, and at most 45 days; of a span longer than
    800 days the end is shown.
    """
    times = [reading.observed_at for reading in evidence] + [moment.astimezone(UTC) for moment in span]
    first, last = min(times), max(times)
    first = max(first, last - _LONGEST_SPAN)
    margin = min(max(last - first, _SHORTEST_MARGIN), _LONGEST_MARGIN)
    start, end = max(first - margin, known[0]), min(last + margin, known[1]) + _TICK
    return (start, end) if start < end else (known[0], known[0] + _TICK)


def _points(
    conn: psycopg.Connection[Any], meter_id: int, window: tuple[datetime, datetime], points_max: int
) -> tuple[list[datetime], list[int], bool]:
    start, end = window
    if count_readings(conn, meter_id, start, end, points_max + 1) <= points_max:
        rows = list_readings(conn, meter_id, start, end, points_max)
        return [row["observed_at"] for row in rows], [row["register_micro"] for row in rows], False
    width = timedelta(microseconds=-(-((end - start) // _TICK) // (points_max // 3)))
    times: list[datetime] = []
    registers: list[int] = []
    for row in downsample(conn, meter_id, start, end, width):
        points = {row["first_at"]: row["first_micro"], row["last_at"]: row["last_micro"]}
        if row["min_micro"] < min(points.values()):
            points[row["min_at"]] = row["min_micro"]
        if row["max_micro"] > max(points.values()):
            points[row["max_at"]] = row["max_micro"]
        for time in sorted(points):
            times.append(time)
            registers.append(points[time])
    return times, registers, True


def _rates(times: Sequence[datetime], registers: Sequence[int]) -> list[float | None]:
    """Mean rate between successive readings [base unit per hour]; the first has none before it."""
    rates: list[float | None] = [None]
    for i in range(1, len(times)):
        hours = (times[i] - times[i - 1]).total_seconds() / 3600
        rates.append((registers[i] - registers[i - 1]) / MICRO / hours if hours > 0 else None)
    return rates
