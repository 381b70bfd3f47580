"""Sparkplug B: registers among the metrics of edge nodes and their devices.

The codec remembers what BIRTH messages said, so that all messages of an edge node must come to one gateway.
"""

import re
from collections import OrderedDict
from decimal import Context, Decimal
from typing import Annotated, NamedTuple, Self
from zlib import crc32

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.codec.commands import Command
from gateway.codec.registry import CodecKind
from gateway.codec.rowlist import Moment, RowList, moment_of_receipt
from gateway.codec.rows import CodecContext, MessageRejected, Rows
from gateway.codec.sparkplug_nodes import Definition, EdgeNode
from gateway.codec.sparkplug_payload import Metric, Payload, read_payload, rebirth_request, register_of
from gateway.reasons import Reason, show
from metrology.errors import InvalidInputError
from metrology.quantities import Medium, micro_per_unit

_NAMESPACE = "spBv1.0"
_OF_NODES = frozenset({"NBIRTH", "NDEATH", "NDATA"})
_OF_DEVICES = frozenset({"DBIRTH", "DDEATH", "DDATA"})
_PASSED_OVER = frozenset({"NCMD", "DCMD", "STATE"})
_GOOD = 192  # of the property Quality (Sparkplug 3.0.0, chapter 6: 0 bad, 192 good, 500 stale)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_OF_TOPIC = ("group", "edge", "device")
_US_PER_S = 1_000_000
_COMMANDS_MAX = 10_000
_PLAIN = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_EXACT = Context(prec=120)


def _pattern_of(metric: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(metric)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def _checked_metric(metric: str) -> str:
    try:
        _pattern_of(metric)
    except re.error as error:
        raise ValueError(f"{metric!r} is no pattern of a metric's name: {error}") from None
    return metric


class MetricRule(BaseModel):
    """Which metrics are registers, of which meter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Annotated[str, AfterValidator(_checked_metric)] = Field(
        min_length=1,
        description="Name of the metric; {word} stands for one level of it, as in Meters/{serial}/Total.",
    )
    meter: str = Field(
        "{device}",
        min_length=1,
        description="Serial of the meter, of {group}, {edge}, {device} and the words of the metric's name.",
    )
    medium: Medium = Field(description="What the meter measures.")
    unit: str = Field(description="Unit of the value.")
    scale: Decimal = Field(Decimal(1), gt=0, description="How many units one count is.")

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        words = {*_OF_TOPIC, *_PLACEHOLDER.findall(self.metric)}
        unknown = set(_PLACEHOLDER.findall(self.meter)) - words
        if unknown:
            raise ValueError(
                f"meter = {self.meter!r} names {', '.join(sorted(unknown))}; use {', '.join(sorted(words))}"
            )
        try:
            micro_per_unit(self.unit, self.medium)
        except InvalidInputError as error:
            raise ValueError(str(error)) from None
        return self


class SparkplugOptions(BaseModel):
    """Options of the codec `sparkplug_b`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registers: list[MetricRule] = Field(min_length=1, description="Which metrics are registers; the first that fits.")
    rebirth_pause_s: int = Field(
        60, ge=1, le=86_400, description="Least time between two requests for a rebirth of one edge node [s]."
    )
    edge_nodes_max: int = Field(
        10_000, ge=1, le=1_000_000, description="Edge nodes kept in memory; of more, the longest silent is forgotten."
    )


class _Address(NamedTuple):
    group: str
    kind: str
    edge: str
    device: str


class SparkplugCodec:
    """See Codec. `take_commands` gives the requests for a rebirth that are due."""

    def __init__(self, options: SparkplugOptions, context: CodecContext) -> None:
        self._options = options
        self._readings_max = context.readings_max
        self._rules = [(_pattern_of(rule.metric), rule) for rule in options.registers]
        self._nodes: OrderedDict[tuple[str, str], EdgeNode] = OrderedDict()
        self._commands: list[Command] = []

    def decode(self, topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        address = _address(topic)
        rows = RowList(self._readings_max)
        if address is None:
            return rows.rows()
        message = read_payload(payload, self._readings_max)
        node = self._node(address)
        _follow(node, address, message, crc32(payload))
        if address.kind.endswith("DEATH"):
            return rows.rows()
        rows.sender = address.device or address.edge
        for metric in message.metrics:
            known = node.definition(address.device, metric)
            if known is None:
                rows.reject(Reason.BIRTH_MISSING, f"alias {metric.alias} of {'/'.join(filter(None, address))}")
                continue
            rule, meter = self._rule_of(address, known)
            if rule is not None:
                moment = _moment(metric, message, received_us)
                self._add(rows, metric, known, rule, meter, moment)
        if not node.knows(address.device):
            self._ask_for_rebirth(address, node, received_us)
        return rows.rows()

    def take_commands(self) -> list[Command]:
        """What is to be published since the last call."""
        commands, self._commands = self._commands, []
        return commands

    def _node(self, address: _Address) -> EdgeNode:
        key = (address.group, address.edge)
        node = self._nodes.setdefault(key, EdgeNode())
        self._nodes.move_to_end(key)
        if len(self._nodes) > self._options.edge_nodes_max:
            self._nodes.popitem(last=False)
        return node

    def _ask_for_rebirth(self, address: _Address, node: EdgeNode, received_us: int | None) -> None:
        if received_us is None or len(self._commands) >= _COMMANDS_MAX:
            return
        pause_us = self._options.rebirth_pause_s * _US_PER_S
        if node.asked_us is not None and 0 <= received_us - node.asked_us < pause_us:
            return
        node.asked_us = received_us
        topic = f"{_NAMESPACE}/{address.group}/NCMD/{address.edge}"
        self._commands.append(Command(topic, rebirth_request(received_us // 1000)))

    def _add(
        self, rows: RowList, metric: Metric, known: Definition, rule: MetricRule, meter: str, moment: Moment | None
    ) -> None:
        """The row of a metric that is a register."""
        found = f"{show(known.name)} of meter {show(meter)}"
        if metric.is_null or metric.field is None:
            rows.skipped += 1
        elif metric.quality is not None and metric.quality != _GOOD:
            rows.reject(Reason.QUALITY_BAD, f"{found}: Quality {metric.quality}", rule.medium, meter)
        else:
            register = _scaled(register_of(metric, known.datatype), rule.scale)
            if register is None:
                found += f": {metric.field.name.lower()} value {show(metric.raw)}"
                rows.reject(Reason.REGISTER_INVALID, found, rule.medium, meter)
            else:
                rows.add(rule.medium, rule.unit, meter, moment, register)

    def _rule_of(self, address: _Address, known: Definition) -> tuple[MetricRule | None, str]:
        for pattern, rule in self._rules:
            match = pattern.fullmatch(known.name)
            if match:
                words = {"group": address.group, "edge": address.edge, "device": known.device, **match.groupdict()}
                parts = _PLACEHOLDER.split(rule.meter)
                return rule, "".join(words[part] if i % 2 else part for i, part in enumerate(parts))
        return None, ""


def _address(topic: str) -> _Address | None:
    """The parts of a topic; None for one that holds no data. Raises MessageRejected for one of another form."""
    levels = topic.split("/")
    if levels[0] == _NAMESPACE and len(levels) > 1 and ("STATE" in levels[1:2] or levels[2:3] in (["NCMD"], ["DCMD"])):
        return None
    of_node = len(levels) == 4 and levels[2] in _OF_NODES
    of_device = len(levels) == 5 and levels[2] in _OF_DEVICES
    if levels[0] != _NAMESPACE or not (of_node or of_device):
        raise MessageRejected(
            Reason.TOPIC_UNEXPECTED, f"{show(topic)} is no spBv1.0/GROUP/KIND/EDGE_NODE[/DEVICE] of data"
        )
    return _Address(levels[1], levels[2], levels[3], levels[4] if of_device else "")


def _follow(node: EdgeNode, address: _Address, message: Payload, digest: int) -> None:
    """Take note of what the message says about the node and its devices."""
    if address.kind == "NBIRTH":
        node.node_birth(message, digest)
    elif address.kind == "NDEATH":
        node.node_death(message)
    else:
        node.follow(message.seq, digest)
        if address.kind == "DBIRTH":
            node.device_birth(address.device, message)
        elif address.kind == "DDEATH":
            node.device_death(address.device)


def _moment(metric: Metric, message: Payload, received_us: int | None) -> Moment | None:
    """When the value was acquired, else when the message was made, else when it came."""
    sent_ms = metric.timestamp_ms if metric.timestamp_ms is not None else message.timestamp_ms
    return Moment(sent_ms) if sent_ms is not None else moment_of_receipt(received_us)


def _scaled(register: str | float | None, scale: Decimal) -> str | float | None:
    if register is None or scale == 1:
        return register
    text = register if isinstance(register, str) else repr(register)
    if isinstance(register, str) and not _PLAIN.fullmatch(register):
        return None
    value = Decimal(text)
    return f"{_EXACT.multiply(value, scale):f}" if value.is_finite() and abs(value.adjusted()) < 40 else None


def _accepts(options: SparkplugOptions) -> list[str]:
    return [
        "BIRTH and DATA messages of edge nodes and devices, spBv1.0/GROUP/KIND/EDGE_NODE[/DEVICE]",
        *(f"metric {rule.metric}: {rule.medium} of meter {rule.meter} in {rule.unit}" for rule in options.registers),
    ]


SPARKPLUG_B = CodecKind(
    summary="Sparkplug B (3.0.0): metrics of edge nodes and devices, aliases from their BIRTH messages",
    options=SparkplugOptions,
    build=SparkplugCodec,
    accepts=_accepts,
)
