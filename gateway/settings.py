"""Settings of the gateway: the broker it reads from, what it accepts, and how much it holds at a time."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from gateway.feedback_settings import FeedbackSettings
from gateway.source_settings import NATIVE_SOURCE, SourceSettings
from metrology.quantities import MAX_REGISTER_MICRO, MICRO

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
TLS_SCHEMES = ("mqtts", "wss")
# A broker must accept 23 letters and digits (MQTT 3.1.1, 3.1.3.1); the brokers in use take these as well.
_CLIENT_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def _checked_url(url: str) -> str:
    if not url:
        return url
    example = "e.g. mqtt://broker.example:1883 or mqtts://broker.example"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no broker address ({error}); {example}") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"scheme {parts.scheme!r} is not one of {', '.join(DEFAULT_PORTS)}; {example}")
    if not parts.hostname or port == 0:
        raise ValueError(f"{url!r} names no host or port; {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address must not hold a password; set username and password beside it")
    if parts.query or parts.fragment or (parts.path not in ("", "/") and not parts.scheme.startswith("ws")):
        raise ValueError(f"{url!r} must end after host and port; {example}")
    return url


class MqttSettings(BaseModel):
    """How the broker is reached. One client id is one session: two running gateways must not share it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, AfterValidator(_checked_url)] = Field(
        "",
        description="Address: mqtt://, mqtts:// (TLS), ws:// or wss:// with host and port. Empty: the embedded broker.",
    )
    client_id: str = Field(
        description="Name of the persistent session at the broker; keep it for good, and never give it to two gateways."
    )
    protocol: Literal["3.1.1", "5"] = Field("3.1.1", description="MQTT version.")
    username: str | None = Field(None, description="User name at the broker.")
    password: SecretStr | None = Field(None, description="Password at the broker.")
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that sign the broker's certificate; the system's where not set."
    )
    certificate_file: Path | None = Field(None, description="PEM file of the gateway's own certificate.")
    key_file: Path | None = Field(None, description="PEM file of the key of that certificate.")
    keepalive_s: int = Field(60, ge=5, le=3600, description="Longest silence before the connection is probed [s].")
    connect_timeout_s: float = Field(10.0, gt=0, le=300, description="Time for a connection to come about [s].")
    session_expiry_s: int = Field(
        7 * 86400,
        ge=60,
        le=0xFFFFFFFF,
        description="How long an MQTT 5 broker keeps the session of an absent gateway [s].",
    )
    reconnect_pause_max_s: float = Field(
        30.0, ge=0.1, le=3600, description="Longest pause between attempts to connect [s]; pauses grow with jitter."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not _CLIENT_ID.fullmatch(self.client_id):
            raise ValueError(
                f"client_id {self.client_id!r} must be 1 to 128 of the characters A-Z a-z 0-9 _ . - "
                "(a persistent session needs a name)"
            )
        if self.password is not None and self.username is None:
            raise ValueError("password is set but username is not; set both")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; set both or none")
        if (self.ca_file or self.certificate_file) and self.url and self.address.scheme not in TLS_SCHEMES:
            raise ValueError(f"certificates are set but {self.url!r} does not use TLS; use mqtts:// or wss://")
        return self

    @property
    def address(self) -> SplitResult:
        """The parts of `url`."""
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        """The port of `url`, or its scheme's usual one."""
        return self.address.port or DEFAULT_PORTS[self.address.scheme]


class GatewaySettings(BaseModel):
    """What the gateway subscribes to, accepts, and holds in memory at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", max_length=128, description="Name in the batches' record; the MQTT client id where empty.")
    sources: tuple[SourceSettings, ...] = Field(
        (NATIVE_SOURCE,),
        min_length=1,
        description="What is subscribed to and how it is read. A list replaces the default, native messages alone.",
    )
    batch_readings_max: int = Field(
        50_000, ge=1, le=1_000_000, description="A batch is closed when it holds this many readings."
    )
    batch_messages_max: int = Field(
        20_000, ge=1, le=32_767, description="A batch is closed when it holds this many messages."
    )
    batch_linger_ms: int = Field(
        100,
        ge=0,
        le=60_000,
        description="How long a batch waits for more after its first message [ms]; one of 1,000 readings waits only "
        "while more keeps coming.",
    )
    in_flight_messages_max: int = Field(
        40_000,
        ge=1,
        le=1_000_000,
        description="Messages received and not yet committed; beyond, the gateway stops reading.",
    )
    in_flight_bytes_max: int = Field(
        256 * 2**20, ge=2**16, description="The same as a bound of payload and topic bytes."
    )
    payload_bytes_max: int = Field(
        4 * 2**20, ge=64, le=256 * 2**20, description="Larger payloads are quarantined without being decoded [bytes]."
    )
    readings_per_message_max: int = Field(
        50_000, ge=1, le=1_000_000, description="Messages with more readings are quarantined."
    )
    nesting_max: int = Field(
        32, ge=4, le=256, description="Payloads whose objects and lists lie deeper in each other are quarantined."
    )
    observed_at_earliest: datetime = Field(
        datetime(2000, 1, 1, tzinfo=UTC),
        description="Readings before are quarantined: a meter whose clock was never set.",
    )
    observed_at_future_s: int = Field(
        86_400, ge=0, description="How far a reading's time may lie after its receipt [s]; beyond, it is quarantined."
    )
    register_min: Decimal = Field(
        Decimal(0), description="Smallest register accepted [kWh or m3]; lower it where meters count below zero."
    )
    register_max: Decimal = Field(Decimal(10) ** 12, description="Largest register accepted [kWh or m3].")
    feedback: FeedbackSettings = Field(FeedbackSettings(), description="What senders hear of their messages.")
    retry_pause_max_s: float = Field(
        30.0, ge=0.01, le=3600, description="Longest pause between attempts while the database is away [s]."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"sources need names of their own; found {', '.join(names)}")
        if self.observed_at_earliest.tzinfo is None:
            raise ValueError("observed_at_earliest needs an offset from UTC, e.g. 2000-01-01T00:00:00Z")
        if not self.register_min < self.register_max:
            raise ValueError(f"register_min {self.register_min} must be below register_max {self.register_max}")
        if max(abs(self.register_min), abs(self.register_max)) * MICRO > MAX_REGISTER_MICRO:
            raise ValueError(f"register limits must lie within ±{MAX_REGISTER_MICRO // MICRO}")
        return self

    @property
    def earliest_us(self) -> int:
        """`observed_at_earliest` in microseconds since 1970 UTC."""
        return (self.observed_at_earliest - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    @property
    def register_limits_micro(self) -> tuple[int, int]:
        """`register_min` and `register_max` in millionths."""
        return int(self.register_min * MICRO), int(self.register_max * MICRO)
