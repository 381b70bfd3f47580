"""What is known of a zone beside its readings, as a day's outcome may use it: nothing from after the day."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from store.registry import Zone
from store.side import ConditionRecords, Network, load_conditions, load_network
from verifier.balance.types import MemberSeries, SideInformation
from verifier.resistances import resistance_by_place

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class ZoneSide:
    """A zone's network, if it is known, and its conditions over a span."""

    network: Network | None
    conditions: ConditionRecords


def load_zone_side(connection: Connection, zone_id: int, start_us: int, end_us: int) -> ZoneSide:
    """What is in force of the zone for histories within [start, end]."""
    return ZoneSide(load_network(connection, zone_id), load_conditions(connection, zone_id, start_us, end_us))


def side_of_day(
    zone: Zone, known: ZoneSide, members: Sequence[MemberSeries], start_us: int, end_us: int
) -> SideInformation:
    """The part of it that the outcome at `end_us` rests on, given the history's beginning and its members. Pure.

    The network is the same at any time; of the conditions those up to the end, from the last before the beginning on.
    """
    side = SideInformation()
    if known.network is not None:
        customers = [member.meter_id for member in members if not member.is_reference]
        resistance = resistance_by_place(zone, known.network.meter_ids, customers, known.network.resistance_ohm)
        side = replace(side, resistance_ohm=resistance, neutral_ratio=known.network.neutral_ratio)
    conditions = known.conditions.within(start_us, end_us)
    if not conditions.observed_us.size:
        return side
    return replace(
        side,
        conditions_us=conditions.observed_us,
        pressure_m=conditions.of("pressure_m"),
        temperature_degc=conditions.of("temperature_degc"),
        atmospheric_hpa=conditions.of("atmospheric_hpa"),
    )
