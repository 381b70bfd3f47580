"""Binary COPY into a real server and back; psycopg's own decoding is the oracle."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pytest

from store.binary_copy import copy_in, copy_out
from store.errors import StoreError
from store.times import to_micros

Connection = psycopg.Connection[Any]
ROW = np.dtype(
    [("at_us", "<i8"), ("a", "<i2"), ("b", "<i4"), ("c", "<i8"), ("d", "<f4"), ("e", "<f8"), ("f", "?"), ("g", "V16")]
)
TABLE = (
    "create temporary table t (at_at timestamptz, a smallint, b integer, c bigint, d real, e double precision,"
    " f boolean, g bytea)"
)
QUERY = "select at_at, a, b, c, d, e, f, g from t order by c"


def sample(n: int) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(5)
    rows = np.zeros(n, ROW)
    rows["at_us"] = generator.integers(-(10**16), 10**16, n)
    for name in ("a", "b", "c"):
        span = np.iinfo(ROW[name])
        rows[name] = generator.integers(span.min, span.max, n, endpoint=True)
    rows["d"], rows["e"], rows["f"] = generator.normal(size=n), generator.normal(size=n), generator.random(n) < 0.5
    rows["g"] = np.frombuffer(generator.bytes(16 * n), "V16")
    return rows[np.argsort(rows["c"])]


def test_rows_come_back_as_they_went_in(connection: Connection) -> None:
    rows = sample(70_000)  # more than one chunk of the stream
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        copy_in(cursor, "t", rows)
        assert copy_out(cursor, QUERY, None, ROW).tobytes() == rows.tobytes()
        first = cursor.execute(QUERY).fetchone()
    assert first is not None
    assert (to_micros(first[0]), *first[1:4]) == rows[0].item()[:4]
    assert (first[5], first[6], bytes(first[7])) == (rows["e"][0], rows["f"][0], bytes(rows["g"][0]))


def test_nulls_are_written(connection: Connection) -> None:
    rows, null = sample(100), np.arange(100) % 3 == 0
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        copy_in(cursor, "t", rows, ["at_us", "c", "e"], nulls={"at_us": null, "e": ~null})
        held = cursor.execute("select at_at is null, e is null, c from t order by c").fetchall()
    assert held == [(bool(n), not n, c) for n, c in zip(null, rows["c"].tolist(), strict=True)]


def test_a_null_in_a_result_is_refused(connection: Connection) -> None:
    with connection.cursor() as cursor, pytest.raises(StoreError, match="coalesce"):
        copy_out(cursor, "select nullif(i, 2) from generate_series(1, 3) i", None, np.dtype([("i", "<i4")]))


def test_parameters_and_an_empty_result(connection: Connection) -> None:
    one = np.dtype([("observed_us", "<i8")])
    time = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with connection.cursor() as cursor:
        (row,) = copy_out(cursor, "select %s::timestamptz where 1 = any(%s)", (time, [1, 2]), one)
        assert row["observed_us"] == to_micros(time)
        assert len(copy_out(cursor, "select now() where false", None, one)) == 0
        copy_in(cursor, "reading", np.empty(0, one))


def test_a_broken_constraint_is_the_servers_error(connection: Connection) -> None:
    rows = sample(3)
    rows["c"] = 7
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("create unique index on t (c)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            copy_in(cursor, "t", rows)
