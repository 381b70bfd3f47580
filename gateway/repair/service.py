"""The repair as a component: follow what came, see what is missing, ask for it, and note what came of it.

Everything that it knows is in the database; killed at any moment it goes on where the last transaction ended. A command
that was sent and not noted as sent goes out once more under its id, by which its receiver knows it.
"""

import logging
import random
import threading
import time
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool, PoolTimeout

from gateway.backoff import Backoff
from gateway.repair.closing import Conclusion, close_commands
from gateway.repair.following import FOLLOWER, follow
from gateway.repair.link import CommandLink, Link, Outgoing, Received
from gateway.repair.looking import look
from gateway.repair.messages import command_topic, decode_acknowledgement, sender_of_ack
from gateway.repair.metrics import RepairMetrics
from gateway.repair.settings import RepairSettings
from gateway.settings import MqttSettings
from store.command_results import note_acknowledgement
from store.commands import lock_repair, mark_sent, open_commands
from store.cursor import batches_waiting
from store.database import is_transient

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.2
_SENT_AT_ONCE: Final = 100
Pool = ConnectionPool[psycopg.Connection[Any]]


class RepairService:
    """Asks concentrators for what is missing and offers them the time.

    One is enough for a database. Others beside it do no harm: one plans at a time, but all send, under the same ids.
    """

    def __init__(
        self,
        settings: RepairSettings,
        mqtt_settings: MqttSettings,
        pool: Pool,
        registry: CollectorRegistry,
        link: Link | None = None,
    ) -> None:
        self._settings, self._pool = settings, pool
        self._link: Link = link or CommandLink(mqtt_settings, settings.reconnect_pause_max_s)
        self._metrics = RepairMetrics(registry)
        self._metrics.connected.set_function(lambda: float(self._link.is_connected))
        self._backoff = Backoff(_FIRST_PAUSE_S, settings.reconnect_pause_max_s, random.SystemRandom())
        self._given: dict[str, int] = {}  # commands given to the link, by the generation of its connection
        self._held: list[Received] = []  # acknowledgements that are not committed yet

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises GatewayError, and database faults that waiting won't heal."""
        if not self._settings.enabled:
            _log.info("repair.enabled is false: nothing is asked for")
            stop.wait()
            return
        self._link.start()
        try:
            while not stop.is_set():
                try:
                    busy = self.step(datetime.now(UTC))
                except (psycopg.Error, PoolTimeout) as error:
                    if not (is_transient(error) or isinstance(error, PoolTimeout)):
                        raise
                    self._metrics.faults.inc()
                    pause_s = self._backoff.next_pause_s()
                    _log.warning("database: %s; next attempt in %.1f s", str(error).strip(), pause_s)
                    stop.wait(pause_s)
                    continue
                self._backoff.reset()
                if not busy:
                    stop.wait(self._settings.poll_s)
        finally:
            self._link.stop()

    def step(self, now: datetime) -> bool:
        """One round: batches, acknowledgements, results, a look, and what is to be sent. False if all is done."""
        busy = self._follow()
        self._take_acknowledgements(now)
        self._close(now)
        # Without a way out nothing is asked for: it would only expire.
        busy |= self._link.is_connected and self._look(now)
        self._send(now)
        return busy

    def _follow(self) -> bool:
        started = time.perf_counter()
        with self._pool.connection() as connection:
            if not batches_waiting(connection, FOLLOWER):
                self._metrics.lag.set(0)
                return False
            with connection.transaction():
                lock_repair(connection)
                followed = follow(connection, self._settings.follow_readings_max, self._settings.clock.model)
            self._metrics.lag.set(batches_waiting(connection, FOLLOWER))
        if followed is None:
            return False
        _log.debug("followed %s in %.2f s", followed, time.perf_counter() - started)
        return True

    def _take_acknowledgements(self, now: datetime) -> None:
        self._held += self._link.take()
        if not self._held:
            return
        results = []
        with self._pool.connection() as connection, connection.transaction():
            lock_repair(connection)
            results = [self._note(connection, message, now) for message in self._held]
        for result in results:
            self._metrics.acknowledgements.labels(result).inc()
        self._link.settle(self._held)
        self._held = []

    def _note(self, connection: psycopg.Connection[Any], message: Received, now: datetime) -> str:
        sender, ack = sender_of_ack(message.topic), decode_acknowledgement(message.payload)
        if sender is None or ack is None:
            _log.warning("no acknowledgement: %d bytes on topic %r", len(message.payload), message.topic[:200])
            return "invalid"
        unavailable = {one.meter: one.reason for one in ack.unavailable}
        known = note_acknowledgement(connection, ack.id, sender, now, ack.state, ack.reason, unavailable)
        return ack.state if known else "unknown"

    def _close(self, now: datetime) -> None:
        with self._pool.connection() as connection, connection.transaction():
            lock_repair(connection)
            concluded = close_commands(connection, now, self._settings)
        for conclusion in concluded:
            self._count(conclusion)

    def _count(self, conclusion: Conclusion) -> None:
        self._metrics.closed.labels(conclusion.kind, conclusion.state).inc()
        if conclusion.kind == "read_profile":
            self._metrics.readings.labels("arrived").inc(conclusion.arrived)
            _log.info("command %s %s: %d readings came", conclusion.command_id, conclusion.state, conclusion.arrived)
        for outcome in conclusion.outcomes:
            if conclusion.kind == "sync_clock":
                self._metrics.clocks.labels("set" if outcome.outcome == "complete" else "not_set").inc()
            elif outcome.outcome != "complete":
                self._metrics.readings.labels(outcome.outcome).inc(outcome.missing)

    def _look(self, now: datetime) -> bool:
        with self._pool.connection() as connection, connection.transaction():
            lock_repair(connection)
            looked = look(connection, now, self._settings)
        if looked is None:
            return False
        for kind, targets in looked.made:
            self._metrics.made.labels(kind).inc()
            _log.info("%s at %s: %d asked for", kind, looked.concentrator.gateway, targets)
        return True

    def _send(self, now: datetime) -> None:
        taken = self._link.taken_by_broker()
        with self._pool.connection() as connection:
            with connection.transaction():
                mark_sent(connection, taken, now)
            if not self._link.is_connected:
                return
            waiting = open_commands(connection, _SENT_AT_ONCE)
        generation = self._link.generation
        fresh = [command for command in waiting if self._given.get(command.command_id) != generation]
        self._link.publish(
            [Outgoing(c.command_id, command_topic(c.utility, c.gateway), c.body.encode()) for c in fresh]
        )
        self._given = {c.command_id: generation for c in waiting}
