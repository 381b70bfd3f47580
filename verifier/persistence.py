"""Outcomes that persist: only what holds on several successive days is told to an inspector. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")
_DAY = timedelta(days=1)


def persistent_runs(ends: Sequence[datetime], days: Sequence[T], persistence_days: int) -> list[list[T]]:
    """The runs of successive days that are at least `persistence_days` long, each cut to that length.

    `ends`: the windows' ends in ascending order, one per day; `days`: what belongs to each. A run is cut where it has
    become persistent, so that what was told stays as it was while the run goes on.
    """
    runs: list[list[T]] = []
    current: list[T] = []
    before: datetime | None = None
    for end, day in zip(ends, days, strict=True):
        if before is None or end - before != _DAY:
            current = []
            runs.append(current)
        current.append(day)
        before = end
    return [run[:persistence_days] for run in runs if len(run) >= persistence_days]
