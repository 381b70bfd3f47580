"""What operators see of each source: counts and times by the source's name, never by meter or topic."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.decode import Decoded

NO_SOURCE = "none"  # the label of messages whose topic no source takes
_LAG_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class SourceMetrics:
    """The sources' metrics in a registry of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"meterproof_gateway_source_{name}", text, ["source", *more], registry=registry)

        self._received = counter("messages_received", "Messages received, by source")
        self._committed = counter("messages_committed", "Messages committed, by source")
        self._silent = counter("messages_without_readings", "Messages that held no reading and no fault, by source")
        self._readings = counter("readings", "Readings read and readings passed over knowingly, by source", "result")
        self._quarantined = counter("quarantined", "Quarantine entries by source and reason", "reason")
        self._in_flight = Gauge(
            "meterproof_gateway_source_in_flight_messages",
            "Messages decoded and not yet committed, by source",
            ["source"],
            registry=registry,
        )
        self._last_received = Gauge(
            "meterproof_gateway_source_last_received_timestamp_seconds",
            "When the last message of the source came",
            ["source"],
            registry=registry,
        )
        self._lag = Histogram(
            "meterproof_gateway_source_lag_seconds",
            "Time from the receipt of a batch's first message of the source to its commit",
            ["source"],
            buckets=_LAG_SECONDS,
            registry=registry,
        )

    def count_decoded(self, messages: Sequence[Decoded]) -> None:
        """A batch's messages, before they are committed."""
        skipped: Tally[str] = Tally()
        read: Tally[str] = Tally()
        silent: Tally[str] = Tally()
        last: dict[str, int] = {}
        for decoded in messages:
            rows, name = decoded.rows, decoded.source
            last[name] = decoded.message.received_us
            if rows is None:
                continue
            read[name] += len(rows.meter)
            skipped[name] += rows.skipped
            silent[name] += not rows.meter and not rows.skipped
        for name, count in Tally(decoded.source for decoded in messages).items():
            label = name or NO_SOURCE
            self._received.labels(label).inc(count)
            self._in_flight.labels(label).inc(count)
            self._last_received.labels(label).set(last[name] / 1e6)
            self._readings.labels(label, "read").inc(read[name])
            self._readings.labels(label, "skipped").inc(skipped[name])
            self._silent.labels(label).inc(silent[name])

    def count_committed(
        self, messages: Sequence[Decoded], quarantined: Mapping[tuple[str, str], int], now_s: float
    ) -> None:
        """A committed batch; `quarantined` entries by source and reason, `now_s` [s since 1970]."""
        first: dict[str, int] = {}
        for decoded in messages:
            first.setdefault(decoded.source, decoded.message.received_us)
        for name, count in Tally(decoded.source for decoded in messages).items():
            label = name or NO_SOURCE
            self._committed.labels(label).inc(count)
            self._in_flight.labels(label).dec(count)
            self._lag.labels(label).observe(max(now_s - first[name] / 1e6, 0.0))
        for (name, reason), count in quarantined.items():
            self._quarantined.labels(name or NO_SOURCE, reason).inc(count)
