"""A registry of meters, deliveries of readings as a gateway commits them, and a follower to take them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from store.batches import BatchRow, commit_batch, next_batch_id
from store.findings import FindingDraft
from store.readings import READING, insert_readings
from verifier.follower import Follower, ZoneAssessor
from verifier.settings import VerifierSettings

Connection = psycopg.Connection[Any]
START = datetime(2026, 1, 1, tzinfo=UTC)
RECEIVED = START + timedelta(days=400)
Point = tuple[int, float, float]  # meter, hours since START, register in m3


@dataclass
class City:
    """Meters 1 to `meters` (water, a litre) of a utility, each installed since ever; deliveries and their followers."""

    dsn: str
    connection: Connection
    settings: VerifierSettings = field(default_factory=VerifierSettings)
    sent: int = 0

    def deliver(self, points: Sequence[Point], received_at: datetime = RECEIVED) -> int:
        """Commits a batch of one message with these readings; returns its id."""
        batch_id = next_batch_id(self.connection)
        self.write(self.connection, batch_id, points, received_at)
        self.connection.commit()
        return batch_id

    def write(self, connection: Connection, batch_id: int, points: Sequence[Point], received_at: datetime) -> None:
        """Writes such a batch without committing it."""
        rows = np.zeros(len(points), dtype=READING)
        start_us = round(START.timestamp()) * 1_000_000
        rows["meter_id"] = [meter_id for meter_id, _, _ in points]
        rows["observed_us"] = [start_us + round(hours * 3_600_000_000) for _, hours, _ in points]
        rows["register_micro"] = [round(register * 1e6) for _, _, register in points]
        rows["batch_id"] = batch_id
        self.sent += 1
        digest = self.sent.to_bytes(16, "big")
        counts = insert_readings(connection, rows, digest)
        commit_batch(
            connection,
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

    def follower(self, assessor: ZoneAssessor | None = None) -> Follower:
        """A follower as a new process has it."""
        return Follower(self.settings, "test 1", assessor)

    def follow(self, follower: Follower | None = None, assessor: ZoneAssessor | None = None) -> int:
        """Follows all that is committed; returns how many groups there were."""
        follower, groups = follower or self.follower(assessor), 0
        while follower.follow(self.connection, RECEIVED) is not None:
            self.connection.commit()
            groups += 1
        self.connection.rollback()
        return groups

    def findings(self) -> list[FindingDraft]:
        """All in force, ordered, without the batches in their evidence: these depend on the order of arrival."""
        rows = self.connection.execute(
            "select kind, severity, meter_id, zone_id, (extract(epoch from starts_at) * 1000000)::bigint,"
            " (extract(epoch from ends_at) * 1000000)::bigint, detail, evidence from finding"
            " where superseded_at is null order by meter_id, kind, starts_at"
        ).fetchall()
        self.connection.rollback()
        drafts = [FindingDraft(*row) for row in rows]
        for draft in drafts:
            for item in draft.evidence:
                item.pop("batch_id", None)
                item.pop("message_no", None)
        return drafts

    def kinds(self) -> list[str]:
        """The kinds in force, by meter and start."""
        return [f.kind for f in sorted(self.findings(), key=lambda f: (f.meter_id or 0, f.starts_us, f.kind))]

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        rows = self.connection.execute(query).fetchall()  # type: ignore[arg-type]  # literal in the tests
        self.connection.rollback()
        return rows


@pytest.fixture
def make_city(migrated_dsn: str) -> Iterator[Callable[..., City]]:
    """Makes the database's one city: make_city(meters, settings)."""
    with psycopg.connect(migrated_dsn) as connection:

        def make(meters: int = 3, settings: VerifierSettings | None = None) -> City:
            connection.execute("insert into utility (code) values ('u')")
            connection.execute(
                "insert into meter (utility_id, serial, medium, unit, resolution_micro)"
                " select 1, 'm' || i, 'water', 'm3', 1000 from generate_series(1, %s) i",
                (meters,),
            )
            connection.execute(
                "insert into service_point (utility_id, code) select 1, 'p' || i from generate_series(1, %s) i",
                (meters,),
            )
            connection.execute(
                "insert into installation (meter_id, service_point_id, role, during)"
                " select i, i, 'customer', tstzrange(null, null) from generate_series(1, %s) i",
                (meters,),
            )
            connection.commit()
            return City(migrated_dsn, connection, settings or VerifierSettings())

        yield make
