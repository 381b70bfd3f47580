"""Raw DSMR P1 telegrams, versions 2.2 to 5: an electricity meter with its tariffs, and the M-Bus meters behind it."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from gateway.codec.clocks import flagged_moment, local_moment, zone_of_clocks
from gateway.codec.dsmr_telegram import Telegram, split_telegrams
from gateway.codec.registers import RegisterNames, serial_of
from gateway.codec.registry import CodecKind
from gateway.codec.rowlist import Moment, RowList, moment_of_receipt
from gateway.codec.rows import CodecContext, Rows
from gateway.reasons import Reason, show
from metrology.quantities import UNITS, Medium

_TIME = re.compile(r"\d{12}[SW]?", re.ASCII)
_QUANTITY = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\*([A-Za-z0-9]{1,4})", re.ASCII)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_TARIFF = re.compile(r"1-0:(\d{1,3})\.8\.(\d{1,2})", re.ASCII)
_MBUS = re.compile(r"0-(\d{1,3}):24\.(?:2\.[13]|3\.0)", re.ASCII)
# Device types of M-Bus (EN 13757-7, table of device types). Heat and cold are passed over: no medium of the registry.
_MEDIUM_OF_TYPE = {2: Medium.ELECTRICITY, 3: Medium.GAS, 6: Medium.WATER, 7: Medium.WATER}
_PASSED_OVER_TYPES = frozenset({4, 8, 10, 11, 12, 13})


class DsmrOptions(BaseModel):
    """Options of the codec `dsmr_p1`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registers: RegisterNames = Field(
        default={"1.8.0": "{id}"},
        description="Registers of the electricity meter that become readings, by OBIS C.D.E, each with the serial that "
        "it is stored under; {id} is the meter's own. A total that is not sent (1.8.0, 2.8.0) is its tariffs' sum.",
    )
    crc: Literal["where_present", "required"] = Field(
        "where_present", description="Whether telegrams without a CRC (DSMR 2.2 and 3.0 have none) are taken."
    )
    meter_topic_level: int = Field(
        0,
        ge=0,
        le=128,
        description="Level of the topic, from 1, that names the electricity meter where telegrams don't.",
    )


@dataclass(frozen=True, slots=True)
class _Quantity:
    """A register as sent, or why there is none."""

    register: str = ""
    unit: str = ""
    fault: tuple[Reason, str] | None = None


class DsmrCodec:
    """See Codec. Times are the telegram's own; those of M-Bus meters are their own."""

    def __init__(self, options: DsmrOptions, context: CodecContext) -> None:
        self._options = options
        self._zone = zone_of_clocks(context, "Europe/Amsterdam")
        self._readings_max = context.readings_max

    def decode(self, topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        rows = RowList(self._readings_max)
        for telegram in split_telegrams(payload, self._options.crc == "required", self._readings_max):
            if telegram.fault:
                rows.reject(*telegram.fault)
                continue
            self._add_electricity(rows, telegram, topic, received_us)
            self._add_mbus(rows, telegram, received_us)
        return rows.rows()

    def _add_electricity(self, rows: RowList, telegram: Telegram, topic: str, received_us: int | None) -> None:
        serial = _equipment_id(telegram, "0-0:96.1.1") or self._id_of_topic(topic)
        rows.sender = rows.sender or serial
        wanted = {code: quantity for code in self._options.registers if (quantity := _register(telegram, code))}
        if not wanted:
            return
        moment = moment_of_receipt(received_us)
        if "0-0:1.0.0" in telegram.values:
            sent = telegram.values["0-0:1.0.0"]
            moment = _moment(sent[0], self._zone, received_us)
            if moment is None:
                for _ in wanted:
                    rows.reject(Reason.OBSERVED_AT_INVALID, f"0-0:1.0.0 {show(sent[0])}", meter=serial or "")
                return
        for code, quantity in wanted.items():
            if serial is None:
                rows.reject(Reason.METER_INVALID, f"{code}: the telegram has no equipment identifier 0-0:96.1.1")
            elif quantity.fault:
                rows.reject(*quantity.fault, meter=serial)
            else:
                meter = serial_of(self._options.registers[code], serial)
                rows.add(Medium.ELECTRICITY, quantity.unit, meter, moment, quantity.register)

    def _id_of_topic(self, topic: str) -> str | None:
        level = self._options.meter_topic_level
        levels = topic.split("/")
        return levels[level - 1] or None if 0 < level <= len(levels) else None

    def _add_mbus(self, rows: RowList, telegram: Telegram, received_us: int | None) -> None:
        for code in telegram.values:
            match = _MBUS.fullmatch(code)
            if match is None:
                continue
            channel = match[1]
            device_type = telegram.values.get(f"0-{channel}:24.1.0", [""])[0]
            number = int(device_type) if device_type.isdecimal() and len(device_type) <= 3 else -1
            if number in _PASSED_OVER_TYPES:
                rows.skipped += 1
            elif number not in _MEDIUM_OF_TYPE:
                rows.reject(Reason.MEDIUM_UNKNOWN, f"{code}: device type {show(device_type)} of 0-{channel}:24.1.0")
            else:
                self._add_mbus_value(rows, telegram, code, _MEDIUM_OF_TYPE[number], received_us)

    def _add_mbus_value(
        self, rows: RowList, telegram: Telegram, code: str, medium: Medium, received_us: int | None
    ) -> None:
        sent = telegram.values[code]
        channel = code[2 : code.index(":")]
        serial = _equipment_id(telegram, f"0-{channel}:96.1.0") or _equipment_id(telegram, f"0-{channel}:96.1.1")
        if serial is None:
            rows.reject(Reason.METER_INVALID, f"{code}: no equipment identifier 0-{channel}:96.1.0", medium)
            return
        moment = _moment(sent[0], self._zone, received_us)
        if moment is None:
            rows.reject(Reason.OBSERVED_AT_INVALID, f"{code} {show(sent[0])}", medium, serial)
            return
        quantity = _mbus_quantity(code, sent, medium)
        if quantity.fault:
            rows.reject(*quantity.fault, medium, serial)
        else:
            rows.add(medium, quantity.unit, serial, moment, quantity.register)


def _moment(text: str, zone: ZoneInfo, received_us: int | None) -> Moment | None:
    """YYMMDDhhmmssX: S is summer time, W winter time (DSMR 5.0.2 P1, 6.4); before version 4 without X."""
    if not _TIME.fullmatch(text):
        return None
    try:
        local = datetime.strptime("20" + text[:12], "%Y%m%d%H%M%S")  # noqa: DTZ007  # the zone follows
    except ValueError:
        return None
    if len(text) > 12:
        return flagged_moment(local, text[12] == "S", zone)
    return local_moment(local, zone, received_us)


def _equipment_id(telegram: Telegram, code: str) -> str | None:
    """An identifier: hexadecimal digits of its characters (DSMR 5.0.2 P1, 6.12, tag 9), else as it is sent."""
    text = telegram.values.get(code, [""])[0]
    if not text:
        return None
    try:
        decoded = bytes.fromhex(text).decode("ascii")
    except ValueError:
        return text
    return decoded if decoded.isprintable() and decoded.strip() else text


def _register(telegram: Telegram, code: str) -> _Quantity | None:
    """The register of that C.D.E; None where the telegram doesn't have it."""
    sent = telegram.values.get(f"1-0:{code}")
    if sent is not None:
        return _quantity(f"1-0:{code}", sent[-1], Medium.ELECTRICITY)
    quantity_code, _, tariff = code.partition(".8.")
    return _sum_of_tariffs(telegram, quantity_code) if tariff == "0" else None


def _sum_of_tariffs(telegram: Telegram, quantity_code: str) -> _Quantity | None:
    """The exact sum of all tariffs' registers; there must be 1, 2, … without a gap, and at least two of them.

    A sum over fewer registers than the meter has would be too low, and the next whole one a false step upwards.
    """
    tariffs = {
        int(match[2]): (code, sent[-1])
        for code, sent in telegram.values.items()
        if (match := _TARIFF.fullmatch(code)) and match[1] == quantity_code
    }
    if not tariffs:
        return None
    if len(tariffs) < 2 or set(tariffs) != set(range(1, len(tariffs) + 1)):
        have = ", ".join(code for code, _ in tariffs.values())
        return _Quantity(fault=(Reason.REGISTER_INVALID, f"no sum {quantity_code}.8.0: the telegram only has {have}"))
    quantities = [_quantity(code, text, Medium.ELECTRICITY) for code, text in tariffs.values()]
    for quantity in quantities:
        if quantity.fault:
            return quantity
    units = {quantity.unit for quantity in quantities}
    if len(units) > 1:
        found = f"no sum {quantity_code}.8.0 of registers in {', '.join(sorted(units))}"
        return _Quantity(fault=(Reason.UNIT_INVALID, found))
    return _Quantity(f"{sum(Decimal(quantity.register) for quantity in quantities):f}", units.pop())


def _quantity(code: str, text: str, medium: Medium) -> _Quantity:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return _Quantity(fault=(Reason.REGISTER_INVALID, f"{code} {show(text)}"))
    if match[2] not in UNITS[medium]:
        return _Quantity(fault=(Reason.UNIT_INVALID, f"{code} {show(text)}"))
    return _Quantity(match[1], match[2])


def _mbus_quantity(code: str, sent: list[str], medium: Medium) -> _Quantity:
    """(time)(value*unit) since version 4; (time)(status)(period)(values)(code)(unit)(value) before."""
    if not code.endswith(":24.3.0"):
        return _quantity(code, sent[-1], medium)
    if len(sent) != 7 or not _NUMBER.fullmatch(sent[6]):
        return _Quantity(fault=(Reason.REGISTER_INVALID, f"{code} {show(sent[-1])} of {len(sent)} values"))
    return _quantity(code, f"{sent[6]}*{sent[5]}", medium)


def _accepts(options: DsmrOptions) -> list[str]:
    return [
        "telegrams from / to !, one or several a message; a CRC behind ! is checked"
        + (" and required" if options.crc == "required" else ""),
        *(f"1-0:{code} under the serial {pattern}" for code, pattern in options.registers.items()),
        "gas and water meters behind it (0-n:24.2.1), under their own serials",
    ]


DSMR_P1 = CodecKind(
    summary="raw DSMR P1 telegrams, versions 2.2 to 5, of smart meters in the Netherlands, Belgium and Luxembourg",
    options=DsmrOptions,
    build=DsmrCodec,
    accepts=_accepts,
)
