"""What the checks on register steps need to know of meters: register, model, and where each was installed when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class InstallationFacts:
    """A stay of a meter at a service point in [start, end) [us since 1970]; None: open.

    The predecessor is the meter that was last there before, with the same medium, role, direction and
    phase.
    """

    service_point: str
    role: str
    multiplier: float
    start_us: int | None
    end_us: int | None
    start_register_micro: int | None
    end_register_micro: int | None
    predecessor_serial: str | None
    predecessor_end_register_micro: int | None


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """A meter and its installations in order of time."""

    meter_id: int
    utility: str
    serial: str
    medium: str
    model: str
    resolution_micro: int
    register_modulus_micro: int | None
    installations: tuple[InstallationFacts, ...]


def load_meter_records(connection: Connection, meter_ids: Sequence[int]) -> list[MeterRecord]:
    """The meters with these ids, in the order of their ids; an unknown id is left out."""
    ids = [int(meter_id) for meter_id in meter_ids]
    places: dict[int, list[InstallationFacts]] = {}
    for meter_id, *facts in connection.execute(_INSTALLATIONS, (ids,)):
        places.setdefault(meter_id, []).append(InstallationFacts(*facts))
    rows = connection.execute(
        "select m.meter_id, u.code, m.serial, m.medium, m.model, m.resolution_micro, m.register_modulus_micro"
        " from meter m join utility u using (utility_id) where m.meter_id = any(%s) order by m.meter_id",
        (ids,),
    ).fetchall()
    return [
        MeterRecord(meter_id, utility, serial, medium, model, resolution, modulus, tuple(places.get(meter_id, ())))
        for meter_id, utility, serial, medium, model, resolution, modulus in rows
    ]


def registry_version(connection: Connection) -> int:
    """The registry's version, raised by every change."""
    row = connection.execute("select version from registry_version").fetchone()
    return 0 if row is None else int(row[0])


_INSTALLATIONS = """
    select i.meter_id, s.code, i.role, i.multiplier::float8,
           case when isfinite(lower(i.during)) then (extract(epoch from lower(i.during)) * 1000000)::bigint end,
           case when isfinite(upper(i.during)) then (extract(epoch from upper(i.during)) * 1000000)::bigint end,
           i.start_register_micro, i.end_register_micro, before.serial, before.end_register_micro
    from installation i
    join service_point s using (service_point_id)
    left join lateral (
        select m.serial, o.end_register_micro
        from installation o join meter m on m.meter_id = o.meter_id
        where o.service_point_id = i.service_point_id and o.meter_id <> i.meter_id
          and o.medium = i.medium and o.role = i.role and o.direction = i.direction and o.phase = i.phase
          and upper(o.during) <= lower(i.during)
        order by upper(o.during) desc limit 1) before on true
    where i.meter_id = any(%s)
    order by i.meter_id, lower(i.during) nulls first"""
