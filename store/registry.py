"""The registry as other rooms read it: identities for the gateway, meters, installations, zones for the verifier.

Times of installations and memberships are half-open and in microseconds since 1970; None is without bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from metrology.errors import NotFoundError

Connection = psycopg.Connection[Any]

REGISTRY_LOCK: Final = 0x6D70_0002  # advisory lock of a transaction: shared by batches, exclusive for imports


class MeterIdentity(NamedTuple):
    """What the gateway needs of a meter."""

    meter_id: int
    utility_id: int
    medium: str
    unit: str


@dataclass(frozen=True, slots=True)
class Identities:
    """Who is who at a version of the registry."""

    version: int
    meters: dict[tuple[str, str], MeterIdentity]  # by utility's code and serial
    utilities: dict[str, int]  # ids by code


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter; registers in millionths of its medium's base unit, before multipliers."""

    meter_id: int
    utility_id: int
    utility: str
    serial: str
    medium: str
    unit: str
    resolution_micro: int
    register_modulus_micro: int | None
    accuracy_class: str
    manufacturer: str
    model: str
    lot: str
    validity_until: date | None
    mpe_pct: float | None
    prior_sd_pct: float | None
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class Installation:
    """A meter at a service point during [start, end)."""

    installation_id: int
    meter_id: int
    service_point_id: int
    service_point: str
    role: str
    direction: str
    phase: str
    multiplier: Decimal
    start_us: int | None
    end_us: int | None
    start_register_micro: int | None
    end_register_micro: int | None


@dataclass(frozen=True, slots=True)
class ZoneMember:
    """An installation while its service point lies in `zone_id`: the zone itself or one inside it."""

    zone_id: int
    start_us: int | None
    end_us: int | None
    installation: Installation


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone and everything installed in it and in the zones inside it, over all time."""

    zone_id: int
    utility_id: int
    utility: str
    code: str
    medium: str
    parent_zone_id: int | None
    interval_s: int
    reference_uncertainty_pct: float
    members: tuple[ZoneMember, ...] = ()


def lock_registry_shared(connection: Connection) -> int:
    """Keeps imports out until the transaction ends; returns the registry's version."""
    connection.execute("select pg_advisory_xact_lock_shared(%s)", (REGISTRY_LOCK,))
    # A statement of its own, so that it sees what an import that was waited for has committed.
    return registry_version(connection)


def lock_registry(connection: Connection) -> None:
    """Keeps batches and other imports out until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (REGISTRY_LOCK,))


def registry_version(connection: Connection) -> int:
    """The number of changes of the registry so far."""
    row = connection.execute("select version from registry_version").fetchone()
    return 0 if row is None else int(row[0])


def load_identities(connection: Connection) -> Identities:
    """All utilities and meters by name. Call after `lock_registry_shared`, or an import may come in between."""
    version = registry_version(connection)
    utilities = dict(connection.execute("select code, utility_id from utility").fetchall())
    codes = {utility_id: code for code, utility_id in utilities.items()}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute("select utility_id, serial, meter_id, medium, unit from meter").fetchall()
    meters = {
        (codes[utility_id], serial): MeterIdentity(meter_id, utility_id, medium, unit)
        for utility_id, serial, meter_id, medium, unit in rows
    }
    return Identities(version, meters, utilities)


def load_meters(connection: Connection, meter_ids: Sequence[int] | None = None) -> list[Meter]:
    """The meters of these ids (default: all), by id; ids without a meter are left out."""
    with connection.cursor(row_factory=class_row(Meter)) as cursor:
        return cursor.execute(
            "select meter_id, utility_id, utility.code as utility, serial, medium, unit, resolution_micro,"
            " register_modulus_micro, accuracy_class, manufacturer, model, lot, validity_until, mpe_pct, prior_sd_pct,"
            " registered_at from meter join utility using (utility_id)"
            " where %(all)s or meter_id = any(%(ids)s) order by meter_id",
            _ids(meter_ids),
        ).fetchall()


def load_installations(connection: Connection, meter_ids: Sequence[int] | None = None) -> list[Installation]:
    """The installations of these meters (default: all), by meter and start."""
    rows = connection.execute(
        sql.SQL(
            "select {} from installation i join service_point p using (service_point_id)"
            " where %(all)s or i.meter_id = any(%(ids)s) order by i.meter_id, lower(i.during) nulls first"
        ).format(_INSTALLATION),
        _ids(meter_ids),
    ).fetchall()
    return [Installation(*row) for row in rows]


def list_zones(connection: Connection) -> list[int]:
    """The ids of all zones."""
    return [row[0] for row in connection.execute("select zone_id from zone order by zone_id").fetchall()]


def zones_of_meters(connection: Connection, meter_ids: Sequence[int]) -> list[int]:
    """The zones in which these meters were ever installed, with the zones around these."""
    rows = connection.execute(
        "with recursive around (zone_id, parent_zone_id) as ("
        " select z.zone_id, z.parent_zone_id from zone z where z.zone_id in ("
        "  select m.zone_id from installation i join zone_membership m using (service_point_id, medium)"
        "  where i.meter_id = any(%s) and i.during && m.during)"
        " union select z.zone_id, z.parent_zone_id from zone z join around a on z.zone_id = a.parent_zone_id)"
        " select zone_id from around order by zone_id",
        ([int(meter_id) for meter_id in meter_ids],),
    ).fetchall()
    return [row[0] for row in rows]


def load_zone(connection: Connection, zone_id: int) -> Zone:
    """The zone with its members, by meter and start. Raises NotFoundError."""
    row = connection.execute(
        "select zone_id, utility_id, utility.code, zone.code, medium, parent_zone_id, interval_s,"
        " reference_uncertainty_pct from zone join utility using (utility_id) where zone_id = %s",
        (zone_id,),
    ).fetchone()
    if row is None:
        raise NotFoundError(f"zone {zone_id} does not exist")
    return Zone(*(*row, _load_members(connection, zone_id)))


def _load_members(connection: Connection, zone_id: int) -> tuple[ZoneMember, ...]:
    rows = connection.execute(
        sql.SQL(
            "with recursive inside (zone_id) as (select %s::integer union"
            " select z.zone_id from zone z join inside on z.parent_zone_id = inside.zone_id)"
            " select m.zone_id, (extract(epoch from lower(m.during * i.during)) * 1000000)::bigint,"
            " (extract(epoch from upper(m.during * i.during)) * 1000000)::bigint, {}"
            " from inside join zone_membership m using (zone_id)"
            " join installation i on i.service_point_id = m.service_point_id and i.medium = m.medium"
            "  and i.during && m.during"
            " join service_point p on p.service_point_id = i.service_point_id"
            " order by i.meter_id, lower(m.during * i.during) nulls first"
        ).format(_INSTALLATION),
        (zone_id,),
    ).fetchall()
    return tuple(ZoneMember(*(*row[:3], Installation(*row[3:]))) for row in rows)


_INSTALLATION: Final = sql.SQL(
    "i.installation_id, i.meter_id, i.service_point_id, p.code, i.role, i.direction, i.phase, i.multiplier,"
    " (extract(epoch from lower(i.during)) * 1000000)::bigint, (extract(epoch from upper(i.during)) * 1000000)::bigint,"
    " i.start_register_micro, i.end_register_micro"
)


def _ids(meter_ids: Sequence[int] | None) -> dict[str, Any]:
    return {"all": meter_ids is None, "ids": [] if meter_ids is None else [int(meter_id) for meter_id in meter_ids]}
