"""The gateway as a component: collect messages, commit them as one batch, acknowledge them, again and again.

While the database writes a batch the next one is collected and prepared: reading and writing each have a thread.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool

from gateway.commit import BatchWriter, Committed, Prepared, prepare
from gateway.decode import Decoded, Message, decode
from gateway.feedback import Feedback
from gateway.metrics import GatewayMetrics
from gateway.outbox import Outbox
from gateway.settings import GatewaySettings, MqttSettings
from gateway.source import MessageSource, MqttSource, topic_filters_of
from gateway.source_metrics import SourceMetrics
from gateway.sources import Sources

_log = logging.getLogger(__name__)
_IDLE_S = 0.25  # how long to wait for a first message before looking whether to stop
_TAKEN_AT_ONCE = 500
# A batch of so many readings is worth its commit as soon as nothing more comes for a moment. Brokers hand out a limited
# number of messages before they want acknowledgements: to wait longer would be to wait for nothing.
_WORTH_A_COMMIT = 1_000
_MOMENT_S = 0.005


class GatewayService:
    """Stores what arrives at the broker exactly once; any number may run beside each other, each with its client id.

    A message is acknowledged after the commit that holds it. Killed at any moment, the broker delivers again what was
    not acknowledged, and what was stored before changes nothing.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        mqtt_settings: MqttSettings,
        pool: ConnectionPool[psycopg.Connection[Any]],
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._sources = Sources(settings)
        self._next_sources: tuple[Sources, tuple[str, ...]] | None = None
        self._source: MessageSource = MqttSource(mqtt_settings, settings)
        self._metrics = GatewayMetrics(registry)
        self._source_metrics = SourceMetrics(registry)
        self._metrics.watch(lambda: self._source.in_flight, lambda: self._source.is_connected)
        self._writer = BatchWriter(
            settings, settings.name or mqtt_settings.client_id, pool, self._metrics.database_retries.inc
        )
        self._outbox = Outbox(mqtt_settings, settings.feedback)
        self._feedback = Feedback(settings.feedback, self._outbox.publish, time.monotonic, self._metrics.count_feedback)
        self._taken: deque[Message] = deque()

    @property
    def is_connected(self) -> bool:
        """True while the broker delivers."""
        return self._source.is_connected

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; the batch at hand is finished. Raises GatewayError for what waiting won't heal."""
        self._source.start()
        self._outbox.start()
        try:
            with ThreadPoolExecutor(1, "gateway-writer") as writer:
                try:
                    self._work(writer, stop)
                except BaseException:
                    stop.set()  # a writer that waits for the database must end as well
                    raise
        finally:
            self._source.stop()
            self._outbox.stop()
            self._sources.close()

    def _work(self, writer: ThreadPoolExecutor, stop: threading.Event) -> None:
        """Collect batch after batch, each while the one before is written; raises what writing raised."""
        told = False
        writing: Future[bool] | None = None
        while not stop.is_set():
            if not told and self._source.is_connected:
                self._outbox.announce()  # the status tells senders that they may begin
                told = True
            batch = self._collect()
            prepared = _prepared(batch)
            if writing is not None and (batch or writing.done()):
                writing.result()
                writing = None
            if batch:
                writing = writer.submit(self._writer.write, batch, self._committed, stop, prepared)
        if writing is not None:
            writing.result()

    def reload(self, settings: GatewaySettings) -> None:
        """Take the sources of new settings from the next batch on; called from another thread.

        Raises SourceError, and changes nothing, where they can't be used. Other settings need a restart.
        """
        self._next_sources = (Sources(settings), topic_filters_of(settings))

    def _collect(self) -> list[Decoded]:
        """Decoded messages until a bound is reached, or the linger time since the first one is over."""
        settings = self._settings
        self._change_sources()
        batch: list[Decoded] = []
        readings, deadline = 0, 0.0
        while len(batch) < settings.batch_messages_max and readings < settings.batch_readings_max:
            left_s = deadline - time.monotonic() if batch else _IDLE_S
            if readings >= _WORTH_A_COMMIT:
                left_s = min(left_s, _MOMENT_S)
            if left_s < 0 or (not self._taken and not self._take(left_s)):
                break
            decoded = decode(self._taken.popleft(), self._sources)
            if not batch:
                deadline = time.monotonic() + settings.batch_linger_ms / 1000
            batch.append(decoded)
            readings += decoded.readings
        for command in self._sources.take_commands():
            self._outbox.publish(*command)
        self._source_metrics.count_decoded(batch)
        return batch

    def _change_sources(self) -> None:
        """Put sources that were reloaded in force, before their topics are subscribed to."""
        if self._next_sources is None:
            return
        (sources, topic_filters), self._next_sources = self._next_sources, None
        sources.replace(self._sources)
        self._sources = sources
        self._source.subscribe_anew(topic_filters)
        _log.info("sources in force: %s", ", ".join(source.settings.name for source in sources.sources))

    def _take(self, timeout_s: float) -> int:
        messages = self._source.take(_TAKEN_AT_ONCE, timeout_s)
        self._metrics.count_received(len(messages))
        self._taken.extend(messages)
        return len(messages)

    def _committed(self, messages: Sequence[Decoded], committed: Committed) -> None:
        first_us = min(decoded.message.received_us for decoded in messages)
        now_s = time.time()
        # Counted first, so that what is no longer in flight stands in every count.
        self._metrics.count_committed(committed, now_s - first_us / 1e6)
        self._source_metrics.count_committed(messages, committed.quarantined_by_source, now_s)
        self._source.settle([decoded.message for decoded in messages])
        self._feedback.tell(committed.rejected)
        _log.debug("batch %d: %d messages, %s", committed.commit_seq, committed.messages, committed.readings)


def _prepared(messages: Sequence[Decoded]) -> Prepared | None:
    """What is made of the messages while the database is at work; None for the writer to find out who is to blame."""
    try:
        return prepare(messages) if messages else None
    except Exception:
        return None
