"""CJ/T 188 answers of water and gas meters, versions 2004 and 2018: the current accumulated flow.

68 T A0..A6 C L DATA CS 16, everything with the lowest byte first (CJ/T 188-2018, clauses 6 and 8).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.codec.clocks import local_moment, zone_of_clocks
from gateway.codec.framing import END, START, Encoding, bcd_text, checksum, frame_bytes, skip_preamble, with_point
from gateway.codec.registry import CodecKind
from gateway.codec.rowlist import Moment, RowList, moment_of_receipt
from gateway.codec.rows import CodecContext, Rows
from gateway.reasons import Reason
from metrology.quantities import Medium
from metrology.status import ReadingStatus, parse_flags

_OVERHEAD = 13  # bytes beside the data: 68, T, seven of address, C, L, CS, 16
_FROM_METER, _REFUSED, _READ = 0x80, 0x40, 0x01
# 901F, the meter's data; 2018 sends the lower byte first, 2004 was read both ways.
_METER_DATA = (b"\x1f\x90", b"\x90\x1f")
# DI, SER; flow now and on the billing day, each four bytes and unit; clock of seven bytes; ST of two.
_DATA_BYTES = 22
_FLOW, _UNIT, _CLOCK, _STATUS = slice(3, 7), 7, slice(13, 20), slice(20, 22)
_HEAT_TYPES = range(0x20, 0x2A)


def _checked_units(units: dict[str, Decimal]) -> dict[str, Decimal]:
    for code, litres in units.items():
        if len(code) != 2 or not set(code) <= set("0123456789ABCDEF"):
            raise ValueError(f"{code!r} is no unit code; use two hexadecimal digits in capitals, e.g. 2C")
        if not Decimal("0.001") <= litres <= 1_000_000:
            raise ValueError(f"{litres} litres of unit {code} must lie between 0.001 and 1000000")
    return units


def _checked_flags(flags: dict[int, str]) -> dict[int, str]:
    for bit, names in flags.items():
        if not 0 <= bit <= 15:
            raise ValueError(f"bit {bit} is none of ST, which has 0 to 15")
        parse_flags(names)
    return flags


class Cjt188Options(BaseModel):
    """Options of the codec `cjt188`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Encoding = Field("auto", description="How the frames travel: hex text, base64 or binary; auto tells.")
    decimals: int = Field(2, ge=0, le=4, description="Decimals of the register's eight digits; the standard's are 2.")
    units: Annotated[dict[str, Decimal], AfterValidator(_checked_units)] = Field(
        default={"29": Decimal(1), "2C": Decimal(1000)},
        description="Unit codes that are taken, with their size [L]; others are rejected.",
    )
    status_bits: Annotated[dict[int, str], AfterValidator(_checked_flags)] = Field(
        default={1: "hardware_fault", 2: "battery"},
        description="Bits of the status ST, 0 to 15, with the flags they set; the standard leaves bits 3 to 15 to the "
        "maker. Default: valve abnormal, battery low.",
    )
    clock: bool = Field(
        True, description="Take the time of the meter's clock (needs the source's time_zone), not that of receipt."
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    meter_type: int = 0
    address: bytes = b""
    control: int = 0
    data: bytes = b""
    fault: tuple[Reason, str] | None = None


class Cjt188Codec:
    """See Codec. Questions, and answers other than the meter's data (901F), are passed over."""

    def __init__(self, options: Cjt188Options, context: CodecContext) -> None:
        self._options = options
        self._zone = zone_of_clocks(context, "Asia/Shanghai") if options.clock else None
        self._readings_max = context.readings_max
        self._flags = {1 << bit: parse_flags(names) for bit, names in options.status_bits.items()}

    def decode(self, _topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        rows = RowList(self._readings_max)
        for frame in _split_frames(frame_bytes(payload, self._options.encoding)):
            if frame.fault:
                rows.reject(*frame.fault)
            elif frame.control & _FROM_METER and frame.control & 0x3F == _READ:
                self._add(rows, frame, received_us)
        return rows.rows()

    def _add(self, rows: RowList, frame: _Frame, received_us: int | None) -> None:
        address = frame.address[::-1].hex().upper()
        if frame.control & _REFUSED:
            rows.reject(Reason.METER_REFUSED, f"meter {address}, answer {frame.data.hex().upper()}")
            return
        if frame.data[:2] not in _METER_DATA:
            return
        medium = _medium(frame.meter_type)
        if medium is None:
            kind = "heat" if frame.meter_type in _HEAT_TYPES else "neither water nor gas"
            rows.reject(Reason.MEDIUM_UNKNOWN, f"meter {address} of type {frame.meter_type:02X} ({kind})")
        elif bcd_text(frame.address) is None:
            rows.reject(Reason.METER_INVALID, f"address {address} is no BCD", medium)
        elif len(frame.data) != _DATA_BYTES:
            found = f"meter {address}: data 901F of {len(frame.data)} bytes instead of {_DATA_BYTES}"
            rows.reject(Reason.FRAME_INVALID, found, medium, address)
        else:
            self._add_flow(rows, medium, address, frame.data, received_us)

    def _add_flow(self, rows: RowList, medium: Medium, address: str, data: bytes, received_us: int | None) -> None:
        digits = bcd_text(data[_FLOW])
        litres = self._options.units.get(f"{data[_UNIT]:02X}")
        if digits is None:
            found = f"meter {address}: flow {data[_FLOW][::-1].hex().upper()} is no BCD"
            rows.reject(Reason.REGISTER_INVALID, found, medium, address)
        elif litres is None:
            rows.reject(Reason.UNIT_INVALID, f"meter {address}: unit code {data[_UNIT]:02X}", medium, address)
        else:
            register = Decimal(with_point(digits, self._options.decimals)) * litres
            moment = self._moment(data[_CLOCK], received_us)
            rows.add(medium, "L", address, moment, f"{register:f}", self._status(data[_STATUS]))

    def _status(self, sent: bytes) -> ReadingStatus:
        bits = int.from_bytes(sent, "little")
        status = ReadingStatus.OK
        for bit, flags in self._flags.items():
            if bits & bit:
                status |= flags
        return status

    def _moment(self, clock: bytes, received_us: int | None) -> Moment | None:
        if self._zone is None:
            return moment_of_receipt(received_us)
        return _clock_moment(clock, self._zone, received_us) or moment_of_receipt(
            received_us, ReadingStatus.CLOCK_INVALID
        )


def _clock_moment(clock: bytes, zone: ZoneInfo, received_us: int | None) -> Moment | None:
    """ss mm hh DD MM YY CC in BCD, local time; None where no clock shows this, as when it was never set."""
    digits = bcd_text(clock)
    if digits is None:
        return None
    try:
        local = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007  # the zone follows
    except ValueError:
        return None
    return local_moment(local, zone, received_us)


def _medium(meter_type: int) -> Medium | None:
    """By the type's tens (CJ/T 188-2018, 6: 10 to 19 water, 20 to 29 heat, 30 to 39 gas)."""
    if 0x10 <= meter_type <= 0x19:
        return Medium.WATER
    return Medium.GAS if 0x30 <= meter_type <= 0x39 else None


def _split_frames(line: bytes) -> list[_Frame]:
    """The frames in order; where the structure breaks off, one with a fault stands for the rest."""
    frames: list[_Frame] = []
    position = skip_preamble(line, 0)
    while position < len(line):
        size = _OVERHEAD + line[position + 10] if position + _OVERHEAD <= len(line) else 0
        frame = line[position : position + size]
        if not size or len(frame) < size or frame[0] != START or frame[-1] != END:
            shown = line[position : position + 16].hex(" ").upper()
            fault = (Reason.FRAME_INVALID, f"byte {position}: {shown} … is no frame 68 T A0..A6 C L … 16")
            return [*frames, _Frame(fault=fault)]
        computed = checksum(frame[:-2])
        if frame[-2] == computed:
            frames.append(_Frame(frame[1], frame[2:9], frame[9], frame[11:-2]))
        else:
            found = f"byte {position}: checksum {frame[-2]:02X}, but the frame's is {computed:02X}"
            frames.append(_Frame(fault=(Reason.CHECKSUM_WRONG, found)))
        position = skip_preamble(line, position + size)
    return frames


def _accepts(options: Cjt188Options) -> list[str]:
    units = ", ".join(f"{code} = {litres} L" for code, litres in options.units.items())
    return [
        f"answers 901F of water and gas meters, one or many a message, {options.encoding}",
        f"registers of eight digits, {options.decimals} of them decimals, in the units {units}",
        "times by the meter's clock" if options.clock else "times of receipt",
    ]


CJT188 = CodecKind(
    summary="CJ/T 188-2004 and -2018 frames of water and gas meters, as hex text, base64 or bytes",
    options=Cjt188Options,
    build=Cjt188Codec,
    accepts=_accepts,
)
