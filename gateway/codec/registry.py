"""Codecs by name: those that come with the gateway, and those of other packages.

A package offers codecs by the entry point group `meterproof.codecs`; each entry point names a `CodecKind`. See
docs/codecs.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.codec.rows import Codec, CodecContext
from gateway.errors import SourceError

GROUP = "meterproof.codecs"
# Name -> module and attribute; loaded when a source asks for it.
BUILT_IN: dict[str, str] = {
    "native": "gateway.codec.native:NATIVE",
    "json": "gateway.codec.json_mapper:JSON",
    "wmbusmeters": "gateway.codec.presets.radio:WMBUSMETERS",
    "rtl_433_ert": "gateway.codec.presets.radio:RTL_433_ERT",
    "rtlamr2mqtt": "gateway.codec.presets.radio:RTLAMR2MQTT",
    "glow": "gateway.codec.presets.home:GLOW",
    "tasmota_sml": "gateway.codec.presets.home:TASMOTA_SML",
    "dsmr_reader": "gateway.codec.presets.home:DSMR_READER",
    "jomjol": "gateway.codec.presets.home:JOMJOL",
    "vzlogger": "gateway.codec.presets.home:VZLOGGER",
    "amsreader": "gateway.codec.presets.home:AMSREADER",
    "thingsboard": "gateway.codec.presets.platforms:THINGSBOARD",
    "chirpstack": "gateway.codec.presets.platforms:CHIRPSTACK",
    "ttn": "gateway.codec.presets.platforms:TTN",
    "huawei_iotda": "gateway.codec.presets.platforms:HUAWEI_IOTDA",
    "alibaba_alink": "gateway.codec.presets.platforms:ALIBABA_ALINK",
    "dsmr_p1": "gateway.codec.dsmr:DSMR_P1",
    "dlt645": "gateway.codec.dlt645:DLT645",
    "cjt188": "gateway.codec.cjt188:CJT188",
    "sparkplug_b": "gateway.codec.sparkplug:SPARKPLUG_B",
}


class NoOptions(BaseModel):
    """Options of a codec that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class CodecKind:
    """A dialect that sources can name.

    `summary`: one line, what payloads it takes. `options`: a pydantic model (`extra="forbid"`) of what a source may
    set. `build` makes the codec of a source from its options. `accepts` tells in a few lines what a source with these
    options takes, for `check-config`.
    """

    summary: str
    options: type[BaseModel]
    build: Callable[[Any, CodecContext], Codec]
    accepts: Callable[[Any], list[str]] | None = None


def codec_names() -> list[str]:
    """Names of all codecs, those of the gateway first."""
    return [*BUILT_IN, *sorted(plug_ins().keys() - BUILT_IN.keys())]


def is_built_in(name: str) -> bool:
    """True for a codec that comes with the gateway; a plug-in can't take its name."""
    return name in BUILT_IN


@cache
def plug_ins() -> Mapping[str, EntryPoint]:
    """Entry points of installed packages by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def find_codec(name: str) -> CodecKind:
    """The codec of that name. Raises SourceError with the valid names, or with what is wrong with the plug-in."""
    if name in BUILT_IN:
        module, attribute = BUILT_IN[name].split(":")
        kind: CodecKind = getattr(import_module(module), attribute)
        return kind
    point = plug_ins().get(name)
    if point is None:
        raise SourceError(f"codec {name!r} is unknown; use one of {', '.join(codec_names())}, or install its package")
    try:
        loaded = point.load()
    except Exception as error:  # whatever another package's import raises
        raise SourceError(f"codec {name!r} ({point.value}) can't be loaded: {error!r}; mend its package") from error
    if not isinstance(loaded, CodecKind):
        raise SourceError(f"codec {name!r} ({point.value}) is of type {type(loaded).__name__}, not CodecKind")
    return loaded


def read_options(kind: CodecKind, options: Mapping[str, Any], place: str) -> Any:
    """The options as the codec's model. Raises SourceError naming each wrong one below `place`."""
    try:
        return kind.options.model_validate(dict(options))
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            where = ".".join([place, *(str(part) for part in problem["loc"])])
            shown = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r}"
            message = "no such option" if problem["type"] == "extra_forbidden" else problem["msg"]
            lines.append(f"{where}{shown}: {message}")
        raise SourceError("; ".join(lines)) from None
