"""The rows of a meters file, checked each by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from metrology.quantities import MAX_REGISTER_MICRO, MICRO, UNITS, Medium, decimals_to_micro
from store.cells import Problems, RowReader, check_columns
from store.tables import Table

REQUIRED: Final = ("meter", "medium", "unit", "resolution")
ROLES: Final = ("customer", "reference", "check")
DIRECTIONS: Final = ("import", "export")
PHASES: Final = ("123", "1", "2", "3")
_MEDIA: Final = tuple(Medium)
_PLACE_COLUMNS: Final = ("zone", "zone_since", "installed_on", "start_register", "previous_end_register")
# The columns of a meter itself and the fields that they fill.
ATTRIBUTES: Final[Mapping[str, str]] = {
    "unit": "unit",
    "resolution": "resolution_micro",
    "register_digits": "register_modulus_micro",
    "rolls_over_at": "register_modulus_micro",
    "accuracy_class": "accuracy_class",
    "manufacturer": "manufacturer",
    "model": "model",
    "lot": "lot",
    "validity_until": "validity_until",
    "mpe_pct": "mpe_pct",
    "prior_sd_pct": "prior_sd_pct",
}
KNOWN: Final = (
    *("meter", "medium", "service_point", "role", "direction", "phase", "multiplier"),
    *_PLACE_COLUMNS,
    *ATTRIBUTES,
)
_MICRO_PER_UNIT: Final = {
    medium: {unit: size * MICRO for unit, size in units.items()} for medium, units in UNITS.items()
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a row says the meter is: the place, since when, and the registers at the exchange."""

    service_point: str
    medium: str
    role: str
    direction: str
    phase: str
    multiplier: Decimal
    start: datetime | None
    start_register_micro: int | None
    previous_end_register_micro: int | None
    zone: str
    zone_since: datetime | None


@dataclass(frozen=True, slots=True)
class MeterRow:
    """A row of a meters file; `attributes` has the fields of the table `meter` that the file's columns give."""

    line: int
    serial: str
    medium: Medium
    attributes: Mapping[str, Any]
    placement: Placement | None


def parse_meter_rows(table: Table, zone: tzinfo, problems: Problems) -> tuple[list[MeterRow], list[str]]:
    """The rows without faults, and the columns that are ignored; faults are noted in `problems`.

    `register_digits` counts the register's digits before the decimal point in `unit`; `rolls_over_at` says instead
    where a register begins anew that does not count in tens. Raises InvalidInputError for missing and misspelt columns.
    """
    ignored = check_columns(table, REQUIRED, KNOWN)
    reader, rows = RowReader(table, problems), []
    given = [field for column, field in ATTRIBUTES.items() if column in table.columns]
    for raw in table.rows:
        before = problems.total
        reader.start(raw)
        medium_name, serial = reader.choice("medium", _MEDIA), reader.name("meter", required=True, in_address=True)
        if not medium_name:
            continue
        medium = Medium(medium_name)
        micro_per_unit = _micro_per_unit(reader, medium)
        described = _attributes(reader, micro_per_unit)
        attributes = {field: described[field] for field in given}
        placement = _placement(reader, medium, zone, micro_per_unit)
        if problems.total == before:
            rows.append(MeterRow(raw.line, serial, medium, attributes, placement))
    return rows, ignored


def _micro_per_unit(reader: RowReader, medium: Medium) -> Fraction:
    return _MICRO_PER_UNIT[medium].get(reader.choice("unit", UNITS[medium]), Fraction(MICRO))


def _attributes(reader: RowReader, micro_per_unit: Fraction) -> dict[str, Any]:
    mpe_pct, prior_sd_pct = reader.positive("mpe_pct"), reader.positive("prior_sd_pct")
    return {
        "unit": reader.raw("unit"),
        "resolution_micro": _resolution(reader, micro_per_unit),
        "register_modulus_micro": _modulus(reader, micro_per_unit),
        "accuracy_class": reader.name("accuracy_class"),
        "manufacturer": reader.name("manufacturer"),
        "model": reader.name("model"),
        "lot": reader.name("lot"),
        "validity_until": reader.day("validity_until"),
        "mpe_pct": None if mpe_pct is None else float(mpe_pct),
        "prior_sd_pct": None if prior_sd_pct is None else float(prior_sd_pct),
    }


def _resolution(reader: RowReader, micro_per_unit: Fraction) -> int:
    value = reader.positive("resolution")
    if value is None:
        if not reader.raw("resolution"):
            reader.fault("resolution", "the register's smallest step, in the row's unit")
        return 1
    micro = round(Fraction(value) * micro_per_unit)
    if not 1 <= micro <= 10**15:
        reader.fault("resolution", "a step from a millionth to a billion of kWh or m3, in the row's unit")
        return 1
    return micro


def _modulus(reader: RowReader, micro_per_unit: Fraction) -> int | None:
    digits = reader.integer("register_digits", 1, 12)
    if not reader.raw("rolls_over_at"):
        if digits is not None and 10**digits * micro_per_unit > MAX_REGISTER_MICRO:
            reader.fault("register_digits", "fewer digits, or a smaller unit: no register can be stored that far")
            return None
        return None if digits is None else round(10**digits * micro_per_unit)
    if digits is not None:
        reader.fault("rolls_over_at", "nothing, since register_digits says where the register begins anew")
        return None
    value = reader.positive("rolls_over_at")
    if value is None:
        return None
    micro = Fraction(value) * micro_per_unit
    if micro.denominator != 1 or not 1 <= micro <= MAX_REGISTER_MICRO:
        reader.fault("rolls_over_at", "whole millionths of kWh or m3, at most the largest register")
        return None
    return int(micro)


def _placement(reader: RowReader, medium: Medium, zone: tzinfo, micro_per_unit: Fraction) -> Placement | None:
    service_point = reader.name("service_point")
    if not service_point:
        for column in _PLACE_COLUMNS:
            if reader.raw(column):
                reader.fault(column, "a service_point in the same row, or nothing: the meter is not installed")
        return None
    multiplier = reader.positive("multiplier", Decimal(1))
    return Placement(
        service_point=service_point,
        medium=medium.value,
        role=reader.choice("role", ROLES, "customer"),
        direction=reader.choice("direction", DIRECTIONS, "import"),
        phase=reader.choice("phase", PHASES, "123"),
        multiplier=Decimal(1) if multiplier is None else multiplier,
        start=reader.time("installed_on", zone),
        start_register_micro=_register(reader, "start_register", micro_per_unit),
        previous_end_register_micro=_register(reader, "previous_end_register", micro_per_unit),
        zone=reader.name("zone"),
        zone_since=reader.time("zone_since", zone),
    )


def _register(reader: RowReader, column: str, micro_per_unit: Fraction) -> int | None:
    text = reader.raw(column)
    if not text:
        return None
    micro, bad = decimals_to_micro([text], micro_per_unit)
    if bad[0] or micro[0] < 0:
        reader.fault(column, "a register of at least 0 in the row's unit")
        return None
    return int(micro[0])
