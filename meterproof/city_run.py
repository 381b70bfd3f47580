"""A simulated city in a running system: its registry imported, its readings published, its truth at hand."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meterproof.commands.registering import table_of
from simulators.city import City
from simulators.concentrator import Behaviour, Concentrators, answer_commands
from simulators.payload import Message
from simulators.publisher import Broker, Progress, publish
from simulators.scenario import Scenario
from store.database import Connection
from store.meter_import import import_meters
from store.zone_import import import_zones

OnProgress = Callable[[Progress], None]


def register_city(conn: Connection, city: City) -> None:
    """Import the city's zones and meters; what is registered already stays as it is. The caller commits."""
    utility = city.scenario.utility
    zones = [{name: str(value) for name, value in row.items()} for row in city.zones_rows()]
    meters = [{name: str(value) for name, value in row.items()} for row in city.meters_rows()]
    import_zones(conn, table_of("zones of the scenario", zones), utility=utility, actor="simulator")
    import_meters(conn, table_of("meters of the scenario", meters), utility=utility, time_zone="UTC", actor="simulator")


def publish_messages(messages: Iterable[Message], broker: Broker, on_progress: OnProgress | None = None) -> Progress:
    """Publish until the broker has acknowledged everything."""
    return asyncio.run(publish(messages, broker, None, on_progress))


def obey_commands(city: City, broker: Broker, seconds: float) -> int:
    """Let the city's concentrators obey commands for so long; how many they carried out.

    The depth of the meters' memories is counted from the planned history's end, however long ago that was.
    """
    usual = Behaviour()
    since_end_s = max(0.0, (datetime.now(UTC) - city.scenario.end).total_seconds())
    behaviour = replace(usual, memory_s=usual.memory_s + since_end_s)
    return asyncio.run(answer_commands(Concentrators(city, behaviour), broker, seconds))


@dataclass(frozen=True)
class CityClock:
    """Where a city that goes on over several runs stands: the start of its history and what was published."""

    start: datetime
    published_until: datetime

    @classmethod
    def load(cls, file: Path, scenario: Scenario, now: datetime, live: timedelta) -> "CityClock":
        """As kept in the file, or new: the history ends `live` before now, so that the live part stays in the past."""
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            return cls(datetime.fromisoformat(kept["start"]), datetime.fromisoformat(kept["published_until"]))
        except (OSError, ValueError, KeyError):
            start = scenario.with_history_before(now - live).start
            return cls(start, start)

    def save(self, file: Path) -> None:
        """Keep it for the next run."""
        kept = {"start": self.start.isoformat(), "published_until": self.published_until.isoformat()}
        file.write_text(json.dumps(kept), encoding="utf-8")

    def further(self, span: timedelta, now: datetime) -> datetime:
        """Published further by the span, but never beyond now: what lies ahead would have to be waited for."""
        return max(min(self.published_until + span, now), self.published_until)

    def advanced(self, until: datetime) -> "CityClock":
        """The same city, published further."""
        return CityClock(self.start, until.astimezone(UTC))
