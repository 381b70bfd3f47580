"""The verifier as a service: follows the batches until it is told to stop, and waits out a database that is away."""

import logging
import random
import threading
import time
from collections import Counter as Tally
from datetime import UTC, datetime
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from psycopg_pool import ConnectionPool, PoolTimeout

from store.cursor import batches_waiting
from store.database import is_transient
from store.progress import VERIFIER
from verifier.follower import Followed, Follower, ZoneAssessor
from verifier.kinds import FindingKind
from verifier.settings import VerifierSettings

__all__ = ["VerifierService", "ZoneAssessor"]

log = logging.getLogger(__name__)


class VerifierMetrics:
    """What the verifier tells about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lag = Gauge("meterproof_verifier_lag_batches", "Committed batches not yet followed", registry=registry)
        self.readings = Counter("meterproof_verifier_readings", "Readings followed", registry=registry)
        self.batches = Counter("meterproof_verifier_batches", "Batches followed", registry=registry)
        self.findings = Counter("meterproof_verifier_findings", "Findings made", ["kind"], registry=registry)
        self.superseded = Counter(
            "meterproof_verifier_findings_superseded", "Findings taken out of force", ["kind"], registry=registry
        )
        self.alerts = Counter("meterproof_verifier_alerts", "Changes of alerts", ["change"], registry=registry)
        self.group_seconds = Histogram(
            "meterproof_verifier_group_seconds",
            "Time to follow one group of batches",
            registry=registry,
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
        )
        self.faults = Counter("meterproof_verifier_faults", "Transient database faults", registry=registry)
        for kind in FindingKind:
            self.findings.labels(kind.value)

    def note(self, followed: Followed, seconds: float) -> None:
        """Adds what one group brought."""
        self.readings.inc(followed.readings)
        self.batches.inc(followed.batches)
        self.group_seconds.observe(seconds)
        for counter, name in ((self.findings, "inserted"), (self.superseded, "superseded")):
            tally = Tally(draft.kind for one in followed.replaced for draft in getattr(one, name))
            for kind, count in tally.items():
                counter.labels(kind).inc(count)
        for change in ("raised", "joined", "withdrawn"):
            self.alerts.labels(change).inc(getattr(followed.alerts, change))


class VerifierService:
    """Runs a Follower on a pool's connections."""

    def __init__(
        self,
        settings: VerifierSettings,
        pool: ConnectionPool[psycopg.Connection[Any]],
        registry: CollectorRegistry,
        software_version: str,
        zone_assessor: ZoneAssessor | None = None,
    ) -> None:
        self._settings = settings.follower
        self._pool = pool
        self._follower = Follower(settings, software_version, zone_assessor)
        self._metrics = VerifierMetrics(registry)

    def run(self, stop: threading.Event) -> None:
        """Follows until `stop` is set. Raises what is not transient: the process should end with it."""
        pause_s = self._settings.retry_first_s
        while not stop.is_set():
            try:
                busy = self.follow_once()
            except (psycopg.Error, PoolTimeout) as error:
                if not (is_transient(error) or isinstance(error, PoolTimeout)):
                    raise
                self._follower.forget()
                self._metrics.faults.inc()
                log.warning("database fault, trying again in %.1f s: %s", pause_s, str(error).strip())
                stop.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter is no secret
                pause_s = min(2 * pause_s, self._settings.retry_longest_s)
                continue
            pause_s = self._settings.retry_first_s
            if not busy:
                stop.wait(self._settings.poll_s)

    def follow_once(self) -> bool:
        """Takes one group of batches in a transaction of its own; False if there was none."""
        started = time.perf_counter()
        with self._pool.connection() as connection:
            if not batches_waiting(connection, VERIFIER):
                self._metrics.lag.set(0)
                return False
            with connection.transaction():
                followed = self._follower.follow(connection, datetime.now(UTC))
                waiting = batches_waiting(connection, VERIFIER)
        if followed is None:  # another verifier was faster
            return False
        seconds = time.perf_counter() - started
        self._metrics.note(followed, seconds)
        self._metrics.lag.set(waiting)
        log.info(
            "followed %d batches with %d readings up to %d in %.2f s",
            followed.batches,
            followed.readings,
            followed.commit_seq,
            seconds,
        )
        return True
