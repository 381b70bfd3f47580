"""Households that draw water in events of their own flow rate, on a register of any resolution: for tests."""

import numpy as np
from numpy.typing import NDArray

from verifier.comparison_budget import CumulativeSeries
from verifier.light_load import WEEK_US, week_start

START = week_start(1_780_000_000_000_000)
MINUTES = 7 * 24 * 60  # a week's


def draws(
    rng: np.random.Generator, weeks: int, *, trickles: float = 1.0, leak_m3ph: float = 0.0, away: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Flow by the minute [m3/h], shape (weeks · MINUTES,): taps, showers and cisterns by day, more of it in some weeks.

    `trickles`: how often slow draws of 8 to 25 L/h for an hour or two come (a dripping filter, a cistern that runs on),
    1 is usual; in the weeks `away` nobody is there.
    """
    flow = np.full(weeks * MINUTES, leak_m3ph)
    habit, slow = rng.uniform(14, 34), rng.uniform(3, 6) * trickles
    hours = 0.2 + np.exp(-((np.arange(24) - 8) ** 2) / 6) + np.exp(-((np.arange(24) - 20) ** 2) / 10)
    hours[:5] = 0.03
    for week in range(weeks):
        if week in away:
            continue
        busy = rng.lognormal(0, 0.15)
        for day in range(7):
            origin = week * MINUTES + day * 1440
            for _ in range(rng.poisson(habit * busy)):
                begin = origin + rng.choice(24, p=hours / hours.sum()) * 60 + rng.integers(60)
                rate, length = (0.5, 8) if rng.random() < 0.12 else (rng.uniform(0.15, 0.4), rng.integers(1, 3))
                flow[begin : begin + length] += rate
            for _ in range(rng.poisson(slow * rng.lognormal(0, 0.2))):
                begin = origin + rng.integers(1440)
                flow[begin : begin + rng.integers(60, 150)] += rng.uniform(0.008, 0.025)
    return flow


def register(
    flow: NDArray[np.float64],
    resolution: float = 0.001,
    *,
    minutes: int = 15,
    starting_m3ph: float = 0.0,
    lost_from: int = 0,
) -> CumulativeSeries:
    """What a meter shows every so many `minutes`.

    From the week `lost_from` on, a total flow below `starting_m3ph` moves it no more.
    """
    minute = np.arange(flow.size)
    registered = np.where((minute >= lost_from * MINUTES) & (flow < starting_m3ph), 0.0, flow) / 60
    total = np.concatenate([[0.0], np.cumsum(registered)])[::minutes]
    shown = np.floor(total / resolution + 1e-9) * resolution
    return CumulativeSeries(START + np.arange(shown.size, dtype=np.int64) * (minutes * 60_000_000), shown, resolution)


def week_of(start_us: int) -> int:
    """Which week of the simulation a time lies in."""
    return (start_us - START) // WEEK_US
