"""What the frames of Chinese meter protocols share: how they travel over MQTT, their checksum, and BCD digits."""

import base64
import binascii
import re
from typing import Literal

from gateway.codec.rows import MessageRejected
from gateway.reasons import Reason, show

Encoding = Literal["auto", "hex", "base64", "binary"]
PREAMBLE = 0xFE
START = 0x68
END = 0x16
_SEPARATORS = re.compile(rb"[\s,:;-]+|0[xX]")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")


def frame_bytes(payload: bytes, encoding: Encoding) -> bytes:
    """The bytes on the meters' line: from hex text (blanks, commas, colons or 0x between), from base64, or as they are.

    `auto` takes the first of these forms that begins as a frame does, with FE or 68. Raises MessageRejected.
    """
    decoders = {"hex": _from_hex, "base64": _from_base64, "binary": _as_is}
    for name, decoder in decoders.items():
        if encoding in ("auto", name):
            data = decoder(payload)
            if data and (encoding == name or data[0] in (PREAMBLE, START)):
                return data
    forms = "hex text, base64 nor bytes of a frame" if encoding == "auto" else f"as {encoding}"
    found = "the payload is empty" if not payload else f"{show(payload[:40])} is neither {forms}"
    raise MessageRejected(Reason.UNDECODABLE, found.replace("neither as", "not"))


def _from_hex(payload: bytes) -> bytes | None:
    digits = _SEPARATORS.sub(b"", payload.strip(b'"'))
    return bytes.fromhex(digits.decode()) if _HEX.fullmatch(digits) else None


def _from_base64(payload: bytes) -> bytes | None:
    text = b"".join(payload.strip().strip(b'"').split())
    if not _BASE64.fullmatch(text):
        return None
    text = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


def _as_is(payload: bytes) -> bytes:
    return payload


def skip_preamble(data: bytes, position: int) -> int:
    """The place behind the FE bytes that wake the receivers up."""
    while position < len(data) and data[position] == PREAMBLE:
        position += 1
    return position


def checksum(data: bytes) -> int:
    """Sum of the bytes modulo 256 (DL/T 645-2007, 5.2; CJ/T 188-2018, 6)."""
    return sum(data) & 0xFF


def bcd_text(data: bytes) -> str | None:
    """Digits of little-endian BCD, the most significant first; None where a nibble is none."""
    digits = data[::-1].hex()
    return digits if digits.isdecimal() else None


def with_point(digits: str, decimals: int) -> str:
    """Digits with their decimal point: ("0012345", 2) -> "00123.45"."""
    return f"{digits[:-decimals] or '0'}.{digits[-decimals:]}" if decimals else digits
