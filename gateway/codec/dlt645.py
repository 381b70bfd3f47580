"""DL/T 645-2007 answers of electricity meters: active energy, forward (import) and reverse (export)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from gateway.codec.clocks import local_moment, zone_of_clocks
from gateway.codec.dlt645_frame import FOLLOWED, FROM_METER, READ, READ_ON, REFUSED, Frame, split_frames
from gateway.codec.framing import Encoding, bcd_text, frame_bytes, with_point
from gateway.codec.registers import RegisterNames, serial_of
from gateway.codec.registry import CodecKind
from gateway.codec.rowlist import Moment, RowList, moment_of_receipt
from gateway.codec.rows import CodecContext, Rows
from gateway.reasons import Reason
from metrology.quantities import Medium

_VALUE_BYTES = 4  # XXXXXX.XX kWh (DL/T 645-2007, annex A, table A.1)
_DECIMALS = 2
_ALL = 0xFF  # in a data id: the whole block
_TARIFFS_MAX = 63
# DI2 of active energy (annex A, table A.1): 01 forward, 02 reverse.
_QUANTITY_OF_DI2 = {0x01: "1.8", 0x02: "2.8"}
_CLOCK = bytes((0x0C, 0x01, 0x00, 0x04))  # data id 0400010C: date, weekday and time in one
_CLOCK_BYTES = 7


class Dlt645Options(BaseModel):
    """Options of the codec `dlt645`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Encoding = Field("auto", description="How the frames travel: hex text, base64 or binary; auto tells.")
    registers: RegisterNames = Field(
        default={"1.8.0": "{id}"},
        description="Registers that become readings, 1.8.t forward and 2.8.t reverse (t = 0 the total), each with the "
        "serial that it is stored under; {id} is the meter's address of 12 digits.",
    )
    clock: bool = Field(
        False,
        description="Take the time of a meter's clock where the same message holds it (data id 0400010C); "
        "needs the source's time_zone. Otherwise the time of receipt is taken.",
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """Data of a meter: the id (lowest byte first) and the values; or the `fault` that is in its place."""

    address: bytes = b""
    data_id: bytes = bytes(4)
    values: bytes = b""
    fault: tuple[Reason, str] | None = None


class Dlt645Codec:
    """See Codec. Questions, and data that are no active energy, are passed over."""

    def __init__(self, options: Dlt645Options, context: CodecContext) -> None:
        self._options = options
        self._zone = zone_of_clocks(context, "Asia/Shanghai") if options.clock else None
        self._readings_max = context.readings_max

    def decode(self, _topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        rows = RowList(self._readings_max)
        answers = list(_answers(split_frames(frame_bytes(payload, self._options.encoding))))
        addresses = {answer.address for answer in answers if not answer.fault}
        if len(addresses) == 1:
            rows.sender = bcd_text(min(addresses))
        clocks = {answer.address: self._clock(answer, received_us) for answer in answers if answer.data_id == _CLOCK}
        for answer in answers:
            if answer.fault:
                rows.reject(*answer.fault)
            elif answer.data_id[3] == 0 and answer.data_id[2] in _QUANTITY_OF_DI2:
                self._add(rows, answer, clocks.get(answer.address), received_us)
        return rows.rows()

    def _clock(self, answer: _Answer, received_us: int | None) -> Moment | None:
        digits = bcd_text(answer.values)
        if self._zone is None or digits is None or len(answer.values) != _CLOCK_BYTES:
            return None
        try:
            # YYMMDDWWhhmmss; the weekday says nothing more.
            local = datetime.strptime("20" + digits[:6] + digits[8:], "%Y%m%d%H%M%S")  # noqa: DTZ007  # zone follows
        except ValueError:
            return None
        return local_moment(local, self._zone, received_us)

    def _add(self, rows: RowList, answer: _Answer, clock: Moment | None, received_us: int | None) -> None:
        values = answer.values
        is_block = _ALL in answer.data_id[:2]
        if not values or len(values) % _VALUE_BYTES or (len(values) > _VALUE_BYTES and not is_block):
            found = f"{_shown(answer)} with {len(values)} bytes of values, which have {_VALUE_BYTES} each"
            rows.reject(Reason.FRAME_INVALID, found)
            return
        for code, value in _registers(answer):
            if code in self._options.registers:
                self._add_register(rows, answer, code, value, clock or moment_of_receipt(received_us))

    def _add_register(self, rows: RowList, answer: _Answer, code: str, value: bytes, moment: Moment | None) -> None:
        address = bcd_text(answer.address)
        if address is None:
            rows.reject(Reason.METER_INVALID, f"address {answer.address[::-1].hex().upper()} is no BCD")
            return
        digits = bcd_text(value)
        if digits is None:
            found = f"{_shown(answer)}, {code}: {value[::-1].hex().upper()} is no BCD"
            rows.reject(Reason.REGISTER_INVALID, found, meter=address)
            return
        meter = serial_of(self._options.registers[code], address)
        rows.add(Medium.ELECTRICITY, "kWh", meter, moment, with_point(digits, _DECIMALS))


def _answers(frames: list[Frame]) -> Iterator[_Answer]:
    """What meters answered, in order; an answer over several frames is put together."""
    parts: list[bytes] = []
    for number, frame in enumerate(frames):
        if frame.fault:
            yield _Answer(fault=frame.fault)
            continue
        if not frame.control & FROM_METER or frame.function not in (READ, READ_ON):
            continue
        fault = _fault_of(frame)
        if fault is None and frame.function == READ:
            parts = [frame.data[4:]]
        elif fault is None and parts and _goes_on(frames[number - 1], frame, len(parts)):
            parts.append(frame.data[4:-1])
        else:
            parts = []
            yield _Answer(
                fault=fault or (Reason.FRAME_INVALID, f"{_meter(frame)}: a part whose former parts are not here")
            )
            continue
        if not frame.control & FOLLOWED:
            yield _Answer(frame.address, frame.data[:4], b"".join(parts))
            parts = []
        elif number + 1 == len(frames) or frames[number + 1].function != READ_ON:
            parts = []
            yield _Answer(fault=(Reason.FRAME_INVALID, f"{_meter(frame)}: an answer whose further parts are not here"))


def _fault_of(frame: Frame) -> tuple[Reason, str] | None:
    if frame.control & REFUSED:
        return Reason.METER_REFUSED, f"{_meter(frame)}, error {frame.data.hex().upper()}"
    if len(frame.data) < 4:
        return Reason.FRAME_INVALID, f"{_meter(frame)}: an answer of {len(frame.data)} bytes has no data id"
    return None


def _meter(frame: Frame) -> str:
    return f"meter {frame.address[::-1].hex().upper()}"


def _goes_on(former: Frame, frame: Frame, number: int) -> bool:
    """True for the next part of an answer: of the same meter and data id, numbered from 1 in its last byte."""
    same = (former.address, former.data[:4]) == (frame.address, frame.data[:4])
    return same and len(frame.data) > 5 and frame.data[-1] == number


def _registers(answer: _Answer) -> Iterator[tuple[str, bytes]]:
    """OBIS C.D.E and the four bytes of each present register; those of former billing days have no place here."""
    quantity = _QUANTITY_OF_DI2[answer.data_id[2]]
    tariff, day = answer.data_id[1], answer.data_id[0]
    values = [answer.values[i : i + _VALUE_BYTES] for i in range(0, len(answer.values), _VALUE_BYTES)]
    if tariff == _ALL and day == 0:
        yield from ((f"{quantity}.{no}", value) for no, value in enumerate(values))
    elif tariff <= _TARIFFS_MAX and day in (0, _ALL):
        yield f"{quantity}.{tariff}", values[0]


def _shown(answer: _Answer) -> str:
    return f"meter {answer.address[::-1].hex().upper()}, data id {answer.data_id[::-1].hex().upper()}"


def _accepts(options: Dlt645Options) -> list[str]:
    return [
        f"answers with active energy, one or many a message, {options.encoding}",
        *(f"{code} under the serial {pattern}" for code, pattern in options.registers.items()),
    ]


DLT645 = CodecKind(
    summary="DL/T 645-2007 frames of electricity meters, as hex text, base64 or bytes",
    options=Dlt645Options,
    build=Dlt645Codec,
    accepts=_accepts,
)
