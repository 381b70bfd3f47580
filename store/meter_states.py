"""States of the checks on register steps: the current one of each meter, and earlier ones for late readings.

A state is opaque here: bytes of one layout, given as an array of any structured dtype with the fields `meter_id`,
`anchor` (with `observed_us`), `reach_us`, `last_us` and `total_micro`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from store.binary_copy import copy_in, copy_out
from store.findings import EARLIEST_US
from store.readings import READING, Readings
from store.times import time_bound

Connection = psycopg.Connection[Any]
States = NDArray[np.void]
Ids = Sequence[int] | NDArray[np.integer[Any]]

KEPT_CLOSE: Final = 8  # of the checkpoints older than so many spans, only every so-many-th is kept


def load_states(connection: Connection, meter_ids: Ids, layout: np.dtype[Any]) -> States:
    """The states of those of the meters that have one, in the order of their ids."""
    return _load(
        connection,
        "select state from meter_state where meter_id = any(%s) order by meter_id",
        (_ints(meter_ids),),
        layout,
    )


def load_checkpoints(connection: Connection, meter_ids: Ids, before_us: Ids, layout: np.dtype[Any]) -> States:
    """For each meter the latest checkpoint that serves for readings from `before_us` on, where there is one."""
    return _load(
        connection,
        "select c.state from unnest(%s::integer[], %s::bigint[]) s (meter_id, before_us) cross join lateral ("
        "  select state from meter_checkpoint c where c.meter_id = s.meter_id"
        "  and c.settled_at < 'epoch'::timestamptz + s.before_us * interval '1 microsecond'"
        "  order by c.anchor_at desc limit 1) c",
        (_ints(meter_ids), _ints(before_us)),
        layout,
    )


def drop_checkpoints(connection: Connection, meter_ids: Ids, from_us: Ids) -> None:
    """Removes the checkpoints that don't serve for readings from `from_us` on, by meter."""
    connection.execute(
        "delete from meter_checkpoint c using unnest(%s::integer[], %s::bigint[]) s (meter_id, from_us)"
        " where c.meter_id = s.meter_id"
        " and c.settled_at >= 'epoch'::timestamptz + s.from_us * interval '1 microsecond'",
        (_ints(meter_ids), _ints(from_us)),
    )


def save_states(connection: Connection, states: States) -> None:
    """Writes the current states of these meters, in place of the ones before."""
    rows = _wire(states, ("anchor_us", "last_us", "total_micro"))
    rows["anchor_us"], rows["last_us"] = states["anchor"]["observed_us"], states["last_us"]
    rows["total_micro"] = states["total_micro"]
    with connection.cursor() as cursor:
        cursor.execute(
            "create temporary table if not exists meter_state_staging (like meter_state) on commit delete rows"
        )
        cursor.execute("truncate meter_state_staging")
        copy_in(cursor, "meter_state_staging", rows)
        cursor.execute(
            "insert into meter_state (meter_id, anchor_at, last_at, total_micro, state)"
            " select meter_id, anchor_at, last_at, total_micro, state from meter_state_staging order by meter_id"
            " on conflict (meter_id) do update set anchor_at = excluded.anchor_at, last_at = excluded.last_at,"
            " total_micro = excluded.total_micro, state = excluded.state"
        )


def save_checkpoints(connection: Connection, checkpoints: States, span_us: int) -> None:
    """Adds checkpoints, and thins out the meters' old ones; `span_us` is the time between two of them."""
    if not len(checkpoints):
        return
    rows = _wire(checkpoints, ("anchor_us", "settled_us"))
    rows["anchor_us"] = checkpoints["anchor"]["observed_us"]
    rows["settled_us"] = np.maximum(checkpoints["anchor"]["observed_us"], checkpoints["reach_us"])
    with connection.cursor() as cursor:
        copy_in(cursor, "meter_checkpoint", rows)
        spans = rows["anchor_us"] // span_us
        old = spans - KEPT_CLOSE
        goes = old % KEPT_CLOSE != 0
        cursor.execute(
            "delete from meter_checkpoint c using unnest(%s::integer[], %s::bigint[]) s (meter_id, start_us)"
            " where c.meter_id = s.meter_id"
            " and c.anchor_at >= 'epoch'::timestamptz + s.start_us * interval '1 microsecond'"
            " and c.anchor_at < 'epoch'::timestamptz + (s.start_us + %s) * interval '1 microsecond'",
            (rows["meter_id"][goes].tolist(), (old[goes] * span_us).tolist(), span_us),
        )


def read_after(connection: Connection, table: str, meter_ids: Ids, after_us: Ids, until_us: int) -> Readings:
    """Rows of `reading` or `reading_conflict`, READING, of each meter later than its `after_us`, up to `until_us`."""
    query = _READ_AFTER[table]
    earliest = time_bound(min(after_us))
    with connection.cursor() as cursor:
        return copy_out(cursor, query, (_ints(meter_ids), _ints(after_us), earliest, time_bound(until_us)), READING)


def count_after(connection: Connection, meter_ids: Ids, after_us: Ids, until_us: int) -> NDArray[np.int64]:
    """How many rows of `reading` each meter has later than its `after_us`, up to `until_us`, shape (M,)."""
    with connection.cursor() as cursor:
        rows = copy_out(
            cursor,
            "select s.n, (select count(*) from reading r where r.meter_id = s.meter_id"
            "  and r.observed_at > 'epoch'::timestamptz + s.after_us * interval '1 microsecond'"
            "  and r.observed_at >= %s and r.observed_at <= %s)"
            " from unnest(%s::integer[], %s::bigint[]) with ordinality s (meter_id, after_us, n)",
            (time_bound(int(min(after_us))), time_bound(until_us), _ints(meter_ids), _ints(after_us)),
            np.dtype([("n", "<i8"), ("readings", "<i8")]),
        )
    counts = np.empty(len(rows), dtype=np.int64)
    counts[rows["n"] - 1] = rows["readings"]
    return counts


def batch_receipts(connection: Connection, batch_ids: Ids) -> dict[int, tuple[int, int]]:
    """Of these batches, commit_seq and time of receipt [us since 1970]."""
    rows = connection.execute(
        "select batch_id, commit_seq, (extract(epoch from received_at) * 1000000)::bigint from batch"
        " where batch_id = any(%s)",
        (_ints(batch_ids),),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _load(connection: Connection, query: Any, params: Sequence[Any], layout: np.dtype[Any]) -> States:
    with connection.cursor() as cursor:
        rows = copy_out(cursor, query, params, np.dtype([("state", f"V{layout.itemsize}")]))
    return np.ascontiguousarray(rows["state"]).view(layout)


def _wire(states: States, times: Sequence[str]) -> NDArray[np.void]:
    layout = [("meter_id", "<i4"), *((name, "<i8") for name in times), ("state", f"V{states.dtype.itemsize}")]
    rows = np.empty(len(states), dtype=np.dtype(layout))
    rows["meter_id"] = states["meter_id"]
    rows["state"] = np.ascontiguousarray(states).view(f"V{states.dtype.itemsize}")
    return rows


def _ints(values: Ids) -> list[int]:
    return [max(int(value), EARLIEST_US) for value in values]


_AFTER = """
    select r.observed_at, r.register_micro, r.batch_id, r.meter_id, r.status, r.message_no
    from unnest(%s::integer[], %s::bigint[]) s (meter_id, after_us) cross join lateral (
        select * from {table} t where t.meter_id = s.meter_id
        and t.observed_at > 'epoch'::timestamptz + s.after_us * interval '1 microsecond'
        and t.observed_at >= %s and t.observed_at <= %s) r"""
_READ_AFTER: Final = {table: _AFTER.replace("{table}", table) for table in ("reading", "reading_conflict")}
