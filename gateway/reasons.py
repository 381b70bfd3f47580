"""Why a message or a row can't become a reading: codes, kept in the quarantine, with a title and a remedy each."""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Code of a reason; stored, so that names must never change their meaning."""

    TOPIC_UNEXPECTED = "topic_unexpected"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNDECODABLE = "undecodable"
    VERSION_UNSUPPORTED = "version_unsupported"
    FIELD_MISSING = "field_missing"
    FIELD_INVALID = "field_invalid"
    LENGTHS_DIFFER = "lengths_differ"
    TOO_MANY_READINGS = "too_many_readings"
    UNIT_INVALID = "unit_invalid"
    UTILITY_UNKNOWN = "utility_unknown"
    METER_INVALID = "meter_invalid"
    OBSERVED_AT_INVALID = "observed_at_invalid"
    OBSERVED_AT_TOO_EARLY = "observed_at_too_early"
    OBSERVED_AT_IN_FUTURE = "observed_at_in_future"
    REGISTER_INVALID = "register_invalid"
    REGISTER_INEXACT = "register_inexact"
    REGISTER_OUT_OF_RANGE = "register_out_of_range"
    STATUS_INVALID = "status_invalid"
    MEDIUM_MISMATCH = "medium_mismatch"
    STORE_REFUSED = "store_refused"


class Advice(NamedTuple):
    """What a reason means, and what to do about it."""

    title: str
    remedy: str


ADVICE: dict[Reason, Advice] = {
    Reason.TOPIC_UNEXPECTED: Advice(
        "the topic is not mp/v1/{utility}/{gateway}/readings",
        "publish native messages on that topic, or narrow gateway.topic_filter",
    ),
    Reason.PAYLOAD_TOO_LARGE: Advice(
        "the payload is larger than gateway.payload_bytes_max", "send smaller messages, or raise the setting"
    ),
    Reason.UNDECODABLE: Advice(
        "the payload is neither a JSON object nor a CBOR map", "send the native payload; see docs/architecture.md"
    ),
    Reason.VERSION_UNSUPPORTED: Advice("the payload's version is not supported", 'send "v": 1'),
    Reason.FIELD_MISSING: Advice(
        "a field that every message needs is missing", "send v, medium, unit, observed_at, meter and register"
    ),
    Reason.FIELD_INVALID: Advice("a field of the whole message has a wrong type or value", "send it as documented"),
    Reason.LENGTHS_DIFFER: Advice(
        "the columns have different lengths", "send lists of one length, or one value that stands for every row"
    ),
    Reason.TOO_MANY_READINGS: Advice(
        "more readings than gateway.readings_per_message_max", "split the message, or raise the setting"
    ),
    Reason.UNIT_INVALID: Advice("the unit does not measure the medium", "send a unit of the medium"),
    Reason.UTILITY_UNKNOWN: Advice(
        "the topic's utility is not in the registry",
        "import this utility's meters first: meterproof import meters FILE",
    ),
    Reason.METER_INVALID: Advice(
        "the meter's serial is no text of 1 to 128 printable characters", "send the serial as text, zeros included"
    ),
    Reason.OBSERVED_AT_INVALID: Advice(
        "the time is neither RFC 3339 text with an offset nor an integer of milliseconds since 1970",
        "send e.g. 2026-01-01T00:15:00Z",
    ),
    Reason.OBSERVED_AT_TOO_EARLY: Advice(
        "the time lies before gateway.observed_at_earliest", "set the meter's clock, and send the readings again"
    ),
    Reason.OBSERVED_AT_IN_FUTURE: Advice(
        "the time lies further in the future than gateway.observed_at_future_s allows",
        "set the meter's clock, and send the readings again",
    ),
    Reason.REGISTER_INVALID: Advice("the register is no number", "send a number, or a decimal number as text"),
    Reason.REGISTER_INEXACT: Advice(
        "the register has more digits than a float holds exactly", "send it as a decimal string"
    ),
    Reason.REGISTER_OUT_OF_RANGE: Advice(
        "the register lies outside gateway.register_min and register_max", "check the unit, or change the limits"
    ),
    Reason.STATUS_INVALID: Advice(
        "the status is no integer of 0 to 32767", "send a set of the bits in metrology/status.py"
    ),
    Reason.MEDIUM_MISMATCH: Advice(
        "the message's medium is not that of the registered meter", "correct the sender, or the registry"
    ),
    Reason.STORE_REFUSED: Advice(
        "the database refused the message's readings", "report this with the detail: a fault of Meterproof"
    ),
}


def explain(reason: Reason, found: str) -> str:
    """One line for people: what was found (with its place), what it means, and the remedy."""
    advice = ADVICE[reason]
    return f"{found}: {advice.title}; {advice.remedy}"


def show(value: object) -> str:
    """A value in a message to people: short, printable. Large integers have no decimal text (CPython refuses it)."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, list | dict | set | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    text = str(value) if isinstance(value, BaseException) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
