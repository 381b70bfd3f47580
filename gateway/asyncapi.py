"""The AsyncAPI 3 document of the topics, made of the payloads' own definitions: what the code reads and writes."""

import inspect
import json
from typing import Any, Final

import msgspec

from gateway.connection import QOS
from gateway.topic_catalogue import CHANNELS, FIELDS, PARAMETERS, Channel

MQTT_BINDING: Final = "0.2.0"
_REFERENCE: Final = "#/components/schemas/{name}"


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
    parameters = [name for name in PARAMETERS if f"{{{name}}}" in channel.address]
    return {
        "address": channel.address,
        "title": channel.title,
        "description": channel.description,
        "parameters": {name: {"description": PARAMETERS[name]} for name in parameters},
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
    native = schemas["NativePayload"]["properties"]
    # The gateway passes over `answers`; the repair of gaps reads it.
    native["answers"] = {"type": "string", "default": ""}
    # The codec tells an absent field from its default.
    native["status"]["default"], native["id"]["default"] = 0, ""
    for name, schema in schemas.items():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
        for field, text in FIELDS.get(name, {}).items():
            schema["properties"][field]["description"] = text
    return dict(schemas)
