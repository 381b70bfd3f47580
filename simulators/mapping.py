"""How a foreign file of readings is to be read: the mapping, a TOML file beside it."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from metrology.errors import InvalidInputError
from metrology.quantities import Medium, micro_per_unit
from simulators.local_time import parse_zone

# As the topic's levels allow: no blanks, no slash, no wildcard.
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
ENCODINGS = Literal["utf-8", "latin-1", "cp1252", "gb18030"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileFormat(_Model):
    """The file's outer form."""

    separator: str = Field(default=",", min_length=1, max_length=1, description="the character between columns")
    quote: str = Field(default='"', max_length=1, description="the quoting character; empty: none")
    encoding: ENCODINGS = Field(default="utf-8", description="the text's encoding")
    decimal: Literal[".", ","] = Field(default=".", description="the decimal sign of registers")
    header: tuple[str, ...] = Field(default=(), description="the columns' names, for a file that has no header line")
    member: str = Field(default="*", description="the file inside a zip archive, a pattern such as *.csv")

    @model_validator(mode="after")
    def _signs_differ(self) -> "FileFormat":
        if not (self.separator + self.quote).isascii() or self.separator in (self.quote, self.decimal, "\n", "\r"):
            raise ValueError("separator, quote and decimal sign must be different ASCII characters")
        return self


class Columns(_Model):
    """Which columns hold what; others are left alone."""

    meter: str = Field(description="the column of the meter's serial")
    observed_at: str = Field(description="the column of the time")
    register_: str = Field(alias="register", description="the column of the cumulative register")
    status: str | None = Field(default=None, description="the column of the status set, an integer")
    unit: str | None = Field(default=None, description="the column of the unit, instead of one unit for all")


_DIRECTIVES = frozenset("aAbBcdfGHIjmMpSuUVwWxXyYzZ%")  # of datetime.strptime


class TimeFormat(_Model):
    """How times are written and in which zone."""

    format: str = Field(
        default="iso8601", min_length=1, description="iso8601, unix_s, unix_ms, or a pattern such as %d/%m/%Y %H:%M:%S"
    )
    zone: str = Field(default="UTC", description="the zone of times without an offset: Europe/Madrid, UTC, +08:00")

    @model_validator(mode="after")
    def _zone_exists(self) -> "TimeFormat":
        try:
            parse_zone(self.zone)
        except InvalidInputError as error:
            raise ValueError(str(error)) from None
        if self.format not in ("iso8601", "unix_s", "unix_ms") and "%" not in self.format:
            raise ValueError(
                f"time format {self.format!r} is none of iso8601, unix_s, unix_ms and no pattern such as %Y-%m-%d %H:%M"
            )
        unknown = set(re.findall(r"%(.?)", self.format)) - _DIRECTIVES
        if unknown:
            shown = ", ".join(f"%{letter}" for letter in sorted(unknown))
            raise ValueError(
                f"time format {self.format!r}: {shown} is no directive of strptime; e.g. %d/%m/%Y %H:%M:%S"
            )
        return self


class Mapping(_Model):
    """Everything that a file of readings does not say of itself."""

    utility: Code = Field(description="the utility's code, as registered")
    gateway: Code = Field(default="replay", description="the name that the messages are sent under")
    medium: Medium = Field(description="what the meters measure")
    unit: str = Field(default="", description="the registers' unit; empty if a column tells it")
    file: FileFormat = FileFormat()
    columns: Columns
    time: TimeFormat = TimeFormat()

    @model_validator(mode="after")
    def _unit_is_known(self) -> "Mapping":
        if bool(self.unit) == bool(self.columns.unit):
            raise ValueError("give either unit or columns.unit")
        if self.unit:
            try:
                micro_per_unit(self.unit, self.medium)
            except InvalidInputError as error:
                raise ValueError(str(error)) from None
        return self


def load_mapping(path: Path) -> Mapping:
    """Reads a mapping file. Raises InvalidInputError naming the file, the setting and what was expected."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"mapping {path}: {error.strerror}; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"mapping {path} is not valid TOML: {error}") from None
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise InvalidInputError(f"mapping {path}: {describe_validation(error)}") from None


def describe_validation(error: ValidationError) -> str:
    """All of a validation's complaints in one line: place, value, what was expected."""
    parts = []
    for item in error.errors():
        place = ".".join(str(level) for level in item["loc"]) or "the file"
        message = item["msg"].removeprefix("Value error, ")
        given = "" if item["type"] == "missing" or isinstance(item["input"], dict) else f" (is {item['input']!r})"
        parts.append(f"{place}: {message}{given}")
    return "; ".join(parts)
