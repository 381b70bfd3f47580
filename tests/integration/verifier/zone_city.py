"""A simulated city in a real database: its registry imported, its readings delivered in any batches and order."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from simulators.city import City
from simulators.scenario import Scenario
from store.batches import BatchRow, commit_batch, next_batch_id
from store.meter_import import import_meters
from store.readings import READING, insert_readings
from store.registry import load_identities
from store.tables import Table, read_table
from store.zone_import import import_zones
from verifier.follower import Follower
from verifier.settings import VerifierSettings
from verifier.zone_assessor import ZoneAssessor

START = datetime(2026, 1, 5, tzinfo=UTC)
RECEIVED = START + timedelta(days=400)
ELECTRICITY = {
    "zones": 1,
    "customers_per_zone": (8, 8),
    "interval_s": 900,
    "resolution": "0.001",
    "accuracy_class": "A",
    "mpe_pct": 2.0,
    "healthy_sd_pct": 0.3,
    "reference_sd_pct": 0.2,
    "fault_pct": (6.0, 8.0),
}


def make_scenario(days: int, seed: int = 3, **electricity: Any) -> Scenario:
    """A city of one small electricity zone."""
    plan = {**ELECTRICITY, **electricity}
    return Scenario.model_validate(
        {"name": "t", "utility": "u", "seed": seed, "start": START, "days": days, "electricity": plan}
    )


def table_of(rows: Sequence[dict[str, Any]], folder: Any) -> Table:
    """Rows as an import takes them: written to a file and read again."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / f"{len(list(folder.iterdir()))}.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    return read_table(path)


@dataclass
class ZoneCity:
    """A database with the city's registry; `ids` are the meters' by serial."""

    connection: psycopg.Connection[Any]
    city: City
    folder: Any
    settings: VerifierSettings = field(default_factory=VerifierSettings)
    meters_rows: list[dict[str, Any]] | None = None
    zones_rows: list[dict[str, Any]] | None = None
    ids: dict[str, int] = field(default_factory=dict)
    sent: int = 0

    def __post_init__(self) -> None:
        zones = table_of(self.zones_rows or self.city.zones_rows(), self.folder)
        meters = table_of(self.meters_rows or self.city.meters_rows(), self.folder)
        import_zones(self.connection, zones, utility="u", actor="test")
        import_meters(self.connection, meters, utility="u", time_zone="UTC", actor="test")
        self.connection.commit()
        known = load_identities(self.connection).meters
        self.connection.rollback()
        self.ids = {serial: known["u", serial].meter_id for serial in self.city.serials if ("u", serial) in known}

    def readings(self, first_day: float, last_day: float) -> NDArray[np.void]:
        """The city's readings of these days, READING."""
        raw = self.city.readings(START + timedelta(days=first_day), START + timedelta(days=last_day))
        by_position = np.array([self.ids.get(serial, 0) for serial in self.city.serials])
        rows = np.zeros(len(raw), dtype=READING)
        rows["observed_us"], rows["register_micro"] = raw["observed_us"], raw["register_micro"]
        rows["meter_id"] = by_position[raw["meter"]]
        return rows[rows["meter_id"] > 0]

    def deliver(self, rows: NDArray[np.void], received_at: datetime = RECEIVED) -> None:
        """Commits a batch of one message with these readings."""
        rows = rows.copy()
        rows["batch_id"] = batch_id = next_batch_id(self.connection)
        self.sent += 1
        digest = self.sent.to_bytes(16, "big")
        counts = insert_readings(self.connection, rows, digest)
        commit_batch(
            self.connection,
            BatchRow(
                batch_id=batch_id,
                gateway="g",
                received_at=received_at,
                messages=1,
                readings_in=len(rows),
                stored=counts.stored,
                duplicates=counts.duplicates,
                conflicting=counts.conflicting,
                pending=0,
                rejected=0,
                min_observed_us=counts.min_observed_us,
                max_observed_us=counts.max_observed_us,
                message_digests=digest,
                archive=None,
            ),
        )
        self.connection.commit()

    def follow(self) -> None:
        """Follows all that is committed, as a new process would."""
        follower = Follower(self.settings, "test 1", ZoneAssessor(self.settings))
        while follower.follow(self.connection, RECEIVED) is not None:
            self.connection.commit()
        self.connection.rollback()

    def run(self, batches: Iterable[NDArray[np.void]]) -> None:
        """Delivers and follows batch by batch."""
        for rows in batches:
            self.deliver(rows)
            self.follow()

    def query(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        rows = self.connection.execute(query, params).fetchall()  # type: ignore[arg-type]  # literal in the tests
        self.connection.rollback()
        return rows

    def outcomes(self, serial: str) -> dict[int, tuple[str, list[str]]]:
        """The meter's outcome and codes of its reasons by day of its window's end."""
        rows = self.query(
            "select window_end, outcome, reasons from assessment where meter_id = %s order by 1", self.ids[serial]
        )
        return {(end - START).days: (outcome, [reason["code"] for reason in reasons]) for end, outcome, reasons in rows}

    def conclusions(self) -> tuple[list[Any], list[Any]]:
        """All assessments and findings in force, without what depends on the way to them."""
        assessments = self.query(
            "select meter_id, zone_id, window_start, window_end, error_pct, std_pct, outcome, reasons"
            " from assessment order by 1, 2, 4"
        )
        findings = self.query(
            "select kind, meter_id, zone_id, starts_at, ends_at, detail from finding"
            " where superseded_at is null and kind in ('error_beyond_mpe', 'zone_imbalance') order by 1, 2, 3, 4"
        )
        return assessments, findings
