"""Golden payloads of the frame codecs: published examples (each file names its source) to exact readings."""

import json
from pathlib import Path

import pytest
from decoding import Reading, build, stored

GOLDEN = Path(__file__).parent / "golden"
CODECS = ("dsmr_p1", "dlt645", "cjt188", "sparkplug_b")
CASES = sorted(path for codec in CODECS for path in (GOLDEN / codec).glob("*.json"))


def payload_of(message: dict[str, object]) -> bytes:
    if "lines" in message:
        return "\r\n".join(message["lines"]).encode("latin-1")
    return bytes.fromhex(message["hex"]) if "hex" in message else message["text"].encode()


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_payload(path):
    case = json.loads(path.read_text())
    codec = build(path.parent.name, case["time_zone"], **case["options"])
    readings: list[Reading] = []
    reasons: dict[str, object] = {}
    for message in case["messages"]:
        result = stored(codec, payload_of(message), message.get("topic", "t"))
        readings += result.readings
        reasons |= result.reasons
    assert readings == [Reading(*expected) for expected in case["readings"]]
    assert reasons == case["reasons"]


def test_every_codec_has_goldens():
    assert {path.parent.name for path in CASES} == set(CODECS)
