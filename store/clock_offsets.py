"""What is known of each device's clock: the envelope of its arrivals (opaque here), and the offset from it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from store.binary_copy import copy_in, copy_out

Connection = psycopg.Connection[Any]
Ids = Sequence[int] | NDArray[np.integer[Any]]


def load_clocks(connection: Connection, meter_ids: Ids, layout: np.dtype[Any]) -> NDArray[np.void]:
    """The clock states of those of the meters that have one, in the order of their ids, as an array of `layout`."""
    return _load(
        connection,
        "select state from clock_offset where meter_id = any(%s) order by meter_id",
        ([int(meter_id) for meter_id in meter_ids],),
        layout,
    )


def clocks_of_concentrator(connection: Connection, concentrator_id: int, layout: np.dtype[Any]) -> NDArray[np.void]:
    """The clock states of all meters whose readings come by this concentrator, in the order of their ids."""
    return _load(
        connection,
        "select c.state from clock_offset c join meter_route r using (meter_id) where r.concentrator_id = %s"
        " order by c.meter_id",
        (concentrator_id,),
        layout,
    )


def save_clocks(connection: Connection, clocks: NDArray[np.void]) -> None:
    """Writes these states (a structured array with `meter_id`), in place of those before."""
    if not len(clocks):
        return
    rows = np.empty(len(clocks), np.dtype([("meter_id", "<i4"), ("state", f"V{clocks.dtype.itemsize}")]))
    rows["meter_id"] = clocks["meter_id"]
    rows["state"] = np.ascontiguousarray(clocks).view(f"V{clocks.dtype.itemsize}")
    with connection.cursor() as cursor:
        cursor.execute(
            "create temporary table if not exists clock_staging (meter_id integer, state bytea) on commit delete rows"
        )
        cursor.execute("truncate clock_staging")
        copy_in(cursor, "clock_staging", rows)
        cursor.execute(
            "insert into clock_offset (meter_id, state) select meter_id, state from clock_staging order by meter_id"
            " on conflict (meter_id) do update set state = excluded.state"
        )


def save_offsets(connection: Connection, offsets: NDArray[np.void], at: datetime) -> None:
    """Writes estimates (fields meter_id, samples, offset_s, low_s, high_s; NaN where unknown), made at `at`."""
    names = ("meter_id", "samples", "offset_s", "low_s", "high_s")
    connection.execute(
        "update clock_offset c set samples = s.samples, offset_s = nullif(s.offset_s, 'NaN'),"
        " low_s = nullif(s.low_s, 'NaN'), high_s = nullif(s.high_s, 'NaN'), estimated_at = %s"
        " from unnest(%s::integer[], %s::integer[], %s::float8[], %s::float8[], %s::float8[])"
        " s (meter_id, samples, offset_s, low_s, high_s) where c.meter_id = s.meter_id",
        (at, *(offsets[name].tolist() for name in names)),
    )


def note_synchronised(connection: Connection, meter_ids: Ids, at: datetime) -> None:
    """Notes when these clocks were set; the estimates from before no longer hold."""
    connection.execute(
        "update clock_offset set synchronised_at = %s, samples = 0, offset_s = null, low_s = null, high_s = null,"
        " estimated_at = null where meter_id = any(%s)",
        (at, [int(meter_id) for meter_id in meter_ids]),
    )


def _load(connection: Connection, query: Any, params: Sequence[Any], layout: np.dtype[Any]) -> NDArray[np.void]:
    with connection.cursor() as cursor:
        rows = copy_out(cursor, query, params, np.dtype([("state", f"V{layout.itemsize}")]))
    return np.ascontiguousarray(rows["state"]).view(layout)
