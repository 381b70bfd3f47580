"""What became of every line of a replayed file, given what the store holds: exact, and by counting nothing twice.

A line counts as `stored` or `conflicting` if the store holds just its meter, time, register and status; the same line
once more in the file is an `exact_duplicate`. `rejected` lines could not be read or were quarantined. `pending` ones
wait for their meter to be registered. `missing` is everything else, and must be 0.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulators.replay import ReplayPlan

HELD_ROW: Final = np.dtype(
    [("observed_us", "<i8"), ("register_micro", "<i8"), ("meter", "<i4"), ("status", "<i2")]
)  # `meter` indexes the plan's serials


class Fate(IntEnum):
    """What became of a row that was sent."""

    STORED = 0
    EXACT_DUPLICATE = 1
    CONFLICTING = 2
    QUARANTINED = 3
    PENDING = 4
    MISSING = 5


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What the store holds of the plan's meters and times; arrays of dtype HELD_ROW, any order, also others' rows."""

    stored: NDArray[np.void]
    conflicting: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, dtype=HELD_ROW))
    pending: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, dtype=HELD_ROW))
    # message digest and the rows of the message; None: the whole message
    quarantined: tuple[tuple[bytes, tuple[int, ...] | None], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Accounting:
    """The sum: stored + exact_duplicates + conflicting + rejected + pending + missing = lines."""

    lines: int
    stored: int
    exact_duplicates: int
    conflicting: int
    rejected: int
    pending: int
    missing: int
    rejected_at_source: int
    quarantined: int
    ambiguous_local_times: int
    fates: NDArray[np.int8] = field(repr=False)  # a Fate a row of the plan

    @property
    def complete(self) -> bool:
        """True if no line is missing or waiting."""
        return self.missing == 0 and self.pending == 0

    def as_dict(self) -> dict[str, Any]:
        """The figures by name."""
        figures = {name: value for name, value in asdict(self).items() if name != "fates"}
        return figures | {"complete": self.complete}


def account(plan: ReplayPlan, held: Held) -> Accounting:
    """Says of every line of the plan's file what became of it."""
    fates = row_fates(plan, held)
    count = np.bincount(fates, minlength=len(Fate))
    rejects = len(plan.rejects)
    return Accounting(
        lines=plan.lines,
        stored=int(count[Fate.STORED]),
        exact_duplicates=int(count[Fate.EXACT_DUPLICATE]),
        conflicting=int(count[Fate.CONFLICTING]),
        rejected=rejects + int(count[Fate.QUARANTINED]),
        pending=int(count[Fate.PENDING]),
        missing=int(count[Fate.MISSING]),
        rejected_at_source=rejects,
        quarantined=int(count[Fate.QUARANTINED]),
        ambiguous_local_times=plan.ambiguous_rows,
        fates=fates,
    )


def row_fates(plan: ReplayPlan, held: Held) -> NDArray[np.int8]:
    """The Fate of every row of the plan, shape (n,)."""
    rows = len(plan.rows)
    key, keys = _same_readings([plan.rows, held.stored, held.conflicting, held.pending])
    sent, stored, conflicting, pending = key
    fate_of_key = np.full(keys, Fate.MISSING, dtype=np.int8)
    # The later the stronger: what is stored is not missing, wherever else it may stand.
    fate_of_key[pending], fate_of_key[conflicting], fate_of_key[stored] = Fate.PENDING, Fate.CONFLICTING, Fate.STORED
    fates = fate_of_key[sent]
    quarantined = _quarantined_rows(plan, held.quarantined) & (fates == Fate.MISSING)
    first = np.full(keys, rows, dtype=np.int64)
    np.minimum.at(first, sent, np.arange(rows))
    repeats = (first[sent] != np.arange(rows)) & (fates != Fate.MISSING)
    fates[repeats] = Fate.EXACT_DUPLICATE
    fates[quarantined] = Fate.QUARANTINED
    return fates


def _same_readings(arrays: list[NDArray[np.void]]) -> tuple[list[NDArray[np.int64]], int]:
    """Numbers the distinct readings (meter, time, register, status) of all arrays together."""
    names = ("observed_us", "register_micro", "meter", "status")
    columns = [np.concatenate([array[name] for array in arrays]) for name in names]
    order = np.lexsort(columns)
    differs = np.zeros(len(order), dtype=np.bool_)
    for column in columns:
        differs[1:] |= np.diff(column[order]) != 0
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(differs)
    parts = np.split(number, np.cumsum([len(array) for array in arrays])[:-1])
    return parts, int(differs.sum()) + 1


def _quarantined_rows(
    plan: ReplayPlan, quarantined: Iterable[tuple[bytes, tuple[int, ...] | None]]
) -> NDArray[np.bool_]:
    out = np.zeros(len(plan.rows), dtype=np.bool_)
    entries = list(quarantined)
    if not entries:
        return out
    size = plan.readings_per_message
    first_row = {digest: number * size for number, digest in enumerate(plan.digests())}
    for digest, rows in entries:
        first = first_row.get(digest)
        if first is None:
            continue  # another sender's message
        if rows is None:
            out[first : first + size] = True
        else:
            out[[first + row for row in rows if row < size and first + row < len(out)]] = True
    return out
