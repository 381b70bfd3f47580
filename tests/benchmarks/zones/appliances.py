"""A synthetic home: people come, wake and go, and appliances run while they are in.

After the structure of bottom-up models (Richardson et al., *Domestic electricity use*, Energy and Buildings 42, 2010):
occupancy by day, a rate of starts for each appliance while people are up, its power and duration drawn a run. Figures
are the author's own round ones, not a survey's; what matters here is that homes differ and that their spikes are
their own, at a resolution of seconds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zones.course import Course, from_events

DAY_S = 86_400.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Appliance:
    """Mean runs a day while people are up, power [W] and duration [s] (medians), their spread, and how many own it."""

    name: str
    runs_a_day: float
    power_w: float
    lasts_s: float
    spread: float
    owned_share: float


APPLIANCES = (
    Appliance("kettle", 4.0, 2200, 180, 0.3, 0.95),
    Appliance("cooker", 1.4, 1800, 1500, 0.6, 0.8),
    Appliance("microwave", 2.0, 1300, 150, 0.6, 0.8),
    Appliance("washing machine", 0.5, 1900, 1500, 0.3, 0.95),
    Appliance("dryer", 0.3, 2500, 2700, 0.3, 0.3),
    Appliance("dishwasher", 0.5, 2000, 1800, 0.3, 0.4),
    Appliance("water heater", 2.0, 2400, 1500, 0.5, 0.5),
    Appliance("shower", 1.0, 7500, 400, 0.4, 0.3),
    Appliance("television and lights", 3.0, 180, 7200, 0.6, 1.0),
    Appliance("computer", 1.5, 120, 9000, 0.6, 0.8),
    Appliance("air conditioner", 2.0, 900, 4000, 0.7, 0.5),
    Appliance("iron", 0.3, 1500, 1200, 0.5, 0.6),
)


def synthetic_home(days: int, rng: np.random.Generator) -> Course:
    """The cumulative energy [kWh] of one home over `days`."""
    end_s = days * DAY_S
    up_from, up_to = _occupancy(days, rng)
    parts = [_always_on(end_s, rng), _fridge(end_s, rng)]
    level = np.exp(rng.normal(0.0, 0.4))
    owned = [appliance for appliance in APPLIANCES if rng.random() < appliance.owned_share]
    parts += [_runs(one, level * np.exp(rng.normal(0.0, 0.5)), up_from, up_to, rng) for one in owned]
    starts, lasts, powers = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return from_events(starts, lasts, powers, end_s)


def _occupancy(days: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """From when to when people are up and in [s]: mornings and evenings on working days, longer at weekends."""
    day = np.arange(days)
    wakes, sleeps = rng.normal(6.8, 0.8), rng.normal(22.8, 0.9)
    leaves, returns, at_home = rng.normal(8.3, 0.7), rng.normal(17.3, 1.5), rng.random() < 0.35
    away = rng.random(days) < 0.04
    spans = []
    for d in day[~away]:
        shift = rng.normal(0.0, 0.5, 4)
        if at_home or d % 7 >= 5 or rng.random() < 0.1:
            spans.append((d * 24 + wakes + shift[0], d * 24 + sleeps + shift[1]))
        else:
            spans.append((d * 24 + wakes + shift[0], d * 24 + leaves + shift[2]))
            spans.append((d * 24 + returns + shift[3], d * 24 + sleeps + shift[1]))
    span = np.array([s for s in spans if s[1] - s[0] > 0.2]).reshape(-1, 2) * 3600.0
    return span[:, 0], span[:, 1]


def _runs(
    one: Appliance, level: float, up_from: Floats, up_to: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Starts by a Poisson process while people are up (its daily mean at 12 h up a day)."""
    wanted = level * one.runs_a_day * (up_to - up_from) / (12 * 3600.0)
    counts = rng.poisson(wanted)
    which = np.repeat(np.arange(up_from.size), counts)
    starts = up_from[which] + rng.random(which.size) * (up_to - up_from)[which]
    power_w = one.power_w * np.exp(rng.normal(0.0, 0.25))  # one device keeps its power
    lasts = one.lasts_s * np.exp(rng.normal(0.0, one.spread, starts.size))
    return starts, lasts, power_w * np.exp(rng.normal(0.0, 0.05, starts.size))


def _always_on(end_s: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    power_w = 60.0 * np.exp(rng.normal(0.0, 0.6))
    return np.zeros(1), np.full(1, end_s), np.full(1, power_w)


def _fridge(end_s: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """A compressor that cycles by itself."""
    cycle_s, duty = rng.uniform(2000, 5000), rng.uniform(0.25, 0.5)
    starts = np.cumsum(cycle_s * rng.uniform(0.8, 1.2, int(end_s / cycle_s) + 1))
    return starts, np.full(starts.size, cycle_s * duty), np.full(starts.size, rng.uniform(70, 140))
