"""The resistances of a zone's network, put in the order of the balance's members. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np

from store.registry import Zone
from verifier.balance.types import Floats


def customers_in_order(zone: Zone) -> list[int]:
    """The ids of the zone's own customers' meters in the order of the meters file, each once."""
    own = (m.installation for m in zone.members if m.zone_id == zone.zone_id and m.installation.role == "customer")
    return sorted({place.meter_id for place in own})


def resistance_of(zone: Zone, customers: Sequence[int], resistance_ohm: Floats) -> Floats:
    """The resistances (N, N) of `customers_in_order` in the order of these meters; 0 for those that are none of them.

    `customers` are meter_ids, a meter that came back standing there again.
    """
    return _in_order({meter_id: i for i, meter_id in enumerate(customers_in_order(zone))}, customers, resistance_ohm)


def resistance_by_place(
    zone: Zone, named: Sequence[int], customers: Sequence[int], resistance_ohm: Floats
) -> Floats | None:
    """The resistances (N, N) of the meters `named` in the order of these customers; None if it tells of none of them.

    A path belongs to the place: a meter that is not named takes that of the one named at the service point where it
    was last, the latest of several (an exchange). 0 for all others.
    """
    rows = {meter_id: i for i, meter_id in enumerate(named)}
    own = [m for m in zone.members if m.zone_id == zone.zone_id and m.installation.role == "customer"]
    own.sort(key=lambda m: (-(2**62) if m.start_us is None else m.start_us, m.installation.meter_id))
    places = {
        m.installation.service_point: rows[m.installation.meter_id] for m in own if m.installation.meter_id in rows
    }
    last = {m.installation.meter_id: m.installation.service_point for m in own}
    taken = {meter_id: places[point] for meter_id, point in last.items() if point in places}
    rows = taken | rows
    return _in_order(rows, customers, resistance_ohm) if rows.keys() & set(customers) else None


def _in_order(rows: Mapping[int, int], customers: Sequence[int], resistance_ohm: Floats) -> Floats:
    known = [k for k, meter_id in enumerate(customers) if meter_id in rows]
    at = [rows[customers[k]] for k in known]
    out = np.zeros((len(customers), len(customers)))
    out[np.ix_(known, known)] = resistance_ohm[np.ix_(at, at)]
    return out
