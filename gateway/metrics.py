"""What operators see of the gateway: counts and times, never by meter."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.commit import Committed

_BATCH_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class GatewayMetrics:
    """The gateway's metrics in a registry of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._committed = Counter(
            "meterproof_gateway_messages_committed", "Messages committed to the database", registry=registry
        )
        self._readings = Counter(
            "meterproof_gateway_readings", "Readings by what became of them", ["result"], registry=registry
        )
        self._quarantined = Counter(
            "meterproof_gateway_quarantined", "Quarantine entries by reason", ["reason"], registry=registry
        )
        self._feedback = Counter(
            "meterproof_gateway_feedback",
            "Quarantine entries by whether their sender was told",
            ["result"],
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "meterproof_gateway_batch_seconds",
            "Time from a batch's first message to its commit",
            buckets=_BATCH_SECONDS,
            registry=registry,
        )
        self._last_commit = Gauge(
            "meterproof_gateway_last_commit_timestamp_seconds", "When the last batch was committed", registry=registry
        )
        self.database_retries = Counter(
            "meterproof_gateway_database_retries", "Batches tried again after a passing fault", registry=registry
        )
        self._received = Counter(
            "meterproof_gateway_messages_received", "Messages received, redelivered ones included", registry=registry
        )
        self._in_flight_messages = Gauge(
            "meterproof_gateway_in_flight_messages", "Messages received and not yet committed", registry=registry
        )
        self._in_flight_bytes = Gauge(
            "meterproof_gateway_in_flight_bytes", "Bytes received and not yet committed", registry=registry
        )
        self._connected = Gauge("meterproof_gateway_connected", "1 while connected to the broker", registry=registry)

    def watch(self, in_flight: Callable[[], tuple[int, int]], is_connected: Callable[[], bool]) -> None:
        """Read what is in flight, and whether there is a connection, whenever the metrics are asked for."""
        self._in_flight_messages.set_function(lambda: in_flight()[0])
        self._in_flight_bytes.set_function(lambda: in_flight()[1])
        self._connected.set_function(lambda: float(is_connected()))

    def count_received(self, messages: int) -> None:
        """Messages that left the inbox to be decoded."""
        self._received.inc(messages)

    def count_feedback(self, result: str) -> None:
        """An entry whose sender was told, was not by the limits of the rate, or could not be reached."""
        self._feedback.labels(result).inc()

    def count_committed(self, committed: Committed, seconds: float) -> None:
        """A batch that was committed `seconds` after its first message had arrived."""
        self._committed.inc(committed.messages)
        for result, count in committed.readings.items():
            self._readings.labels(result).inc(count)
        for reason, count in committed.quarantined.items():
            self._quarantined.labels(reason).inc(count)
        self._batch_seconds.observe(seconds)
        self._last_commit.set_to_current_time()
