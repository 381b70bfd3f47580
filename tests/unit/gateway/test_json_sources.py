"""Sources of other dialects: golden payloads with the readings that they must come to, exactly."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gateway.batch import assemble
from gateway.codec.registry import codec_names
from gateway.decode import Message, decode
from gateway.identity import IdentityMap
from gateway.settings import GatewaySettings
from gateway.sources import Sources

GOLDEN = Path(__file__).parent / "golden_json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOBODY = IdentityMap(1, {"city": 1}, {"city": {}}, np.full(1, -1, dtype=np.int8))


@pytest.mark.parametrize("expected_file", sorted(GOLDEN.glob("*.expected.json")), ids=lambda path: path.name[:-14])
def test_golden_payload(expected_file):
    expected = json.loads(expected_file.read_text())
    payload = expected_file.with_name(expected_file.name.replace(".expected.json", ".json")).read_bytes()
    source = {"name": "s", "topic_filter": "#", "utility": "city"} | expected["source"]
    if expected["topic"].startswith("$"):
        source["topic_filter"] = expected["topic"]
    settings = GatewaySettings(sources=[source], register_max="1e12")
    received_us = (datetime.fromisoformat(expected["received_at"]) - EPOCH) // timedelta(microseconds=1)
    message = Message(expected["topic"], payload, received_us, retained=expected.get("retained", False))
    decoded = decode(message, Sources(settings))
    result = assemble([decoded], NOBODY, settings, 7)
    rows = [
        [p.serial, (EPOCH + timedelta(microseconds=p.observed_us)).isoformat(), p.register_micro, p.status, p.medium]
        for p in result.pending
    ]
    assert rows == expected["rows"], [row.detail for row in result.quarantine]
    rejected = {row.reason: row.rows and list(row.rows) for row in result.quarantine}
    message_reason = {expected["message"]: None} if "message" in expected else {}
    assert rejected == expected.get("rejected", message_reason)
    assert (decoded.rows.skipped if decoded.rows else 0) == expected.get("skipped", 0)
    assert result.readings_in == len(result.pending) + result.rejected


def test_every_golden_payload_has_its_expectation_and_every_preset_its_payload():
    payloads = {path.name.removesuffix(".json") for path in GOLDEN.glob("*.json") if ".expected." not in path.name}
    assert payloads == {path.name.removesuffix(".expected.json") for path in GOLDEN.glob("*.expected.json")}
    frames = {"native", "dsmr_p1", "dlt645", "cjt188", "sparkplug_b"}
    assert {name.split(".")[0] for name in payloads} >= set(codec_names()) - frames
