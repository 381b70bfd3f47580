"""The quantity that each step between accepted readings adds to a meter's total."""

from dataclasses import dataclass

import numpy as np

from verifier.arrays import Floats, Ints, Mask, MeterFacts, Rows
from verifier.excursions import Excursion
from verifier.sequences import Sequence
from verifier.settings import StepSettings


@dataclass(frozen=True, slots=True)
class Placed:
    """A sequence with the stretch that each of its N rows lies in; `boundary`: another one than the row before."""

    sequence: Sequence
    stretch: Rows
    boundary: Mask
    facts: MeterFacts

    def of_stretch(self, name: str, rows: Rows) -> Floats:
        """A field of the stretches, for these rows."""
        values: Floats = self.facts.stretches[name][self.stretch[rows]]
        return values


@dataclass(frozen=True, slots=True)
class Counted:
    """Per accepted row, shape (K,): change of the register, quantity added, whether the quantity is unknown and left
    out, and whether a start or end register contradicts the readings."""

    moved_micro: Ints
    counted_micro: Ints
    uncounted: Mask
    contradicted: Mask


def count_steps(placed: Placed, rows: Rows, excursions: list[tuple[int, Excursion]], settings: StepSettings) -> Counted:
    """Quantities of the steps to the accepted `rows`, shape (K,), ascending."""
    sequence = placed.sequence
    registers = sequence.points["register_micro"]
    inner = sequence.inner[rows]
    moved = np.zeros(len(rows), dtype=np.int64)
    moved[1:] = np.where(inner[1:], registers[rows[1:]] - registers[rows[:-1]], 0)
    step, uncounted = moved.copy(), np.zeros(len(rows), dtype=np.bool_)
    for start, excursion in excursions:
        row = int(np.searchsorted(rows, start + excursion.after))
        if not excursion.counted:
            step[row], uncounted[row] = 0, True
        elif excursion.added_micro:
            step[row] += excursion.added_micro
    installed = placed.of_stretch("installed", rows).astype(np.bool_)
    counted = np.where(installed, _times(step, placed.of_stretch("multiplier", rows)), 0)
    contradicted = np.zeros(len(rows), dtype=np.bool_)
    edges = np.flatnonzero(placed.boundary[rows] | ~(inner | sequence.is_head[rows]))
    if len(edges):
        _count_boundaries(placed, rows, edges, settings, Counted(moved, counted, uncounted, contradicted))
    return Counted(moved, counted, uncounted, contradicted)


def _times(step_micro: Ints, multiplier: Floats) -> Ints:
    """Registers times multipliers, exactly for whole multipliers, else rounded to the nearest millionth."""
    if (multiplier == 1.0).all():
        return step_micro
    whole = np.rint(multiplier)
    exact = step_micro * whole.astype(np.int64)
    return np.where(whole == multiplier, exact, np.rint(step_micro * multiplier).astype(np.int64))


def _count_boundaries(placed: Placed, rows: Rows, edges: Rows, settings: StepSettings, out: Counted) -> None:
    """Steps into another installation: up to the old one's end register and from the new one's start register.

    Vectors are over the edges. The first reading of a meter has no reading before: only the new part is counted.
    """
    now = rows[edges]
    has_before = placed.sequence.inner[now]
    before = rows[np.maximum(edges - 1, 0)]
    old = _part(placed, before, "end", settings)
    new = _part(placed, now, "start", settings)
    out.counted_micro[edges] = np.where(has_before, old.quantity_micro, 0) + new.quantity_micro
    out.uncounted[edges] = (has_before & old.unknown) | (has_before & new.unknown)
    out.contradicted[edges] = (has_before & old.contradicted) | new.contradicted


@dataclass(frozen=True, slots=True)
class _Part:
    quantity_micro: Ints
    unknown: Mask
    contradicted: Mask


def _part(placed: Placed, rows: Rows, side: str, settings: StepSettings) -> _Part:
    """From the start register to the reading, or from the reading to the end register, of the rows' stretches."""
    points = placed.sequence.points[rows]
    meters = placed.facts.meters[placed.sequence.pos[rows]]
    register = placed.of_stretch(f"{side}_register_micro", rows).astype(np.int64)
    edge_us = placed.of_stretch(f"{side}_us", rows).astype(np.int64)
    sign = 1 if side == "start" else -1
    step = sign * (points["register_micro"] - register)
    # In float: an open stretch begins at the earliest int64.
    elapsed_us = sign * (points["observed_us"].astype(np.float64) - edge_us)
    most = placed.of_stretch("max_rate", rows) * (elapsed_us + settings.rate_time_slack_s * 1e6)
    plausible = (step >= -meters["noise_micro"]) & (step <= most + meters["resolution_micro"])
    installed = placed.of_stretch("installed", rows).astype(np.bool_)
    has = placed.of_stretch(f"has_{side}_register", rows).astype(np.bool_) & installed
    known = has & plausible
    quantity = np.where(known, _times(np.where(known, step, 0), placed.of_stretch("multiplier", rows)), 0)
    return _Part(quantity, installed & ~known, has & ~plausible)
