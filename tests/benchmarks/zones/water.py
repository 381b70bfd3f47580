"""Water zones: households on a district solved by EPANET, with leakage, bursts and meters that err by flow."""

from dataclasses import dataclass

import numpy as np

from metrology.quantities import Medium
from zones.case import START_US, Side, UnmeteredTruth, ZoneCase, zone_name
from zones.course import Course, Floats, from_rates
from zones.injection import DAY_S, Injection, draw_errors
from zones.metering import Flows, ZonePlan, metered
from zones.water_demand import draw_households
from zones.water_network import District, solve

CURVE_LPH = np.log([30.0, 120.0])
CURVE_PCT = np.array([-15.0, -1.8])


@dataclass(frozen=True)
class WaterPlan:
    """`leak_share` of the inflow leaks; its level wanders by `leak_wander` (of itself, over a fortnight); bursts."""

    customers: int = 40
    leak_share: float = 0.15
    leak_wander: float = 0.05
    bursts: int = 0
    burst_share: tuple[float, float] = (0.05, 0.2)


def water_zone(
    zone_class: str, seed: int, plan: WaterPlan, injection: Injection, interval_s: int = 3600, days: int = 90
) -> ZoneCase:
    """The zone: registers in m3, the district's pressure in its side information."""
    rng = np.random.default_rng([seed, plan.customers, interval_s, 3])
    extra = injection.unlisted + injection.thefts + injection.foreign
    homes, made_of = draw_households(plan.customers + extra, days, rng)
    use, others = homes[: plan.customers], homes[plan.customers :]
    unmetered = _unlisted(others, injection, days, rng)
    steps_s = np.arange(0.0, days * DAY_S + 1, interval_s)
    leak, bursts, side = _leakage(plan, [*use, *(c for _, c in unmetered)], steps_s, rng)
    errors = draw_errors(plan.customers, injection, days, rng)
    worn = np.exp(rng.normal(0.0, 0.3, plan.customers))
    registered = [e.registered(by_flow(u, float(w))) for e, u, w in zip(errors, use, worn, strict=True)]
    foreign = others[injection.unlisted + injection.thefts :]
    flows = Flows(use, leak, [*unmetered, *bursts], foreign, registered, side=side, made_of=f"{made_of}, EPANET")
    zone = ZonePlan(zone_name(zone_class, seed), zone_class, Medium.WATER, interval_s, days, injection)
    return metered(zone, flows, errors, rng)


def by_flow(use: Course, worn: float) -> Course:
    """What a meter counts of a use [m3] whose error depends on flow: −15 % below 30 l/h, −1.8 % from 120 l/h on.

    In between linear in the logarithm of the flow; the whole curve times `worn`, for meters age differently.
    """

    def factor(_: Floats, rate_m3ps: Floats) -> Floats:
        flow_lph = np.maximum(rate_m3ps * 3.6e6, 1e-3)
        return 1.0 + worn * np.interp(np.log(flow_lph), CURVE_LPH, CURVE_PCT) / 100.0

    return use.times(factor)


def _unlisted(others: list[Course], injection: Injection, days: int, rng: np.random.Generator):
    out = []
    for i in range(injection.unlisted + injection.thefts):
        theft = i >= injection.unlisted
        begin = round(rng.uniform(0.25, 0.6) * days * 24) * 3600.0 if theft else 0.0
        course = others[i].since(begin) if theft else others[i]
        total = float(course.at(np.array([days * DAY_S]))[0])
        kind = "theft" if theft else "unlisted"
        mean = total / ((days * DAY_S - begin) / 3600.0)
        out.append((UnmeteredTruth(kind, START_US + round(begin * 1e6), mean), course))
    return out


def _leakage(plan: WaterPlan, use: list[Course], steps_s: Floats, rng: np.random.Generator):
    """The courses of background leakage and of the bursts, and the pressure as a sensor shows it."""
    step_s = int(steps_s[1] - steps_s[0])
    junctions = max(plan.customers // 2, 6)
    at = rng.integers(0, junctions, len(use))
    demand = np.zeros((steps_s.size - 1, junctions))
    for place, course in zip(at, use, strict=True):
        demand[:, place] += np.diff(course.at(steps_s)) * 3600.0 / step_s
    mean = demand.sum(axis=1).mean()
    leak_m3ph = mean * plan.leak_share / (1.0 - plan.leak_share)
    sizes = rng.uniform(*plan.burst_share, plan.bursts) * (mean + leak_m3ph)
    bursts = tuple((int(rng.integers(0, junctions)), float(size)) for size in sizes)
    begins = [round(b * steps_s.size) for b in rng.uniform(0.25, 0.6, plan.bursts)]
    seed = int(rng.integers(0, 2**31))
    before, after = solve(District(demand, step_s, leak_m3ph, float(rng.uniform(0.8, 1.3)), bursts, seed))
    late = np.arange(steps_s.size - 1) >= min(begins, default=steps_s.size)
    # Several bursts are one event: all begin with the first.
    leak, pressure_m = np.where(late, after.leak, before.leak), np.where(late, after.pressure_m, before.pressure_m)
    leak = leak * _wander(steps_s, plan.leak_wander, rng)
    courses = []
    for k in range(plan.bursts):
        flow = np.where(late, after.bursts[:, k], 0.0)
        begin_us = START_US + round(steps_s[min(begins)] * 1e6)
        courses.append(
            (UnmeteredTruth("burst", begin_us, float(flow[late].mean())), from_rates(steps_s, flow / 3600.0))
        )
    middle_us = START_US + np.round((steps_s[:-1] + step_s / 2) * 1e6).astype(np.int64)
    side = Side(conditions_us=middle_us, pressure_m=pressure_m + rng.normal(0.0, 0.1, pressure_m.size))
    return from_rates(steps_s, leak / 3600.0), courses, side


def _wander(steps_s: Floats, size: float, rng: np.random.Generator) -> Floats:
    """The level of leakage, moved over a fortnight by weather and small breaks; pressure does not answer to it."""
    days = np.arange(0, steps_s[-1] / DAY_S + 15, 14.0)
    return np.exp(np.interp(steps_s[:-1] / DAY_S, days, rng.normal(0.0, size, days.size)))
