"""The registry's facts about meters, kept in memory while the registry does not change."""

from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from metrology.errors import MeterproofError
from store.meter_facts import load_meter_records, registry_version
from verifier.arrays import MeterFacts
from verifier.facts import OneMeter, join, one_meter
from verifier.settings import VerifierSettings


class FactsCache:
    """Loads each meter's facts once per version of the registry."""

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings
        self._version = -1
        self._meters: dict[int, OneMeter] = {}
        self._last: tuple[bytes, MeterFacts] | None = None

    def of(self, connection: psycopg.Connection[Any], meter_ids: NDArray[np.int32]) -> MeterFacts:
        """The facts about these meters, ids ascending. Raises MeterproofError if the registry lacks one."""
        version = registry_version(connection)
        if version != self._version:
            self._version, self._meters, self._last = version, {}, None
        if self._last is not None and self._last[0] == meter_ids.tobytes():
            return self._last[1]
        missing = [meter_id for meter_id in meter_ids.tolist() if meter_id not in self._meters]
        for record in load_meter_records(connection, missing) if missing else ():
            self._meters[record.meter_id] = one_meter(record, self._settings)
        try:
            facts = join([self._meters[meter_id] for meter_id in meter_ids.tolist()])
        except KeyError as error:
            raise MeterproofError(f"meter {error} has readings but is not in the table meter; restore it") from None
        self._last = (meter_ids.tobytes(), facts)
        return facts
