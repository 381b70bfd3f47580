"""The codec `json`: any JSON document whose meters, registers and times stand at places that can be named."""

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.codec.document import load_document
from gateway.codec.json_options import JsonOptions, ReadingOptions
from gateway.codec.mapping_text import describe_mapping
from gateway.codec.numbers import exact_decimal, running_sums, scaled_sum
from gateway.codec.paths import MISSING, Path, Place, compile_path, find_items, find_value
from gateway.codec.registry import CodecKind
from gateway.codec.rowlist import Moment, RowList, moment_of_receipt
from gateway.codec.rows import CodecContext, MessageRejected, Rows
from gateway.codec.times import TimeRejected, read_time
from gateway.reasons import Reason, show
from metrology.quantities import UNITS, Medium
from metrology.status import ReadingStatus, parse_flags

_REMEMBERED_MAX = 20_000
_LOOKS_A_READING = 2


class RowRejected(Exception):  # noqa: N818  # a verdict that travels, not a fault of the program
    """A reading of an item can't be used."""

    def __init__(self, reason: Reason, found: str) -> None:
        super().__init__(found)
        self.reason = reason
        self.found = found


@dataclass(frozen=True, slots=True)
class _Reading:
    """A reading's options with its paths compiled."""

    options: ReadingOptions
    registers: tuple[Path, ...]
    unit: Path | None
    meter: Path
    time: Path | None
    deltas: Path | None


@dataclass(frozen=True, slots=True)
class _Message:
    """What is the same for all items of a document."""

    root: Any
    topic: str
    received_us: int | None
    rows: RowList

    def at(self, path: Path | None, place: Place) -> Any:
        """What stands there; MISSING for nothing and for null."""
        if path is None:
            return MISSING
        value = find_value(path, place, self.root, self.topic)
        return MISSING if value is None else value


class JsonMapper:
    """See Codec. Remembers what `unique_by` needs, nothing else."""

    def __init__(self, options: JsonOptions, context: CodecContext) -> None:
        self._options = options
        self._context = context
        self._items = compile_path(options.items)
        self._sender = _compiled(options.sender)
        self._medium = _compiled(options.medium_path)
        self._status = _compiled(options.status)
        self._conditions = [(compile_path(path), texts) for path, texts in options.only_if.items()]
        self._unique_by = [compile_path(path) for path in options.unique_by]
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._readings = [_compiled_reading(reading, options) for reading in options.readings]
        # Items without a reading take time as well.
        self._items_max = max(_LOOKS_A_READING * context.readings_max // len(self._readings), 1)

    def decode(self, topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        root = load_document(payload, self._context.nesting_max)
        return self.rows_of(root, topic, received_us)

    def rows_of(self, root: Any, topic: str, received_us: int | None) -> Rows:
        """The rows of a document that is loaded. Raises MessageRejected."""
        rows = RowList(self._context.readings_max)
        message = _Message(root, topic, received_us, rows)
        name = self._name_of(message)
        if name and name in self._seen:
            rows.skipped = 1
            return rows.rows()
        sender = message.at(self._sender, Place(root))
        rows.sender = None if sender is MISSING else _as_id(sender)
        for number, place in enumerate(find_items(root, self._items)):
            if number >= self._items_max:
                raise MessageRejected(Reason.TOO_MANY_READINGS, f"more than {self._items_max} items", number)
            if all(_as_text(message.at(path, place)) in texts for path, texts in self._conditions):
                self._read_item(message, place)
        result = rows.rows()
        if name:
            self._seen[name] = None
            if len(self._seen) > _REMEMBERED_MAX:
                self._seen.popitem(last=False)
        return result

    def _name_of(self, message: _Message) -> tuple[str, ...]:
        """What names the message; empty where a part of the name is missing."""
        parts = [_as_text(message.at(path, Place(message.root))) for path in self._unique_by]
        return tuple(parts) if all(parts) else ()

    def _read_item(self, message: _Message, place: Place) -> None:
        medium = self._medium_of(message, place)
        if medium == "skip":
            message.rows.skipped += 1
            return
        for reading in self._readings:
            values = [message.at(path, place) for path in reading.registers]
            if not reading.options.required and MISSING in values:
                continue
            meter = message.at(reading.meter, place)
            try:
                self._read(message, place, reading, values, medium)
            except RowRejected as rejected:
                shown = "" if meter is MISSING else _as_id(meter) or ""
                row_medium = reading.options.medium or (medium if isinstance(medium, Medium) else None)
                message.rows.reject(rejected.reason, rejected.found, row_medium or Medium.ELECTRICITY, shown[:128])

    def _read(
        self, message: _Message, place: Place, reading: _Reading, values: list[Any], medium: Medium | str | None
    ) -> None:
        """Add a reading's rows. Raises RowRejected."""
        options = reading.options
        row_medium = options.medium or medium
        if not isinstance(row_medium, Medium):
            raise RowRejected(Reason.MEDIUM_UNKNOWN, f"medium {show(message.at(self._medium, place))}")
        unit = self._unit_of(message, place, reading)
        if unit not in UNITS[row_medium]:
            if options.medium is None and not options.required:
                return  # a register of another kind of meter
            raise RowRejected(Reason.UNIT_INVALID, f"unit {show(unit)} of {row_medium}")
        meter = self._meter_of(message.at(reading.meter, place))
        numbers = self._numbers(values, reading)
        multiplier = self._options.multipliers.get(meter)
        if multiplier is None:
            if options.is_count:
                raise RowRejected(Reason.SCALE_UNKNOWN, f"{show(values[0])} of meter {meter}")
            multiplier = options.multiplier
        register = scaled_sum(numbers, multiplier)
        status = self._status_of(message, place)
        moment = self._moment(message, place, reading)
        steps = self._steps(message, place, reading, multiplier)
        sign = -1 if options.deltas and options.deltas.direction == "back" else 1
        interval_ms = options.deltas.interval_s * 1000 if options.deltas else 0
        for i, value in enumerate(running_sums(register, steps, sign)):
            at = moment and Moment(moment.ms + sign * i * interval_ms, moment.status)
            message.rows.add(row_medium, unit, meter + options.meter_suffix, at, str(value), status)

    def _medium_of(self, message: _Message, place: Place) -> Medium | str | None:
        """The item's medium, "skip", or None where its word has no entry or there is none."""
        word = message.at(self._medium, place)
        return None if word is MISSING else self._options.media.get(_as_text(word))

    def _unit_of(self, message: _Message, place: Place, reading: _Reading) -> str:
        word = message.at(reading.unit, place)
        if word is MISSING:
            return reading.options.unit
        return self._options.units.get(_as_text(word), _as_text(word))

    def _meter_of(self, value: Any) -> str:
        meter = None if value is MISSING else _as_id(value)
        if meter is None:
            raise RowRejected(Reason.METER_INVALID, "no id" if value is MISSING else show(value))
        if meter in self._options.unusable_ids:
            raise RowRejected(Reason.METER_INVALID, f"{show(meter)} stands where the id is not known")
        return meter

    def _numbers(self, values: list[Any], reading: _Reading) -> list[Decimal]:
        if MISSING in values:
            missing = [path.text for path, value in zip(reading.registers, values, strict=True) if value is MISSING]
            raise RowRejected(Reason.FIELD_MISSING, f"missing: {', '.join(missing)}")
        numbers = [exact_decimal(value) for value in values]
        for number, value in zip(numbers, values, strict=True):
            if number is None:
                raise RowRejected(Reason.REGISTER_INVALID, show(value))
        found = [number for number in numbers if number is not None]
        if self._options.zero == "reject" and not any(found):
            raise RowRejected(Reason.NOT_READ_YET, show(values[0]))
        return found

    def _status_of(self, message: _Message, place: Place) -> ReadingStatus:
        words = message.at(self._status, place)
        status = ReadingStatus.OK
        for word in [] if words is MISSING else _as_text(words).replace(",", " ").split():
            flags = self._options.status_flags.get(word)
            status |= ReadingStatus.TEMPORARY_FAULT if flags is None else parse_flags(flags)
        return status

    def _moment(self, message: _Message, place: Place, reading: _Reading) -> Moment | None:
        value = message.at(reading.time, place)
        if reading.time is None or (value is MISSING and self._options.time_missing == "receipt"):
            return moment_of_receipt(message.received_us)
        if value is MISSING:
            raise RowRejected(Reason.OBSERVED_AT_INVALID, f"missing: {reading.time.text}")
        try:
            moment = read_time(value, self._options.time_form, self._context.time_zone, message.received_us)
        except TimeRejected as rejected:
            raise RowRejected(rejected.reason, rejected.found) from None
        extra = ReadingStatus.TIME_OF_RECEIPT if self._options.time_of_receiver else ReadingStatus.OK
        return Moment(moment.ms, moment.status | extra)

    def _steps(self, message: _Message, place: Place, reading: _Reading, multiplier: Decimal) -> list[Decimal]:
        value = message.at(reading.deltas, place)
        if value is MISSING:
            return []
        steps = [exact_decimal(step) for step in value] if isinstance(value, list) else [None]
        if None in steps or len(steps) > self._context.readings_max:
            raise RowRejected(Reason.REGISTER_INVALID, f"steps {show(value)}")
        return [scaled_sum([step], multiplier) for step in steps if step is not None]


def _compiled(path: str | None) -> Path | None:
    return None if path is None else compile_path(path)


def _compiled_reading(reading: ReadingOptions, options: JsonOptions) -> _Reading:
    return _Reading(
        reading,
        tuple(compile_path(path) for path in reading.register_paths),
        _compiled(reading.unit_path),
        compile_path(options.meter if reading.meter is None else reading.meter),
        _compiled(options.time if reading.time is None else reading.time),
        _compiled(reading.deltas.path if reading.deltas else None),
    )


def _as_id(value: Any) -> str | None:
    """An id as text: a text as it is, leading zeros kept, or a whole number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 128 else None


def _as_text(value: Any) -> str:
    """A value to be compared with the options' texts; "" for what is missing or no scalar."""
    if value is MISSING or isinstance(value, dict | list):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 128:
        return ""
    return str(value)


JSON = CodecKind(
    summary="any JSON document whose meters, registers and times stand at places that the options name",
    options=JsonOptions,
    build=JsonMapper,
    accepts=describe_mapping,
)
