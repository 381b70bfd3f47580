"""Several assessors as one: what follows the readings' checks, in the same transaction."""

from collections.abc import Sequence
from typing import Any

import psycopg

from store.findings import FindingDraft, Provenance, Replaced
from verifier.arrays import Structured
from verifier.follower import ZoneAssessor


class Assessors:
    """Assessors that are asked one after the other. Not to be shared between threads."""

    def __init__(self, *parts: ZoneAssessor) -> None:
        self._parts = parts

    def assess_due(
        self,
        connection: psycopg.Connection[Any],
        rows: Structured,
        findings: Sequence[FindingDraft],
        provenance: Provenance,
    ) -> list[Replaced]:
        """What became of the findings of all of them."""
        return [one for part in self._parts for one in part.assess_due(connection, rows, findings, provenance)]
