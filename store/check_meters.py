"""Check meters: which one measures the same as a meter, in series at its service point, and with which certificate."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from store.site_tests import StandardRow

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class CheckPair:
    """A meter and a check meter in series with it over [start, end) [us since 1970]; None: open."""

    meter_id: int
    check_meter_id: int
    start_us: int | None
    end_us: int | None


def check_pairs(connection: Connection, meter_ids: Sequence[int], since: datetime, at: datetime) -> list[CheckPair]:
    """The check meters in series with the meters at some time in [since, at], by meter, check meter and start.

    In series are those at the same service point, of the same medium, direction and phase. The meter itself must still
    be there at the end; a check meter may have been taken away since.
    """
    rows = connection.execute(
        "select i.meter_id, c.meter_id,"
        " case when isfinite(lower(i.during * c.during))"
        "      then (extract(epoch from lower(i.during * c.during)) * 1000000)::bigint end,"
        " case when isfinite(upper(i.during * c.during))"
        "      then (extract(epoch from upper(i.during * c.during)) * 1000000)::bigint end"
        " from installation i join installation c on c.service_point_id = i.service_point_id"
        "  and c.medium = i.medium and c.direction = i.direction and c.phase = i.phase and c.role = 'check'"
        " where i.meter_id = any(%(ids)s) and i.role <> 'check' and i.during @> %(at)s"
        "  and c.during && i.during * tstzrange(%(since)s, %(at)s, '[]')"
        " order by i.meter_id, c.meter_id, lower(c.during) nulls first",
        {"ids": [int(meter_id) for meter_id in meter_ids], "since": since, "at": at},
    ).fetchall()
    return [CheckPair(*row) for row in rows]


def certificates_of_meters(connection: Connection, meter_ids: Sequence[int], on: date) -> dict[int, StandardRow]:
    """Each meter's certificate as a reference standard that holds on a day, else the one that was valid last before."""
    rows = connection.execute(
        "select distinct on (meter_id) meter_id, reference_standard_id, code, certificate, expanded_uncertainty_pct,"
        " coverage_factor, valid_from, valid_until from reference_standard"
        " where meter_id = any(%(ids)s) and valid_from <= %(on)s"
        " order by meter_id, (valid_until >= %(on)s) desc, valid_from desc",
        {"ids": [int(meter_id) for meter_id in meter_ids], "on": on},
    ).fetchall()
    return {meter_id: StandardRow(*facts) for meter_id, *facts in rows}
