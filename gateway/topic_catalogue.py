"""The topics of Meterproof's own contract with their payloads, and what people need to know about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from gateway.codec.native import NativePayload
from gateway.feedback import RejectedMessage
from gateway.outbox import GatewayStatus
from gateway.repair.messages import Acknowledgement, ReadProfile, SyncClock, command_topic
from gateway.topics import STATUS_TOPIC
from metrology.quantities import UNITS
from metrology.status import TITLES

PARAMETERS: Final = {
    "utility": "Code of the utility whose meters are meant, as it was imported.",
    "gateway": "The concentrator or gateway that sends; any name without `/`, one for each sender.",
    "client_id": "`mqtt.client_id` of a gateway of Meterproof.",
}
# What the types don't say. A field without a text here must explain itself by its type's own description.
FIELDS: Final[dict[str, dict[str, str]]] = {
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
        "answers": "The `id` of the command that these readings answer.",
    },
    "ReadProfile": {
        "command": "Which command it is.",
        "v": "Version of the payload: 1.",
        "id": "The command's name; the same command may be delivered twice.",
        "expires_at": "After this time the answer is of no use: RFC 3339 text with offset.",
        "reads": "Which readings are asked for.",
    },
    "SyncClock": {
        "command": "Which command it is.",
        "v": "Version of the payload: 1.",
        "id": "The command's name; the same command may be delivered twice.",
        "expires_at": "After this time it is not to be carried out: RFC 3339 text with offset.",
        "clocks": "Which meters' clocks are off, and by how much.",
    },
    "Acknowledgement": {
        "v": "Version of the payload: 1.",
        "id": "The `id` of the command.",
        "state": "What became of the command.",
        "reason": "Why it failed, or what else is to be said.",
        "unavailable": "Meters of which something could not be done, and why.",
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
        "commands",
        command_topic("{utility}", "{gateway}"),
        "send",
        "Commands to a concentrator",
        "Readings that are missing are asked for, and a clock that is off is offered the time. A concentrator that "
        "answers sends the readings on its readings topic, then acknowledges; one that does not know commands may "
        "leave them alone.",
        [
            (
                ReadProfile,
                {
                    "command": "read_profile",
                    "v": 1,
                    "id": "r-2f6c1d9b7a4e3c5d8b",
                    "expires_at": "2026-01-01T12:00:00Z",
                    "reads": [
                        {
                            "meters": ["E-0001"],
                            "from": "2026-01-01T03:00:00Z",
                            "to": "2026-01-01T05:00:00Z",
                            "interval_s": 900,
                        }
                    ],
                },
            ),
            (
                SyncClock,
                {
                    "command": "sync_clock",
                    "v": 1,
                    "id": "c-8b1d2f6c9b7a4e3c5d",
                    "expires_at": "2026-01-01T12:00:00Z",
                    "clocks": [{"meter": "E-0002", "offset_s": 251.4, "low_s": 249.8, "high_s": 252.6}],
                },
            ),
        ],
    ),
    Channel(
        "acknowledgements",
        f"{command_topic('{utility}', '{gateway}')}/ack",
        "receive",
        "Acknowledgements of commands",
        "What became of a command: accepted, done or failed.",
        [
            (
                Acknowledgement,
                {
                    "v": 1,
                    "id": "r-2f6c1d9b7a4e3c5d8b",
                    "state": "done",
                    "reason": "",
                    "unavailable": [{"meter": "E-0001", "reason": "memory_lost"}],
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
