"""Readings stored exactly once: the first of a meter and time in `reading`, other values of it in `reading_conflict`.

A *variant* is a distinct (meter, time, register, status). Of each variant one row is held; a further row of it is a
duplicate. If another message carried it, that is noted in `reading_repeat`; a redelivery of the same message leaves no
trace. So the set held depends on the set of rows that came, not on their order or how often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from metrology.errors import InvalidInputError
from store.binary_copy import copy_in, copy_out
from store.errors import StoreError
from store.repeats import note_repeats
from store.times import time_bound

Connection = psycopg.Connection[Any]
Readings = NDArray[np.void]

READING: Final = np.dtype(
    [
        ("observed_us", "<i8"),
        ("register_micro", "<i8"),
        ("batch_id", "<i8"),
        ("meter_id", "<i4"),
        ("status", "<i2"),
        ("message_no", "<i2"),
    ]
)
# What is held for each of some variants; `is_new` where this call brought it.
_HELD: Final = np.dtype(
    [
        ("register_micro", "<i8"),
        ("batch_id", "<i8"),
        ("row_no", "<i4"),
        ("status", "<i2"),
        ("message_no", "<i2"),
        ("is_new", "?"),
    ]
)
_STAGED: Final = np.dtype([*READING.descr, ("row_no", "<i4")])
_ROW_NO: Final = np.dtype([("row_no", "<i4")])
_KEYS: Final = {
    "reading": ("meter_id", "observed_at"),
    "reading_conflict": ("meter_id", "observed_at", "register_micro", "status"),
}


@dataclass(frozen=True, slots=True)
class InsertCounts:
    """What became of the rows; the times span the stored and conflicting ones [us since 1970], None without any."""

    stored: int
    duplicates: int
    conflicting: int
    min_observed_us: int | None = None
    max_observed_us: int | None = None


def insert_readings(connection: Connection, rows: Readings, digests: bytes) -> InsertCounts:
    """Stores one batch's rows (READING array in order of arrival); `digests` holds 16 bytes for each of its messages.

    Exact also while other transactions insert the same rows: they wait for each other. Needs the isolation level read
    committed. Raises InvalidInputError for rows of several batches, a `message_no` without digest, impossible times.
    """
    if len(rows) == 0:
        return InsertCounts(0, 0, 0)
    own_digests = _checked_digests(rows, digests)
    first_row, variant_of = _variants(rows)
    variants = rows[first_row]
    key_of, key_variant = _keys(variants, first_row)

    # Nearly all batches are new as a whole: they are copied straight in, and only a unique violation leads over a
    # staging table.
    if _copied_as_new(connection, variants[key_variant]):
        if len(key_variant) == len(rows):
            return InsertCounts(len(rows), 0, 0, int(rows["observed_us"].min()), int(rows["observed_us"].max()))
        by_key = _as_held(variants[key_variant])
    else:
        by_key = _insert_staged(connection, "reading", variants[key_variant])
    held = by_key[key_of]
    is_first = np.zeros(len(variants), dtype=np.bool_)
    is_first[key_variant] = True
    held["is_new"] &= is_first
    stored = int(held["is_new"].sum())
    differs = (held["register_micro"] != variants["register_micro"]) | (held["status"] != variants["status"])
    if differs.any():
        held[differs] = _insert_staged(connection, "reading_conflict", variants[differs])

    is_new = held["is_new"]
    if len(rows) > is_new.sum():
        note_repeats(connection, rows, variant_of, held, own_digests)
    times = variants["observed_us"][is_new]
    return InsertCounts(
        stored=stored,
        duplicates=len(rows) - len(times),
        conflicting=len(times) - stored,
        min_observed_us=int(times.min()) if len(times) else None,
        max_observed_us=int(times.max()) if len(times) else None,
    )


def read_meter_readings(connection: Connection, meter_ids: Sequence[int], start_us: int, end_us: int) -> Readings:
    """The meters' readings in [start, end) [us since 1970] as a READING array sorted by meter and time."""
    return _read(connection, "reading", meter_ids, start_us, end_us)


def read_conflicts(connection: Connection, meter_ids: Sequence[int], start_us: int, end_us: int) -> Readings:
    """Further values for a meter and time that has a reading; arguments and result as `read_meter_readings`."""
    return _read(connection, "reading_conflict", meter_ids, start_us, end_us)


def _read(connection: Connection, table: str, meter_ids: Sequence[int], start_us: int, end_us: int) -> Readings:
    query = sql.SQL(
        "select observed_at, register_micro, batch_id, meter_id, status, message_no from {}"
        " where meter_id = any(%s) and observed_at >= %s and observed_at < %s"
    ).format(sql.Identifier(table))
    ids = [int(meter_id) for meter_id in meter_ids]
    with connection.cursor() as cursor:
        rows = copy_out(cursor, query, (ids, time_bound(start_us), time_bound(end_us)), READING)
    return rows[np.lexsort((rows["batch_id"], rows["observed_us"], rows["meter_id"]))]


def _checked_digests(rows: Readings, digests: bytes) -> NDArray[np.void]:
    """The digest of each message, V16; refuses rows that can't be a batch's."""
    by_message: NDArray[np.void] = np.frombuffer(digests, "V16")
    lowest, highest = int(rows["message_no"].min()), int(rows["message_no"].max())
    if lowest < 0 or highest >= len(by_message):
        raise InvalidInputError(
            f"rows name messages {lowest} to {highest}, but there are {len(by_message)} digests; give one a message"
        )
    if (rows["batch_id"] != rows["batch_id"][0]).any():
        raise InvalidInputError("rows of several batches were given; insert each batch by itself")
    for time_us in (int(rows["observed_us"].min()), int(rows["observed_us"].max())):
        if isinstance(time_bound(time_us), str):
            raise InvalidInputError(f"observed_us = {time_us} lies outside of the years 1 to 9999; quarantine the row")
    return by_message


def _variants(rows: Readings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first row of each variant, sorted by meter and time, and the variant of each row.

    The order matters: transactions that share rows take their locks in the same order, so they can't deadlock.
    """
    order = np.lexsort((rows["observed_us"], rows["meter_id"]))
    starts = _starts(rows[order], ("meter_id", "observed_us"))
    if not starts.all():
        order = np.lexsort((rows["status"], rows["register_micro"], rows["observed_us"], rows["meter_id"]))
        starts = _starts(rows[order], ("meter_id", "observed_us", "register_micro", "status"))
    variant_of = np.empty(len(rows), dtype=np.intp)
    variant_of[order] = np.cumsum(starts) - 1
    return order[starts], variant_of  # the sort is stable: the first of a run came first


def _keys(variants: Readings, first_row: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The number of each variant's (meter, time), and for each of these the variant that came first."""
    starts = _starts(variants, ("meter_id", "observed_us"))
    key_of = np.cumsum(starts) - 1
    earliest = np.minimum.reduceat(first_row, np.flatnonzero(starts))
    return key_of, np.flatnonzero(first_row == earliest[key_of])


def _starts(ordered: Readings, fields: Sequence[str]) -> NDArray[np.bool_]:
    """True where a row differs from the one before in any of the fields."""
    starts = np.zeros(len(ordered), dtype=np.bool_)
    starts[:1] = True
    for field in fields:
        starts[1:] |= ordered[field][1:] != ordered[field][:-1]
    return starts


def _copied_as_new(connection: Connection, candidates: Readings) -> bool:
    """Copies rows of distinct (meter, time) into `reading`; False, and nothing copied, if it holds one of them."""
    with connection.cursor() as cursor:
        cursor.execute("savepoint optimistic_copy")
        try:
            copy_in(cursor, "reading", candidates)
            is_new = True
        except psycopg.errors.UniqueViolation:
            cursor.execute("rollback to savepoint optimistic_copy")
            is_new = False
        cursor.execute("release savepoint optimistic_copy")
    return is_new


def _insert_staged(connection: Connection, table: str, candidates: Readings) -> NDArray[np.void]:
    """Inserts what `table` does not hold yet; returns what it holds for each row then (_HELD)."""
    held, found = _find(connection, table, candidates)
    missing = np.flatnonzero(~found)
    if len(missing):
        added = missing[_add(connection, table, candidates[missing])]
        held[added] = _as_held(candidates[added])
        # What was neither found nor added came meanwhile, from a transaction for which the insert has waited.
        meanwhile = np.setdiff1d(missing, added)
        if len(meanwhile):
            held[meanwhile], found_now = _find(connection, table, candidates[meanwhile])
            if not found_now.all():
                raise StoreError("readings changed while they were compared; use the isolation level read committed")
    return held


def _as_held(rows: Readings) -> NDArray[np.void]:
    """What is held for rows that were just inserted."""
    held = np.zeros(len(rows), dtype=_HELD)
    for field in ("register_micro", "batch_id", "status", "message_no"):
        held[field] = rows[field]
    held["is_new"] = True
    return held


def _find(connection: Connection, table: str, candidates: Readings) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
    """What `table` holds under the keys of the candidates (_HELD), and where it holds anything."""
    times = candidates["observed_us"]
    span = (time_bound(int(times.min())), time_bound(int(times.max())))
    with connection.cursor() as cursor:
        _stage(cursor, candidates)
        rows = copy_out(cursor, _compose(_FIND, table), span, _HELD)
    held, found = np.zeros(len(candidates), dtype=_HELD), np.zeros(len(candidates), dtype=np.bool_)
    held[rows["row_no"]] = rows
    found[rows["row_no"]] = True
    return held, found


def _add(connection: Connection, table: str, candidates: Readings) -> NDArray[np.intp]:
    """Inserts the candidates but for those whose key is taken; returns the positions of the inserted ones."""
    with connection.cursor() as cursor:
        _stage(cursor, candidates)
        return copy_out(cursor, _compose(_ADD, table), None, _ROW_NO)["row_no"].astype(np.intp)


def _stage(cursor: psycopg.Cursor[Any], candidates: Readings) -> None:
    staged = np.empty(len(candidates), dtype=_STAGED)
    for field in READING.names or ():
        staged[field] = candidates[field]
    staged["row_no"] = np.arange(len(candidates))
    cursor.execute(
        "create temporary table if not exists reading_staging (observed_at timestamptz, register_micro bigint,"
        " batch_id bigint, meter_id integer, status smallint, message_no smallint, row_no integer)"
        " on commit delete rows"
    )
    cursor.execute("truncate reading_staging")
    copy_in(cursor, "reading_staging", staged)


def _compose(template: LiteralString, table: str) -> sql.Composed:
    keys = _KEYS[table]
    return sql.SQL(template).format(
        table=sql.Identifier(table),
        keys=sql.SQL(", ").join(map(sql.Identifier, keys)),
        same=sql.SQL(" and ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(key)) for key in keys),
    )


_ADD: Final = """
    with added as (
        insert into {table} (observed_at, register_micro, batch_id, meter_id, status, message_no)
        select observed_at, register_micro, batch_id, meter_id, status, message_no from reading_staging order by row_no
        on conflict do nothing returning {keys})
    select row_no from added join reading_staging using ({keys})"""
# LIMIT makes this an index look-up for every row, whatever the planner believes of the sizes; the constant span of
# times leaves other chunks of a hypertable alone.
_FIND: Final = """
    select h.register_micro, h.batch_id, s.row_no, h.status, h.message_no, false
    from reading_staging s cross join lateral (
        select t.register_micro, t.batch_id, t.status, t.message_no from {table} t
        where {same} and t.observed_at between %s and %s limit 1) h"""
