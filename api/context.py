"""What every handler works with: settings, the database and the running totals. One per application, no globals."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, cast

import psycopg
from fastapi import Depends, Request
from psycopg_pool import ConnectionPool

from api.settings import ApiSettings
from store.overview import BatchTotals, add_batch_totals


class Context:
    """Settings, connections and what is remembered between requests."""

    def __init__(
        self, settings: ApiSettings, pool: ConnectionPool[psycopg.Connection[Any]], software_version: str
    ) -> None:
        self.settings = settings
        self.software_version = software_version
        self._pool = pool
        self._totals = BatchTotals()
        self._totals_lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[Any]]:
        """A read-only transaction with the interface's own time limit for statements."""
        with self._pool.connection(timeout=self.settings.pool_wait_s) as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            self._limit_statements(conn)
            yield conn

    @contextmanager
    def writing(self) -> Iterator[psycopg.Connection[Any]]:
        """A transaction that is committed when the block ends, hence before the answer is sent."""
        with self._pool.connection(timeout=self.settings.pool_wait_s) as conn:
            self._limit_statements(conn)
            yield conn

    def totals(self, conn: psycopg.Connection[Any]) -> BatchTotals:
        """Sums over all batches; only those committed since the last call are read."""
        with self._totals_lock:
            known = self._totals
        current = add_batch_totals(conn, known)
        with self._totals_lock:
            if current.commit_seq > self._totals.commit_seq:
                self._totals = current
        return current

    def today(self) -> date:
        """The present calendar day in the console's time zone."""
        return datetime.now(self.settings.zone).date()

    def end_of_day(self, day: date) -> datetime:
        """The moment at which a calendar day ends in the console's time zone, in UTC."""
        return datetime.combine(day + timedelta(days=1), time(), self.settings.zone).astimezone(UTC)

    def _limit_statements(self, conn: psycopg.Connection[Any]) -> None:
        limit_ms = round(self.settings.statement_timeout_s * 1000)
        conn.execute("select set_config('statement_timeout', %s, true)", (str(limit_ms),))


def get_context(request: Request) -> Context:
    """The application's context, for handlers."""
    return cast(Context, request.app.state.context)


ContextDep = Annotated[Context, Depends(get_context)]
