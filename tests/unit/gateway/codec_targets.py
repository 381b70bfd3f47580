"""Every built-in codec as a target of fuzzing: its golden payloads as seeds, and what must hold for any payload.

Used by the property tests beside it and by `make fuzz`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from gateway.batch import assemble
from gateway.codec.framing import checksum, frame_bytes, skip_preamble
from gateway.codec.registry import BUILT_IN, find_codec, read_options
from gateway.codec.rows import Codec, CodecContext, MessageRejected, Rows
from gateway.decode import Decoded, Message
from gateway.identity import IdentityMap
from gateway.reasons import ADVICE
from gateway.settings import GatewaySettings
from metrology.quantities import Medium, micro_per_unit

HERE = Path(__file__).parent
READINGS_MAX = 200
RECEIVED_US = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000
SETTINGS = GatewaySettings()
NOBODY = IdentityMap(1, {"city": 1}, {"city": {}}, np.full(1, -1, dtype=np.int8))


@dataclass
class Target:
    """A codec with one source's options, and payloads that it knows."""

    name: str
    make: Callable[[], Codec]
    seeds: list[tuple[str, bytes]] = field(default_factory=list)


def targets(names: list[str] | None = None) -> list[Target]:
    """One target for each codec and set of options among its golden payloads."""
    found: dict[str, Target] = {}
    for name, zone, options, topic, payload in _goldens():
        if names is None or name in names:
            key = json.dumps([name, zone, options], sort_keys=True)
            if key not in found:
                found[key] = Target(name, _maker(name, zone, options))
            found[key].seeds.append((topic, payload))
    return list(found.values())


def _goldens() -> Iterator[tuple[str, str, dict[str, Any], str, bytes]]:
    for path in sorted((HERE / "golden").glob("*.json")):
        if ".expected." not in path.name:
            yield "native", "UTC", {}, "mp/v1/city/g/readings", path.read_bytes()
    for path in sorted((HERE / "golden").glob("*/*.json")):
        case = json.loads(path.read_text())
        for message in case["messages"]:
            text = (
                "\r\n".join(message["lines"]).encode("latin-1")
                if "lines" in message
                else message.get("text", "").encode()
            )
            payload = bytes.fromhex(message["hex"]) if "hex" in message else text
            yield path.parent.name, case["time_zone"], case["options"], message.get("topic", "t"), payload
    for path in sorted((HERE / "golden_json").glob("*.expected.json")):
        case = json.loads(path.read_text())
        source = case["source"]
        payload = path.with_name(path.name.replace(".expected.json", ".json")).read_bytes()
        yield source["codec"], source.get("time_zone", "UTC"), source.get("options", {}), case["topic"], payload


def _maker(name: str, zone: str, options: dict[str, Any]) -> Callable[[], Codec]:
    kind = find_codec(name)
    context = CodecContext("fuzz", ZoneInfo(zone), READINGS_MAX)
    return lambda: kind.build(read_options(kind, options, "options"), context)


def check(name: str, codec: Codec, topic: str, payload: bytes) -> Rows | None:
    """Decode and hold the result against what every codec promises; None for a rejected message."""
    rows, rejection = None, None
    try:
        rows = codec.decode(topic, payload, RECEIVED_US)
    except MessageRejected as error:
        rejection = error
    if rows is None:
        assert rejection is not None
        assert rejection.reason in ADVICE
        assert isinstance(rejection.found, str)
        return None
    n = len(rows.meter)
    assert n <= READINGS_MAX
    assert len(rows.observed_at) == len(rows.register) == len(rows.status) == n
    media = rows.medium if isinstance(rows.medium, list) else [rows.medium] * n
    units = rows.unit if isinstance(rows.unit, list) else [rows.unit] * n
    assert len(media) == len(units) == n
    for medium, unit in zip(media, units, strict=True):
        assert isinstance(medium, Medium)
        assert micro_per_unit(unit, medium) > 0
    for reject in rows.rejects:
        assert 0 <= reject.row < n
        assert reject.reason in ADVICE
    message = Message(topic, payload, RECEIVED_US)
    assembly = assemble([Decoded(message, b"d" * 16, "city", rows)], NOBODY, SETTINGS, 1)
    assert assembly.readings_in == n == len(assembly.pending) + assembly.rejected
    rejected = {reject.row for reject in rows.rejects}
    for row in set(range(n)) - rejected:
        ORACLES.get(name, lambda *_: None)(payload, rows.meter[row], rows.register[row])
    return rows


def _holds_dlt645(payload: bytes, meter: str, register: float | str) -> None:
    """The address and the digits stand in the frames, written anew from the reading."""
    line = frame_bytes(payload, "auto")
    assert b"\x68" + bytes.fromhex(meter[:12])[::-1] + b"\x68" in line
    digits = str(register).replace(".", "").rjust(8, "0")
    plain = bytes((byte - 0x33) % 256 for byte in line)
    # An answer in several frames may part a register: then its bytes stand apart.
    assert bytes.fromhex(digits)[::-1] in plain or line.count(b"\x16") > 1


def _holds_cjt188(payload: bytes, meter: str, register: float | str) -> None:
    """Address, control code and flow stand in one frame, written anew from the reading."""
    line = frame_bytes(payload, "auto")
    found = False
    for unit, litres in ((0x29, 1), (0x2C, 1000)):
        hundredths = Decimal(register) * 100 / litres
        if hundredths == int(hundredths) < 10**8:
            flow = bytes.fromhex(f"{int(hundredths):08}")[::-1] + bytes([unit])
            head = re.escape(bytes.fromhex(meter)[::-1]) + rb"\x81.(?:\x1f\x90|\x90\x1f)."
            found |= re.search(head + re.escape(flow), line, re.DOTALL) is not None
    assert found


def _holds_dsmr(payload: bytes, meter: str, _register: float | str) -> None:
    """The serial stands in the telegram as text or as hexadecimal digits, or in the topic (AT-7)."""
    serial = re.sub(r"-(out|t2)$", "", meter)
    assert (
        serial == "AT-7"
        or serial.encode("latin-1") in payload
        or serial.encode().hex() in payload.lower().decode("latin-1")
    )


ORACLES: dict[str, Callable[[bytes, str, float | str], None]] = {
    "dlt645": _holds_dlt645,
    "cjt188": _holds_cjt188,
    "dsmr_p1": _holds_dsmr,
}


def repaired(name: str, payload: bytes) -> bytes:
    """The payload with its first checksum set right, so that what lies behind the check is reached."""
    if name == "dsmr_p1" and b"!" in payload:
        end = payload.index(b"!") + 1
        start = max(payload.rfind(b"/", 0, end), 0)
        return payload[:end] + f"{_crc16(payload[start:end]):04X}\r\n".encode()
    if name not in ("dlt645", "cjt188"):
        return payload
    try:
        line = bytearray(frame_bytes(payload, "auto"))
    except MessageRejected:
        return payload
    start = skip_preamble(line, 0)
    end = start + (12 + line[start + 9] if name == "dlt645" else 13 + line[start + 10]) if len(line) > start + 12 else 0
    if 0 < end <= len(line):
        line[end - 2 : end] = bytes([checksum(line[start : end - 2]), 0x16])
    return bytes(line)


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def built_in_names() -> list[str]:
    """Names of the codecs that come with the gateway."""
    return list(BUILT_IN)
