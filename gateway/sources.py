"""The sources of the settings at work: a topic to the first source that takes it, a payload to that source's rows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from paho.mqtt.client import topic_matches_sub

from gateway.codec.commands import Command, Commanding
from gateway.codec.isolated import IsolatedCodec
from gateway.codec.registry import CodecKind, find_codec, is_built_in, read_options
from gateway.codec.rows import Codec, CodecContext, MessageRejected, RowReject, Rows
from gateway.errors import SourceError
from gateway.reasons import Reason, show
from gateway.settings import GatewaySettings
from gateway.source_settings import UTILITY_PATTERN, SourceSettings

_TOPICS_MAX = 65_536  # routes kept in memory; a sender may invent topics without end
_UTILITY = re.compile(UTILITY_PATTERN)


@dataclass(frozen=True, slots=True)
class Source:
    """A source with its codec."""

    settings: SourceSettings
    kind: CodecKind
    codec: Codec
    has_rules: bool  # rows are looked at after decoding: identity, ids of meters

    def decode(self, route: "Route", topic: str, payload: bytes, received_us: int | None) -> Rows:
        """The rows of a message under the source's rules. Raises MessageRejected."""
        rows = self.codec.decode(topic, payload, received_us)
        return apply_rules(rows, self.settings, route.identity) if self.has_rules else rows

    def accepts(self) -> list[str]:
        """What the source takes, in a few lines for people."""
        settings = self.settings
        utility = settings.utility or f"named by level {settings.utility_level} of the topic"
        lines = [
            f"topics {settings.topic_filter}, meters of utility {utility}",
            f"codec {settings.codec}: {self.kind.summary}",
        ]
        if self.kind.accepts:
            options = read_options(self.kind, settings.options, f"gateway.sources.{settings.name}.options")
            lines += [f"  {line}" for line in self.kind.accepts(options)]
        if settings.time_zone != "UTC":
            lines.append(f"local times are those of {settings.time_zone}")
        if settings.identity:
            what = "every meter's id" if settings.identity.matches == "meter" else "the sender that the payload names"
            lines.append(f"level {settings.identity.topic_level} of the topic must be {what}; else: quarantine")
        if settings.meters:
            others = "others keep their id" if settings.unlisted == "accept" else "others are passed over"
            lines.append(f"{len(settings.meters)} ids are given serials of their own; {others}")
        if isinstance(self.codec, IsolatedCodec):
            lines.append(f"decoded in a process of its own, at most {settings.decode_timeout_s:g} s a message")
        return lines


class Route(NamedTuple):
    """Where the messages of one topic go: their source, their utility ("" if the topic names none), their sender."""

    source: Source
    utility: str
    identity: str


class Sources:
    """All sources of the settings, built once; used by one thread. Raises SourceError naming the wrong setting."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.payload_bytes_max = settings.payload_bytes_max
        self.sources = tuple(build_source(source, settings) for source in settings.sources)
        self._commanding = [source.codec for source in self.sources if isinstance(source.codec, Commanding)]
        self._routes: dict[str, Route | None] = {}
        self._replaced: Sources | None = None

    def route(self, topic: str) -> Route | None:
        """Where the topic's messages go; None if no source takes them."""
        try:
            return self._routes[topic]
        except KeyError:
            if len(self._routes) >= _TOPICS_MAX:
                self._routes.clear()
            route = self._routes[topic] = self._find(topic)
            return route

    def named(self, name: str) -> Source:
        """The source of that name. Raises SourceError with the valid names."""
        for source in self.sources:
            if source.settings.name == name:
                return source
        known = ", ".join(source.settings.name for source in self.sources)
        raise SourceError(f"there is no source {name!r} in gateway.sources; use one of {known}")

    def take_commands(self) -> list[Command]:
        """What codecs want to be published since the last call."""
        return [command for codec in self._commanding for command in codec.take_commands()]

    def replace(self, former: "Sources") -> None:
        """Come after `former`, which still reads the topics that are no longer subscribed to: some are under way."""
        if former._replaced:
            former._replaced.close()
            former._replaced = None
        self._replaced = former

    def close(self) -> None:
        """End what the codecs hold, such as processes."""
        if self._replaced:
            self._replaced.close()
        for source in self.sources:
            close = getattr(source.codec, "close", None)
            if close:
                close()

    def _find(self, topic: str) -> Route | None:
        for source in self.sources:
            if topic_matches_sub(source.settings.plain_filter, topic):
                return route_of(source, topic)
        return self._replaced.route(topic) if self._replaced else None


def route_of(source: Source, topic: str) -> Route:
    """The route of a topic that belongs to the source."""
    settings = source.settings
    utility = settings.utility or _level(topic, settings.utility_level)
    identity = _level(topic, settings.identity.topic_level) if settings.identity else ""
    return Route(source, utility if _UTILITY.fullmatch(utility) else "", identity)


def _level(topic: str, level: int) -> str:
    levels = topic.split("/", level)
    return levels[level - 1] if level <= len(levels) else ""


def build_source(settings: SourceSettings, gateway: GatewaySettings) -> Source:
    """The source with its codec. Raises SourceError naming the wrong setting."""
    place = f"gateway.sources.{settings.name}"
    try:
        kind = find_codec(settings.codec)
    except SourceError as error:
        raise SourceError(f"{place}.codec: {error}") from error
    options = read_options(kind, settings.options, f"{place}.options")
    context = CodecContext(
        source=settings.name,
        time_zone=ZoneInfo(settings.time_zone),
        readings_max=gateway.readings_per_message_max,
        nesting_max=gateway.nesting_max,
    )
    codec = kind.build(options, context)
    is_isolated = settings.isolated if settings.isolated is not None else not is_built_in(settings.codec)
    if is_isolated:  # built here as well, so that wrong options are told before the first message
        codec = IsolatedCodec(settings.codec, settings.options, context, settings.decode_timeout_s)
    return Source(settings, kind, codec, settings.identity is not None or bool(settings.meters))


def apply_rules(rows: Rows, settings: SourceSettings, identity: str) -> Rows:
    """Check the sender's identity, then give the meters their serials. Raises MessageRejected for a wrong sender."""
    if settings.identity is not None:
        if settings.identity.matches == "meter":
            _reject_foreign_meters(rows, identity)
        elif rows.sender != identity:
            found = f"the topic names {show(identity)}, the payload {show(rows.sender)}"
            raise MessageRejected(Reason.IDENTITY_MISMATCH, found, len(rows.meter))
    if settings.meters:
        if settings.unlisted == "skip":
            rows = without_unlisted(rows, settings.meters)
        rows.meter = [settings.meters.get(meter, meter) for meter in rows.meter]
    return rows


def _reject_foreign_meters(rows: Rows, identity: str) -> None:
    rejected = {reject.row for reject in rows.rejects}
    rows.rejects += [
        RowReject(row, Reason.IDENTITY_MISMATCH, f"{show(meter)} under a topic of {show(identity)}")
        for row, meter in enumerate(rows.meter)
        if meter != identity and row not in rejected
    ]


def without_unlisted(rows: Rows, listed: Mapping[str, str]) -> Rows:
    """The rows of listed meters, and those under a false name; the others are counted as skipped."""
    false = {reject.row for reject in rows.rejects if reject.reason is Reason.IDENTITY_MISMATCH}
    kept = [row for row, meter in enumerate(rows.meter) if meter in listed or row in false]
    if len(kept) == len(rows.meter):
        return rows
    place = {row: i for i, row in enumerate(kept)}
    return Rows(
        [rows.medium[row] for row in kept] if isinstance(rows.medium, list) else rows.medium,
        [rows.unit[row] for row in kept] if isinstance(rows.unit, list) else rows.unit,
        [rows.meter[row] for row in kept],
        [rows.observed_at[row] for row in kept],
        [rows.register[row] for row in kept],
        [rows.status[row] for row in kept],
        [reject._replace(row=place[reject.row]) for reject in rows.rejects if reject.row in place],
        rows.sender,
        rows.skipped + len(rows.meter) - len(kept),
    )
