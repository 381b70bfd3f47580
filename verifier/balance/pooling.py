"""The hierarchical model of the fleet fitted to zones, without the meters that are no example of their like. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verifier.balance.fleet import Fleet
from verifier.balance.hierarchy import Solved, ZoneData, most_probable, solve_given
from verifier.balance.kinds_of_meters import Groups, MeterKind
from verifier.balance.types import ZoneLikelihood
from verifier.balance_settings import BalanceSettings

_FIRST_FAR = 6.0  # robust standard deviations from the median of the type
_FAR = 3.5  # standard deviations from what the model expects
_ROUNDS = 6
_NORMAL_MAD: Final = 1.4826  # standard deviation of a normal over its median absolute deviation
_TREND_SHARE = 0.5  # prior spread of a trend with age, a year, against the spread of healthy meters


def pooled(
    zones: Sequence[ZoneLikelihood], kinds: Mapping[int, MeterKind], scale_pct: float, settings: BalanceSettings
) -> Fleet | None:
    """The model of the meters of some zones of one medium; None where they tell of no meter at all.

    `kinds` of all of the zones' meters; `scale_pct` is the spread of healthy meters as the settings have it, the scale
    of what is believed of the variances. Meters that changed, and those far from their like, are no example of these.
    """
    told = [i for zone in zones for i, share in zip(zone.meter_ids, zone.told, strict=True)
            if share >= settings.pool_told_min]  # fmt: skip
    if not told:
        return None
    everyone = [i for zone in zones for i in zone.meter_ids]
    groups = Groups.of([kinds[i] for i in everyone], settings.pool_age_spread_years)
    coefficients = groups.coefficients(_TREND_SHARE * scale_pct)
    data = [_data(zone, kinds, groups) for zone in zones]
    far = _far_at_first(zones, data, scale_pct)
    data = [replace(one, removed=one.removed | beyond) for one, beyond in zip(data, far, strict=True)]
    logs = np.full(3 + len(groups.models), 2 * np.log(scale_pct / 2))
    for _ in range(_ROUNDS):
        logs = most_probable(data, coefficients, scale_pct, logs)
        solved = solve_given(data, coefficients, logs)
        far = [_far(one, solved, place) for place, one in enumerate(data)]
        if not any(beyond.any() for beyond in far):
            break
        data = [replace(one, removed=one.removed | beyond) for one, beyond in zip(data, far, strict=True)]
    common_pct = settings.pool_common_share * _level_std_pct(zones)
    return Fleet(tuple(zones), dict(kinds), groups, tuple(data), solved, common_pct, settings)


def _data(zone: ZoneLikelihood, kinds: Mapping[int, MeterKind], groups: Groups) -> ZoneData:
    rows = np.array([groups.row(kinds[i]) for i in zone.meter_ids])
    columns = np.flatnonzero(np.any(rows != 0, axis=0))
    types = np.array([groups.models[kinds[i].model] for i in zone.meter_ids], dtype=np.intp)
    return ZoneData(zone.information, zone.moment, columns, rows[:, columns], types, zone.changed.copy())


def _far_at_first(
    zones: Sequence[ZoneLikelihood], data: Sequence[ZoneData], scale_pct: float
) -> list[NDArray[np.bool_]]:
    """Meters far from the median of their type, measured by the median absolute deviation.

    One meter far away in a group of a few widens the group until it no longer stands out; the median it leaves alone.
    """
    # The marginal of one meter with the others at the fleet's spread, so that these need not be known.
    spread = [np.linalg.inv(zone.information + np.eye(len(zone)) * scale_pct**-2) for zone in zones]
    values = [part @ zone.moment for part, zone in zip(spread, zones, strict=True)]
    out = [np.zeros(len(zone), dtype=np.bool_) for zone in zones]
    for kind in {int(k) for one in data for k in one.type_of}:
        mine = [(one.type_of == kind) & ~one.removed for one in data]
        of_type = np.concatenate([value[part] for value, part in zip(values, mine, strict=True)])
        if not of_type.size:
            continue
        middle = float(np.median(of_type))
        sd = max(_NORMAL_MAD * float(np.median(np.abs(of_type - middle))), 0.1 * scale_pct)
        for place, (value, part) in enumerate(zip(values, mine, strict=True)):
            out[place] |= part & (np.abs(value - middle) > _FIRST_FAR * sd)
    return out


def _far(data: ZoneData, solved: Solved, place: int) -> NDArray[np.bool_]:
    """Meters whose deviation is greater than the model's spread lets expect, given how well it is known."""
    spread = np.exp(solved.logs[3 + data.type_of])
    known = np.maximum(spread - solved.variance[place], 1e-12)  # variance of the expectation of the deviation
    beyond = np.abs(solved.residual[place]) > _FAR * np.sqrt(known)
    return np.asarray(beyond & ~data.removed & (solved.variance[place] < 0.9 * spread), dtype=np.bool_)


def _level_std_pct(zones: Sequence[ZoneLikelihood]) -> float:
    """The median over zones of what is not known of all meters' errors together [%]."""
    levels = [float(np.sum(zone.information)) for zone in zones]
    return float(np.median([level**-0.5 for level in levels if level > 0])) if any(levels) else 0.0
