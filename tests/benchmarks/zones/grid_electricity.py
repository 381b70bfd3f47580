"""Electricity zones on real grids: homes on a SimBench low-voltage grid, losses by power flow, minute by minute."""

import hashlib
from dataclasses import dataclass

import numpy as np

from metrology.quantities import Medium
from zones.case import Side, ZoneCase, zone_name
from zones.course import Course, Floats, from_rates
from zones.electricity import without_meter
from zones.homes import draw_homes
from zones.injection import DAY_S, Injection, draw_errors
from zones.metering import Flows, ZonePlan, metered
from zones.power_flow import RadialGrid, line_losses_w, phase_shares
from zones.simbench_grids import CACHE, simbench_grid

STEP_S = 60.0


@dataclass(frozen=True)
class GridPlan:
    """A grid with its customers: `loss_share` of the load is reached by scaling all lines (None: as SimBench has them).

    `topology_error` is the relative standard deviation of each line's resistance as the utility knows it (None: it
    knows none); single-phase customers are drawn onto the phases, evenly or with `phase_odds`. Where they are not told
    (`phases_told`), all stand as 123, as in a registry without that column.
    """

    grid: str
    customers: int
    loss_share: float | None = None
    topology_error: float | None = 0.0
    single_phase_share: float = 0.8
    phase_odds: tuple[float, float, float] | None = None
    phases_told: bool = True
    fixed_w_per_customer: float = 1.0  # the meters' own consumption


def grid_zone(
    zone_class: str, seed: int, plan: GridPlan, injection: Injection, interval_s: int = 900, days: int = 90
) -> ZoneCase:
    """The zone. Its losses are those of all loads on the grid, thieves and unlisted customers included."""
    rng = np.random.default_rng([seed, plan.customers, interval_s, 2])
    grid, count = simbench_grid(plan.grid), plan.customers
    homes, made_of = draw_homes(count + injection.thefts + injection.unlisted + injection.foreign, days, rng)
    use, others = homes[:count], homes[count:]
    unmetered = without_meter(others, injection, days, rng)
    nodes = _nodes(grid, count + len(unmetered), rng)
    phases = [_phase(plan, rng) for _ in nodes]
    loads = [*use, *(course for _, course in unmetered)]
    q_per_p = np.tan(np.arccos(rng.uniform(0.93, 0.995, len(loads))))
    common = grid.common_path_ohm(nodes)
    losses, scale = _losses(common, phases, loads, q_per_p, plan, days)
    side = _side(grid, nodes[:count], scale, plan, injection.foreign, rng)
    foreign = others[injection.thefts + injection.unlisted :]
    told = phases[:count] if plan.phases_told else ["123"] * count
    flows = Flows(
        use, losses, unmetered, foreign, phases=told, side=side,
        made_of=f"{made_of} on SimBench {plan.grid}",
    )  # fmt: skip
    zone = ZonePlan(zone_name(zone_class, seed), zone_class, Medium.ELECTRICITY, interval_s, days, injection)
    return metered(zone, flows, draw_errors(count, injection, days, rng), rng)


def _phase(plan: GridPlan, rng: np.random.Generator) -> str:
    if rng.random() >= plan.single_phase_share:
        return "123"
    return str(1 + int(rng.choice(3, p=plan.phase_odds)))


def _nodes(grid: RadialGrid, count: int, rng: np.random.Generator):
    """Where the customers are: at different places of the grid's loads as far as they reach."""
    order = [rng.permutation(grid.load_nodes) for _ in range(-(-count // grid.load_nodes.size))]
    return np.concatenate(order)[:count]


def _losses(common, phases: list[str], loads: list[Course], q_per_p: Floats, plan: GridPlan, days: int):
    """The course of losses [kWh] and the factor on the lines' lengths."""
    shares, fixed_w = phase_shares(phases), plan.fixed_w_per_customer * plan.customers
    scale = 1.0
    for _ in range(2 if plan.loss_share else 0):  # losses are nearly proportional to the impedances
        sample = min(days, 7)
        lost_w, load_w = _minutes(common * scale, shares, loads, q_per_p, range(sample))
        scale *= plan.loss_share * load_w / lost_w.mean()
    key = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in (common * scale, shares, q_per_p)))
    for load in loads:
        key.update(load.total.tobytes())
    kept = CACHE / f"losses-{days}-{key.hexdigest()[:24]}.npy"
    if kept.exists():
        lost_w = np.load(kept)
    else:
        lost_w, _ = _minutes(common * scale, shares, loads, q_per_p, range(days))
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(kept, lost_w)
    edges_s = np.arange(0.0, days * DAY_S + 1, STEP_S)
    return from_rates(edges_s, (lost_w + fixed_w) / 3.6e6), scale


def _minutes(common, shares: Floats, loads: list[Course], q_per_p: Floats, days: range) -> tuple[Floats, float]:
    """Losses [W] of each minute of these days, and the mean load [W]."""
    lost, load_w = [], []
    for day in days:
        edges_s = DAY_S * day + np.arange(0.0, DAY_S + 1, STEP_S)
        power_w = np.diff(np.array([course.at(edges_s) for course in loads]), axis=1) * 3.6e6 / STEP_S
        lost.append(line_losses_w(common, shares, power_w, q_per_p))
        load_w.append(power_w.sum(axis=0).mean())
    return np.concatenate(lost), float(np.mean(load_w))


def _side(grid: RadialGrid, nodes, scale: float, plan: GridPlan, foreign: int, rng: np.random.Generator) -> Side:
    """The resistances as the utility knows them; a foreign meter is believed to be at the busbar."""
    if plan.topology_error is None:
        return Side()
    wrong = np.maximum(1.0 + plan.topology_error * rng.normal(size=grid.z_ohm.size), 0.1)
    known = grid.common_path_ohm(nodes, grid.z_ohm.real * scale * wrong)
    return Side(resistance_ohm=np.pad(known.real, (0, foreign)))
