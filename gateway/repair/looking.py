"""A look at one concentrator's meters: what is missing, which clocks are off, and what to ask for within its budget."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.clocks import CLOCK, certainly_off, estimate_offsets
from gateway.repair.closing import held_readings
from gateway.repair.messages import encode, read_profile, sync_clock
from gateway.repair.missing import POINT, expected_counts, missing_points
from gateway.repair.planner import READ, plan_reads, standing_of, whole_until
from gateway.repair.settings import RepairSettings
from store.clock_offsets import clocks_of_concentrator, save_offsets
from store.commands import NewCommand, NewTarget, add_command, asked_ranges, commands_since, last_synchronisations
from store.concentrators import (
    Concentrator,
    expected_spans,
    meters_to_look_at,
    next_concentrator,
    note_looked,
    note_whole,
)
from store.registry import load_meters
from store.times import to_micros

Connection = psycopg.Connection[Any]
Structured = NDArray[np.void]
_UNACKNOWLEDGED_MAX: Final = 2  # commands that wait for any sign of the concentrator at a time
_POINTS_AT_ONCE: Final = 500_000  # expected readings compared with the stored ones in one go
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found and asked for; `made`: kind and targets' count of each command."""

    concentrator: Concentrator
    missing: int = 0
    clocks_off: int = 0
    made: list[tuple[str, int]] = field(default_factory=list)


def look(connection: Connection, now: datetime, settings: RepairSettings) -> Looked | None:
    """Looks at the concentrator that is due, and writes what it is to be asked; None if none is due.

    The caller holds the follower's lock, so that no two look at a time, and commits.
    """
    due = now - timedelta(seconds=settings.look_every_s)
    concentrator = next_concentrator(connection, due)
    if concentrator is None:
        return None
    marked, settled = watermark(concentrator, now, settings.patience_s)
    note_looked(connection, concentrator.concentrator_id, now, marked, settled)
    offsets = _offsets(connection, concentrator, now, settings)
    off = offsets[certainly_off(offsets, settings.clock.limit_s)]
    looked = Looked(concentrator, clocks_off=len(off))
    if concentrator.asks_after is not None and concentrator.asks_after > now:
        return looked
    made, waiting = commands_since(connection, concentrator.concentrator_id, now - _HOUR)
    budget = min(settings.commands_per_hour - made, _UNACKNOWLEDGED_MAX - waiting)
    commands: list[NewCommand] = []
    missing = 0
    if budget > 0 and settled is not None:
        reads, missing = _reads(connection, concentrator, min(settled, now), now, settings)
        commands += [_read_command(connection, concentrator, reads, now, settings)] if len(reads) else []
    if budget > len(commands) and settings.clock.synchronise and len(off):
        commands += _sync_commands(connection, concentrator, off, now, settings)
    for command in commands:
        if add_command(connection, command):
            looked.made.append((command.kind, len(command.targets)))
    return Looked(concentrator, missing, len(off), looked.made)


def watermark(
    concentrator: Concentrator, now: datetime, patience_s: float
) -> tuple[tuple[datetime, datetime], datetime | None]:
    """How far the concentrator has come: its latest reading with when it was the latest, and what is settled. Pure.

    Settled is what it had passed `patience_s` ago or earlier. So nothing is missing at a concentrator that is silent
    as a whole, and nothing while a backlog is on its way.
    """
    if concentrator.marked_at is None or concentrator.marked_observed_at is None:
        return (concentrator.last_observed_at, now), None
    if now - concentrator.marked_at < timedelta(seconds=patience_s):
        return (concentrator.marked_observed_at, concentrator.marked_at), concentrator.settled_observed_at
    return (concentrator.last_observed_at, now), concentrator.marked_observed_at


def _offsets(connection: Connection, concentrator: Concentrator, now: datetime, settings: RepairSettings) -> Structured:
    clocks = clocks_of_concentrator(connection, concentrator.concentrator_id, CLOCK)
    offsets = estimate_offsets(clocks, settings.clock.model)
    if len(offsets):
        save_offsets(connection, offsets, now)
    return offsets


def _reads(
    connection: Connection, concentrator: Concentrator, until: datetime, now: datetime, settings: RepairSettings
) -> tuple[Structured, int]:
    """What to ask for (READ), and how many readings are missing and not given up."""
    horizon = now - timedelta(seconds=settings.memory_s)
    meters = np.array(
        meters_to_look_at(connection, concentrator.concentrator_id, settings.meters_per_look), dtype=np.int64
    )
    spans = expected_spans(connection, meters, horizon, until)
    parts = []
    done = found = 0
    for first, last in _portions(spans):
        part = missing_points(spans[first:last], *held_readings(connection, spans[first:last]))
        part["span"] += first
        parts.append(part)
        done, found = last, found + len(part)
        if found > 10 * settings.points_per_command:
            break  # enough for many commands; the other meters' turn comes
    points = np.concatenate([np.zeros(0, dtype=POINT), *parts])
    standing = standing_of(spans, points, asked_ranges(connection, meters, horizon))
    looked_at = meters[~np.isin(meters, spans["meter_id"][done:])]
    seen = np.isin(spans["meter_id"][points["span"]], looked_at)
    whole_us = whole_until(looked_at, spans, points[seen], standing[seen], to_micros(until))
    note_whole(connection, looked_at, whole_us, now)
    if not len(points):
        return np.zeros(0, dtype=READ), 0
    reads = plan_reads(spans, points, standing, to_micros(now), settings.points_per_command)
    return reads, int((~standing["is_given_up"]).sum())


def _portions(spans: Structured) -> Iterator[tuple[int, int]]:
    """Slices of the spans of not much more than so many expected readings each."""
    number = np.cumsum(expected_counts(spans)) // _POINTS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(spans)]
    yield from ((first, last) for first, last in pairwise(edges) if last > first)


def _read_command(
    connection: Connection, concentrator: Concentrator, reads: Structured, now: datetime, settings: RepairSettings
) -> NewCommand:
    serials = _serials(connection, reads["meter_id"])
    expires_at = now + timedelta(seconds=settings.expires_s)
    names = [serials[meter_id] for meter_id in reads["meter_id"].tolist()]
    command_id, body = read_profile(names, reads, expires_at, _salt(concentrator, now))
    targets = [
        NewTarget(meter_id, attempt, interval_s, from_us, until_us, points)
        for meter_id, interval_s, from_us, until_us, points, attempt in reads.tolist()
    ]
    return NewCommand(command_id, concentrator.concentrator_id, "read_profile", encode(body), now, expires_at, targets)


def _sync_commands(
    connection: Connection, concentrator: Concentrator, off: Structured, now: datetime, settings: RepairSettings
) -> list[NewCommand]:
    """A command for the clocks that are off and were not set of late; none if there are none."""
    last = last_synchronisations(connection, off["meter_id"])
    attempts: dict[int, int] = {}
    for meter_id in off["meter_id"].tolist():
        attempt, made_at, outcome = last.get(meter_id, (0, None, "complete"))
        if made_at is not None:
            pause_s = settings.clock.again_s if outcome == "complete" else settings.retry_pause_s(max(attempt, 1))
            if outcome is None or now < made_at + timedelta(seconds=pause_s):
                continue
        attempts[meter_id] = 1 if outcome == "complete" else attempt + 1
    chosen = off[np.isin(off["meter_id"], list(attempts))][: settings.clock.devices_max]
    if not len(chosen):
        return []
    expires_at = now + timedelta(seconds=settings.expires_s)
    serials = _serials(connection, chosen["meter_id"])
    command_id, body = sync_clock(chosen, serials, expires_at, _salt(concentrator, now))
    targets = [NewTarget(meter_id, min(attempts[meter_id], 32_767)) for meter_id in chosen["meter_id"].tolist()]
    return [NewCommand(command_id, concentrator.concentrator_id, "sync_clock", encode(body), now, expires_at, targets)]


def _serials(connection: Connection, meter_ids: NDArray[np.int32]) -> dict[int, str]:
    return {meter.meter_id: meter.serial for meter in load_meters(connection, np.unique(meter_ids).tolist())}


def _salt(concentrator: Concentrator, now: datetime) -> str:
    return f"{concentrator.concentrator_id} {now.isoformat()}"
