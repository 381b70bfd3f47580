"""Cumulative registers, read at irregular times, brought onto the common instants of a zone.

Registers are cumulative, so a gap loses no quantity: only when inside the gap it flowed is unknown. The grid keeps
the instants at which *every* meter of the zone is known and takes the quantities between successive ones, however
far apart they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class GridSeries:
    """One meter on the grid: `total` [base unit], shape (G,), and whether it is known at each instant, shape (G,)."""

    total: NDArray[np.float64]
    known: NDArray[np.bool_]


def grid_instants(start_us: int, end_us: int, interval_s: int) -> NDArray[np.int64]:
    """The instants from `start_us` to `end_us`, both included where they fall on the grid [µs since 1970]."""
    step = interval_s * 1_000_000
    first = -(-start_us // step) * step
    return np.arange(first, end_us + 1, step, dtype=np.int64)


def on_grid(
    observed_us: NDArray[np.int64], total: NDArray[np.float64], instants_us: NDArray[np.int64], reach_us: int
) -> GridSeries:
    """A meter's cumulative `total` at the instants, linearly between the readings around each.

    `observed_us` ascending, shape (R,); `total` [base unit], shape (R,). An instant is known if a reading falls on it,
    or if the readings around it are at most `reach_us` apart; further apart the course between them is not known.
    """
    if observed_us.size == 0:
        nothing = np.zeros(instants_us.size)
        return GridSeries(nothing, np.zeros(instants_us.size, dtype=np.bool_))
    after = np.searchsorted(observed_us, instants_us, side="left")
    inside = after < observed_us.size
    after = np.minimum(after, observed_us.size - 1)
    exact = inside & (observed_us[after] == instants_us)
    before = np.maximum(after - 1, 0)
    span = observed_us[after] - observed_us[before]
    between = inside & (before < after) & (span <= reach_us)
    share = np.where(between, (instants_us - observed_us[before]) / np.maximum(span, 1), 0.0)
    value = np.where(exact, total[after], total[before] + share * (total[after] - total[before]))
    known = exact | between
    return GridSeries(np.where(known, value, 0.0), known)


@dataclass(frozen=True)
class ZoneIntervals:
    """Quantities [base unit] between the instants at which all is known.

    `start_us`, `end_us`, `reference`: shape (T,); `customers`: shape (T, N).
    """

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    customers: NDArray[np.float64]
    reference: NDArray[np.float64]


def zone_intervals(
    instants_us: NDArray[np.int64], customers: list[GridSeries], references: list[GridSeries], longest_us: int
) -> ZoneIntervals:
    """Successive differences over the instants at which every customer and reference meter is known.

    The reference is the sum of the zone's reference meters. Intervals above `longest_us` are left out: the quantities
    are known, but not the losses, which grow with the square of the load as it went up and down between. Without two
    common instants the arrays are empty (T = 0).
    """
    known = np.ones(instants_us.size, dtype=np.bool_)
    for series in (*customers, *references):
        known &= series.known
    at = np.flatnonzero(known)
    totals = np.array([series.total[at] for series in customers]).reshape(len(customers), at.size)
    reference = np.sum([series.total[at] for series in references], axis=0) if references else np.zeros(at.size)
    short = np.diff(instants_us[at]) <= longest_us
    return ZoneIntervals(
        start_us=instants_us[at[:-1]][short],
        end_us=instants_us[at[1:]][short],
        customers=np.diff(totals, axis=1).T[short],
        reference=np.diff(reference)[short],
    )
