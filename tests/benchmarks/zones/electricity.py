"""Electricity zones without a grid: homes behind one reference meter, with lumped losses where wanted."""

import numpy as np

from metrology.quantities import Medium
from zones.case import START_US, UnmeteredTruth, ZoneCase, zone_name
from zones.course import Course, Floats, from_rates
from zones.homes import draw_homes
from zones.injection import DAY_S, Injection, draw_errors
from zones.metering import Flows, ZonePlan, metered


def homes_zone(
    zone_class: str,
    seed: int,
    count: int,
    injection: Injection,
    interval_s: int = 1800,
    days: int = 90,
    fixed_loss_share: float = 0.0,
    series_loss_share: float = 0.0,
) -> ZoneCase:
    """`count` homes behind one reference. Losses are shares of the mean load: constant, and with the load squared."""
    rng = np.random.default_rng([seed, count, interval_s])
    extra = injection.thefts + injection.unlisted + injection.foreign
    homes, made_of = draw_homes(count + extra, days, rng)
    use, others = homes[:count], homes[count:]
    unmetered = without_meter(others, injection, days, rng)
    losses = None
    if fixed_loss_share or series_loss_share:
        losses = lumped_losses([*use, *(c for _, c in unmetered)], days, fixed_loss_share, series_loss_share)
    foreign = others[injection.thefts + injection.unlisted :]
    flows = Flows(use, losses, unmetered, foreign, made_of=made_of)
    plan = ZonePlan(zone_name(zone_class, seed), zone_class, Medium.ELECTRICITY, interval_s, days, injection)
    return metered(plan, flows, draw_errors(count, injection, days, rng), rng)


def without_meter(
    others: list[Course], injection: Injection, days: int, rng: np.random.Generator
) -> list[tuple[UnmeteredTruth, Course]]:
    """Thefts from a date on, then customers on no list from the start.

    Half of the thefts are a home's whole use, half a heater or a workshop: 0.5 to 2 kW for hours of every day.
    """
    out = []
    for i in range(injection.thefts + injection.unlisted):
        theft = i < injection.thefts
        begin = round(rng.uniform(0.25, 0.6) * days * 24) * 3600.0 if theft else 0.0
        course = others[i] if not theft or rng.random() < 0.5 else _machine(days, rng)
        course = course.since(begin) if theft else course
        hours = (days * DAY_S - begin) / 3600.0
        mean = float(course.at(np.array([days * DAY_S]))[0] - course.at(np.array([0.0]))[0]) / hours
        kind = "theft" if theft else "unlisted"
        out.append((UnmeteredTruth(kind, START_US + round(begin * 1e6), mean), course))
    return out


def lumped_losses(use: list[Course], days: int, fixed_share: float, series_share: float) -> Course:
    """Losses [kWh] of one resistance that carries the whole load, minute by minute, and a constant part."""
    edges_s = np.arange(0.0, days * DAY_S + 1, 60.0)
    load = np.diff(np.sum([course.at(edges_s) for course in use], axis=0)) / 60.0
    mean = load.mean()
    squared: Floats = load**2
    return from_rates(edges_s, fixed_share * mean + series_share * mean * squared / squared.mean())


def _machine(days: int, rng: np.random.Generator) -> Course:
    """A load with its own hours: on for 4 to 14 h a day from a time that shifts a little, its power changing."""
    power_kw, begins_h, lasts_h = rng.uniform(0.5, 2.0), rng.uniform(0, 20), rng.uniform(4, 14)
    edges_s = np.arange(0.0, days * DAY_S + 1, 300.0)
    middle_h = edges_s[:-1] / 3600.0
    day = np.floor(middle_h / 24).astype(int)
    since_h = (middle_h - 24 * day - begins_h - rng.normal(0.0, 0.4, days)[day]) % 24
    wobble = np.exp(np.repeat(rng.normal(0.0, 0.3, edges_s.size // 6 + 1), 6)[: middle_h.size])
    return from_rates(edges_s, np.where(since_h < lasts_h, power_kw * wobble, 0.0) / 3600.0)
