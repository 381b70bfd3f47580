"""JSON payloads of other dialects as Python objects: numbers keep every digit, depth is bounded."""

from decimal import Decimal
from typing import Any

import msgspec

from gateway.codec.rows import MessageRejected
from gateway.reasons import Reason, show

_json = msgspec.json.Decoder(float_hook=Decimal)
_BOM = b"\xef\xbb\xbf"


def load_document(payload: bytes, nesting_max: int) -> Any:
    """The document of a payload, numbers with a point as Decimal. Raises MessageRejected."""
    if not payload.strip():
        raise MessageRejected(Reason.UNDECODABLE, "the payload is empty")
    try:
        document = _json.decode(payload.removeprefix(_BOM))
    except RecursionError:
        raise MessageRejected(Reason.TOO_DEEP, f"over {nesting_max} levels") from None
    except (ValueError, ArithmeticError) as error:  # of msgspec, of text that is no UTF-8, of a number beyond Decimal
        raise MessageRejected(Reason.UNDECODABLE, f"JSON: {show(error)}") from None
    if payload.count(b"[") + payload.count(b"{") > nesting_max and is_deeper(document, nesting_max):
        raise MessageRejected(Reason.TOO_DEEP, f"over {nesting_max} levels")
    return document


def is_deeper(document: Any, levels: int) -> bool:
    """True if objects and lists lie in each other more than `levels` deep."""
    layer = [document]
    for _ in range(levels + 1):
        containers = [value for value in layer if isinstance(value, dict | list)]
        if not containers:
            return False
        layer = [child for c in containers for child in (c.values() if isinstance(c, dict) else c)]
    return True
