"""The AsyncAPI 3 document of the topics, made of the payloads' own definitions: what the code reads and writes."""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from gateway.codec.native import NativePayload
from gateway.connection import QOS
from gateway.feedback import RejectedMessage
from gateway.outbox import GatewayStatus
from gateway.topics import STATUS_TOPIC
from metrology.quantities import UNITS
from metrology.status import TITLES

MQTT_BINDING: Final = "0.2.0"
_REFERENCE: Final = "#/components/schemas/{name}"
_PARAMETERS: Final = {
    "utility": "Code of the utility whose meters are meant, as it was imported.",
    "gateway": "The concentrator or gateway that sends; any name without `/`, one for each sender.",
    "client_id": "`mqtt.client_id` of a gateway of Meterproof.",
}
# What the types don't say. A field without a text here must explain itself by its type's own description.
_FIELDS: Final[dict[str, dict[str, str]]] = {
    "NativePayload": {
        "v": "Version of the payload: 1.",
        "medium": "What all meters of the message measure.",
        "unit": "Unit of `register`: "
        + "; ".join(f"{', '.join(units)} of {medium}" for medium, units in UNITS.items()),
        "observed_at": "When the meter was read: RFC 3339 text with offset, or milliseconds since 1970 UTC.",
        "meter": "Serial number as text, leading zeros included.",
        "register": "The indication before multipliers; a decimal as text where a float can't hold it.",
        "status": "Sum of what is reported of the reading: "
        + "; ".join(f"{int(flag)} {title}" for flag, title in TITLES.items()),
        "id": "The message's name, unique at its sender: by it a repetition is told from a redelivery.",
    },
    "RejectedMessage": {
        "v": "Version of the payload: 1.",
        "id": "The `id` of the message, where it has one that could be read.",
        "digest": "blake2b-128 of topic, NUL, payload in hexadecimal; `meterproof quarantine` shows the same.",
        "reason": "Code of the reason.",
        "detail": "What was found and where, what it means, and the remedy.",
        "remedy": "What to do about it.",
        "rows": "The rows concerned, counted from 0, the first 1,000 of them; null: the whole message.",
        "rows_total": "How many rows are concerned; null: the whole message.",
        "received_at": "When the message was received.",
        "suppressed": "Rejections that this sender was not told of since the last one, by the limits of the rate.",
    },
    "GatewayStatus": {
        "v": "Version of the payload: 1.",
        "gateway": "`mqtt.client_id` of the gateway.",
        "state": "Whether it is there.",
        "reason": "Why it is offline: `stopped`, or `connection lost` in its last will.",
    },
}


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic, what Meterproof does there, and the payloads (with an example each) that it carries."""

    name: str
    address: str
    action: Literal["receive", "send"]
    title: str
    description: str
    payloads: Sequence[tuple[type[msgspec.Struct], dict[str, Any]]]
    content_types: Sequence[str] = ("application/json",)
    retain: bool = False


CHANNELS: Final = (
    Channel(
        "readings",
        "mp/v1/{utility}/{gateway}/readings",
        "receive",
        "Readings",
        "Registers of meters in columns of equal length; one value in place of a list stands for every row. A row that "
        "can't be used is quarantined and the rows beside it are stored. Acknowledged after it is stored; sent again, "
        "the same message changes nothing. Unknown fields are passed over.",
        [
            (
                NativePayload,
                {
                    "v": 1,
                    "id": "gw-1-000017",
                    "medium": "electricity",
                    "unit": "kWh",
                    "observed_at": ["2026-01-01T00:15:00Z", "2026-01-01T00:15:00Z"],
                    "meter": ["E-0001", "E-0002"],
                    "register": [1234.56, "98765.4321"],
                    "status": 0,
                },
            )
        ],
        ("application/json", "application/cbor"),
    ),
    Channel(
        "rejected",
        "mp/v1/{utility}/{gateway}/rejected",
        "send",
        "Feedback about what was rejected",
        "Told to the sender of a readings message after what can't be used of it was quarantined: at most once per "
        "message and reason, not for redeliveries, and limited in rate.",
        [
            (
                RejectedMessage,
                {
                    "id": "gw-1-000018",
                    "digest": "8d2f0c6e3a1b4f5d9e7c8a6b5d4c3b2a",
                    "reason": "register_invalid",
                    "detail": "row 3: register 'abc': the register is no number; send a number, or a decimal number "
                    "as text",
                    "remedy": "send a number, or a decimal number as text",
                    "rows": [3],
                    "rows_total": 1,
                    "received_at": "2026-01-01T00:15:03Z",
                    "suppressed": 0,
                    "v": 1,
                },
            )
        ],
    ),
    Channel(
        "gatewayStatus",
        STATUS_TOPIC,
        "send",
        "Status of a gateway of Meterproof",
        "Retained. The broker publishes it as the last will of a gateway that it does not hear of any more.",
        [(GatewayStatus, {"gateway": "meterproof-1", "state": "online", "reason": "", "v": 1})],
        retain=True,
    ),
)


def asyncapi_document(software_version: str) -> str:
    """The document as indented JSON."""
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Meterproof",
            "version": software_version,
            "description": "The topics of Meterproof's own contract over MQTT 3.1.1 or 5. Meters' other dialects keep "
            "their own topics; the settings bind them to codecs.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {
            f"{channel.action}{channel.name[0].upper()}{channel.name[1:]}": _operation(channel) for channel in CHANNELS
        },
        "components": {"schemas": _schemas()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _channel(channel: Channel) -> dict[str, Any]:
    parameters = [name for name in _PARAMETERS if f"{{{name}}}" in channel.address]
    return {
        "address": channel.address,
        "title": channel.title,
        "description": channel.description,
        "parameters": {name: {"description": _PARAMETERS[name]} for name in parameters},
        "messages": dict(_messages(channel)),
    }


def _messages(channel: Channel) -> list[tuple[str, dict[str, Any]]]:
    messages = []
    for payload, example in channel.payloads:
        for content_type in channel.content_types:
            name = payload.__name__ + ("" if content_type == "application/json" else "Cbor")
            message = {
                "name": name,
                "contentType": content_type,
                "payload": {"$ref": _REFERENCE.format(name=payload.__name__)},
                "examples": [{"payload": example}],
            }
            messages.append((name, message))
    return messages


def _operation(channel: Channel) -> dict[str, Any]:
    binding = {"qos": QOS, "bindingVersion": MQTT_BINDING}
    if channel.action == "send":
        binding["retain"] = channel.retain
    return {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{name}"} for name, _ in _messages(channel)],
        "bindings": {"mqtt": binding},
    }


def _schemas() -> dict[str, Any]:
    types = [payload for channel in CHANNELS for payload, _ in channel.payloads]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    for name, schema in schemas.items():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
        for field, text in _FIELDS.get(name, {}).items():
            schema["properties"][field]["description"] = text
    return dict(schemas)
