"""A small water district built with WNTR and solved by EPANET: pressures, background leakage, bursts.

A district of our own: junctions at random places, pipes along their least tree and some loops, one inlet whose head
is lower at night and follows the town's rhythm. Leakage by EPANET's emitters, C·p^exponent at every junction.
"""

import hashlib
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zones.course import Floats
from zones.injection import DAY_S

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "zones"


@dataclass(frozen=True)
class District:
    """`demand` [m3/h], shape (T, junctions), by steps of `step_s`; leakage aimed at [m3/h], its exponent, bursts.

    `bursts` are (junction, size [m3/h]); each runs over the whole time, and the caller cuts it to its date.
    """

    demand: Floats
    step_s: int
    leak_m3ph: float
    exponent: float
    bursts: tuple[tuple[int, float], ...]
    seed: int


@dataclass(frozen=True)
class Hydraulics:
    """By step: leakage [m3/h], shape (T,), the bursts' flow [m3/h], shape (T, bursts), pressure [m], shape (T,)."""

    leak: Floats
    bursts: Floats
    pressure_m: Floats


def solve(district: District) -> tuple[Hydraulics, Hydraulics]:
    """Without and with the bursts. A district without tanks remembers nothing, so that both can be joined at a date."""
    key = hashlib.sha256(district.demand.tobytes())
    key.update(repr((district.step_s, district.leak_m3ph, district.exponent, district.bursts, district.seed)).encode())
    kept = CACHE / f"water-{key.hexdigest()[:24]}.npz"
    if not kept.exists():
        runs = [_run(district, with_bursts) for with_bursts in (False, True)[: 1 + bool(district.bursts)]]
        CACHE.mkdir(parents=True, exist_ok=True)
        np.savez(
            kept, **{f"{name}{i}": getattr(run, name) for i, run in enumerate(runs) for name in run.__annotations__}
        )
    with np.load(kept) as held:
        runs = [
            Hydraulics(held[f"leak{i}"], held[f"bursts{i}"], held[f"pressure_m{i}"])
            for i in (0, 1)
            if f"leak{i}" in held
        ]
    return runs[0], runs[-1]


def network(district: District, with_bursts: bool):
    """The WNTR model, and which junction stands for the district's mean pressure."""
    import networkx  # noqa: PLC0415  # as everything of the optional packages, only where it is needed
    import wntr  # noqa: PLC0415

    rng = np.random.default_rng(district.seed)
    steps, count = district.demand.shape
    place = rng.random((count, 2)) * 120.0 * np.sqrt(count)
    elevation = 6.0 + 0.01 * place[:, 0] + rng.normal(0.0, 1.5, count)
    head_m = 48.0 + _town_rhythm(steps, district.step_s, rng)
    model = wntr.network.WaterNetworkModel()
    options = model.options
    options.time.duration = steps * district.step_s
    options.time.hydraulic_timestep = options.time.pattern_timestep = options.time.report_timestep = district.step_s
    options.hydraulic.emitter_exponent = district.exponent
    options.hydraulic.accuracy = 1e-6
    options.hydraulic.inpfile_units = "LPS"
    model.add_pattern("head", list(head_m / head_m.mean()))
    model.add_reservoir("inlet", base_head=float(head_m.mean()), head_pattern="head")
    usual_m = head_m.mean() - elevation - 1.0
    share = rng.dirichlet(np.full(count, 2.0))
    for i in range(count):
        model.add_pattern(f"use{i}", list(district.demand[:, i]))
        model.add_junction(f"j{i}", base_demand=1.0 / 3600.0, demand_pattern=f"use{i}", elevation=float(elevation[i]))
        leak_m3ps = share[i] * district.leak_m3ph / 3600.0
        model.get_node(f"j{i}").emitter_coefficient = float(leak_m3ps / usual_m[i] ** district.exponent)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    tree = list(networkx.minimum_spanning_tree(networkx.from_numpy_array(distance)).edges)
    near = [(int(i), int(j)) for i in range(count) for j in np.argsort(distance[i])[1:4] if i < j]
    loops = [pair for pair in near if pair not in tree and rng.random() < 0.3]
    for k, (a, b) in enumerate([*tree, *loops]):
        model.add_pipe(f"p{k}", f"j{a}", f"j{b}", float(distance[a, b]) + 1.0, rng.choice([0.08, 0.1]), 120.0)
    model.add_pipe("main", "inlet", f"j{int(np.argmin(place.sum(axis=1)))}", 150.0, 0.15, 130.0)
    for k, (at, size) in enumerate(district.bursts if with_bursts else ()):
        model.add_junction(f"b{k}", elevation=float(elevation[at]))
        model.add_pipe(f"to_b{k}", f"j{at}", f"b{k}", 5.0, 0.05, 110.0)
        model.get_node(f"b{k}").emitter_coefficient = float(size / 3600.0 / usual_m[at] ** district.exponent)
    return model, f"j{int(np.argsort(elevation)[count // 2])}"


def _run(district: District, with_bursts: bool) -> Hydraulics:
    import wntr  # noqa: PLC0415

    steps, count = district.demand.shape
    model, middle = network(district, with_bursts)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = wntr.sim.EpanetSimulator(model).run_sim(file_prefix=str(Path(folder) / "district"))
    flow = 3600.0 * result.node["demand"].iloc[:steps]
    junctions = flow[[f"j{i}" for i in range(count)]].to_numpy()
    bursts = flow[[name for name in flow.columns if name.startswith("b")]].to_numpy()
    pressure_m = result.node["pressure"][middle].iloc[:steps].to_numpy()
    return Hydraulics((junctions - district.demand).sum(axis=1), bursts, pressure_m)


def _town_rhythm(steps: int, step_s: int, rng: np.random.Generator) -> Floats:
    """The inlet's head about its mean [m]: set lower from 0 to 5 h, less at peaks, and a slow wander over days."""
    hour = (np.arange(steps) * step_s / 3600.0) % 24
    night = np.where(hour < 5, -6.0, 0.0)
    peaks = -2.5 * np.exp(-0.5 * ((hour - 8) / 1.5) ** 2) - 2.0 * np.exp(-0.5 * ((hour - 20) / 2.0) ** 2)
    days = int(steps * step_s // DAY_S) + 2
    slow = np.interp(np.arange(steps) * step_s / DAY_S, np.arange(days), np.cumsum(rng.normal(0.0, 0.3, days)))
    return night + peaks + np.clip(slow - slow.mean(), -4, 4)
