"""Settings of a source: which topics, whose meters, in which dialect, and what a sender's identity must be."""

import re
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# A utility's code as the registry takes it (store/migrations/0001_registry.sql).
UTILITY_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_LEVELS_MAX = 128


def _checked_filter(topic_filter: str) -> str:
    """MQTT 5, 4.7.1: `+` stands for a whole level, `#` for the last one."""
    levels = topic_filter.split("/")
    wrong = "\0" in topic_filter or not topic_filter or len(topic_filter.encode()) > 65535
    wrong |= any("+" in level and level != "+" for level in levels)
    wrong |= any("#" in level and (level != "#" or i < len(levels) - 1) for i, level in enumerate(levels))
    # MQTT 5, 4.8.2: $share/{name}/{filter}; the name holds no wildcard.
    shared = levels[0] == "$share"
    wrong |= shared and (len(levels) < 3 or not levels[1] or "+" in levels[1] or "#" in levels[1] or not levels[2])
    if wrong:
        raise ValueError(f"{topic_filter!r} is no topic filter; e.g. mp/v1/+/+/readings")
    return topic_filter


def _checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"{name!r} is no time zone; use a name such as Asia/Shanghai or UTC") from None
    return name


class IdentityRule(BaseModel):
    """What the topic says about the sender must be what the payload says, or the message is quarantined as spoofing.

    The broker's access rules decide who may publish where, by password or certificate; this rule ties what a payload
    claims to that place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic_level: int = Field(ge=1, le=_LEVELS_MAX, description="Level of the topic that names the sender, from 1.")
    matches: Literal["meter", "sender"] = Field(
        "meter",
        description="What must equal it: every meter's id as sent, or the sender that the payload names.",
    )


class SourceSettings(BaseModel):
    """Binds a topic filter to a codec and a utility. A topic belongs to the first source whose filter matches it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name in metrics, logs and on the command line.")
    topic_filter: Annotated[str, AfterValidator(_checked_filter)] = Field(
        description="Topic filter; `$share/NAME/FILTER` shares the load between gateways where the broker can."
    )
    codec: str = Field(description="Name of the codec; docs/codecs.md lists them.")
    utility: str = Field(
        "", pattern=rf"^({UTILITY_PATTERN})?$", description="Code of the utility whose meters these are."
    )
    utility_level: int = Field(
        0, ge=0, le=_LEVELS_MAX, description="Or the level of the topic that names the utility, from 1; 0: none does."
    )
    time_zone: Annotated[str, AfterValidator(_checked_zone)] = Field(
        "UTC", description="Time zone (IANA) of local times that come without an offset."
    )
    identity: IdentityRule | None = Field(None, description="What of the topic the payload must agree with.")
    meters: dict[str, str] = Field(
        default_factory=dict, description="Serials of meters by the id that is sent, where they differ."
    )
    unlisted: Literal["accept", "skip"] = Field(
        "accept",
        description="Meters that are not in `meters`: taken under the id that is sent, or passed over "
        "(a radio receiver hears the neighbours' meters too).",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="The codec's own options; see docs/codecs.md.")
    isolated: bool | None = Field(
        None,
        description="Decode in a process of its own, which is ended at the time limit; default: for plug-ins only.",
    )
    decode_timeout_s: float = Field(
        2.0, gt=0, le=60, description="Time limit of decoding one message in a process of its own [s]."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if bool(self.utility) == bool(self.utility_level):
            raise ValueError(
                f"source {self.name!r} needs either utility (a code) or utility_level (a level of the topic)"
            )
        if self.unlisted == "skip" and not self.meters:
            raise ValueError(f"source {self.name!r} would skip every meter: list some in meters, or set unlisted")
        levels = self.plain_filter.split("/")
        for setting, level in (
            ("utility_level", self.utility_level),
            ("identity.topic_level", self.identity.topic_level if self.identity else 0),
        ):
            if level > len(levels) and levels[-1] != "#":
                raise ValueError(f"source {self.name!r}: {setting} = {level}, but its topics have {len(levels)} levels")
        return self

    @property
    def plain_filter(self) -> str:
        """The filter without `$share/NAME/`: what topics are compared with."""
        return re.sub(r"^\$share/[^/]+/", "", self.topic_filter)


NATIVE_SOURCE = SourceSettings(name="native", topic_filter="mp/v1/+/+/readings", codec="native", utility_level=3)
