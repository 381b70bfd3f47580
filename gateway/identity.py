"""Who a meter is: (utility, serial) to the registry's meter, kept in memory until the registry changes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from metrology.quantities import Medium
from store.registry import Identities, load_identities

UNKNOWN = 0  # no meter has this id: the database counts from 1
MEDIA = tuple(Medium)
MEDIUM_CODE = {medium: code for code, medium in enumerate(MEDIA)}


@dataclass(frozen=True, slots=True)
class IdentityMap:
    """The registry's meters at one version, laid out for looking up many serials at once."""

    version: int
    utilities: dict[str, int]
    meters: dict[str, dict[str, int]]  # meter ids by serial, by utility
    medium_of: NDArray[np.int8]  # index into MEDIA by meter id; -1: no such meter

    @classmethod
    def of(cls, identities: Identities) -> "IdentityMap":
        """Lay out what the store loaded."""
        meters: dict[str, dict[str, int]] = {code: {} for code in identities.utilities}
        largest = max((meter.meter_id for meter in identities.meters.values()), default=0)
        medium_of = np.full(largest + 1, -1, dtype=np.int8)
        for (utility, serial), meter in identities.meters.items():
            meters[utility][serial] = meter.meter_id
            medium_of[meter.meter_id] = MEDIUM_CODE[Medium(meter.medium)]
        return cls(identities.version, identities.utilities, meters, medium_of)


class IdentityCache:
    """The identity map of the registry's current version; one user at a time."""

    def __init__(self) -> None:
        self._map: IdentityMap | None = None

    def at(self, conn: psycopg.Connection[Any], version: int) -> IdentityMap:
        """The map at `version`; loaded where it changed, through `conn`, which holds the registry's lock."""
        if self._map is None or self._map.version != version:
            self._map = IdentityMap.of(load_identities(conn))
        return self._map
