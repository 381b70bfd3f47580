"""Options of the codec `json`: where in a document its meters, registers, units and times stand."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.codec.paths import ItemsPath, ValuePath
from gateway.codec.times import TimeForm
from metrology.quantities import UNITS, Medium
from metrology.status import parse_flags


def _checked_multiplier(multiplier: Decimal) -> Decimal:
    if not multiplier.is_finite() or multiplier <= 0 or len(multiplier.as_tuple().digits) > 20:
        raise ValueError(f"{multiplier} is no multiplier; give a number above 0 of at most 20 digits, e.g. 0.01")
    if abs(multiplier.adjusted()) > 20:
        raise ValueError(f"{multiplier} is no multiplier of registers; it must lie within 1e-20 and 1e20")
    return multiplier


def _checked_unit(unit: str) -> str:
    known = [name for units in UNITS.values() for name in units]
    if unit and unit not in known:
        raise ValueError(f"unit {unit!r} is unknown; use one of {', '.join(dict.fromkeys(known))}")
    return unit


def _checked_flags(flags: dict[str, str]) -> dict[str, str]:
    for names in flags.values():
        parse_flags(names)
    return flags


Multiplier = Annotated[Decimal, AfterValidator(_checked_multiplier)]
Unit = Annotated[str, AfterValidator(_checked_unit)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeltaOptions(_Options):
    """Registers at other times, sent as the steps between them."""

    path: ValuePath = Field(description="List of steps, in the register's unit.")
    interval_s: int = Field(gt=0, le=366 * 86400, description="Time between two registers [s].")
    direction: Literal["back", "forward"] = Field(
        "back",
        description="back: the register is the newest, the first step the one that led to it; "
        "forward: it is the oldest, the first step follows it.",
    )


class ReadingOptions(_Options):
    """One register of an item."""

    register_path: ValuePath | tuple[ValuePath, ...] = Field(
        alias="register", description="Where the register stands; a list of places is summed (tariffs)."
    )
    medium: Medium | None = Field(None, description="What the meter measures, where the payload doesn't say.")
    unit: Unit = Field("", description="The register's unit, where the payload doesn't say.")
    unit_path: ValuePath | None = Field(None, description="Where the unit stands.")
    multiplier: Multiplier = Field(
        Decimal(1), description="What one count is in the unit, for every meter that `multipliers` doesn't list."
    )
    is_count: bool = Field(
        False, description="The register is a bare count: without an entry in `multipliers` it is not used."
    )
    meter: ValuePath | None = Field(None, description="The meter's id, where it is another than the item's.")
    meter_suffix: str = Field(
        "", max_length=32, description="Behind the meter's id, for a second register such as export: a meter has one."
    )
    time: ValuePath | None = Field(None, description="The register's time, where it is another than the item's.")
    required: bool = Field(True, description="Whether an item without this register is a fault.")
    deltas: DeltaOptions | None = Field(None, description="Further registers, as steps.")

    @property
    def register_paths(self) -> tuple[str, ...]:
        """The places whose values are summed."""
        return self.register_path if isinstance(self.register_path, tuple) else (self.register_path,)


class JsonOptions(_Options):
    """Options of the codec `json`. Paths are explained in docs/codecs.md."""

    items: ItemsPath = Field("", description="Where the meters' objects are; empty: the document is one.")
    meter: ValuePath = Field(description="The meter's id in an item.")
    readings: tuple[ReadingOptions, ...] = Field(min_length=1, max_length=64, description="The item's registers.")
    sender: ValuePath | None = Field(None, description="Who the document says it comes from.")
    time: ValuePath | None = Field(None, description="When the registers were read; not set: the time of receipt.")
    time_form: TimeForm = Field(
        "iso", description="iso, epoch_s, epoch_ms, or a pattern of strptime such as `%d.%m.%Y %H:%M`."
    )
    time_missing: Literal["reject", "receipt"] = Field(
        "reject", description="An item without a time: reject it, or take the time of receipt and say so."
    )
    time_of_receiver: bool = Field(
        False, description="The time is that of a receiver's clock, not the meter's: its status says so."
    )
    medium_path: ValuePath | None = Field(None, description="Where the medium stands.")
    media: dict[str, Medium | Literal["skip"]] = Field(
        default_factory=lambda: dict[str, Medium | Literal["skip"]]((medium.value, medium) for medium in Medium),
        description="The medium by the sender's word for it; `skip`: such items are passed over.",
    )
    units: dict[str, Unit] = Field(default_factory=dict, description="Units by the sender's words for them.")
    multipliers: dict[str, Multiplier] = Field(
        default_factory=dict, description="What one count is in the unit, by the meter's id."
    )
    status: ValuePath | None = Field(None, description="Where the meter's status stands, as words.")
    status_flags: Annotated[dict[str, str], AfterValidator(_checked_flags)] = Field(
        default_factory=dict,
        description="Flags (metrology/status.py) by the status' words; a word without an entry is a temporary_fault.",
    )
    only_if: dict[ValuePath, tuple[str, ...]] = Field(
        default_factory=dict, description="Items are passed over unless each of these places holds one of its texts."
    )
    unusable_ids: tuple[str, ...] = Field(
        (), description="Texts that stand where an id is not known yet; such readings are rejected."
    )
    zero: Literal["accept", "reject"] = Field(
        "accept", description="Reject registers of zero, for senders that send zeros until they have read the meter."
    )
    unique_by: tuple[ValuePath, ...] = Field(
        (), description="Places in the document that together name a message: one that comes again is passed over."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        for number, reading in enumerate(self.readings):
            if reading.medium is None and self.medium_path is None:
                raise ValueError(f"readings.{number} needs a medium, or the options a medium_path")
            if not reading.unit and reading.unit_path is None:
                raise ValueError(f"readings.{number} needs a unit or a unit_path")
            if reading.medium and reading.unit and reading.unit not in UNITS[reading.medium]:
                known = ", ".join(UNITS[reading.medium])
                raise ValueError(f"readings.{number}: {reading.unit} does not measure {reading.medium}; use {known}")
        return self
