"""Electricity of homes as courses in continuous time: real half-hours filled with appliances, or synthetic homes.

Real ones: 311 homes, 92 days from March 2009, half-hourly (Energy Demand Research Project); they are not part of the
project. The file is found by METERPROOF_HOMES or at ../shared/data/edrp_311.npz beside the project; without it homes
are synthetic (`synthetic_homes`).
"""

import os
from pathlib import Path

import numpy as np

from zones.appliances import synthetic_home
from zones.course import Course
from zones.filling import Runs, filled

APPLIANCES_KW = Runs(median_per_h=1.0, spread=0.7, most_per_h=6.0)


def homes_file() -> Path | None:
    """Where the real homes are, if they are here."""
    given = os.environ.get("METERPROOF_HOMES")
    path = Path(given) if given else Path(__file__).resolve().parents[4] / "shared" / "data" / "edrp_311.npz"
    return path if path.is_file() else None


def draw_homes(count: int, days: int, rng: np.random.Generator) -> tuple[list[Course], str]:
    """`count` different homes [kWh] drawn at random, over `days`, and what they are made of."""
    path = homes_file()
    if path is None:
        return [synthetic_home(days, rng) for _ in range(count)], "synthetic homes"
    with np.load(path) as held:
        energy_wh = held["energy_wh"]
    steps = days * 48
    if count > energy_wh.shape[1] or steps > energy_wh.shape[0]:
        raise ValueError(
            f"{path}: {energy_wh.shape[1]} homes over {energy_wh.shape[0] // 48} days, asked for {count} over {days}:"
            " take fewer, or set METERPROOF_HOMES to a larger file"
        )
    chosen = rng.choice(energy_wh.shape[1], count, replace=False)
    edges_s = 1800.0 * np.arange(steps + 1)
    homes = [filled(edges_s, energy_wh[:steps, i] / 1000.0, APPLIANCES_KW, 6, rng) for i in chosen]
    return homes, "real homes (half-hourly)"
