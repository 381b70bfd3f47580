"""DSMR P1 telegrams as text: where they begin and end, their CRC, and their data lines.

DSMR 5.0.2 P1 companion standard, 5.2 (CRC) and 6.12 (data objects); IEC 62056-21, mode D.
"""

import re
from dataclasses import dataclass

from gateway.codec.rows import MessageRejected
from gateway.reasons import Reason, show

_START = re.compile(rb"(?:\A|[\0\s])(/)")
_CRC = re.compile(rb"[0-9A-Fa-f]{4}(?=\s|\0|$)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_CODE = re.compile(r"\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}(?:\.\d{1,3})?", re.ASCII)
_VALUE = re.compile(r"\(([^()]*)\)")
_VALUES = re.compile(r"(?:\([^()]*\))+")
_POLYNOMIAL = 0xA001  # x16 + x15 + x2 + 1, bits reversed, start value 0 (DSMR 5.0.2 P1, 5.2)


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        entries.append(crc)
    return tuple(entries)


_CRC_OF_BYTE = _table()


def crc16(data: bytes) -> int:
    """The telegram's CRC, of everything from `/` to `!`, both included."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC_OF_BYTE[(crc ^ byte) & 0xFF]
    return crc


@dataclass(frozen=True, slots=True)
class Telegram:
    """A telegram's data: the texts in brackets by OBIS code. `fault` says why it can't be used, with its reason."""

    values: dict[str, list[str]]
    fault: tuple[Reason, str] | None = None


_CUT_OFF = Telegram({}, (Reason.FRAME_INVALID, "a telegram is cut off before its !"))


def split_telegrams(payload: bytes, crc_required: bool, telegrams_max: int) -> list[Telegram]:
    """The telegrams of a payload, in order. Raises MessageRejected where it holds no whole one, or too many."""
    count = payload.count(b"!")
    if count > telegrams_max:
        raise MessageRejected(Reason.TOO_MANY_READINGS, f"{count} telegrams, {telegrams_max} are allowed", count)
    telegrams: list[Telegram] = []
    position = 0
    while (end := payload.find(b"!", position)) >= 0:
        starts = _starts(payload[position:end])
        telegrams += [_CUT_OFF] * (len(starts) - 1)
        if starts:
            crc = _CRC.match(payload, end + 1)
            behind = payload[end + 1 : end + 9]
            telegrams.append(_telegram(payload[position + starts[-1] : end + 1], behind, crc and crc[0], crc_required))
        position = end + 1
    if not telegrams:
        found = f"{show(payload[:40])} has no telegram from / to !" if payload else "the payload is empty"
        raise MessageRejected(Reason.FRAME_INVALID, found)
    return telegrams + [_CUT_OFF] * len(_starts(payload[position:]))


def _starts(text: bytes) -> list[int]:
    """Where telegrams begin: a slash at the start of the text, of a line, or behind a blank."""
    return [match.start(1) for match in _START.finditer(text)]


def _telegram(data: bytes, behind: bytes, crc: bytes | None, crc_required: bool) -> Telegram:
    line_behind = _LINE_END.split(behind, maxsplit=1)[0].strip(b"\0 ")
    if crc is None and (crc_required or line_behind[:4].isalnum()):
        return Telegram({}, (Reason.CHECKSUM_WRONG, f"{show(line_behind)} behind ! is no CRC of 4 digits"))
    if crc is not None and not _is_crc_of(data, int(crc, 16)):
        found = f"CRC {crc.decode()}, but the telegram's is {crc16(data):04X}"
        return Telegram({}, (Reason.CHECKSUM_WRONG, found))
    return _parsed(data[:-1].decode("latin-1"))


def _is_crc_of(data: bytes, crc: int) -> bool:
    """Of the bytes as they are, or with the line ends as the meter counted them: some forwarders change CR LF."""
    return crc16(data) == crc or crc16(_LINE_END.sub(b"\r\n", data)) == crc


def _parsed(text: str) -> Telegram:
    values: dict[str, list[str]] = {}
    for line in _joined(text):
        code = _CODE.match(line)
        if code is None:
            continue  # the identification line, blank ones, and codes of other forms such as 1-0:1.8.0*255
        if not _VALUES.fullmatch(line, code.end()):
            return Telegram({}, (Reason.FRAME_INVALID, f"line {show(line)} is no code with values in brackets"))
        found = _VALUE.findall(line, code.end())
        if values.setdefault(code[0], found) != found:
            return Telegram({}, (Reason.FRAME_INVALID, f"{code[0]} stands twice, with different values"))
    return Telegram(values)


def _joined(text: str) -> list[str]:
    """The lines; one that begins with a bracket goes on with the line before (DSMR 2.2 and 3.0, gas)."""
    lines: list[str] = []
    for line in re.split(r"[\r\n]+", text):
        stripped = line.strip()
        if stripped.startswith("(") and lines:
            lines[-1] += stripped
        else:
            lines.append(stripped)
    return lines
