"""What came of the commands under way: each is closed when its readings are there, or when its time is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.clocks import CLOCK, forget
from gateway.repair.missing import missing_points
from gateway.repair.settings import RepairSettings
from store.clock_offsets import load_clocks, note_synchronised, save_clocks
from store.command_results import (
    ActiveCommand,
    Target,
    TargetOutcome,
    check_again,
    close_command,
    commands_to_check,
    targets_of,
)
from store.concentrators import SPAN, note_answering, unanswered_of
from store.meter_states import read_after
from store.times import to_micros

Connection = psycopg.Connection[Any]
# What a concentrator says of a meter that asking again won't change.
FINAL_REASONS: Final = frozenset({"memory_lost", "unknown_meter", "unsupported"})
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a command ends, and what of each target."""

    command_id: str
    kind: str
    state: str
    reason: str
    outcomes: tuple[TargetOutcome, ...]
    counts_as_unanswered: bool

    @property
    def arrived(self) -> int:
        """Readings that are there."""
        return sum(outcome.arrived for outcome in self.outcomes)


def close_commands(connection: Connection, now: datetime, settings: RepairSettings) -> list[Conclusion]:
    """Closes what is to be closed, and says when to look at the rest again. The caller commits."""
    concluded = []
    for command in commands_to_check(connection, now, _AT_ONCE):
        targets = targets_of(connection, command.command_id)
        arrived = _arrived(connection, targets) if command.kind == "read_profile" else [0] * len(targets)
        conclusion = conclude(command, targets, arrived, now, settings)
        if conclusion is None:
            check_again(connection, command.command_id, _deadline(command, settings))
            continue
        close_command(connection, command.command_id, now, conclusion.state, conclusion.reason, conclusion.outcomes)
        _note_answering(connection, command, conclusion, now, settings)
        if command.kind == "sync_clock":
            _restart_clocks(connection, targets, conclusion, now)
        concluded.append(conclusion)
    return concluded


def conclude(
    command: ActiveCommand, targets: Sequence[Target], arrived: Sequence[int], now: datetime, settings: RepairSettings
) -> Conclusion | None:
    """How the command ends at `now`, given how many readings of each target are there; None while it goes on. Pure.

    An attempt counts against a gap only if the concentrator had acknowledged it: a deaf one says nothing of its meters.
    """
    is_clock = command.kind == "sync_clock"
    is_whole = not is_clock and all(n >= target.points for n, target in zip(arrived, targets, strict=True))
    if not is_whole and now < _deadline(command, settings):
        return None
    was_answered = command.acknowledged_at is not None or any(arrived)
    outcomes = []
    for n, target in zip(arrived, targets, strict=True):
        done = command.done_at is not None and not command.has_failed and not target.reason
        complete = done if is_clock else n >= target.points
        outcomes.append(_outcome(target, n, complete, _why_not(command, target), was_answered, now, settings))
    if is_whole or any(n or one.outcome == "complete" for n, one in zip(arrived, outcomes, strict=True)):
        state, reason = "answered", ""
    elif command.done_at is not None:
        state, reason = "failed", ""
    else:
        state, reason = "expired", _why_not(command, None)
    unanswered = not was_answered and command.state != "open"
    return Conclusion(command.command_id, command.kind, state, reason, tuple(outcomes), unanswered)


def _deadline(command: ActiveCommand, settings: RepairSettings) -> datetime:
    if command.done_at is None:
        return command.expires_at
    if command.kind == "sync_clock" or command.has_failed:
        return command.done_at
    return command.done_at + timedelta(seconds=settings.settle_s)


def _outcome(
    target: Target, arrived: int, complete: bool, why_not: str, counts: bool, now: datetime, settings: RepairSettings
) -> TargetOutcome:
    missing = target.points - arrived
    if complete:
        return TargetOutcome(target.target_no, arrived, missing, target.attempt, "complete", None, "")
    if target.reason in FINAL_REASONS and target.starts_at is not None:
        return TargetOutcome(target.target_no, arrived, missing, target.attempt, "given_up", None, why_not)
    if counts and target.attempt >= settings.attempts_max and target.starts_at is not None:
        reason = f"{why_not}; given up after {target.attempt} attempts"
        return TargetOutcome(target.target_no, arrived, missing, target.attempt, "given_up", None, reason)
    attempt = target.attempt if counts else target.attempt - 1
    pause_s = settings.retry_pause_s(target.attempt) if counts else 0.0
    return TargetOutcome(
        target.target_no, arrived, missing, attempt, "retry", now + timedelta(seconds=pause_s), why_not
    )


def _why_not(command: ActiveCommand, target: Target | None) -> str:
    if target is not None and target.reason:
        return target.reason
    if command.has_failed:
        return "the concentrator could not do it"
    if command.done_at is not None:
        return "not among what the concentrator sent"
    if command.acknowledged_at is not None:
        return "not done in time"
    return "not sent, the broker was away" if command.state == "open" else "no acknowledgement"


def _arrived(connection: Connection, targets: Sequence[Target]) -> list[int]:
    """How many of each target's readings are stored."""
    rows = [
        (one.meter_id, one.interval_s, to_micros(one.starts_at), to_micros(one.ends_at), False)
        for one in targets
        if one.starts_at and one.ends_at and one.interval_s
    ]
    spans = np.array(rows, dtype=SPAN)
    meter_id, observed_us = held_readings(connection, spans)
    missing = np.bincount(missing_points(spans, meter_id, observed_us)["span"], minlength=len(spans))
    return [target.points - n for target, n in zip(targets, missing.tolist(), strict=True)]


def held_readings(connection: Connection, spans: NDArray[np.void]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Meters and times of the stored readings that may cover grid points of the spans (SPAN), shapes (n,)."""
    if not len(spans):
        return np.empty(0, np.int32), np.empty(0, np.int64)
    half_us = spans["interval_s"].astype(np.int64) * 500_000
    meters, place = np.unique(spans["meter_id"], return_inverse=True)
    after_us = np.full(len(meters), np.iinfo(np.int64).max)
    np.minimum.at(after_us, place, spans["from_us"] - half_us - 1)
    until_us = int((spans["until_us"] + half_us).max())
    held = read_after(connection, "reading", meters, after_us, until_us)
    return held["meter_id"], held["observed_us"]


def _note_answering(
    connection: Connection, command: ActiveCommand, conclusion: Conclusion, now: datetime, settings: RepairSettings
) -> None:
    """A concentrator that leaves its commands unanswered is asked ever more rarely."""
    before = unanswered_of(connection, command.concentrator_id)
    if conclusion.counts_as_unanswered:
        pause = timedelta(seconds=settings.retry_pause_s(before + 1))
        note_answering(connection, command.concentrator_id, before + 1, now + pause)
    elif before and (command.acknowledged_at is not None or conclusion.arrived):
        note_answering(connection, command.concentrator_id, 0, None)


def _restart_clocks(connection: Connection, targets: Sequence[Target], conclusion: Conclusion, now: datetime) -> None:
    """Clocks that were set are estimated anew: what arrived before says nothing of them now."""
    complete = {one.target_no for one in conclusion.outcomes if one.outcome == "complete"}
    meters = sorted(target.meter_id for target in targets if target.target_no in complete)
    clocks = load_clocks(connection, meters, CLOCK)
    save_clocks(connection, forget(clocks, np.full(len(clocks), to_micros(now))))
    note_synchronised(connection, meters, now)
