"""Which concentrator carries which meter, how far it has come, and until when each meter's readings are whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import class_row

from store.binary_copy import copy_out
from store.times import to_datetime

Connection = psycopg.Connection[Any]
Ids = Sequence[int] | NDArray[np.integer[Any]]

# A time of a meter in a zone: its readings are expected at the multiples of `interval_s` in [from_us, until_us).
SPAN: Final = np.dtype(
    [("meter_id", "<i4"), ("interval_s", "<i4"), ("from_us", "<i8"), ("until_us", "<i8"), ("is_reference", "?")]
)


@dataclass(frozen=True, slots=True)
class Concentrator:
    """A sender of native readings and how it was treated so far; see store/migrations/0004_commands.sql."""

    concentrator_id: int
    utility: str
    gateway: str
    last_observed_at: datetime
    marked_observed_at: datetime | None
    marked_at: datetime | None
    settled_observed_at: datetime | None
    unanswered: int
    asks_after: datetime | None


def note_concentrators(connection: Connection, seen: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    """Notes concentrators: utility's code, gateway, latest reading [us since 1970]. Returns their ids by name.

    Those of unknown utilities are left out. `last_observed_at` never goes back.
    """
    if not seen:
        return {}
    rows = connection.execute(
        "insert into concentrator as c (utility_id, gateway, last_observed_at)"
        " select u.utility_id, s.gateway, s.last_at"
        " from unnest(%s::text[], %s::text[], %s::timestamptz[]) s (utility, gateway, last_at)"
        " join utility u on u.code = s.utility order by 1, 2"
        " on conflict (utility_id, gateway) do update"
        " set last_observed_at = greatest(c.last_observed_at, excluded.last_observed_at)"
        " returning concentrator_id, (select code from utility u where u.utility_id = c.utility_id), gateway",
        ([one[0] for one in seen], [one[1] for one in seen], [to_datetime(one[2]) for one in seen]),
    )
    return {(utility, gateway): concentrator_id for concentrator_id, utility, gateway in rows.fetchall()}


def note_routes(connection: Connection, meter_ids: Ids, concentrator_ids: Ids, first_us: Ids) -> int:
    """Notes by which concentrator the last reading of each meter came; returns how many ways are new or changed.

    `first_us` [us since 1970]: from when on readings of a meter are expected that was not known before.
    """
    return connection.execute(
        "insert into meter_route as r (meter_id, concentrator_id, whole_until)"
        " select s.meter_id, s.concentrator_id, 'epoch'::timestamptz + s.first_us * interval '1 microsecond'"
        " from unnest(%s::integer[], %s::integer[], %s::bigint[]) s (meter_id, concentrator_id, first_us)"
        " left join meter_route known using (meter_id)"
        " where known.concentrator_id is distinct from s.concentrator_id order by s.meter_id"
        " on conflict (meter_id) do update set concentrator_id = excluded.concentrator_id",
        (_ints(meter_ids), _ints(concentrator_ids), _ints(first_us)),
    ).rowcount


def next_concentrator(connection: Connection, looked_before: datetime) -> Concentrator | None:
    """The concentrator that was not looked at for longest, and not since `looked_before`; None if there is none."""
    with connection.cursor(row_factory=class_row(Concentrator)) as cursor:
        return cursor.execute(
            "select concentrator_id, u.code as utility, gateway, last_observed_at, marked_observed_at, marked_at,"
            " settled_observed_at, unanswered, asks_after from concentrator join utility u using (utility_id)"
            " where looked_at is null or looked_at <= %s"
            " order by looked_at nulls first, concentrator_id limit 1",
            (looked_before,),
        ).fetchone()


def note_looked(
    connection: Connection,
    concentrator_id: int,
    at: datetime,
    marked: tuple[datetime, datetime],
    settled_observed_at: datetime | None,
) -> None:
    """Notes a look at `at`; `marked`: the latest reading and when it was the latest."""
    connection.execute(
        "update concentrator set looked_at = %s, marked_observed_at = %s, marked_at = %s, settled_observed_at = %s"
        " where concentrator_id = %s",
        (at, *marked, settled_observed_at, concentrator_id),
    )


def unanswered_of(connection: Connection, concentrator_id: int) -> int:
    """How many successive commands this concentrator left unanswered."""
    row = connection.execute(
        "select unanswered from concentrator where concentrator_id = %s", (concentrator_id,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def note_answering(connection: Connection, concentrator_id: int, unanswered: int, asks_after: datetime | None) -> None:
    """Notes how many successive commands were left unanswered, and before when nothing is asked."""
    connection.execute(
        "update concentrator set unanswered = %s, asks_after = %s where concentrator_id = %s",
        (unanswered, asks_after, concentrator_id),
    )


def meters_to_look_at(connection: Connection, concentrator_id: int, limit: int) -> list[int]:
    """The ids of at most `limit` of its meters, those first that were not looked at for longest."""
    rows = connection.execute(
        "select meter_id from meter_route where concentrator_id = %s order by looked_at nulls first, meter_id limit %s",
        (concentrator_id, limit),
    )
    return [row[0] for row in rows.fetchall()]


def expected_spans(connection: Connection, meter_ids: Ids, from_at: datetime, until_at: datetime) -> NDArray[np.void]:
    """Where readings of these meters are expected between the two times and not known to be whole, SPAN.

    By meter and start; meters in no zone have no interval and are left out.
    """
    with connection.cursor() as cursor:
        spans = copy_out(
            cursor,
            "select r.meter_id, z.interval_s,"
            " greatest(r.whole_until, %s, coalesce(lower(i.during * m.during), '-infinity')) as from_at,"
            " least(%s, coalesce(upper(i.during * m.during), 'infinity')) as until_at, i.role = 'reference'"
            " from meter_route r join installation i using (meter_id)"
            " join zone_membership m on m.service_point_id = i.service_point_id and m.medium = i.medium"
            "  and m.during && i.during"
            " join zone z using (zone_id) where r.meter_id = any(%s) order by 1, 3",
            (from_at, until_at, _ints(meter_ids)),
            SPAN,
        )
    return spans[spans["from_us"] < spans["until_us"]]


def note_whole(connection: Connection, meter_ids: Ids, whole_until_us: Ids, at: datetime) -> None:
    """Notes until when each of these meters' readings are whole [us since 1970], and that they were looked at."""
    connection.execute(
        "update meter_route r set looked_at = %s, whole_until ="
        " greatest(r.whole_until, 'epoch'::timestamptz + s.until_us * interval '1 microsecond')"
        " from unnest(%s::integer[], %s::bigint[]) s (meter_id, until_us) where r.meter_id = s.meter_id",
        (at, _ints(meter_ids), _ints(whole_until_us)),
    )


def _ints(values: Ids) -> list[int]:
    return [int(value) for value in values]
