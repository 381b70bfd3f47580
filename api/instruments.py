"""Prometheus metrics of the interface, and figures read from the database when scraped."""

import time
from collections.abc import Iterator

import psycopg
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.context import Context
from store.overview import count_open_alerts, count_waiting, follower_lags


class RequestInstruments:
    """Counts and times the requests by route; the routes are few, so are the series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "meterproof_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self.duration = Histogram(
            "meterproof_http_request_duration_seconds",
            "Time until the answer was complete.",
            ("route",),
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )


class InstrumentMiddleware:
    """Observes every request."""

    def __init__(self, app: ASGIApp, *, instruments: RequestInstruments) -> None:
        self._app = app
        self._instruments = instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self._instruments.requests.labels(method, route, str(status)).inc()
            self._instruments.duration.labels(route).observe(time.perf_counter() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class DatabaseCollector(Collector):
    """Gauges read from the database at each scrape, at a bounded cost; without it only `meterproof_database_up 0`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def describe(self) -> list[Metric]:
        """Nothing: registering must not query the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges at this moment."""
        try:
            metrics = self._read()
        except (psycopg.Error, PoolTimeout):
            yield GaugeMetricFamily("meterproof_database_up", "Whether the database answers.", value=0)
            return
        yield GaugeMetricFamily("meterproof_database_up", "Whether the database answers.", value=1)
        yield from metrics

    def _read(self) -> list[Metric]:
        with self._context.reading() as conn:
            waiting = count_waiting(conn, self._context.settings.count_max)
            alerts = count_open_alerts(conn)
            lags = follower_lags(conn)
            totals = self._context.totals(conn)
        by_kind = GaugeMetricFamily("meterproof_alerts_open", "Open alerts.", labels=("kind", "severity"))
        for row in alerts:
            by_kind.add_metric((row["kind"], row["severity"]), row["alerts"])
        batches = GaugeMetricFamily("meterproof_follower_lag_batches", "Batches not dealt with.", labels=("follower",))
        seconds = GaugeMetricFamily(
            "meterproof_follower_lag_seconds", "Age of the oldest batch not dealt with.", labels=("follower",)
        )
        for row in lags:
            batches.add_metric((row["follower"],), row["lag_batches"])
            seconds.add_metric((row["follower"],), row["lag_s"])
        return [
            GaugeMetricFamily("meterproof_readings_held", "Readings stored in all batches.", value=totals.stored),
            GaugeMetricFamily("meterproof_quarantine_open", "Open quarantine entries.", value=waiting["quarantined"]),
            GaugeMetricFamily(
                "meterproof_readings_pending", "Readings of meters not registered yet.", value=waiting["pending"]
            ),
            by_kind,
            batches,
            seconds,
        ]
