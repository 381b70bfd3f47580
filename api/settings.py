"""Settings of the HTTP interface and the console."""

from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ApiSettings(BaseModel):
    """Where the interface listens, how much one answer may hold, and how the console speaks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8017, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    allowed_hosts: tuple[str, ...] = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        description="Names that requests may address the interface by (Host header, without the port); `*` allows any."
        " Guards against pages that rebind their name to this machine.",
    )
    language: Literal["zh", "en"] = Field(
        default="zh", description="Language of the console where the browser asks for neither Chinese nor English."
    )
    time_zone: str = Field(
        default="Asia/Shanghai", description="Time zone of the console's times and of the calendar day of a deadline."
    )
    page_size: int = Field(default=50, ge=1, le=1000, description="Rows of a list where the request doesn't say.")
    page_size_max: int = Field(default=1000, ge=1, le=10_000, description="Rows of a list at most.")
    readings_max: int = Field(default=10_000, ge=1, le=100_000, description="Readings in one answer at most.")
    buckets_max: int = Field(default=2000, ge=10, le=10_000, description="Buckets of a downsampled series at most.")
    chart_points_max: int = Field(
        default=1500, ge=100, le=10_000, description="Readings that a chart shows singly; more are downsampled."
    )
    count_max: int = Field(default=100_000, ge=1000, description="Counts of waiting things stop here.")
    request_bytes_max: int = Field(default=65_536, ge=1024, description="Size of a request's body at most [bytes].")
    statement_timeout_s: float = Field(default=10.0, gt=0, le=300, description="Time for one database statement [s].")
    pool_wait_s: float = Field(default=5.0, gt=0, le=60, description="How long to wait for a database connection [s].")
    replacement_kinds: tuple[str, ...] = Field(
        default=("error_beyond_mpe", "stopped", "reversed_running", "backward_step", "reset"),
        description="Kinds of alert that, once confirmed, put a meter on the replacement list: those that are the"
        " meter's own fault, not its transmission's.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"time zone {name!r} is unknown; use an IANA name such as Asia/Shanghai")
        return name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)
