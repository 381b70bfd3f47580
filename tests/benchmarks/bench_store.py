"""Ways into and out of the database side by side, on batches of new and of repeated readings.

    .venv/bin/python tests/benchmarks/bench_store.py [DSN] [READINGS]

Without DSN an embedded server is started, with the server's default durability. Everything runs in one go, each way
several times in turn, and the best of each counts: ratios hold better than absolutes.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from meterproof.embedded.postgres import EmbeddedPostgres
from store.binary_copy import copy_in
from store.migrate import migrate
from store.readings import READING, Readings, insert_readings, read_meter_readings
from store.times import to_datetime

Connection = psycopg.Connection[Any]
COLUMNS = "observed_at, register_micro, batch_id, meter_id, status, message_no"
METERS, ROUNDS = 1_000, 6


@contextmanager
def database(dsn: str | None) -> Iterator[str]:
    """The DSN of a database with the schema, dropped afterwards."""
    if dsn is None:
        with tempfile.TemporaryDirectory() as folder:
            server = EmbeddedPostgres(Path(folder) / "bench")
            server.start()
            try:
                with database(server.dsn()) as made:
                    yield made
            finally:
                server.stop()
        return
    name = f"mp_bench_{os.getpid()}"
    with psycopg.connect(dsn, autocommit=True) as maintenance:
        maintenance.execute(f"create database {name}".encode())
        try:
            yield psycopg.conninfo.make_conninfo(dsn, dbname=name)
        finally:
            maintenance.execute(f"drop database {name} with (force)".encode())


def fleet(readings: int, part: int) -> Readings:
    """Quarter-hourly readings of all meters; parts follow each other in time, as batches do."""
    rows, number = np.zeros(readings, READING), np.arange(readings)
    rows["meter_id"] = number % METERS + 1
    rows["observed_us"] = 1_767_225_600_000_000 + (number // METERS + part * (readings // METERS)) * 900_000_000
    rows["register_micro"], rows["message_no"], rows["batch_id"] = number, number // 500, part + 1
    return rows


def tuples(rows: Readings) -> list[tuple[Any, ...]]:
    """The rows as psycopg takes them, made before the clock runs."""
    return [(to_datetime(row[0]), *row[1:]) for row in rows.tolist()]


def by_executemany(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """INSERT, pipelined by psycopg."""
    statement = f"insert into reading ({COLUMNS}) values (%s, %s, %s, %s, %s, %s)"
    with connection.cursor() as cursor:
        cursor.executemany(statement.encode(), rows)


def by_write_row(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """psycopg's binary COPY, a row at a time."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy reading ({COLUMNS}) from stdin (format binary)".encode()) as copy,
    ):
        copy.set_types(["timestamptz", "int8", "int8", "int4", "int2", "int2"])
        for row in rows:
            copy.write_row(row)


def by_copy_in(connection: Connection, rows: Readings) -> None:
    """The structured array as the stream, without any check of duplicates."""
    with connection.cursor() as cursor:
        copy_in(cursor, "reading", rows)


def timed(connection: Connection, action: Callable[[], Any], *, keep: bool = False) -> tuple[float, float]:
    """Seconds of the action with its commit, by the clock and of this process' CPU; undone again unless kept."""
    start, start_cpu = time.perf_counter(), time.process_time()
    action()
    connection.commit()
    taken = time.perf_counter() - start, time.process_time() - start_cpu
    if not keep:
        connection.execute("truncate reading, reading_conflict, reading_repeat, batch")
        connection.commit()
    return taken


def run(connection: Connection, readings: int) -> dict[str, tuple[float, float]]:
    """Best seconds of each way, by the clock and of this process' CPU."""
    digests = os.urandom(16 * (readings // 500 + 1))
    new, ids = fleet(readings, 0), list(range(1, METERS + 1))
    best: dict[str, tuple[float, float]] = {}
    as_tuples = tuples(new)
    half = new.copy()
    half["observed_us"][::2] += 450_000_000  # every second reading is new

    def insert(rows: Readings) -> Callable[[], Any]:
        return lambda: insert_readings(connection, rows, digests)

    ways: list[tuple[str, Callable[[], Any], bool]] = [
        ("executemany", lambda: by_executemany(connection, as_tuples), False),
        ("write_row, tuples made before", lambda: by_write_row(connection, as_tuples), False),
        ("copy_in, duplicates unchecked", lambda: by_copy_in(connection, new), False),
        ("insert_readings, all new", insert(new), True),
        ("insert_readings, all redelivered", insert(new), True),
        ("read_meter_readings", lambda: read_meter_readings(connection, ids, 0, 2**62), True),
        ("insert_readings, half redelivered", insert(half), False),
    ]
    for turn in range(ROUNDS):
        first = turn % 3  # the plain ways take turns, so that none always follows the same one
        for name, action, keep in [*ways[first:3], *ways[:first], *ways[3:]]:
            wall, cpu = timed(connection, action, keep=keep)
            so_far = best.get(name, (wall, cpu))
            best[name] = min(so_far[0], wall), min(so_far[1], cpu)
    return best


def main() -> None:
    """Measures and prints."""
    dsn = sys.argv[1] if len(sys.argv) > 1 else None
    readings = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
    with database(dsn) as made, psycopg.connect(made) as connection:
        migrate(connection)
        best = run(connection, readings)
    unit = best["write_row, tuples made before"]
    print(f"batches of {readings:,} readings, best of {ROUNDS}; in brackets relative to write_row")
    print(f"{'':34} {'readings/s':>18} {'own CPU [us each]':>24}")
    for name, (wall, cpu) in best.items():
        rate = f"{readings / wall / 1e6:.3f} M ({unit[0] / wall:.2f})"
        print(f"{name:34} {rate:>18} {f'{cpu / readings * 1e6:.3f} ({cpu / unit[1]:.2f})':>24}")


if __name__ == "__main__":
    main()
