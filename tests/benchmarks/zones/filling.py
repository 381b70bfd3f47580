"""Quantities known by the interval given an inner course, as appliances or taps would make it."""

from dataclasses import dataclass

import numpy as np

from zones.course import Course, Floats

RUNS = 3  # of appliances or taps within an interval


@dataclass(frozen=True)
class Runs:
    """How fast runs are [base unit per h]: median and spread of a lognormal, and a cap that holds where it can."""

    median_per_h: float
    spread: float
    most_per_h: float


def filled(edges_s: Floats, quantity: Floats, runs: Runs, base_reach: int, rng: np.random.Generator) -> Course:
    """Quantities, shape (T,), between edges [s], shape (T + 1,), as a course that keeps each of them exactly.

    The least rate of the `base_reach` intervals before and after runs evenly; what is above is shared among up to
    three runs that begin at random within their interval.
    """
    span = np.diff(edges_s)
    reach = np.lib.stride_tricks.sliding_window_view(
        np.pad(quantity / span, base_reach, mode="edge"), 2 * base_reach + 1
    )
    base = reach.min(axis=1)
    of_run = np.maximum(quantity - base * span, 0.0)[:, None] * rng.dirichlet(np.ones(RUNS), span.size)
    rate = (
        np.minimum(np.exp(rng.normal(np.log(runs.median_per_h), runs.spread, of_run.shape)), runs.most_per_h) / 3600.0
    )
    lasts_s = np.clip(of_run / rate, np.minimum(1.0, span[:, None]), span[:, None])
    begins_s = rng.random(of_run.shape) * (span[:, None] - lasts_s)
    rate = np.where(of_run > 0, of_run / lasts_s, 0.0)
    edge_s = edges_s[:-1, None]
    knots = np.concatenate([edge_s, edge_s + begins_s, edge_s + begins_s + lasts_s], axis=1).ravel()
    change = np.concatenate([np.diff(np.concatenate([[0.0], base]))[:, None], rate, -rate], axis=1).ravel()
    order = np.argsort(knots, kind="stable")
    knots, flow = np.append(knots[order], edges_s[-1]), np.cumsum(change[order])
    total = np.concatenate([[0.0], np.cumsum(flow * np.diff(knots))])
    # Summed over months rounding would let an interval's quantity drift: it is put right at each edge.
    at_edges = np.flatnonzero(order % (1 + 2 * RUNS) == 0)
    exact = np.concatenate([[0.0], np.cumsum(quantity)])
    total += np.interp(knots, np.append(knots[at_edges], edges_s[-1]), exact - np.append(total[at_edges], total[-1]))
    return Course(knots, np.maximum.accumulate(total))
