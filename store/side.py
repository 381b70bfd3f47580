"""What is known of a zone beside its readings: the resistances of its network, and its conditions over time.

Nothing is overwritten: what an import takes out of force stays with the import that took its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from store.registry_state import copy_rows
from store.times import to_datetime

Connection = psycopg.Connection[Any]
Floats = NDArray[np.float64]
Instants = NDArray[np.int64]  # [us since 1970]

QUANTITIES: Final = ("pressure_m", "temperature_degc", "atmospheric_hpa")


@dataclass(frozen=True)
class Network:
    """`resistance_ohm` (N, N), symmetric: of the path that two meters share, in the order of `meter_ids`.

    `neutral_ratio`: resistance of the neutral over that of a phase conductor.
    """

    meter_ids: tuple[int, ...]
    resistance_ohm: Floats
    neutral_ratio: float = 1.0

    def equals(self, other: "Network") -> bool:
        """Whether both are the same to the bit."""
        same = (self.meter_ids, self.neutral_ratio) == (other.meter_ids, other.neutral_ratio)
        return same and np.array_equal(self.resistance_ohm, other.resistance_ohm)


@dataclass(frozen=True)
class ConditionRecords:
    """Records at `observed_us` (K,), ascending; `values` (K, 3) in the order of QUANTITIES, NaN where there is none."""

    observed_us: Instants
    values: Floats

    def within(self, start_us: int, end_us: int) -> "ConditionRecords":
        """The records that tell of [start, end]: those in it, and the last one before."""
        low = max(int(np.searchsorted(self.observed_us, start_us, side="right")) - 1, 0)
        high = int(np.searchsorted(self.observed_us, end_us, side="right"))
        return ConditionRecords(self.observed_us[low:high], self.values[low:high])

    def of(self, quantity: str) -> Floats | None:
        """A quantity's values (K,); None if none of the records has it."""
        values: Floats = self.values[:, QUANTITIES.index(quantity)]
        return None if np.isnan(values).any() else values


def load_network(connection: Connection, zone_id: int) -> Network | None:
    """The zone's network in force."""
    row = connection.execute(
        "select meter_ids, resistance_ohm, neutral_ratio from zone_network"
        " where zone_id = %s and superseded_by is null",
        (zone_id,),
    ).fetchone()
    if row is None:
        return None
    return Network(tuple(row[0]), _unpacked(np.array(row[1], dtype=np.float64), len(row[0])), float(row[2]))


def load_conditions(connection: Connection, zone_id: int, start_us: int, end_us: int) -> ConditionRecords:
    """The zone's records in force in [start, end], and the last one before; empty where there are none."""
    rows = connection.execute(
        sql.SQL(
            "select (extract(epoch from observed_at) * 1000000)::bigint, {} from zone_condition"
            " where zone_id = %(zone_id)s and superseded_by is null and observed_at <= %(end)s"
            " and observed_at >= coalesce((select max(observed_at) from zone_condition"
            "  where zone_id = %(zone_id)s and superseded_by is null and observed_at <= %(start)s), %(start)s)"
            " order by observed_at"
        ).format(_QUANTITIES),
        {"zone_id": zone_id, "start": to_datetime(start_us), "end": to_datetime(end_us)},
    ).fetchall()
    times = np.array([row[0] for row in rows], dtype=np.int64)
    return ConditionRecords(times, np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, len(QUANTITIES)))


def note_import(connection: Connection, zone_id: int, part: str, source: str, actor: str) -> int:
    """Notes where a part of a zone comes from; returns the import's number."""
    row = connection.execute(
        "insert into side_import (zone_id, part, source, imported_by) values (%s, %s, %s, %s) returning side_import_id",
        (zone_id, part, source, actor),
    ).fetchone()
    assert row is not None
    return int(row[0])


def put_network(connection: Connection, zone_id: int, network: Network, side_import_id: int) -> None:
    """Puts the network in the place of the zone's former one."""
    connection.execute(
        "update zone_network set superseded_by = %s where zone_id = %s and superseded_by is null",
        (side_import_id, zone_id),
    )
    connection.execute(
        "insert into zone_network (side_import_id, zone_id, meter_ids, resistance_ohm, neutral_ratio)"
        " values (%s, %s, %s, %s, %s)",
        (side_import_id, zone_id, list(network.meter_ids), _packed(network.resistance_ohm), network.neutral_ratio),
    )


def put_conditions(
    connection: Connection, zone_id: int, withdrawn_us: Sequence[int], fresh: ConditionRecords, side_import_id: int
) -> None:
    """Takes the zone's records at these times out of force, and adds others."""
    connection.execute(
        "update zone_condition set superseded_by = %s"
        " where zone_id = %s and superseded_by is null and observed_at = any(%s)",
        (side_import_id, zone_id, [to_datetime(time_us) for time_us in withdrawn_us]),
    )
    rows = (
        (zone_id, to_datetime(time_us), *(None if np.isnan(value) else value for value in values), side_import_id)
        for time_us, values in zip(fresh.observed_us.tolist(), fresh.values.tolist(), strict=True)
    )
    copy_rows(connection, "zone_condition", ("zone_id", "observed_at", *QUANTITIES, "side_import_id"), rows)


def _packed(matrix: Floats) -> list[float]:
    packed: list[float] = matrix[np.tril_indices(len(matrix))].tolist()
    return packed


def _unpacked(packed: Floats, size: int) -> Floats:
    matrix = np.zeros((size, size))
    rows, columns = np.tril_indices(size)
    matrix[rows, columns] = packed
    matrix[columns, rows] = packed
    return matrix


_QUANTITIES: Final = sql.SQL(", ").join(map(sql.Identifier, QUANTITIES))
