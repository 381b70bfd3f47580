"""Outcomes that persist: only what holds on several successive days is told to an inspector. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")
_DAY = timedelta(days=1)


def persistent_runs(
    ends: Sequence[datetime], days: Sequence[T], persistence_days: int, at_once: Callable[[T], bool] = lambda _: False
) -> list[list[T]]:
    """The runs of successive days that are at least `persistence_days` long, each cut to that length.

    `ends`: the windows' ends in ascending order, one per day; `days`: what belongs to each. A run is cut where it has
    become persistent, so that what was told stays as it was while the run goes on. A day that is to be told `at_once`
    makes its run persistent with itself.
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
    lengths = [_told_with(run, persistence_days, at_once) for run in runs]
    return [run[:length] for run, length in zip(runs, lengths, strict=True) if length]


def _told_with(run: Sequence[T], persistence_days: int, at_once: Callable[[T], bool]) -> int:
    """With how many of its days a run is told; 0 where it is not."""
    first = next((number for number, day in enumerate(run, start=1) if at_once(day)), persistence_days)
    length = min(first, persistence_days)
    return length if len(run) >= length else 0
