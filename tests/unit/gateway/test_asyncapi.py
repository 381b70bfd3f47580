"""The AsyncAPI document: valid by the standard's own schema, current, and true of what the code reads and writes."""

import json
from datetime import UTC, datetime
from pathlib import Path

import cbor2
import jsonschema
import msgspec
import pytest

from gateway.asyncapi import asyncapi_document
from gateway.codec.native import decode_native
from gateway.feedback import rejected_message
from gateway.reasons import Reason
from gateway.repair.messages import (
    Acknowledgement,
    ReadProfile,
    SyncClock,
    answered_command,
    command_topic,
    decode_acknowledgement,
    encode,
    sender_of_ack,
)
from gateway.topic_catalogue import CHANNELS
from gateway.topics import parse_topic, rejected_topic
from meterproof.version import software_version
from store.quarantine import QuarantineRow

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "tests" / "vendor" / "asyncapi" / "asyncapi-3.0.0.schema.json"


@pytest.fixture(scope="module")
def document():
    return json.loads(asyncapi_document(software_version()))


def payload_schema(document, name: str):
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_the_committed_document_is_current():
    committed = (ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8")
    assert committed == asyncapi_document(software_version()), "run: make docs"


def test_the_document_is_valid_by_the_standards_schema(document):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(document)] == []
    for change in (
        {"asyncapi": "2.6.0"},
        {"operations": {"x": {"action": "publish", "channel": {"$ref": "#/channels/readings"}}}},
        {"channels": {"readings": {"adress": "a"}}},
    ):
        assert list(validator.iter_errors(document | change)), change


def test_every_reference_leads_somewhere(document):
    def references(part):
        if isinstance(part, dict):
            yield from ([part["$ref"]] if "$ref" in part else [])
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    found = set(references(document))
    assert len(found) > 8
    for reference in found:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_field_is_explained(document):
    schemas = document["components"]["schemas"]
    unexplained = [
        f"{name}.{field}"
        for name in (payload.__name__ for channel in CHANNELS for payload, _ in channel.payloads)
        for field, schema in schemas[name]["properties"].items()
        if len(schema.get("description", "")) < 15
    ]
    assert unexplained == []


def test_examples_are_what_the_schemas_and_the_types_say(document):
    for channel in CHANNELS:
        for payload, example in channel.payloads:
            jsonschema.validate(example, payload_schema(document, payload.__name__))
            msgspec.convert(example, payload, strict=False)


def test_the_example_of_readings_is_read_in_both_forms(document):
    ((_, example),) = CHANNELS[0].payloads
    for payload in (json.dumps(example).encode(), cbor2.dumps(example)):
        rows = decode_native(payload, 100)
        assert (rows.meter, rows.rejects) == (["E-0001", "E-0002"], [])


def test_what_senders_are_told_is_as_described(document):
    received = datetime(2026, 1, 1, tzinfo=UTC)
    for rows in (None, (1, 2)):
        for reason in Reason:
            row = QuarantineRow(b"\x01" * 16, reason, "found", "u", "t", b"{}", rows, 1, received)
            told = json.loads(msgspec.json.encode(rejected_message(row, suppressed=2)))
            jsonschema.validate(told, payload_schema(document, "RejectedMessage"))


def test_commands_and_acknowledgements_are_as_described(document):
    acknowledged = document["components"]["schemas"]["Acknowledgement"]["required"]
    assert set(acknowledged) == {"id", "state"}
    examples = {payload: example for channel in CHANNELS for payload, example in channel.payloads}
    assert decode_acknowledgement(json.dumps(examples[Acknowledgement]).encode()) is not None
    for payload in (ReadProfile, SyncClock):
        sent = json.loads(encode(msgspec.convert(examples[payload], payload)))
        jsonschema.validate(sent, payload_schema(document, payload.__name__))
        assert sent == examples[payload]
    answer = json.dumps({"answers": "r-1"}).encode()
    assert answered_command(answer) == "r-1"
    assert "answers" in document["components"]["schemas"]["NativePayload"]["properties"]


def test_addresses_are_those_that_the_code_uses(document):
    address = {name: channel["address"] for name, channel in document["channels"].items()}
    readings = address["readings"].format(utility="city", gateway="gw-1")
    assert parse_topic(readings) == ("city", "gw-1")
    assert rejected_topic(readings) == address["rejected"].format(utility="city", gateway="gw-1")
    assert address["commands"].format(utility="city", gateway="gw-1") == command_topic("city", "gw-1")
    assert sender_of_ack(address["acknowledgements"].format(utility="city", gateway="gw-1")) == ("city", "gw-1")
    assert parse_topic(address["gatewayStatus"].format(client_id="g")) is None
