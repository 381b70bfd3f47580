"""The stretch that a chart shows."""

from datetime import UTC, datetime, timedelta

import pytest

from api.charts import chart_window
from api.evidence import EvidenceReading, read_evidence

KNOWN = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
AT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("length", "margin"), [(HOUR, 36 * HOUR), (100 * HOUR, 100 * HOUR), (4000 * HOUR, 45 * 24 * HOUR)]
)
def test_margins(length, margin):
    start, end = chart_window((AT, AT + length), [], KNOWN)
    assert start == AT - margin
    assert end == AT + length + margin + timedelta(microseconds=1)


def test_evidence_outside_of_the_finding_is_shown():
    before = EvidenceReading(AT - 200 * HOUR, 1, 1, 1)
    start, _ = chart_window((AT, AT + HOUR), [before], KNOWN)
    assert start < before.observed_at


def test_the_stretch_stays_within_what_is_known():
    known = (AT - HOUR, AT + 2 * HOUR)
    assert chart_window((AT, AT + HOUR), [], known) == (known[0], known[1] + timedelta(microseconds=1))
    start, end = chart_window((AT + 1000 * HOUR, AT + 1001 * HOUR), [], known)
    assert start < end


def test_a_span_of_years_is_bounded():
    start, end = chart_window((AT - timedelta(days=5000), AT), [], (AT - timedelta(days=6000), AT))
    assert end - start < timedelta(days=900)


def test_evidence_of_another_shape_is_left_out():
    good = {"part": "after", "observed_at": "2026-03-01T00:00:00Z", "register_micro": 5, "batch_id": 1, "message_no": 2}
    early = {"observed_at": "2026-02-01T08:00:00+08:00"}
    readings = read_evidence([good, 7, {"observed_at": "yesterday"}, {"observed_at": 5}, early])
    assert [reading.register_micro for reading in readings] == [None, 5]
    assert readings[0].observed_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert read_evidence({"readings": [good]}) == []
    assert read_evidence(None) == []
