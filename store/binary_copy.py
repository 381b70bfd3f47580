"""Structured numpy arrays to and from PostgreSQL's binary COPY format, without a Python loop over rows.

A row of the stream is a 16-bit field count and, for each field, a 32-bit length and the big-endian value (PostgreSQL
documentation, COPY, "Binary Format"). With fixed-size fields a structured big-endian array *is* the stream: the field
count and the lengths are constant columns.

Fields and columns: `i2`, `i4`, `i8`, `f4`, `f8` and `?` stand for smallint, integer, bigint, real, double precision and
boolean; `V16` for a bytea of exactly 16 bytes. An `i8` field named `…_us` [microseconds since 1970] stands for the
timestamptz column of the same name ending in `_at`. Other names are the same on both sides.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor, sql

from metrology.errors import InvalidInputError
from store.errors import StoreError

Structured = NDArray[np.void]

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, flags, length of the header's extension
_TRAILER: Final = b"\xff\xff"
_PG_EPOCH_US: Final = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts
_CHUNK_ROWS: Final = 65_536  # bounds the memory of the converted stream
_NULL_LENGTH: Final = np.frombuffer(b"\xff\xff\xff\xff", dtype=np.uint8)


def copy_in(
    cursor: Cursor[Any],
    table: str,
    array: Structured,
    columns: Sequence[str] | None = None,
    nulls: Mapping[str, NDArray[np.bool_]] | None = None,
) -> None:
    """Copies a structured array, shape (n,), into `table`.

    `columns` names the fields to copy (default: all); `nulls` holds, by field, a mask of the rows that are NULL.
    Raises InvalidInputError for a time that PostgreSQL can't hold, and psycopg's errors for broken constraints.
    """
    fields = list(columns if columns is not None else array.dtype.names or ())
    if len(array) == 0:
        return
    target = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(column_name(field)) for field in fields)
    )
    with cursor.copy(target) as copy:
        copy.write(_HEADER)
        for start in range(0, len(array), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            masks = {field: mask[part] for field, mask in (nulls or {}).items() if mask[part].any()}
            copy.write(encode_rows(array[part], fields, masks))
        copy.write(_TRAILER)


def copy_out(
    cursor: Cursor[Any], query: LiteralString | sql.Composable, params: Sequence[Any] | None, dtype: np.dtype[Any]
) -> Structured:
    """The rows of `query` as a structured array of `dtype`, shape (n,); its fields are the query's columns in order.

    Raises StoreError where a column's type or a NULL does not fit the dtype (coalesce it in the query).
    """
    statement = sql.SQL("copy ({}) to stdout (format binary)").format(
        query if isinstance(query, sql.Composable) else sql.SQL(query)
    )
    stream = bytearray()
    with cursor.copy(statement, params) as copy:
        for data in copy:
            stream += data
    return decode_rows(stream, dtype)


def column_name(field: str) -> str:
    """The column that a field stands for: `observed_us` is `observed_at`."""
    return field.removesuffix("_us") + "_at" if field.endswith("_us") else field


def wire_dtype(dtype: np.dtype[Any], fields: Sequence[str]) -> np.dtype[Any]:
    """The layout of one row of the stream: the field count, then length and value of each field.

    Raises TypeError for a type that has no counterpart of fixed size.
    """
    parts: list[tuple[str, str]] = [("count", ">i2")]
    for position, field in enumerate(fields):
        kind = dtype[field]
        if kind.kind not in "if?bV" or kind.shape or (kind.kind == "i" and kind.itemsize == 1):
            raise TypeError(f"field {field!r} of type {kind} has no column type of fixed size")
        parts += [(f"length{position}", ">i4"), (f"value{position}", kind.newbyteorder(">").str)]
    return np.dtype(parts)


def encode_rows(
    array: Structured, fields: Sequence[str], nulls: Mapping[str, NDArray[np.bool_]] | None = None
) -> memoryview:
    """The stream's bytes for these rows, without header and trailer; arguments as for `copy_in`."""
    rows = np.empty(len(array), wire_dtype(array.dtype, fields))
    rows["count"] = len(fields)
    for position, field in enumerate(fields):
        values = array[field]
        rows[f"length{position}"] = values.dtype.itemsize
        rows[f"value{position}"] = (
            _to_pg_time(values, field, (nulls or {}).get(field)) if _is_time(array.dtype, field) else values
        )
    stream = rows.view(np.uint8)
    return (_drop_nulls(rows, fields, nulls) if nulls else stream).data


def decode_rows(stream: bytes | bytearray, dtype: np.dtype[Any]) -> Structured:
    """The rows of a complete stream (header to trailer) as an array of `dtype`. Raises StoreError as `copy_out`."""
    fields = dtype.names or ()
    wire = wire_dtype(dtype, fields)
    start = len(_HEADER) + int.from_bytes(stream[15:19])
    body = memoryview(stream)[start : len(stream) - len(_TRAILER)]
    if len(body) % wire.itemsize:
        raise StoreError(f"a row of the query's result does not fit {dtype}; check its columns' types, coalesce NULLs")
    rows = np.frombuffer(body, wire)
    out = np.empty(len(rows), dtype)
    fits = rows["count"] == len(fields)
    for position, field in enumerate(fields):
        fits &= rows[f"length{position}"] == dtype[field].itemsize
        out[field] = rows[f"value{position}"]
        if _is_time(dtype, field):
            out[field] += _PG_EPOCH_US
    if not fits.all():
        raise StoreError(
            f"row {int(np.argmin(fits))} of the query's result does not fit {dtype}; check types, coalesce NULLs"
        )
    return out


def _is_time(dtype: np.dtype[Any], field: str) -> bool:
    return field.endswith("_us") and dtype[field].kind == "i"


def _to_pg_time(time_us: NDArray[np.int64], field: str, null: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    too_early = time_us < np.iinfo(np.int64).min + _PG_EPOCH_US
    if null is not None:
        too_early &= ~null
    if too_early.any():
        raise InvalidInputError(
            f"{field} = {int(time_us[too_early][0])} us lies before the first time that can be stored"
        )
    return time_us - _PG_EPOCH_US


def _drop_nulls(rows: Structured, fields: Sequence[str], nulls: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """A NULL has length -1 and no value: set the lengths, then leave the values' bytes out."""
    matrix = rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
    keep = np.ones(matrix.shape, dtype=np.bool_)
    offsets = {name: entry[1] for name, entry in (rows.dtype.fields or {}).items()}
    for position, field in enumerate(fields):
        null = nulls.get(field)
        if null is None:
            continue
        length, value = offsets[f"length{position}"], offsets[f"value{position}"]
        matrix[null, length : length + 4] = _NULL_LENGTH
        keep[null, value : value + rows.dtype[f"value{position}"].itemsize] = False
    return matrix[keep]
