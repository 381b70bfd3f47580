"""A zone's registers on a common grid of instants, with what is and isn't known of each interval.

Registers are cumulative, so a gap loses no quantity: only its course inside is unknown. Inside a gap the course is
filled in by the meter's own usual rhythm, scaled to the gap's known total; how far the truth may lie from that is kept
as a `Gap`, whose deviations sum to zero over its intervals, and goes into the covariance of the balance. The expected
course is no measurement of the truth plus an error but the truth's expectation, so that it biases no coefficient
(Berkson's error model; Fuller, Measurement Error Models, 1987, section 1.6.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from verifier.balance.types import DAY_US, Floats, Instants, MemberSeries
from verifier.balance.usual import time_of_day, usual_course

_GAP_WIDENING = 4.0  # courses are no normal deviates: single loads of a gap's whole quantity occur
_LONGEST_GAP_US = 2 * DAY_US  # beyond, the course inside is no longer taken for known by its rhythm


@dataclass(frozen=True)
class Gap:
    """A member's intervals [first, last) of which only the sum is known, and the variance of each about its course."""

    member: int
    first: int
    last: int
    variance: float


@dataclass(frozen=True)
class Timeline:
    """A zone's intervals, T in number, between T + 1 successive instants of the grid.

    `customers` (T, N) and `references` (T, K): quantities [base unit], signed. `usable` (T,): every member present is
    known at both ends or within a gap of known total. `instant_variance` (T + 1,): variance of the sum of all registers
    at an instant by resolution and interpolation, `resolution_variance` (D, N) that of each customer by resolution, by
    day.
    `collected_pct` (T,): share of members present that were read for the interval's end. `known_us` (T + 1,): by when
    the latest of the readings was taken that a register's total at an instant rests on.
    """

    instants_us: Instants
    customers: Floats
    references: Floats
    usable: NDArray[np.bool_]
    gaps: tuple[Gap, ...]
    instant_variance: Floats
    resolution_variance: Floats
    collected_pct: Floats
    known_us: Instants

    @property
    def hours(self) -> float:
        """Length of an interval [h]."""
        return float(self.instants_us[1] - self.instants_us[0]) / 3.6e9

    def until(self, place: int, late_us: int) -> "Timeline":
        """What was known of it at the instant `place`, by readings taken until `late_us` after that [us].

        Of a gap that goes on there not even the sum was known. Intervals that were not known are not usable.
        """
        known = self.known_us <= self.instants_us[place] + late_us
        usable = self.usable & known[1:] & known[:-1]
        usable[place:] = False
        customers, references = self.customers, self.references
        open_gaps = [gap for gap in self.gaps if gap.first < place < gap.last]
        if open_gaps:
            customers, references = customers.copy(), references.copy()
        for gap in open_gaps:
            usable[gap.first : place] = False
            inside = gap.member < customers.shape[1]
            of_kind, column = (customers, gap.member) if inside else (references, gap.member - customers.shape[1])
            of_kind[gap.first : place, column] = 0.0
        gaps = tuple(gap for gap in self.gaps if gap.last <= place)
        return replace(self, customers=customers, references=references, usable=usable, gaps=gaps)


@dataclass(frozen=True)
class _Placed:
    quantity: Floats  # (T,)
    usable: NDArray[np.bool_]  # (T,)
    collected: NDArray[np.bool_]  # (T + 1,)
    present: NDArray[np.bool_]  # (T + 1,)
    gaps: list[tuple[int, int, float]]
    spread: Floats  # (T + 1,) variance by interpolation
    known_us: Instants  # (T + 1,)


def zone_timeline(
    customers: Sequence[MemberSeries],
    references: Sequence[MemberSeries],
    start_us: int,
    end_us: int,
    interval_us: int,
    reach_intervals: float,
    learned_us: int | None = None,
    late_us: int = 0,
) -> Timeline:
    """The zone's intervals in [start_us, end_us).

    A register is known at an instant if it was read then, or between two readings at most `reach_intervals` apart
    (linearly). Usual courses are learned from what lies before `learned_us` (None: from all), by readings taken until
    `late_us` past it, so that later ones do not change what was made of earlier ones. Raises ValueError where no
    interval fits in.
    """
    first = -(-start_us // interval_us)
    instants = interval_us * np.arange(first, end_us // interval_us + 1, dtype=np.int64)
    if instants.size < 2:
        raise ValueError("no interval of the zone's grid lies in this window")
    reach_us = int(reach_intervals * interval_us)
    learned = int(np.searchsorted(instants[1:], end_us if learned_us is None else learned_us, side="right"))
    known_until_us = int(instants[learned]) + (late_us if learned_us is not None else reach_us)
    of_customers = [_place(member, instants, reach_us, learned, known_until_us) for member in customers]
    of_references = [_place(member, instants, reach_us, learned, known_until_us) for member in references]
    placed = [*of_customers, *of_references]
    quantities = np.array([one.quantity for one in placed])
    day = instants // DAY_US - instants[0] // DAY_US
    resolutions = np.array([member.resolution for member in (*customers, *references)])
    rounding = _rounding(resolutions, quantities, day[:-1])
    present = np.array([one.present for one in placed]).T
    spread = np.sum([one.spread for one in placed], axis=0)
    collected = np.array([one.collected for one in placed]).T[1:]
    # An instant belongs to the day that it ends, so that a day's rows rest on the day itself.
    of_day = day[np.maximum(np.arange(instants.size) - 1, 0)]
    return Timeline(
        instants_us=instants,
        customers=_columns([one.quantity for one in of_customers], instants.size - 1),
        references=_columns([one.quantity for one in of_references], instants.size - 1),
        usable=np.all([one.usable for one in placed], axis=0),
        gaps=tuple(Gap(i, *gap) for i, one in enumerate(placed) for gap in one.gaps),
        instant_variance=np.sum(present * rounding[of_day], axis=1) + spread,
        resolution_variance=rounding[:, : len(customers)],
        collected_pct=100 * np.sum(collected, axis=1) / np.maximum(np.sum(present[1:], axis=1), 1),
        known_us=np.max([one.known_us for one in placed], axis=0),
    )


def _rounding(resolutions: Floats, quantities: Floats, day: NDArray[np.int64]) -> Floats:
    """Variance of each register about what flowed, (D, N): Δ²/12 (GUM 4.3.7), less on days on which it hardly moves.

    A register's rounding is spread evenly where a resolution Δ is passed in most intervals. One that advances by x << Δ
    stands still in most, and its difference deviates by x·Δ in square (a share x/Δ of intervals by Δ), not by Δ²/6.
    `quantities` (N, T), `day` (T,): the place of each interval's day.
    """
    length = np.bincount(day)
    moved = np.array([np.bincount(day, weights=row) for row in np.abs(quantities)]).T / length[:, None]
    out: Floats = resolutions**2 / 12 * np.minimum(1.0, 6 * moved / np.maximum(resolutions, 1e-12))
    return out


def _columns(quantities: Sequence[Floats], rows: int) -> Floats:
    return np.array(quantities).T if quantities else np.zeros((rows, 0))


def _place(member: MemberSeries, instants: Instants, reach_us: int, learned: int, known_until_us: int) -> _Placed:
    """One member on the grid; its usual course by the first `learned` intervals as they were known then."""
    present = np.ones(instants.size, dtype=np.bool_)
    if member.installed_us is not None:
        present &= instants >= member.installed_us
    if member.removed_us is not None:
        present &= instants <= member.removed_us
    total, known, spread, known_us = _at_instants(member.observed_us, member.total, instants, reach_us)
    quantity = np.diff(total)
    both = known[1:] & known[:-1]
    then = known_us <= known_until_us
    seen = both & (np.arange(both.size) < learned) & then[1:] & then[:-1]
    slot, slots = time_of_day(instants)
    usual = usual_course(quantity[seen], slot[seen], slots)[slot]
    variance = float(np.var(quantity[seen] - usual[seen])) if seen.sum() > 1 else 0.0
    gaps = []
    inside, outside = present[1:] & present[:-1], ~(present[1:] | present[:-1])
    usable = both & inside
    quantity = np.where(both, quantity, 0.0)
    for first, last in _holes(known):
        if instants[last] - instants[first] > _LONGEST_GAP_US:
            continue
        course, scale = _course(usual[first:last], total[last] - total[first])
        quantity[first:last] = course
        usable[first:last] = inside[first:last]
        gaps.append((first, last, _GAP_WIDENING * variance * scale))
    for start_us, end_us in member.spoiled_us:
        usable[(instants[1:] > start_us) & (instants[:-1] < end_us)] = False
    quantity = np.where(inside, quantity, 0.0) * member.sign
    known_us = np.where(known & present, known_us, instants[0])
    return _Placed(quantity, usable | outside, known & present, present, gaps, spread * variance * present, known_us)


def _at_instants(
    observed_us: Instants, total: Floats, instants: Instants, reach_us: int
) -> tuple[Floats, NDArray[np.bool_], Floats, Instants]:
    """Totals at the instants, whether they are known, f·(1 − f) of the interpolation's place f, and the later reading.

    Between two readings the course is a bridge: with independent increments of variance v an interval its variance at
    the share f is f·(1 − f)·v (Karatzas and Shreve, Brownian Motion and Stochastic Calculus, section 5.6.B).
    """
    if observed_us.size == 0:
        nothing = np.zeros(instants.size)
        return nothing, np.zeros(instants.size, dtype=np.bool_), nothing, instants
    after = np.searchsorted(observed_us, instants, side="left")
    inside = after < observed_us.size
    after = np.minimum(after, observed_us.size - 1)
    exact = inside & (observed_us[after] == instants)
    before = np.maximum(after - 1, 0)
    span = observed_us[after] - observed_us[before]
    between = inside & ~exact & (before < after) & (span <= reach_us)
    share = np.where(between, (instants - observed_us[before]) / np.maximum(span, 1), 0.0)
    value = np.where(exact, total[after], total[before] + share * (total[after] - total[before]))
    known = exact | between
    return np.where(known, value, 0.0), known, share * (1 - share), observed_us[after]


def _holes(known: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of intervals [first, last) between successive known instants that are not neighbours."""
    at = np.flatnonzero(known)
    wide = np.flatnonzero(np.diff(at) > 1)
    return [(int(at[i]), int(at[i + 1])) for i in wide]


def _course(usual: Floats, total: float) -> tuple[Floats, float]:
    """A gap's total along the usual course, and how the spread about it scales with what flowed."""
    expected = float(usual.sum())
    if expected <= 0 or total < 0:
        return np.full(usual.size, total / usual.size), 1.0
    scale = total / expected
    return usual * scale, float(np.clip(scale, 0.1, 4.0))
