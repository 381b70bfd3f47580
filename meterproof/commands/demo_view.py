"""What `meterproof demo` shows: the history's progress, the live figures, and the summary at the end."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Self

from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from meterproof.commands.score import print_score, score_against
from meterproof.console import err, print_figures
from simulators.city import City
from simulators.publisher import Progress as Published
from store.database import Connection
from store.overview import BatchTotals, add_batch_totals, count_waiting
from store.progress import findings_by_kind, system_progress

QUIET_S = 120.0  # without any movement for this long something is wrong
_LINE_EVERY_S = 10.0  # between lines where no terminal shows the bars


class HistoryView:
    """Bars of readings published, stored and verified."""

    def __init__(self, conn: Connection, begun_seq: int, expected: int) -> None:
        self._conn, self._begun_seq, self._expected = conn, begun_seq, expected
        self._bars = Bars(
            TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
        )
        self._sent = self._bars.add_task("published", total=expected)
        self._stored = self._bars.add_task("stored", total=expected)
        self._verified = self._bars.add_task("verified", total=1.0)
        self._looked_at = self._said_at = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def published(self, progress: Published) -> None:
        """Called after every acknowledgement; the database is asked now and then only."""
        self._bars.update(self._sent, completed=progress.readings)
        if time.monotonic() - self._looked_at > 0.5:
            self._look()

    def wait(self, check: Callable[[], None]) -> None:
        """Until all is stored and verified, or nothing has moved for long."""
        before, moved_at = self._look(), time.monotonic()
        while before[0] < self._expected or before[1] < 1.0:
            check()
            time.sleep(0.2)
            now = self._look()
            if now != before:
                before, moved_at = now, time.monotonic()
            elif time.monotonic() - moved_at > QUIET_S:
                err.print(f"nothing has moved for {QUIET_S:g} s: going on", style="yellow")
                return

    def _look(self) -> tuple[int, float]:
        """Readings in, and the share of batches that are verified."""
        progress = system_progress(self._conn, self._begun_seq)
        total = max(progress.commit_seq - self._begun_seq, 1)
        share = min(max(progress.verified_seq - self._begun_seq, 0) / total, 1.0)
        self._bars.update(self._stored, completed=min(progress.readings_in, self._expected))
        self._bars.update(self._verified, completed=share)
        self._looked_at = time.monotonic()
        if not err.is_terminal and self._looked_at - self._said_at > _LINE_EVERY_S:
            self._said_at = self._looked_at
            err.print(
                f"stored {progress.readings_in:,} of {self._expected:,} readings, {share:.0%} of batches verified"
            )
        return progress.readings_in, share


class LiveView:
    """A table that follows the live part."""

    def __init__(self, conn: Connection, begun_seq: int) -> None:
        self._conn, self._begun_seq = conn, begun_seq
        self._live = Live(console=err, auto_refresh=False)

    def __enter__(self) -> Self:
        if err.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if err.is_terminal:
            self._live.stop()

    def update(self, city_time: datetime, published: int) -> None:
        """Ask the database and show it."""
        if not err.is_terminal:
            return
        progress = system_progress(self._conn, self._begun_seq)
        waiting = count_waiting(self._conn, 100_000)
        table = Table(box=None)
        for title in ("city's time (UTC)", "published", "arrived", "batches to verify", "open alerts", "quarantined"):
            table.add_column(title, justify="right")
        table.add_row(
            f"{city_time:%Y-%m-%d %H:%M}",
            f"{published:,}",
            f"{progress.readings_in:,}",
            f"{progress.commit_seq - progress.verified_seq:,}",
            f"{waiting['open_alerts']:,}",
            f"{waiting['quarantined']:,}",
        )
        self._live.update(table, refresh=True)


def print_summary(conn: Connection, city: City, until: datetime, published: int) -> None:
    """What came in, what was found, and how the alerts stand against the truth."""
    totals = add_batch_totals(conn, BatchTotals())
    waiting = count_waiting(conn, 100_000)
    print_figures(
        "readings",
        {
            "published in this run": published,
            "stored": totals.stored,
            "exact duplicates": totals.duplicates,
            "conflicting values": totals.conflicting,
            "rejected rows": totals.rejected,
            "messages in quarantine": waiting["quarantined"],
            "waiting for a meter": waiting["pending"],
        },
    )
    print_figures("findings in force", findings_by_kind(conn, city.scenario.utility))
    print_score(score_against(conn, city.truth(until)))
