"""Platforms of things: ThingsBoard gateway, Huawei IoTDA, Alibaba Alink, ChirpStack v4, The Things Stack v3."""

from typing import Any

from pydantic import Field

from gateway.codec.paths import ValuePath
from gateway.codec.presets.common import PresetOptions, RegisterOptions, joined, preset
from gateway.codec.rows import MessageRejected
from gateway.codec.times import TimeForm
from gateway.reasons import Reason, show


class PlatformOptions(PresetOptions):
    """Options of platforms on which users name their registers themselves."""

    registers: tuple[RegisterOptions, ...] = Field(
        min_length=1, max_length=64, description="The registers, by the names that the product's model gives them."
    )


def _thingsboard(options: PlatformOptions) -> dict[str, Any]:
    return {
        "items": "*[*]",
        "meter": "$key",
        "time": "ts",
        "time_form": "epoch_ms",
        "time_missing": "receipt",
        "multipliers": options.multipliers,
        "readings": [register.reading("values", required=False) for register in options.registers],
    }


def _prepare_thingsboard(root: Any, _topic: str) -> Any:
    """Telemetry without a time may come without `values`: {"Device A": [{"total": 42}]}."""
    if not isinstance(root, dict):
        raise MessageRejected(Reason.UNDECODABLE, f"{show(root)} instead of an object of devices")
    return {
        device: [
            {"values": item} if isinstance(item, dict) and "values" not in item and "ts" not in item else item
            for item in (items if isinstance(items, list) else [items])
        ]
        for device, items in root.items()
    }


THINGSBOARD = preset(
    "telemetry of a ThingsBoard gateway (v1/gateway/telemetry)", PlatformOptions, _thingsboard, _prepare_thingsboard
)


class HuaweiOptions(PlatformOptions):
    """Options of the codec `huawei_iotda`."""

    service_ids: tuple[str, ...] = Field((), description="Services to look at; all where empty.")


def _huawei(options: HuaweiOptions) -> dict[str, Any]:
    return {
        "items": "devices[*].services[*]",
        "meter": "^.device_id",
        "time": "event_time",
        "time_missing": "receipt",
        "only_if": {"service_id": options.service_ids} if options.service_ids else {},
        "multipliers": options.multipliers,
        "readings": [register.reading("properties", required=False) for register in options.registers],
    }


HUAWEI_IOTDA = preset("sub-devices' properties of Huawei IoTDA, in batches", HuaweiOptions, _huawei)


def _alink(options: PlatformOptions) -> dict[str, Any]:
    return {
        "items": "[*]",
        "meter": "meter",
        "time_form": "epoch_ms",
        "time_missing": "receipt",
        "multipliers": options.multipliers,
        "readings": [
            register.reading(
                "values", suffix=".value", time=joined("values", register.register_name) + ".time", required=False
            )
            for register in options.registers
        ],
    }


def _prepare_alink(root: Any, topic: str) -> Any:
    """The devices of a message with their values: the device that the topic names, or the sub-devices of a pack."""
    params = root.get("params") if isinstance(root, dict) else None
    if not isinstance(params, dict):
        raise MessageRejected(Reason.FIELD_MISSING, "params")
    levels = topic.split("/")
    own = levels[3] if len(levels) > 3 else ""  # /sys/{productKey}/{deviceName}/thing/…
    if not topic.endswith("/pack/post"):
        return [{"meter": own, "values": _alink_values(params)}]
    devices: list[dict[str, Any]] = [{"meter": own, "values": _alink_values(params.get("properties"))}]
    subs = params.get("subDevices")
    for sub in subs if isinstance(subs, list) else []:
        identity = sub.get("identity") if isinstance(sub, dict) else None
        name = identity.get("deviceName") if isinstance(identity, dict) else None
        devices.append({"meter": name, "values": _alink_values(sub.get("properties") if identity else None)})
    return devices


def _alink_values(properties: Any) -> dict[str, Any]:
    """A value may come bare, or with its time."""
    if not isinstance(properties, dict):
        return {}
    return {name: value if isinstance(value, dict) else {"value": value} for name, value in properties.items()}


ALIBABA_ALINK = preset("property posts of Alibaba's Alink", PlatformOptions, _alink, _prepare_alink)


class LorawanOptions(PlatformOptions):
    """Options of `chirpstack` and `ttn`: what the payload decoder of the device makes of an uplink is the user's."""

    meter: ValuePath | None = Field(
        None, description="The meter's id in what the decoder yields; not set: the device's (see `meters`)."
    )
    device_time: ValuePath | None = Field(
        None, description="The meter's own time in what the decoder yields; not set: the network's, marked as such."
    )
    time_form: TimeForm = Field("iso", description="Form of the meter's own time.")


def _lorawan(options: LorawanOptions, decoded: str, network_time: str) -> dict[str, Any]:
    own_time = options.device_time is not None
    return {
        "time": joined(decoded, options.device_time) if options.device_time is not None else network_time,
        "time_form": options.time_form if own_time else "iso",
        "time_of_receiver": not own_time,
        "multipliers": options.multipliers,
        # An uplink need not hold the register: devices send alarms and settings too.
        "readings": [register.reading(decoded, required=False) for register in options.registers],
    }


def _chirpstack(options: LorawanOptions) -> dict[str, Any]:
    device = "deviceInfo.devEui"
    return _lorawan(options, "object", "time") | {
        "meter": device if options.meter is None else joined("object", options.meter),
        "sender": device,
        "unique_by": ["deduplicationId"],
    }


def _ttn(options: LorawanOptions) -> dict[str, Any]:
    decoded, device = "uplink_message.decoded_payload", "end_device_ids.device_id"
    return _lorawan(options, decoded, "uplink_message.received_at") | {
        "meter": device if options.meter is None else joined(decoded, options.meter),
        "sender": device,
        # Fields that are "" or false are left out; a simulated uplink is no reading.
        "only_if": {"simulated": ["", "false"]},
        "unique_by": [device, "uplink_message.session_key_id", "uplink_message.f_cnt"],
    }


CHIRPSTACK = preset("uplink events of ChirpStack v4 with a decoded object", LorawanOptions, _chirpstack)
TTN = preset("uplinks of The Things Stack v3 with a decoded payload", LorawanOptions, _ttn)
