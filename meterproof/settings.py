"""All settings in one frozen object: a TOML file below environment variables, each room's part defined in that room.

`METERPROOF_DATABASE__DSN=...` overrides `dsn` in the section `[database]` of the file.
"""

import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from api.settings import ApiSettings
from gateway.repair.settings import RepairSettings
from gateway.settings import GatewaySettings, MqttSettings
from metrology.errors import InvalidInputError
from store.settings import DatabaseSettings
from verifier.settings import VerifierSettings

DEFAULT_FILE = Path("meterproof.toml")
PREFIX = "METERPROOF_"
# Variables of the same prefix that scripts and tests of the project use.
_OTHER_VARIABLES = frozenset(
    PREFIX + name for name in ("CACHE", "CHROMIUM", "MOSQUITTO", "RENEW_SNAPSHOT", "TEST_DSN", "VENV")
)


class SettingsError(InvalidInputError):
    """The settings can't be used; the message names each key, its value and what was expected."""

    title = "Invalid settings"


class EmbeddedSettings(BaseModel):
    """The embedded servers, for newcomers and tests: where `database.dsn` is empty or there is no section `mqtt`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    var_dir: Path = Field(default=Path("var"), description="Folder of the embedded servers' data, kept over restarts.")
    postgres_bin: Path | None = Field(
        default=None, description="Folder with initdb, pg_ctl and postgres, instead of the wheel's."
    )
    broker_sync: str = Field(
        default="1s",
        pattern=r"^(always|\d+(ms|s|m))$",
        description="How often the broker waits for the disk: what a power failure may take; `always` loses nothing.",
    )


class LogSettings(BaseModel):
    """What is logged, on standard error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least severity logged.")
    format: Literal["text", "json"] = Field(default="text", description="Text for people, JSON lines for machines.")


class MetricsSettings(BaseModel):
    """Prometheus metrics of roles that run without the HTTP interface (which serves /metrics itself)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address of the metrics' listeners.")
    gateway_port: int = Field(default=0, ge=0, le=65535, description="Port of `serve gateway`'s metrics; 0: none.")
    repair_port: int = Field(default=0, ge=0, le=65535, description="Port of `serve repair`'s metrics; 0: none.")
    verifier_port: int = Field(default=0, ge=0, le=65535, description="Port of `serve verifier`'s metrics; 0: none.")


class Settings(BaseSettings):
    """Everything that can be set; `docs/settings.md` lists it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__")

    database: DatabaseSettings = DatabaseSettings()
    mqtt: MqttSettings | None = Field(default=None, description="The broker; without this section the embedded one.")
    gateway: GatewaySettings = GatewaySettings()
    repair: RepairSettings = RepairSettings()
    verifier: VerifierSettings = VerifierSettings()
    api: ApiSettings = ApiSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment above file; no .env and no secrets folder, so that there is one place each."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(file: Path | None) -> Settings:
    """The settings of a file (`meterproof.toml` here, where there is one, if None) and the environment.

    Raises SettingsError with every wrong key, its value and what was expected.
    """
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    if file is not None:
        _check_file(file)
    _check_environment()

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile()
    except ValidationError as error:
        raise SettingsError(_describe(error, file)) from None


def _check_file(file: Path) -> None:
    try:
        tomllib.loads(file.read_text(encoding="utf-8"))
        if file.read_bytes().startswith(b"\xef\xbb\xbf"):
            raise SettingsError(f"settings file {file}: begins with a byte order mark; save it as UTF-8 without one")
    except OSError as error:
        raise SettingsError(f"settings file {file}: {error.strerror}; name an existing TOML file") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"settings file {file}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings file {file}: not TOML: {error}") from None


def _check_environment() -> None:
    """A mistyped section would be silently ignored otherwise."""
    for name in os.environ:
        if not name.startswith(PREFIX) or name in _OTHER_VARIABLES:
            continue
        if "__" not in name:
            raise SettingsError(f"environment variable {name} means nothing; settings are {PREFIX}SECTION__NAME")
        section = name[len(PREFIX) :].split("__")[0].lower()
        if section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise SettingsError(f"environment variable {name}: no section {section!r}; use one of {known}")


def _describe(error: ValidationError, file: Path | None) -> str:
    origin = f"environment and {file}" if file else "environment"
    lines = [f"settings ({origin}):"]
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        # Values of secrets and whole sections are not repeated.
        shown = problem["input"]
        secret = any(word in place for word in ("password", "dsn", "key", "token"))
        value = "" if isinstance(shown, dict) or secret else f" = {shown!r}"
        message = "no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        message = message.removeprefix("Value error, ")
        lines.append(f"  {place}{value}: {message}")
    return "\n".join(lines)
