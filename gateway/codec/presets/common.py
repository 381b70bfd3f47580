"""What the presets share: options, and a mapping with a step before it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.codec.document import load_document
from gateway.codec.json_mapper import JsonMapper
from gateway.codec.json_options import DeltaOptions, JsonOptions, Multiplier, Unit
from gateway.codec.mapping_text import describe_mapping
from gateway.codec.paths import ValuePath
from gateway.codec.registry import CodecKind
from gateway.codec.rows import Codec, CodecContext, Rows
from metrology.quantities import Medium

Prepare = Callable[[Any, str], Any]


class PresetOptions(BaseModel):
    """What every preset lets a source set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    multipliers: dict[str, Multiplier] = Field(
        default_factory=dict, description="What one unit of the register is in the unit, by the meter's id as sent."
    )


class RegisterOptions(BaseModel):
    """A register by the name that the sender's product model gives it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    register_name: ValuePath = Field(alias="register", description="The register's name, or the path to it.")
    medium: Medium = Field(description="What the meter measures.")
    unit: Unit = Field(min_length=1, description="The register's unit.")
    multiplier: Multiplier = Field(Decimal(1), description="What one count is in the unit.")
    meter_suffix: str = Field("", max_length=32, description="Behind the meter's id, for a second register.")
    deltas: DeltaOptions | None = Field(None, description="Further registers, as steps.")

    def reading(self, prefix: str, *, suffix: str = "", **changes: Any) -> dict[str, Any]:
        """The register as a reading of a mapping, its paths below `prefix`."""
        reading: dict[str, Any] = {
            "register": joined(prefix, self.register_name) + suffix,
            "medium": self.medium,
            "unit": self.unit,
            "multiplier": self.multiplier,
            "meter_suffix": self.meter_suffix,
        }
        if self.deltas:
            below = joined(prefix, self.deltas.path)
            reading["deltas"] = self.deltas.model_copy(update={"path": below})
        return reading | changes


def joined(prefix: str, path: str) -> str:
    """A path below another; one that starts elsewhere (`$`, `^`, `=`) stays as it is."""
    if not prefix or path[:1] in ("$", "^", "="):
        return path
    return f"{prefix}{path}" if path.startswith("[") else f"{prefix}.{path}"


class PreparedMapper:
    """See Codec: a document is put into another form before it is mapped."""

    def __init__(self, options: JsonOptions, prepare: Prepare, context: CodecContext) -> None:
        self._mapper = JsonMapper(options, context)
        self._prepare = prepare
        self._nesting_max = context.nesting_max

    def decode(self, topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        root = self._prepare(load_document(payload, self._nesting_max), topic)
        return self._mapper.rows_of(root, topic, received_us)


def preset(
    summary: str,
    options: type[BaseModel],
    mapping: Callable[[Any], dict[str, Any]],
    prepare: Prepare | None = None,
) -> CodecKind:
    """A codec that is a mapping, made from a source's options."""

    def build(chosen: Any, context: CodecContext) -> Codec:
        mapped = JsonOptions.model_validate(mapping(chosen))
        return PreparedMapper(mapped, prepare, context) if prepare else JsonMapper(mapped, context)

    def accepts(chosen: Any) -> list[str]:
        return describe_mapping(JsonOptions.model_validate(mapping(chosen)))

    return CodecKind(summary, options, build, accepts)
