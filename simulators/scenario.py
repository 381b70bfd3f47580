"""What a simulated city is to be: a TOML file, checked field by field."""

import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from metrology.errors import InvalidInputError
from metrology.quantities import Medium
from simulators.mapping import Code, describe_validation

Count = Annotated[int, Field(ge=0, le=100_000)]
Percent = Annotated[float, Field(ge=0, le=100)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Faults(_Model):
    """How many customers' meters of a medium have each fault."""

    drifting: Count = Field(default=0, description="error that grows day by day")
    stepped: Count = Field(default=0, description="error that changes at once")
    stopped: Count = Field(default=0, description="register that no longer moves")
    reversed: Count = Field(default=0, description="register that runs backward")
    reset: Count = Field(default=0, description="register that falls to zero once and goes on")
    swapped: Count = Field(default=0, description="another meter reports under the old serial: unannounced exchange")
    exchanged: Count = Field(default=0, description="exchange as it should be: a new serial, registered; no fault")
    rollover: Count = Field(default=0, description="register that passes its last digit; no fault")

    @property
    def total(self) -> int:
        """Meters concerned."""
        return sum(self.model_dump().values())


class Defects(_Model):
    """What happens to the data of a medium on the way, whatever the meters do."""

    missing_share: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.0, description="share of single readings that never arrive"
    )
    gaps: Count = Field(default=0, description="meters that are silent for some hours once")
    gap_hours: Annotated[float, Field(gt=0, le=24 * 30)] = Field(default=9.0, description="length of such a gap [h]")
    glitches: Count = Field(default=0, description="single readings of zero, the next one is right again")
    repeats: Count = Field(default=0, description="readings that are sent once more")
    conflicts: Count = Field(default=0, description="readings that are sent once more with another value")


class MediumScenario(_Model):
    """The zones and meters of one medium."""

    zones: Annotated[int, Field(ge=1, le=10_000)] = Field(description="how many zones, each with a reference meter")
    customers_per_zone: tuple[int, int] = Field(description="fewest and most customers of a zone")
    interval_s: Annotated[int, Field(ge=60, le=86_400)] = Field(description="time between readings [s]")
    resolution: Annotated[Decimal, Field(gt=0)] = Field(description="a register's smallest step [kWh or m3]")
    register_digits: Annotated[int, Field(ge=3, le=9)] = Field(default=6, description="digits before the point")
    accuracy_class: str = Field(description="as registered")
    mpe_pct: Annotated[float, Field(gt=0, le=50)] = Field(description="maximum permissible error in service [%]")
    healthy_mean_pct: Annotated[float, Field(ge=-10, le=10)] = Field(default=0.0, description="mean error [%]")
    healthy_sd_pct: Percent = Field(description="spread of healthy meters' errors [%]")
    reference_sd_pct: Percent = Field(description="standard uncertainty of a reference's constant error [%]")
    fault_pct: tuple[float, float] = Field(description="size of drifts and steps, least and most, either sign [%]")
    clock_ahead_s: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="customers' clocks run ahead by up to this [s], below the interval"
    )
    faults: Faults = Faults()
    defects: Defects = Defects()

    @field_validator("customers_per_zone", "fault_pct")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("expected two numbers above 0, the smaller first")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if 86_400 % self.interval_s:
            raise ValueError(f"interval_s = {self.interval_s} does not divide a day of 86400 s")
        if self.clock_ahead_s >= self.interval_s:
            raise ValueError("clock_ahead_s must be below interval_s")
        if self.resolution * 1_000_000 % 1:
            raise ValueError(f"resolution = {self.resolution} is no whole number of millionths")
        fewest = self.zones * self.customers_per_zone[0]
        if self.faults.total > fewest or self.defects.gaps > fewest:
            raise ValueError(f"more faults or gaps than the {fewest} customers that there are at least")
        return self


class Scenario(_Model):
    """A city: its media, its seed, and the history that is planned."""

    name: Code = Field(description="the scenario's name")
    utility: Code = Field(description="the utility's code")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(description="same seed, same city, same data")
    start: AwareDatetime = Field(description="the first reading, at midnight UTC")
    days: Annotated[int, Field(ge=1, le=3660)] = Field(description="days of history; faults begin within them")
    utc_offset_h: Annotated[float, Field(ge=-14, le=14)] = Field(default=8.0, description="the customers' clock [h]")
    electricity: MediumScenario | None = None
    water: MediumScenario | None = None
    gas: MediumScenario | None = None

    @field_validator("start")
    @classmethod
    def _midnight(cls, value: datetime) -> datetime:
        if value.timestamp() % 86_400:
            raise ValueError("expected midnight UTC, such as 2026-01-01T00:00:00Z")
        return value.astimezone(UTC)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.media:
            raise ValueError("give at least one of electricity, water, gas")
        return self

    @property
    def media(self) -> dict[Medium, MediumScenario]:
        """The media that the city has."""
        given = {medium: getattr(self, str(medium)) for medium in Medium}
        return {medium: plan for medium, plan in given.items() if plan is not None}

    @property
    def end(self) -> datetime:
        """Where the planned history ends; what comes after is live."""
        return self.start + timedelta(days=self.days)

    def with_history_before(self, moment: datetime) -> "Scenario":
        """The same city with its history ending at the last midnight UTC before `moment`."""
        midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return self.model_copy(update={"start": midnight - timedelta(days=self.days)})


def load_scenario(path: Path) -> Scenario:
    """Reads a scenario file. Raises InvalidInputError naming the file, the field and what was expected."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"scenario {path}: {error.strerror}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"scenario {path} is not valid TOML: {error}") from None
    try:
        return Scenario.model_validate(content)
    except ValidationError as error:
        raise InvalidInputError(f"scenario {path}: {describe_validation(error)}") from None
