"""Readers at a meter's display, pulse or customer port: Glow, Tasmota, dsmr-reader, jomjol, vzlogger, amsreader."""

from decimal import Decimal
from typing import Any

from pydantic import Field

from gateway.codec.clocks import zone_of_clocks
from gateway.codec.document import load_document
from gateway.codec.json_mapper import JsonMapper
from gateway.codec.json_options import JsonOptions, Multiplier, Unit
from gateway.codec.mapping_text import describe_mapping
from gateway.codec.paths import ValuePath
from gateway.codec.presets.common import PresetOptions, preset
from gateway.codec.registry import CodecKind
from gateway.codec.rows import Codec, CodecContext, MessageRejected, Rows
from gateway.reasons import Reason, show
from metrology.quantities import Medium

_GLOW_UNKNOWN = ("not available", "EMPTY", "read pending", "")


class GlowOptions(PresetOptions):
    """Options of the codec `glow`."""


def _glow_mapping(options: GlowOptions, gas_register: str, gas_units: str) -> JsonOptions:
    electricity, gas = "electricitymeter.energy.import", "gasmeter.energy.import"
    return JsonOptions.model_validate(
        {
            "meter": f"{electricity}.mpan",
            "unusable_ids": _GLOW_UNKNOWN,
            "multipliers": options.multipliers,
            "readings": [
                {
                    "register": f"{electricity}.cumulative",
                    "medium": "electricity",
                    "unit_path": f"{electricity}.units",
                    "time": "electricitymeter.timestamp",
                    "required": False,
                },
                {
                    "register": f"{gas}.{gas_register}",
                    "medium": "gas",
                    "unit_path": f"{gas}.{gas_units}",
                    "meter": f"{gas}.mprn",
                    "time": "gasmeter.timestamp",
                    "required": False,
                },
            ],
        }
    )


class GlowCodec:
    """See Codec. Gas that is sent as energy alone is rejected: the volume that was metered can't be had from it."""

    def __init__(self, options: GlowOptions, context: CodecContext) -> None:
        self._nesting_max = context.nesting_max
        self._energy = JsonMapper(_glow_mapping(options, "cumulative", "units"), context)
        self._volume = JsonMapper(_glow_mapping(options, "cumulativevol", "cumulativevolunits"), context)

    def decode(self, topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        root = load_document(payload, self._nesting_max)
        gas: Any = root
        for key in ("gasmeter", "energy", "import"):
            gas = gas.get(key) if isinstance(gas, dict) else None
        has_volume = isinstance(gas, dict) and "cumulativevol" in gas
        return (self._volume if has_volume else self._energy).rows_of(root, topic, received_us)


GLOW = CodecKind(
    "electricity and gas meters behind a Hildebrand Glow display or its local MQTT",
    GlowOptions,
    GlowCodec,
    lambda options: describe_mapping(_glow_mapping(options, "cumulativevol", "cumulativevolunits")),
)


class TasmotaOptions(PresetOptions):
    """Options of the codec `tasmota_sml`: the names are those of the meter's script."""

    group: str = Field("SML", min_length=1, pattern=r'^[^"]+$', description="Name of the meter's group.")
    register_name: str = Field(
        "Total_in", alias="register", min_length=1, pattern=r'^[^"]+$', description="Name of the register."
    )
    meter: ValuePath = Field(
        "Meter_number", description="The meter's id in the group; `$topic2` for the second level of the topic."
    )
    medium: Medium = Field(Medium.ELECTRICITY, description="What the meter measures.")
    unit: Unit = Field("kWh", description="The register's unit.")


def _tasmota(options: TasmotaOptions) -> dict[str, Any]:
    return {
        "items": f'"{options.group}"',
        "meter": options.meter,
        "unusable_ids": [""],
        "time": "$.Time",
        "zero": "reject",
        "multipliers": options.multipliers,
        "readings": [{"register": f'"{options.register_name}"', "medium": options.medium, "unit": options.unit}],
    }


def _build_tasmota(options: TasmotaOptions, context: CodecContext) -> Codec:
    zone_of_clocks(context, "Europe/Berlin")
    return JsonMapper(JsonOptions.model_validate(_tasmota(options)), context)


TASMOTA_SML = CodecKind(
    "SENSOR messages of Tasmota's smart meter interface, local time",
    TasmotaOptions,
    _build_tasmota,
    lambda options: describe_mapping(JsonOptions.model_validate(_tasmota(options))),
)


class DsmrReaderOptions(PresetOptions):
    """Options of the codec `dsmr_reader`: its messages name no meter."""

    meter: str = Field(min_length=1, description="Serial of the electricity meter.")
    gas_meter: str = Field("", description="Serial of the meter behind it; empty: it is passed over.")
    gas_medium: Medium = Field(Medium.GAS, description="What the meter behind it measures.")
    export_suffix: str = Field("", description="Behind the serial for the export register; empty: it is passed over.")


def _dsmr_reader(options: DsmrReaderOptions) -> dict[str, Any]:
    tariffs = {"medium": "electricity", "unit": "kWh"}
    readings: list[dict[str, Any]] = [{"register": ["electricity_delivered_1", "electricity_delivered_2"]} | tariffs]
    if options.export_suffix:
        exported = {"register": ["electricity_returned_1", "electricity_returned_2"]} | tariffs
        readings.append(exported | {"meter_suffix": options.export_suffix})
    if options.gas_meter:
        readings.append(
            {
                "register": "extra_device_delivered",
                "medium": options.gas_medium,
                "unit": "m3",
                "meter": f"={options.gas_meter}",
                "time": "extra_device_timestamp",
                "required": False,
            }
        )
    return {
        "meter": f"={options.meter}",
        "time": "timestamp",
        "multipliers": options.multipliers,
        "readings": readings,
    }


DSMR_READER = preset("telegrams as JSON of DSMR-reader (dsmr/json)", DsmrReaderOptions, _dsmr_reader)


class OneMeterOptions(PresetOptions):
    """Options of dialects with one register a topic."""

    medium: Medium = Field(description="What the meters of this source measure.")
    unit: Unit = Field(min_length=1, description="The register's unit.")
    multiplier: Multiplier = Field(Decimal(1), description="What one count is in the unit.")


class JomjolOptions(OneMeterOptions):
    """Options of the codec `jomjol`."""

    medium: Medium = Field(Medium.WATER, description="What the meters of this source measure.")
    unit: Unit = Field("m3", min_length=1, description="The register's unit.")
    meter_level: int = Field(2, ge=1, le=128, description="Level of the topic that names the meter, from 1.")


def _jomjol(options: JomjolOptions) -> dict[str, Any]:
    return {
        "meter": f"$topic{options.meter_level}",
        "time": "timestamp",
        "multipliers": options.multipliers,
        "readings": [
            {
                "register": "value",
                "medium": options.medium,
                "unit": options.unit,
                "multiplier": options.multiplier,
            }
        ],
    }


def _prepare_jomjol(root: Any, _topic: str) -> Any:
    """With an error the value is what was read before, or nothing."""
    error = root.get("error", "") if isinstance(root, dict) else ""
    if error not in ("", "no error", None):
        raise MessageRejected(Reason.SENDER_REPORTS_ERROR, f"error {show(error)}", 1)
    return root


JOMJOL = preset("JSON of AI-on-the-edge devices: a camera before the meter", JomjolOptions, _jomjol, _prepare_jomjol)


class VzloggerOptions(OneMeterOptions):
    """Options of the codec `vzlogger`."""

    medium: Medium = Field(Medium.ELECTRICITY, description="What the meters of this source measure.")
    unit: Unit = Field("Wh", min_length=1, description="The register's unit.")
    channel_level: int = Field(3, ge=1, le=128, description="Level of the topic that names the channel, from 1.")


def _vzlogger(options: VzloggerOptions) -> dict[str, Any]:
    return {
        "meter": f"$topic{options.channel_level}",
        "time": "timestamp",
        "time_form": "epoch_ms",
        "time_missing": "receipt",
        "multipliers": options.multipliers,
        "readings": [
            {
                "register": "value",
                "medium": options.medium,
                "unit": options.unit,
                "multiplier": options.multiplier,
            }
        ],
    }


def _prepare_vzlogger(root: Any, _topic: str) -> Any:
    return root if isinstance(root, dict) else {"value": root}


VZLOGGER = preset(
    "channels of vzlogger: a bare number, or value and timestamp", VzloggerOptions, _vzlogger, _prepare_vzlogger
)


class AmsreaderOptions(PresetOptions):
    """Options of the codec `amsreader`."""

    meter: str = Field("", description="Serial of the meter, where its messages don't name it.")
    export_suffix: str = Field("", description="Behind the serial for the export register; empty: it is passed over.")


def _amsreader(options: AmsreaderOptions) -> dict[str, Any]:
    readings = [{"register": "tPI", "medium": "electricity", "unit": "kWh", "required": False}]
    if options.export_suffix:
        readings.append({**readings[0], "register": "tPO", "meter_suffix": options.export_suffix})
    return {
        "meter": f"={options.meter}" if options.meter else "meter",
        "unusable_ids": [""],
        "time": "rtc",
        "time_form": "epoch_s",
        "multipliers": options.multipliers,
        "readings": readings,
    }


def _prepare_amsreader(root: Any, _topic: str) -> Any:
    """Flat lists (meterId, rtc), or nested ones: `data` with the meter's id, `t` beside it."""
    if not isinstance(root, dict):
        raise MessageRejected(Reason.UNDECODABLE, f"{show(root)} instead of an object")
    data = root.get("data")
    if not isinstance(data, dict):
        return root | {"meter": root.get("meterId")}
    return data | {"meter": data.get("id"), "rtc": data.get("rtc", root.get("t"))}


AMSREADER = preset(
    "lists of amsreader; the total is not in every list", AmsreaderOptions, _amsreader, _prepare_amsreader
)
