"""Digests of meters' weeks at light load, and up to when each meter's were made."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[Any]


class WeeksState(NamedTuple):
    """Up to when a meter's weeks were digested, and the basis that they were digested on."""

    assessed_through: datetime
    basis: int


def weeks_states(connection: Connection, meter_ids: Sequence[int]) -> dict[int, WeeksState]:
    """The state of each meter that has one. Call under the follower's lock: another verifier would change it."""
    rows = connection.execute(
        "select meter_id, assessed_through, basis from light_load_state where meter_id = any(%s)",
        ([int(meter_id) for meter_id in meter_ids],),
    )
    return {meter_id: WeeksState(through, basis) for meter_id, through, basis in rows}


def set_weeks_states(connection: Connection, states: Mapping[int, WeeksState]) -> None:
    """Notes the meters' states."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into light_load_state (meter_id, assessed_through, basis) values (%s, %s, %s)"
            " on conflict (meter_id) do update"
            " set assessed_through = excluded.assessed_through, basis = excluded.basis",
            [(meter_id, *state) for meter_id, state in states.items()],
        )


def first_readings(connection: Connection, meter_ids: Sequence[int]) -> dict[int, datetime]:
    """The earliest reading of each meter that has one."""
    return dict(
        connection.execute(
            "select m.id, f.observed_at from unnest(%s::int[]) m(id),"
            " lateral (select observed_at from reading where meter_id = m.id order by observed_at limit 1) f",
            ([int(meter_id) for meter_id in meter_ids],),
        ).fetchall()
    )


def replace_weeks(
    connection: Connection,
    meter_ids: Sequence[int],
    span: tuple[datetime, datetime],
    weeks: Sequence[tuple[int, datetime, Mapping[str, Any]]],
) -> None:
    """Puts digests (meter, start, digest) in the place of all that the meters have from span[0] to before span[1]."""
    connection.execute(
        "delete from light_load_week where meter_id = any(%s) and week_start >= %s and week_start < %s",
        ([int(meter_id) for meter_id in meter_ids], *span),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into light_load_week (meter_id, week_start, digest) values (%s, %s, %s)",
            [(meter_id, start, Jsonb(dict(digest))) for meter_id, start, digest in weeks],
        )


def digests_of(connection: Connection, meter_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """All digests of the meters in order of time."""
    out: dict[int, list[dict[str, Any]]] = {int(meter_id): [] for meter_id in meter_ids}
    rows = connection.execute(
        "select meter_id, digest from light_load_week where meter_id = any(%s) order by meter_id, week_start",
        (list(out),),
    )
    for meter_id, digest in rows:
        out[meter_id].append(digest)
    return out
