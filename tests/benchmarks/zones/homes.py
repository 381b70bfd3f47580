"""Electricity of homes as courses in continuous time: real half-hours filled with appliances, or synthetic homes.

Real ones: 311 homes, 92 days from March 2009, half-hourly (Energy Demand Research Project); they are not part of the
project. The file is found by METERPROOF_HOMES or at ../shared/data/edrp_311.npz beside the project; without it homes
are synthetic (`synthetic_homes`).
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zones.appliances import synthetic_home
from zones.course import Course

HALF_HOUR_S = 1800.0
BLOCKS = 3  # runs of appliances within a half-hour


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
    return [_filled(energy_wh[:steps, i].astype(np.float64), rng) for i in chosen], "real homes (half-hourly)"


def _filled(energy_wh: NDArray[np.float64], rng: np.random.Generator) -> Course:
    """Half-hours given an inner course: what runs always, and up to three runs of appliances for the rest.

    The least half-hour of the last and next three hours runs evenly; what is above is shared among runs at mostly 0.4
    to 2.5 kW (lognormal) that begin at random. Every half-hour's energy is kept exactly.
    """
    steps = energy_wh.size
    reach = np.lib.stride_tricks.sliding_window_view(np.pad(energy_wh, 6, mode="edge"), 13)
    base_wh = reach.min(axis=1)
    above_wh = np.maximum(energy_wh - base_wh, 0.0)
    shares = rng.dirichlet(np.ones(BLOCKS), steps)
    run_wh = above_wh[:, None] * shares
    power_w = np.minimum(np.exp(rng.normal(np.log(1000.0), 0.7, (steps, BLOCKS))), 6000.0)
    lasts_s = np.clip(3600.0 * run_wh / power_w, 1.0, HALF_HOUR_S)
    begins_s = rng.random((steps, BLOCKS)) * (HALF_HOUR_S - lasts_s)
    power_w = np.where(run_wh > 0, 3600.0 * run_wh / lasts_s, 0.0)
    edge_s = HALF_HOUR_S * np.arange(steps)[:, None]
    knots = np.concatenate([edge_s, edge_s + begins_s, edge_s + begins_s + lasts_s], axis=1).ravel()
    first_w = np.diff(np.concatenate([[0.0], base_wh]))[:, None] * 3600.0 / HALF_HOUR_S
    change_w = np.concatenate([first_w, power_w, -power_w], axis=1).ravel()
    end_s = HALF_HOUR_S * steps
    order = np.argsort(knots, kind="stable")
    knots, flow_w = np.append(knots[order], end_s), np.cumsum(change_w[order])
    total = np.concatenate([[0.0], np.cumsum(flow_w * np.diff(knots))]) / 3.6e6
    # Summed over months rounding would let a half-hour's energy drift: it is put right at each edge.
    at_edges = np.flatnonzero(order % (1 + 2 * BLOCKS) == 0)
    exact = np.concatenate([[0.0], np.cumsum(energy_wh)]) / 1000.0
    total += np.interp(knots, np.append(knots[at_edges], end_s), exact - np.append(total[at_edges], total[-1]))
    return Course(knots, np.maximum.accumulate(total))
