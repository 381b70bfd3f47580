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
    IDENTITY_MISMATCH = "identity_mismatch"
    MEDIUM_UNKNOWN = "medium_unknown"
    SCALE_UNKNOWN = "scale_unknown"
    OBSERVED_AT_NONEXISTENT = "observed_at_nonexistent"
    NOT_READ_YET = "not_read_yet"
    SENDER_REPORTS_ERROR = "sender_reports_error"
    TOO_DEEP = "too_deep"
    DECODER_TIMED_OUT = "decoder_timed_out"
    CHECKSUM_WRONG = "checksum_wrong"
    FRAME_INVALID = "frame_invalid"
    METER_REFUSED = "meter_refused"
    QUALITY_BAD = "quality_bad"
    BIRTH_MISSING = "birth_missing"
    STORE_REFUSED = "store_refused"


class Advice(NamedTuple):
    """What a reason means, and what to do about it."""

    title: str
    remedy: str


ADVICE: dict[Reason, Advice] = {
    Reason.TOPIC_UNEXPECTED: Advice(
        "no source of gateway.sources takes the topic, or it names no utility",
        "publish native messages on mp/v1/{utility}/{gateway}/readings, or add or correct a source",
    ),
    Reason.PAYLOAD_TOO_LARGE: Advice(
        "the payload is larger than gateway.payload_bytes_max", "send smaller messages, or raise the setting"
    ),
    Reason.UNDECODABLE: Advice(
        "the payload is not of the form that its source's codec takes",
        "send that form, or correct the source's codec and topic_filter; see docs/codecs.md",
    ),
    Reason.VERSION_UNSUPPORTED: Advice("the payload's version is not supported", 'send "v": 1'),
    Reason.FIELD_MISSING: Advice(
        "a field that every message needs is missing",
        "send it (native: v, medium, unit, observed_at, meter and register), or correct the source's options",
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
        "the message's utility is not in the registry",
        "import this utility's meters first: meterproof import meters FILE",
    ),
    Reason.METER_INVALID: Advice(
        "the meter's serial is no text of 1 to 128 printable characters", "send the serial as text, zeros included"
    ),
    Reason.OBSERVED_AT_INVALID: Advice(
        "the time is not of the form that the source's codec takes",
        "native: RFC 3339 text with an offset, e.g. 2026-01-01T00:15:00Z, or an integer of milliseconds since 1970",
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
    Reason.IDENTITY_MISMATCH: Advice(
        "the topic names another sender than the payload: a mistake, or someone feigns to be another meter",
        "find out who published it; correct the sender, or the source's identity rule",
    ),
    Reason.MEDIUM_UNKNOWN: Advice(
        "what the meter measures is none of electricity, water and gas, or is not told",
        "map the sender's word to a medium in the source's options, or pass it over",
    ),
    Reason.SCALE_UNKNOWN: Advice(
        "the register is a bare count, and how much one count is isn't known",
        "set the meter's multiplier in the source's options",
    ),
    Reason.OBSERVED_AT_NONEXISTENT: Advice(
        "no clock in the source's time zone ever showed this local time",
        "correct the source's time_zone, or set the meter's clock",
    ),
    Reason.NOT_READ_YET: Advice(
        "the register is zero: what senders of this kind send after a start, until they have read the meter",
        "none, if it passes; accept zeros in the source's options (zero) for a meter that really shows zero",
    ),
    Reason.SENDER_REPORTS_ERROR: Advice(
        "the sender says that it could not read the meter", "look at the sender: its camera, its cable, its meter"
    ),
    Reason.TOO_DEEP: Advice(
        "objects and lists lie deeper in each other than gateway.nesting_max", "send a flatter payload"
    ),
    Reason.DECODER_TIMED_OUT: Advice(
        "the codec did not come to an end within the source's decode_timeout_s, and was stopped",
        "report it to the codec's author with the payload, or raise the limit",
    ),
    Reason.CHECKSUM_WRONG: Advice(
        "the checksum does not belong to what arrived: it was changed or cut on its way from the meter",
        "read the meter again; if it recurs, check the line, the probe and whatever forwards the bytes",
    ),
    Reason.FRAME_INVALID: Advice(
        "the frame or telegram does not follow its protocol's structure",
        "send it whole and unchanged; check the source's codec and its option encoding",
    ),
    Reason.METER_REFUSED: Advice(
        "the meter answered that it can't give the data", "check what is asked of it, against the meter's manual"
    ),
    Reason.QUALITY_BAD: Advice(
        "the sender itself marks the value as bad or stale", "restore its connection to the meter"
    ),
    Reason.BIRTH_MISSING: Advice(
        "what the metric's alias stands for is not known for certain: no BIRTH of the node or device since it began, "
        "died, or a message was missed",
        "none where the node answers the request for a rebirth, which was sent; else restart the edge node",
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
