"""Fleets of known means and spreads as their zones' data tell of them: references and losses err as they do."""

from dataclasses import dataclass, field

import numpy as np

from verifier.balance.kinds_of_meters import MeterKind
from verifier.balance.types import Floats, ZoneLikelihood


@dataclass(frozen=True)
class Drawn:
    """A fleet: `error_pct` by meter_id as drawn."""

    zones: list[ZoneLikelihood]
    kinds: dict[int, MeterKind]
    error_pct: dict[int, float]


@dataclass(frozen=True)
class Recipe:
    """Zones with meters of types; `means`, `sds` by type. `gain_sd` of references, `noise_sd` of each meter [%]."""

    seed: int
    zones: int = 12
    meters: int = 20
    means: dict[str, float] = field(default_factory=lambda: {"A": 0.0, "B": 1.0})
    sds: dict[str, float] = field(default_factory=lambda: {"A": 0.3, "B": 0.3})
    lots: int = 1
    lot_sd: float = 0.0
    trend: float = 0.0
    gain_sd: float = 0.3
    noise_sd: float = 0.2
    far: dict[int, float] = field(default_factory=dict)


def draw(recipe: Recipe) -> Drawn:
    """Each zone: y = θ + c·1 + noise with the covariance V = σ_c²·11ᵀ + σ²·I, told as its likelihood."""
    rng = np.random.default_rng(recipe.seed)
    models = sorted(recipe.means)
    of_lots = {(m, f"L{i}"): rng.normal(0, recipe.lot_sd) for m in models for i in range(recipe.lots)}
    zones, kinds, errors = [], {}, {}
    for zone in range(recipe.zones):
        ids = tuple(range(zone * recipe.meters, (zone + 1) * recipe.meters))
        for i in ids:
            model, lot, age = (
                models[int(rng.integers(len(models)))],
                f"L{rng.integers(recipe.lots)}",
                rng.uniform(0, 12),
            )
            kinds[i] = MeterKind(model, lot, float(age))
            expected = recipe.means[model] + of_lots[model, lot] + recipe.trend * (age - 6)
            errors[i] = recipe.far.get(i, float(rng.normal(expected, recipe.sds[model])))
        theta = np.array([errors[i] for i in ids])
        covariance = recipe.gain_sd**2 * np.ones((len(ids), len(ids))) + recipe.noise_sd**2 * np.eye(len(ids))
        zones.append(told(ids, rng.multivariate_normal(theta, covariance), covariance))
    return Drawn(zones, kinds, errors)


def told(ids: tuple[int, ...], y: Floats, covariance: Floats) -> ZoneLikelihood:
    """Measurements y of this covariance as a likelihood."""
    information = np.linalg.inv(covariance)
    share = 1 / (1 + np.diag(covariance) / 0.36)
    return ZoneLikelihood(ids, information, information @ y, share, np.zeros(len(ids), dtype=np.bool_))
