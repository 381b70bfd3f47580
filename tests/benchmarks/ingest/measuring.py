"""One run: a session is made, the broker filled, the consumer started, and its rows are counted and checked.

The clock runs from the moment at which the consumer's connection to the broker is seen, just before its first message,
to the commit of its last row, whose time the server tells. For the bare subscriber it ends with the last message.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psycopg
from ingest.contestants import CLIENT_ID, COPY, Contestant, Task
from ingest.servers import Database, broker, make_session
from ingest.watching import MemoryWatch, cpu_s, wait_for_client
from ingest.workload import BATCHED, Shape, rows, sum_micro

from store.binary_copy import copy_in

COPY_ROWS: Final = 50_000  # a transaction: as many as a batch of the gateway holds at most
_START_S, _QUIET_S, _POLL_S = 30.0, 15.0, 0.4
LONGEST_S: Final = 120.0  # a run; what is stored by then counts


@dataclass(frozen=True)
class Result:
    """What a run came to. `duplicates` are readings that came again and were told from new ones."""

    contestant: str
    broker: str
    shape: Shape
    sent: int
    stored: int
    values_right: bool
    took_s: float
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    duplicates: int = 0

    @property
    def per_s(self) -> float:
        """Readings a second."""
        return self.stored / self.took_s if self.took_s > 0 else 0.0


class RunError(Exception):
    """A contestant did not come about; the message holds its log's end."""


def run_copy(database: Database, readings: int) -> Result:
    """The limit: the same rows by binary COPY into the same table."""
    database.empty()
    meter_ids = database.meter_ids()
    batches = [rows(first, COPY_ROWS, meter_ids, first + 1) for first in range(0, readings, COPY_ROWS)]
    with psycopg.connect(database.dsn) as conn, conn.cursor() as cursor:
        started, started_cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            copy_in(cursor, "reading", batch)
            conn.commit()
        took, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    stored, right = _check(database, "batch", readings)
    return Result(COPY, "", BATCHED, readings, stored, right, took, cpu)


@contextmanager
def publisher(port: int, shape: Shape, messages: int) -> Iterator[subprocess.Popen[str]]:
    """A publisher that has encoded its messages and waits for `go`."""
    command = [sys.executable, str(Path(__file__).with_name("publisher.py")), str(port), shape.key, str(messages)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        if process.stdout.readline() != "ready\n":
            raise RunError("the publisher did not come about")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def go(process: "subprocess.Popen[str]") -> None:
    """Let a publisher begin."""
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def published_s(process: "subprocess.Popen[str]") -> float:
    """How long it published; waits for its end. Raises RunError."""
    assert process.stdout
    line = process.stdout.readline()
    if process.wait() != 0 or not line:
        raise RunError("the broker did not acknowledge all messages")
    return float(line)


def run_consumer(database: Database, contestant: Contestant, broker_name: str, shape: Shape, messages: int) -> Result:
    """A consumer empties a session that was filled before it came. Raises RunError."""
    database.empty()
    with broker(broker_name) as port, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_session(port, CLIENT_ID)
        with publisher(port, shape, messages) as filling:
            go(filling)
            published_s(filling)
        database.value("select pg_stat_reset()")
        task = Task(database.dsn, port, shape, messages, folder)
        process = contestant.start(task)
        try:
            try:
                began = wait_for_client(port, _START_S)
            except TimeoutError as error:
                raise RunError(f"{contestant.name}: {error}\n{_log(folder)}") from None
            began_cpu = cpu_s(process.pid)
            with MemoryWatch(process.pid) as memory:
                ended = _wait_for_end(database, contestant, task, process)
            used_cpu = cpu_s(process.pid) - began_cpu if process.poll() is None else 0.0
        finally:
            end(process)
        return _result(database, contestant, broker_name, task, ended - began, used_cpu, memory.peak_mb)


def _result(
    database: Database, contestant: Contestant, broker_name: str, task: Task, took: float, cpu: float, peak_mb: float
) -> Result:
    sent = task.messages * task.shape.readings
    if contestant.table is None:
        return Result(contestant.name, broker_name, task.shape, sent, sent, True, took, cpu, peak_mb)
    stored, right = _check(database, contestant.table, sent)
    if stored == 0:
        raise RunError(f"{contestant.name}: it stored nothing\n{_log(task.folder)}")
    doubled = int(database.value("select coalesce(sum(duplicates), 0) from batch"))
    return Result(contestant.name, broker_name, task.shape, sent, stored, right, took, cpu, peak_mb, doubled)


def _check(database: Database, table: str, sent: int) -> tuple[int, bool]:
    """How many rows are held, and whether their registers sum up to what was sent."""
    if table == "batch":
        count, total = "reading", "sum(register_micro)"
    else:
        count, total = table, "sum(round(register * 1e6)::bigint)"
    stored = int(database.value(f"select count(*) from {count}"))
    return stored, stored == sent and int(database.value(f"select {total} from {count}")) == sum_micro(sent)


def _wait_for_end(database: Database, contestant: Contestant, task: Task, process: subprocess.Popen[bytes]) -> float:
    """When the last row was committed [s since 1970]; ends also when nothing comes any more, or it takes too long."""
    if contestant.table is None:
        return _told_end(task, process)
    sent = task.messages * task.shape.readings
    stored, last_change = 0, time.monotonic()
    deadline = last_change + LONGEST_S
    while stored < sent and time.monotonic() < min(last_change + _QUIET_S, deadline):
        if process.poll() is not None:
            raise RunError(f"{contestant.name} ended by itself\n{_log(task.folder)}")
        time.sleep(_POLL_S)
        now = rows_stored(database, contestant.table)
        if now != stored:
            stored, last_change = now, time.monotonic()
    return last_commit(database, contestant.table)


def rows_stored(database: Database, table: str) -> int:
    """The rows so far: cheaply, for the measured server counts them."""
    query = "select coalesce(sum(stored), 0) from batch" if table == "batch" else f"select count(*) from {table}"
    return int(database.value(query))


def last_commit(database: Database, table: str) -> float:
    """When the table's newest row was committed, by the server's own record [s since 1970]."""
    return float(database.value(f"select extract(epoch from max(pg_xact_commit_timestamp(xmin))) from {table}") or 0)


def _told_end(task: Task, process: subprocess.Popen[bytes]) -> float:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline and process.poll() is None:
        said = _log(task.folder).strip()
        if said:
            return float(np.float64(said.splitlines()[-1]))
        time.sleep(0.05)
    raise RunError(f"the subscriber did not get all messages\n{_log(task.folder)}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a consumer, in order if it can."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _log(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-2500:]
