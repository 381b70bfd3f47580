"""The resistances of a zone's network as a file gives them, put in the order of the balance's members. Pure."""

from collections.abc import Sequence

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
    place = {meter_id: i for i, meter_id in enumerate(customers_in_order(zone))}
    known = [k for k, meter_id in enumerate(customers) if meter_id in place]
    at = [place[customers[k]] for k in known]
    out = np.zeros((len(customers), len(customers)))
    out[np.ix_(known, known)] = resistance_ohm[np.ix_(at, at)]
    return out
