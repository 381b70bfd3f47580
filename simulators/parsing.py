"""Columns of text, or of a Parquet file's types, to times and registers: vectorised, with the slow way for odd rows.

Each parser returns arrays of the column's length and a mask of the rows that could not be read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from metrology.quantities import MAX_REGISTER_MICRO, MICRO, decimals_to_micro, floats_to_micro
from simulators.local_time import resolvable

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

_WIDTHS: Final = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "f": 6}
_ISO_PATTERNS: Final = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%fZ")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND_US
# 12 digits before and 6 after the point stay below 2**63 when joined.
_PLAIN_DECIMAL: Final = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"


@dataclass(frozen=True, slots=True)
class ParsedTimes:
    """Times [µs since 1970], by the local clock unless `utc` is True; `bad` ones hold 0."""

    time_us: Int64s
    utc: Bools
    bad: Bools


def parse_times(values: pa.Array, time_format: str) -> ParsedTimes:
    """Times of a column of text, of timestamps or of epoch numbers. A year outside 1970 to 2199 is bad."""
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        parsed = _from_timestamps(values)
    elif time_format in ("unix_s", "unix_ms"):
        parsed = _from_epoch(_as_text(values), 1_000 if time_format == "unix_ms" else 1)
    else:
        parsed = _from_text(_as_text(values), time_format)
    bad = parsed.bad | ~resolvable(parsed.time_us)
    return ParsedTimes(np.where(bad, 0, parsed.time_us), parsed.utc, bad)


def _as_text(values: pa.Array) -> pa.Array:
    return pc.fill_null(values.cast(pa.string()), "")


def _from_timestamps(values: pa.Array) -> ParsedTimes:
    aware = pa.types.is_timestamp(values.type) and values.type.tz is not None
    micro = values.cast(pa.timestamp("us", values.type.tz if aware else None), safe=False).cast(pa.int64())
    bad = np.asarray(pc.is_null(micro))
    time_us = np.asarray(pc.fill_null(micro, 0))
    return ParsedTimes(time_us, np.full(len(bad), aware), bad)


def _from_epoch(texts: pa.Array, per_second: int) -> ParsedTimes:
    time_us, bad = decimals_to_micro(texts.to_pylist(), Fraction(MICRO, per_second))
    return ParsedTimes(time_us, np.ones(len(bad), dtype=np.bool_), bad)


def _from_text(texts: pa.Array, time_format: str) -> ParsedTimes:
    iso = time_format == "iso8601"
    count = len(texts)
    time_us = np.zeros(count, dtype=np.int64)
    utc, left = np.zeros(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
    for pattern in _ISO_PATTERNS if iso else (time_format,):
        rows = np.flatnonzero(left)
        if not len(rows):
            break
        found, moments = _parse_fixed(texts if len(rows) == count else texts.take(pa.array(rows)), pattern)
        time_us[rows[found]] = moments
        utc[rows[found]] = pattern.endswith("Z")
        left[rows[found]] = False
    one = datetime.fromisoformat if iso else _strptime(time_format)
    bad = np.zeros(count, dtype=np.bool_)
    for row in np.flatnonzero(left):
        moment = _parse_one(texts[int(row)].as_py(), one)
        bad[row] = moment is None
        if moment is not None:
            time_us[row], utc[row] = moment
    return ParsedTimes(time_us, utc, bad)


def _strptime(pattern: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, pattern)  # noqa: DTZ007  # local time is meant; its zone comes later


def _parse_one(text: str, parse: Callable[[str], datetime]) -> tuple[int, bool] | None:
    try:
        moment = parse(text)
    except ValueError:
        return None
    aware = moment.tzinfo is not None
    since = (moment if aware else moment.replace(tzinfo=UTC)) - _EPOCH
    return since.days * _DAY_US + since.seconds * _SECOND_US + since.microseconds, aware


def _parse_fixed(texts: pa.Array, pattern: str) -> tuple[Int64s, Int64s]:
    """Rows whose text has the pattern's full width and digits, and their times [µs by the text's clock]."""
    layout = _layout(pattern)
    none = np.zeros(0, dtype=np.int64)
    if layout is None:
        return none, none
    fields, literals, width = layout
    rows = np.flatnonzero(np.asarray(pc.binary_length(texts)) == width)
    if not len(rows):
        return none, none
    fitting = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
    characters = _character_matrix(fitting, width)
    ok = np.ones(len(rows), dtype=np.bool_)
    for position, code in literals:
        ok &= characters[:, position] == code
    parts = {"m": 1, "d": 1, "H": 0, "M": 0, "S": 0, "f": 0, "Y": 1970}
    numbers: dict[str, Any] = {name: np.full(len(rows), value, dtype=np.int64) for name, value in parts.items()}
    for name, position in fields:
        digits = characters[:, position : position + _WIDTHS[name]].astype(np.int64) - ord("0")
        ok &= ((digits >= 0) & (digits <= 9)).all(axis=1)
        numbers[name] = digits @ 10 ** np.arange(_WIDTHS[name] - 1, -1, -1)
    return _civil(rows, ok, numbers)


def _layout(pattern: str) -> tuple[list[tuple[str, int]], list[tuple[int, int]], int] | None:
    """Places of a pattern's fields and literal characters and its width; None if a field has no fixed width."""
    fields: list[tuple[str, int]] = []
    literals: list[tuple[int, int]] = []
    width = 0
    for part in re.findall(r"%.|[^%]", pattern, flags=re.DOTALL):
        if len(part) == 2:
            if part[1] not in _WIDTHS or part[1] in (name for name, _ in fields):
                return None
            fields.append((part[1], width))
            width += _WIDTHS[part[1]]
        else:
            if not part.isascii() or (part.isspace() and part != " "):
                return None
            literals.append((width, ord(part)))
            width += 1
    return fields, literals, width


def _character_matrix(texts: pa.Array, width: int) -> NDArray[np.uint8]:
    _, offsets, data = texts.buffers()
    first = int(np.frombuffer(offsets, dtype=np.int32)[texts.offset])
    characters = np.frombuffer(data, dtype=np.uint8)[first : first + len(texts) * width]
    return characters.reshape(len(texts), width)


def _civil(rows: Int64s, ok: Bools, parts: dict[str, Any]) -> tuple[Int64s, Int64s]:
    ok = ok & (parts["m"] >= 1) & (parts["m"] <= 12) & (parts["d"] >= 1)
    ok &= (parts["H"] < 24) & (parts["M"] < 60) & (parts["S"] < 60)
    months = (parts["Y"] - 1970) * 12 + np.where(ok, parts["m"], 1) - 1
    first_day = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    next_month = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    ok &= parts["d"] <= next_month - first_day
    seconds = (first_day + parts["d"] - 1) * 86_400 + parts["H"] * 3600 + parts["M"] * 60 + parts["S"]
    return rows[ok], (seconds * _SECOND_US + parts["f"])[ok]


def parse_registers(values: pa.Array, micro_per_unit: Fraction, decimal: str = ".") -> tuple[Int64s, Bools]:
    """Registers [micro] of a column of text or numbers, and which are bad: no number, or out of range.

    Texts are taken exactly, `4e+05` too; floats as far as a float64 holds every millionth.
    """
    kind = values.type
    if pa.types.is_floating(kind):
        floats = np.asarray(pc.fill_null(values.cast(pa.float64()), np.nan))
        return floats_to_micro(floats, micro_per_unit)
    texts = _as_text(values)
    if decimal != ".":
        # A point is no decimal sign here: such a text must not become a number a thousand times too small.
        texts = pc.if_else(pc.match_substring(texts, "."), "", pc.replace_substring(texts, decimal, "."))
    plain = np.asarray(pc.match_substring_regex(texts, _PLAIN_DECIMAL))
    out = np.zeros(len(plain), dtype=np.int64)
    bad = ~plain
    rows = np.flatnonzero(plain)
    exact, micro = _plain_to_micro(texts.filter(pa.array(plain)), micro_per_unit)
    out[rows[exact]] = micro
    slow = np.flatnonzero(np.isin(np.arange(len(plain)), rows[exact], invert=True))
    odd_texts = [_strict(text) for text in texts.take(pa.array(slow)).to_pylist()]
    out[slow], bad[slow] = decimals_to_micro(odd_texts, micro_per_unit)
    bad |= np.abs(out) > MAX_REGISTER_MICRO
    return np.where(bad, 0, out), bad


def _strict(text: str) -> str:
    """The text if it is written as a number in figures; Python alone would take `1_000` and `Infinity` too."""
    return text if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else ""


def _plain_to_micro(texts: pa.Array, micro_per_unit: Fraction) -> tuple[Int64s, Int64s]:
    """Positions of plain decimals that are a whole number of micro, within int64, and that number."""
    parts = pc.split_pattern(texts, ".", max_splits=1)
    whole = np.asarray(pc.list_element(parts, 0).cast(pa.int64())) if len(texts) else np.zeros(0, dtype=np.int64)
    millionths = np.zeros(len(texts), dtype=np.int64)
    with_point = np.flatnonzero(np.asarray(pc.list_value_length(parts)) == 2)
    if len(with_point):
        fraction = pc.list_element(parts.take(pa.array(with_point)), 1)
        millionths[with_point] = np.asarray(pc.utf8_rpad(fraction, 6, "0").cast(pa.int64()))
    scaled = whole * MICRO + millionths
    factor = micro_per_unit / MICRO
    exact = np.flatnonzero((scaled % factor.denominator == 0) & (scaled < MAX_REGISTER_MICRO // factor.numerator))
    return exact, scaled[exact] // factor.denominator * factor.numerator


def parse_integers(values: pa.Array, low: int, high: int) -> tuple[Int64s, Bools]:
    """Whole numbers of a column of text or numbers within [low, high], and which are bad."""
    out = np.zeros(len(values), dtype=np.int64)
    bad = np.zeros(len(values), dtype=np.bool_)
    encoded = pc.dictionary_encode(_as_text(values))
    codes = np.asarray(encoded.indices)
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        number = _whole_number(text)
        if number is None or not low <= number <= high:
            bad[codes == code] = True
        else:
            out[codes == code] = number
    return out, bad


def _whole_number(text: str) -> int | None:
    try:
        value = Decimal(_strict(text))
    except InvalidOperation:
        return None
    return int(value) if value.adjusted() < 18 and value == value.to_integral_value() else None
