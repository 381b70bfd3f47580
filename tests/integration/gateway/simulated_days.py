"""A city, its concentrators, the gateway's own writing of batches, and the repair, all in simulated time.

Everything is the real thing but the broker and the clock: messages go from hand to hand, and time passes in ticks.
"""

import heapq
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
from prometheus_client import CollectorRegistry

from gateway.commit import BatchWriter
from gateway.decode import Message, decode
from gateway.repair.link import Outgoing, Received
from gateway.repair.missing import collection_rate, missing_points
from gateway.repair.service import RepairService
from gateway.repair.settings import RepairSettings
from gateway.settings import GatewaySettings, MqttSettings
from gateway.sources import Sources
from meterproof.city_run import register_city
from simulators.city import City
from simulators.concentrator import Behaviour, Concentrators
from simulators.payload import Message as Sent
from simulators.scenario import Scenario
from store.concentrators import SPAN
from store.database import DatabaseSettings, open_pool

MQTT = MqttSettings(url="mqtt://nowhere.example", client_id="simulated")


class HandToHand:
    """The repair's link: commands reach the concentrators at once, and their messages come back."""

    def __init__(self, concentrators: Concentrators) -> None:
        self.concentrators = concentrators
        self.now = datetime(2000, 1, 1, tzinfo=UTC)
        self.is_connected, self.generation = True, 1
        self.is_deaf = False
        self.readings: list[Sent] = []
        self.commands: list[Outgoing] = []
        self.acks: list[Received] = []
        self._taken: list[str] = []

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def take(self) -> list[Received]:
        acks, self.acks = self.acks, []
        return acks

    def settle(self, messages: Sequence[Received]) -> None:
        pass

    def taken_by_broker(self) -> list[str]:
        taken, self._taken = self._taken, []
        return taken

    def publish(self, messages: Sequence[Outgoing]) -> None:
        for command in messages:
            self.commands.append(command)
            self._taken.append(command.key)
            for sent in [] if self.is_deaf else self.concentrators.handle(command.topic, command.payload, self.now):
                if sent.topic.endswith("/ack"):
                    self.acks.append(Received(sent.topic, sent.payload, 0, 1))
                else:
                    self.readings.append(sent)


class SimulatedDays:
    """A run; `pass_time` lets time go by."""

    def __init__(self, dsn: str, scenario: Scenario, settings: RepairSettings, behaviour: Behaviour) -> None:
        self.city = City(scenario)
        self.concentrators = Concentrators(self.city, behaviour)
        self.pool = open_pool(DatabaseSettings(dsn=dsn))
        with self.pool.connection() as conn:
            register_city(conn, self.city)
        gateway = GatewaySettings()
        self._sources = Sources(gateway)
        self._writer = BatchWriter(gateway, "simulated", self.pool, lambda: None)
        self.link = HandToHand(self.concentrators)
        self.settings = settings
        self.repair = self.new_repair()
        self._on_the_way: list[tuple[int, int, Sent]] = []
        self._sent = 0

    def new_repair(self) -> RepairService:
        """The repair as a new process has it."""
        return RepairService(self.settings, MQTT, self.pool, CollectorRegistry(), self.link)

    def pass_time(self, start: datetime, end: datetime, tick: timedelta, repair: bool = True) -> None:
        """Readings of [start, end) arrive in their time; the repair works once a tick."""
        at = start
        while at < end:
            for arrival_us, message in self.concentrators.arrivals(at, at + tick):
                self._sent += 1
                heapq.heappush(self._on_the_way, (arrival_us, self._sent, message))
            at += tick
            until_us = round(at.timestamp()) * 1_000_000
            due = []
            while self._on_the_way and self._on_the_way[0][0] < until_us:
                arrival_us, _, message = heapq.heappop(self._on_the_way)
                due.append((arrival_us, message))
            self.deliver(due)
            if repair:
                self.repair_until_idle(at)

    def deliver(self, messages: Sequence[tuple[int, Sent]]) -> None:
        """Commits messages as received at these times [us since 1970]."""
        if not messages:
            return
        batch = [decode(Message(sent.topic, sent.payload, at_us), self._sources) for at_us, sent in messages]
        assert self._writer.write(batch, lambda *_: None, threading.Event())

    def repair_until_idle(self, now: datetime) -> None:
        """The repair's rounds at one moment, and what the concentrators send upon them."""
        self.link.now = now
        for _ in range(50):
            busy = self.repair.step(now)
            answers, self.link.readings = self.link.readings, []
            self.deliver([(round(now.timestamp() * 1e6), sent) for sent in answers])
            if not busy and not answers:
                return
        raise AssertionError("the repair does not come to rest")

    def collection_rate(self, start: datetime, end: datetime) -> float:
        """The share of the readings in [start, end) that are stored, of all meters that were there."""
        truth = self.city.profile(start, end)
        meters = np.unique(truth["meter"])
        spans = np.zeros(len(meters), dtype=SPAN)
        for row, meter in zip(spans, meters.tolist(), strict=True):
            own = truth["observed_us"][truth["meter"] == meter]
            number = np.searchsorted(self.city.first_meter, meter, side="right") - 1
            row["meter_id"], row["interval_s"] = meter, self.city.fleets[number].plan.interval_s
            row["from_us"], row["until_us"] = own.min(), own.max() + 1
        held = self.query(
            "select serial, (extract(epoch from observed_at) * 1000000)::bigint"
            " from reading join meter using (meter_id)"
        )
        number_of = {serial: number for number, serial in enumerate(self.city.serials)}
        held_meter = np.array([number_of[serial] for serial, _ in held], dtype=np.int64)
        held_us = np.array([at_us for _, at_us in held], dtype=np.int64)
        return collection_rate(spans, missing_points(spans, held_meter, held_us))

    def query(self, query: str) -> list[tuple[object, ...]]:
        """The rows of a query."""
        with self.pool.connection() as conn:
            return conn.execute(query.encode()).fetchall()

    def close(self) -> None:
        """Let go of the database."""
        self.pool.close()


@contextmanager
def simulated_days(
    dsn: str, scenario: Scenario, settings: RepairSettings | None = None, behaviour: Behaviour | None = None
) -> Iterator[SimulatedDays]:
    """A run on a migrated database."""
    days = SimulatedDays(dsn, scenario, settings or RepairSettings(), behaviour or Behaviour())
    try:
        yield days
    finally:
        days.close()
