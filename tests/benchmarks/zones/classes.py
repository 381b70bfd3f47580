"""The classes of zones, each a maker from a seed. Tuned is on seeds below 1,000, reported on those from 910,000 on."""

import re
from collections.abc import Callable
from dataclasses import replace

from zones.case import ZoneCase
from zones.electricity import homes_zone
from zones.gas import GasPlan, gas_zone
from zones.grid_electricity import GridPlan, grid_zone
from zones.injection import Injection
from zones.water import WaterPlan, water_zone

FIRST_REPORTED_SEED = 910_000
CLEAN = Injection(clock_max_s=10.0)
CHANGES = replace(CLEAN, steps=2, drifts=2, stopped=1, reversed=1)
WATER = Injection(healthy_sd_pct=1.5, mpe_pct=4.0, resolution=0.001, reference_resolution=0.01, clock_max_s=30.0,
                  size_pct=(7.0, 20.0))  # fmt: skip
GAS = Injection(healthy_sd_pct=1.0, mpe_pct=3.0, resolution=0.001, reference_resolution=0.01, clock_max_s=30.0,
                size_pct=(4.5, 12.0))  # fmt: skip
# Feeders whose homes hang on one phase each, more of them on the first: what the neutral loses is a good part of it.
UNEVEN = GridPlan("rural2", 30, 0.01, topology_error=None, single_phase_share=1.0, phase_odds=(0.5, 0.3, 0.2))
Maker = Callable[[int], ZoneCase]


def _homes(name: str, count: int, injection: Injection, **more: float) -> tuple[str, Maker]:
    return name, lambda seed: homes_zone(name, seed, count, injection, **more)  # type: ignore[arg-type]


def _grid(name: str, plan: GridPlan, injection: Injection, interval_s: int = 900) -> tuple[str, Maker]:
    return name, lambda seed: grid_zone(name, seed, plan, injection, interval_s)


def _water(name: str, plan: WaterPlan, injection: Injection) -> tuple[str, Maker]:
    return name, lambda seed: water_zone(name, seed, plan, injection)


def _gas(name: str, plan: GasPlan, injection: Injection) -> tuple[str, Maker]:
    return name, lambda seed: gas_zone(name, seed, plan, injection)


CLASSES: dict[str, Maker] = dict([
    _homes("homes 20", 20, CLEAN),
    _homes("homes 50", 50, CLEAN),
    _homes("homes 100", 100, CLEAN),
    _homes("homes 200", 200, CLEAN),
    _homes("homes 50, 3 bad", 50, replace(CLEAN, from_the_start=3)),
    _homes("homes 100, 5 bad", 100, replace(CLEAN, from_the_start=5)),
    _homes("homes 50, changes", 50, CHANGES),
    _homes("homes 100, changes", 100, CHANGES),
    _homes("homes 50, changes, 0.1 % missing", 50, replace(CHANGES, missing_share=0.001, outages=1)),
    _homes("homes 50, changes, 2 % missing", 50, replace(CHANGES, missing_share=0.02, outages=2)),
    _homes("homes 200, 0.1 % missing", 200, replace(CLEAN, missing_share=0.001)),
    _homes("homes 50, changes, clocks 3 min", 50, replace(CHANGES, clock_max_s=180.0)),
    _homes("homes 50, changes, 10 Wh, 30 s", 50, replace(CHANGES, resolution=0.01, clock_max_s=30.0)),
    _homes("homes 50, changes, 100 Wh", 50, replace(CHANGES, resolution=0.1)),
    _homes("homes 50, theft", 50, replace(CLEAN, thefts=1)),
    _homes("homes 50, unlisted", 50, replace(CLEAN, unlisted=1)),
    _homes("homes 50, foreign", 50, replace(CLEAN, foreign=1)),
    _homes("homes 50, swapped", 50, replace(CLEAN, swapped=1)),
    _homes("homes 50, lumped losses, changes", 50, CHANGES, fixed_loss_share=0.003, series_loss_share=0.01),
    _grid("grid 20, topology", GridPlan("rural2", 20, topology_error=0.1), CLEAN),
    _grid("grid 20, long lines, topology", GridPlan("rural2", 20, 0.01, topology_error=0.1), CLEAN),
    _grid("grid 20, long lines, no topology", GridPlan("rural2", 20, 0.01, topology_error=None), CLEAN),
    _grid("grid 20, long lines, changes", GridPlan("rural2", 20, 0.01, topology_error=0.1), CHANGES),
    _grid("grid 100, topology, changes", GridPlan("semiurb5", 100, topology_error=0.1), CHANGES),
    _grid("grid 100, long lines, no topology, changes", GridPlan("semiurb5", 100, 0.01, topology_error=None), CHANGES),
    _grid("grid 30, uneven phases", UNEVEN, CLEAN),
    _grid("grid 30, uneven phases untold", replace(UNEVEN, phases_told=False), CLEAN),
    _grid("grid 30, uneven phases, topology", replace(UNEVEN, topology_error=0.1), CLEAN),
    _grid("grid 30, uneven phases untold, topology", replace(UNEVEN, topology_error=0.1, phases_told=False), CLEAN),
    _water("water 40", WaterPlan(40), WATER),
    _water("water 40, changes", WaterPlan(40), replace(WATER, steps=2, drifts=1, stopped=1)),
    _water("water 40, burst", WaterPlan(40, bursts=1), replace(WATER, steps=1)),
    _gas("gas 30", GasPlan(30), GAS),
    _gas("gas 30, changes", GasPlan(30), replace(GAS, steps=2, drifts=1, stopped=1)),
    _gas("gas 30, half indoors, changes", GasPlan(30, indoor_share=0.5), replace(GAS, steps=2, stopped=1)),
])  # fmt: skip


def cost(zone_class: str) -> int:
    """What a zone of a class costs, roughly, to put the cheap ones first: intervals times meters squared."""
    count = int(re.findall(r"\d+", zone_class)[0])
    a_day = {"homes": 48, "grid": 96}.get(zone_class.split(maxsplit=1)[0], 24)
    return a_day * count**2
