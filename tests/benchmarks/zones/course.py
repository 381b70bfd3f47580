"""Cumulative quantities as functions of continuous time, so that a meter may be read at any instant exactly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """A cumulative quantity [base unit], piecewise linear between knots [s since the case's start, ascending]."""

    knots_s: Floats
    total: Floats

    def at(self, times_s: Floats) -> Floats:
        """The total at `times_s`; before the first and after the last knot it goes on at the mean rate."""
        mean = (self.total[-1] - self.total[0]) / (self.knots_s[-1] - self.knots_s[0])
        before = np.minimum(times_s - self.knots_s[0], 0.0)
        after = np.maximum(times_s - self.knots_s[-1], 0.0)
        return np.interp(times_s, self.knots_s, self.total) + mean * (before + after)

    def with_knots(self, times_s: Sequence[float]) -> "Course":
        """The same course with further knots, within its span."""
        inside = [t for t in times_s if self.knots_s[0] < t < self.knots_s[-1]]
        knots = np.union1d(self.knots_s, inside)
        return Course(knots, np.interp(knots, self.knots_s, self.total))

    def times(self, factor: Callable[[Floats, Floats], Floats]) -> "Course":
        """The course with each piece multiplied by factor(middle of the piece [s], its rate [base unit per s])."""
        span, quantity = np.diff(self.knots_s), np.diff(self.total)
        middle = self.knots_s[:-1] + span / 2
        scaled = quantity * factor(middle, quantity / np.maximum(span, 1e-9))
        return Course(self.knots_s, self.total[0] + np.concatenate([[0.0], np.cumsum(scaled)]))

    def scaled(self, by: float) -> "Course":
        """The course times a constant."""
        return Course(self.knots_s, by * self.total)

    def since(self, begin_s: float) -> "Course":
        """Nothing before `begin_s`, the course from there on."""
        return self.with_knots([begin_s]).times(lambda middle, _: (middle >= begin_s).astype(np.float64))


def from_rates(edges_s: Floats, rate_per_s: Floats) -> Course:
    """The course of rates that are constant between edges."""
    return Course(edges_s, np.concatenate([[0.0], np.cumsum(rate_per_s * np.diff(edges_s))]))


def from_events(starts_s: Floats, durations_s: Floats, powers_w: Floats, end_s: float) -> Course:
    """The energy [kWh] of appliances that run at `powers_w` for `durations_s` from `starts_s` on, over [0, end_s]."""
    begin = np.clip(starts_s, 0.0, end_s)
    stop = np.clip(starts_s + durations_s, 0.0, end_s)
    knots = np.concatenate([[0.0], begin, stop, [end_s]])
    change = np.concatenate([[0.0], powers_w, -powers_w, [0.0]])
    order = np.argsort(knots, kind="stable")
    knots, power = knots[order], np.cumsum(change[order])
    energy = np.concatenate([[0.0], np.cumsum(power[:-1] * np.diff(knots))]) / 3.6e6
    distinct, last = np.unique(knots[::-1], return_index=True)
    return Course(distinct, energy[::-1][last])
