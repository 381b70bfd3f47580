"""Receivers of meters that send by radio: wmbusmeters, rtl_433 (ERT), rtlamr2mqtt."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from gateway.codec.document import load_document
from gateway.codec.json_mapper import JsonMapper
from gateway.codec.json_options import JsonOptions, Multiplier, Unit
from gateway.codec.presets.common import PresetOptions, preset
from gateway.codec.registry import CodecKind
from gateway.codec.rowlist import RowList
from gateway.codec.rows import CodecContext, MessageRejected, Rows
from gateway.reasons import Reason, show
from metrology.quantities import Medium

# The words of wmbusmeters for the device types of EN 13757-7. Heat and what is no meter of volume or energy has no
# place in the registry and is passed over.
_WMBUS_MEDIA: dict[str, Medium | Literal["skip"]] = {
    "water": Medium.WATER,
    "cold water": Medium.WATER,
    "warm water": Medium.WATER,
    "hot water": Medium.WATER,
    "gas": Medium.GAS,
    "electricity": Medium.ELECTRICITY,
    **dict.fromkeys(
        (
            "heat",
            "heat volume at inlet",
            "heat/cooling load",
            "heat/cooling load volume at inlet",
            "heat/cooling load volume at outlet",
            "cooling load volume at outlet",
            "cooling load volume at inlet",
            "heat cost allocation",
            "room sensor",
            "smoke detector",
            "temperature",
            "radio converter",
            "other",
        ),
        "skip",
    ),
}
_WMBUS_FLAGS = {
    "OK": "",
    "LOW_BATTERY": "battery",
    "POWER_LOW": "battery",
    "PERMANENT_ERROR": "hardware_fault",
    "TEMPORARY_ERROR": "temporary_fault",
    "TAMPER": "tamper",
    "REMOVAL": "tamper",
    "REMOVED": "tamper",
    "LEAK": "leak",
    "LEAKING": "leak",
    "LEAKAGE": "leak",
    "BURST": "leak",
    "BACKFLOW": "reversed",
    "REVERSED": "reversed",
}


class WmbusmetersOptions(PresetOptions):
    """Options of the codec `wmbusmeters`."""

    clock: Literal["receiver", "device"] = Field(
        "receiver",
        description="Whose time counts: the receiver's `timestamp`, marked as such, or the meter's `device_datetime`, "
        "a local time.",
    )


def _wmbusmeters(options: WmbusmetersOptions) -> dict[str, Any]:
    by_receiver = options.clock == "receiver"
    return {
        "meter": "id",
        "medium_path": "media",
        "media": _WMBUS_MEDIA,
        "time": "timestamp" if by_receiver else "device_datetime",
        "time_of_receiver": by_receiver,
        "status": "status",
        "status_flags": _WMBUS_FLAGS,
        "multipliers": options.multipliers,
        "readings": [
            {"register": "total_m3", "unit": "m3", "required": False},
            {"register": "total_energy_consumption_kwh", "unit": "kWh", "required": False},
        ],
    }


WMBUSMETERS = preset("JSON of wmbusmeters: wired and wireless M-Bus meters", WmbusmetersOptions, _wmbusmeters)


class Rtlamr2mqttOptions(PresetOptions):
    """Options of the codec `rtlamr2mqtt`; its own configuration has given the reading its decimals."""

    medium: Medium = Field(description="What the meters of this source measure.")
    unit: Unit = Field(min_length=1, description="Unit of the readings.")
    meter_level: int = Field(2, ge=1, le=128, description="Level of the topic that holds the meter's id, from 1.")


def _rtlamr2mqtt(options: Rtlamr2mqttOptions) -> dict[str, Any]:
    return {
        "meter": f"$topic{options.meter_level}",
        "time": "lastseen",
        "time_of_receiver": True,
        "multipliers": options.multipliers,
        "readings": [{"register": "reading", "medium": options.medium, "unit": options.unit}],
    }


RTLAMR2MQTT = preset("state messages of rtlamr2mqtt: ERT meters", Rtlamr2mqttOptions, _rtlamr2mqtt)

# ERT types of the SCM family by commodity, after the public list of compatible meters.
_ERT_MEDIUM = (
    dict.fromkeys((4, 5, 7, 8), Medium.ELECTRICITY)
    | dict.fromkeys((0, 1, 2, 9, 12), Medium.GAS)
    | dict.fromkeys((3, 11, 13), Medium.WATER)
)
_METER_TYPE = {"Electric": Medium.ELECTRICITY, "Gas": Medium.GAS, "Water": Medium.WATER}
# Where each model has its register. NETIDM counts import less export: no register of a meter that is verified.
_ERT_REGISTER = {"ERT-SCM": "consumption_data", "SCMplus": "Consumption", "IDM": "LastConsumptionCount"}
_ERT_UNITS: dict[Medium, str] = {Medium.ELECTRICITY: "kWh", Medium.GAS: "ft3", Medium.WATER: "gal"}


class ErtOptions(PresetOptions):
    """Options of the codec `rtl_433_ert`: registers are bare counts, so that each meter needs a multiplier."""

    units: dict[Medium, Unit] = Field(
        default_factory=dict, description="Unit that the multipliers lead to, by medium; default kWh, ft3, gal."
    )
    default_multipliers: dict[Medium, Multiplier] = Field(
        default_factory=dict, description="Multiplier of meters that `multipliers` doesn't list, by medium."
    )
    clock: Literal["receiver", "receipt"] = Field(
        "receiver",
        description="Whose time counts: that of the receiver's `time` (local times need the source's time_zone), or "
        "that of receipt by the gateway. Both are marked as such.",
    )


def _ert_mapping(options: ErtOptions, register: str, medium: Medium) -> JsonOptions:
    default = options.default_multipliers.get(medium)
    return JsonOptions.model_validate(
        {
            "meter": "id",
            "time": "time" if options.clock == "receiver" else None,
            "time_missing": "receipt",
            "time_of_receiver": True,
            "multipliers": options.multipliers,
            "readings": [
                {
                    "register": register,
                    "medium": medium,
                    "unit": options.units.get(medium, _ERT_UNITS[medium]),
                    "multiplier": default or Decimal(1),
                    "is_count": default is None,
                }
            ],
        }
    )


class ErtCodec:
    """See Codec. Messages of other models that the receiver hears are passed over.

    The tamper fields are counters whose meaning differs by meter: they set no flag. The steps of an IDM message are
    not used: their times are not sent.
    """

    def __init__(self, options: ErtOptions, context: CodecContext) -> None:
        self._context = context
        self._mappers = {
            (model, medium): JsonMapper(_ert_mapping(options, register, medium), context)
            for model, register in _ERT_REGISTER.items()
            for medium in Medium
        }

    def decode(self, topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        root = load_document(payload, self._context.nesting_max)
        model = root.get("model") if isinstance(root, dict) else None
        if not isinstance(model, str):
            raise MessageRejected(Reason.FIELD_MISSING, "model")
        if model not in _ERT_REGISTER:
            nothing = RowList(self._context.readings_max)
            nothing.skipped = 1
            return nothing.rows()
        medium = _ert_medium(root)
        if medium is None:
            types = {name: root[name] for name in ("ert_type", "ERTType", "MeterType") if name in root}
            raise MessageRejected(Reason.MEDIUM_UNKNOWN, f"meter {show(root.get('id'))}: {types}"[:200], 1)
        if "id" not in root and "ERTSerialNumber" in root:
            root["id"] = root["ERTSerialNumber"]
        if str(root.get("time", "")).startswith("@"):  # seconds since the receiver's start say nothing
            del root["time"]
        return self._mappers[model, medium].rows_of(root, topic, received_us)


def _ert_medium(root: Mapping[str, Any]) -> Medium | None:
    ert_type = root.get("ert_type", root.get("ERTType"))
    if isinstance(ert_type, int) and not isinstance(ert_type, bool):
        return _ERT_MEDIUM.get(ert_type & 0x0F) if 0 <= ert_type <= 0xFF else None
    word = root.get("MeterType")
    return _METER_TYPE.get(word) if isinstance(word, str) else None


def _describe_ert(options: ErtOptions) -> list[str]:
    lines = [f"model {model}: meter at id, register at {register}" for model, register in _ERT_REGISTER.items()]
    for medium in Medium:
        unit = options.units.get(medium, _ERT_UNITS[medium])
        multiplier = options.default_multipliers.get(medium)
        others = f"others times {multiplier}" if multiplier else "others are rejected: their scale is unknown"
        lines.append(f"{medium} [{unit}]: meters listed in multipliers; {others}")
    return lines


RTL_433_ERT = CodecKind(
    "events of rtl_433: ERT meters by SCM, SCM+ and IDM messages", ErtOptions, ErtCodec, _describe_ert
)
