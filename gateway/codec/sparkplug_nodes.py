"""What is known of Sparkplug edge nodes: the names behind aliases, their devices, and whether a message was missed.

Sparkplug 3.0.0: chapter 5 (birth and death of nodes and devices), chapter 6 (aliases, sequence numbers).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.codec.sparkplug_payload import Metric, Payload

_SEQ_COUNT = 256


class Definition(NamedTuple):
    """What a BIRTH said of a metric; `device` is empty for the node's own."""

    device: str
    name: str
    datatype: int


@dataclass(slots=True)
class EdgeNode:
    """One edge node. `is_certain` while its NBIRTH and every message since have arrived, in order."""

    is_certain: bool = False
    is_alive: bool = False
    birth_death_seq: int | None = None
    seq: int | None = None
    last_digest: int = 0
    asked_us: int | None = None
    devices: set[str] = field(default_factory=set)
    aliases: dict[int, Definition] = field(default_factory=dict)
    datatypes: dict[tuple[str, str], int] = field(default_factory=dict)

    def follow(self, seq: int | None, digest: int) -> None:
        """Compare a message's number with that of the one before; a gap ends certainty. A repetition is none."""
        if seq is not None and seq == self.seq and digest == self.last_digest:
            return
        if self.seq is None or seq != (self.seq + 1) % _SEQ_COUNT:
            self.is_certain = False
        self.seq, self.last_digest = seq, digest

    def node_birth(self, payload: Payload, digest: int) -> None:
        """A session begins: nothing of the former one counts."""
        self.aliases.clear()
        self.datatypes.clear()
        self.devices.clear()
        self.is_alive = self.is_certain = payload.seq is not None
        self.birth_death_seq = payload.number_of("bdSeq")
        self.seq, self.last_digest = payload.seq, digest
        self._define("", payload)

    def node_death(self, payload: Payload) -> None:
        """The session ended, if the death is of this one and not a former one's that comes late."""
        number = payload.number_of("bdSeq")
        if self.is_alive and None not in (number, self.birth_death_seq) and number != self.birth_death_seq:
            return
        self.is_alive = self.is_certain = False
        self.devices.clear()
        self.aliases.clear()

    def device_birth(self, device: str, payload: Payload) -> None:
        """The device's metrics are defined anew."""
        self.device_death(device)
        self.devices.add(device)
        self._define(device, payload)

    def device_death(self, device: str) -> None:
        """The device's aliases mean nothing any more."""
        self.devices.discard(device)
        self.aliases = {alias: known for alias, known in self.aliases.items() if known.device != device}
        self.datatypes = {key: datatype for key, datatype in self.datatypes.items() if key[0] != device}

    def knows(self, device: str) -> bool:
        """True while aliases of the device, or of the node itself (""), can be trusted."""
        return self.is_certain and (not device or device in self.devices)

    def definition(self, device: str, metric: Metric) -> Definition | None:
        """What the metric of a message of this device is; None where an alias can't be told for certain."""
        if metric.name:
            datatype = metric.datatype or self.datatypes.get((device, metric.name), 0)
            return Definition(device, metric.name, datatype)
        known = self.aliases.get(metric.alias) if metric.alias is not None else None
        if known is None or known.device != device or not self.knows(device):
            return None
        return known

    def _define(self, device: str, payload: Payload) -> None:
        for metric in payload.metrics:
            if metric.name:
                self.datatypes[device, metric.name] = metric.datatype
                if metric.alias is not None:
                    self.aliases[metric.alias] = Definition(device, metric.name, metric.datatype)
