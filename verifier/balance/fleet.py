"""The prior of a meter from its like over all zones: by type, lot and age. Pure.

What the zones' data say of their meters (`likelihood`) is joined by a hierarchical model (`hierarchy`). A meter of type
g, lot l and age a, of another zone, is then to be expected with

    mean  xᵀb,   variance  τ_g² + xᵀM⁻¹x + c²,   x: the common mean, its type, (a − ā_g)·trend, its lot

which contains how uncertain the group's mean is (Gelman et al., Bayesian Data Analysis, 3rd ed., 5.4). Of a zone's own
meters the prior is made without that zone's data, b and M less its part: the zone's data then come in once only.

Zones' references have errors of their own, each within its uncertainty, and every zone's losses are known but roughly;
both stand in the likelihood and average out over many zones. What is the same in all of them (references of one make,
losses that are nowhere negative) does not: c is `pool_common_share` of the median zone's uncertainty of its level,
σ = (1ᵀΛ1)^(−½), the error that all of its meters may have in common.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from verifier.balance.hierarchy import Solved, ZoneData
from verifier.balance.kinds_of_meters import Groups, MeterKind
from verifier.balance.types import Floats, ZoneLikelihood
from verifier.balance_settings import BalanceSettings


@dataclass(frozen=True)
class PooledPrior:
    """What is to be expected of a meter of a group before its zone's data.

    `sd_pct` is its own part; `common_pct` what all meters of the group may err together beyond `mean_pct`. The group
    has `meters` in `zones` other zones.
    """

    kind: MeterKind
    mean_pct: float
    sd_pct: float
    common_pct: float
    meters: int
    zones: int


@dataclass(frozen=True)
class GroupRow:
    """A type or, with `lot`, a lot: how many meters and zones, mean and its standard deviation, the meters' spread [%].

    `mean_std_pct` has no share of what all zones have in common, `Fleet.common_pct`. `trend_pct_per_year` is 0 where
    the ages spread too little to tell. `far` meters are left out, as are those that changed.
    """

    model: str
    lot: str | None
    meters: int
    zones: int
    far: int
    mean_pct: float
    mean_std_pct: float
    between_sd_pct: float
    trend_pct_per_year: float
    age_years: float | None
    used: bool


@dataclass(frozen=True)
class Fleet:
    """The model fitted to the zones of one medium; `kinds` by meter_id, `common_pct` is c."""

    zones: tuple[ZoneLikelihood, ...]
    kinds: Mapping[int, MeterKind]
    groups: Groups
    data: tuple[ZoneData, ...]
    solved: Solved
    common_pct: float
    settings: BalanceSettings

    def prior(self, kind: MeterKind, zone: int | None = None) -> PooledPrior | None:
        """What is to be expected of such a meter, without the data of its own zone (a place among `zones`), if any.

        None where too few meters or zones tell of its type.
        """
        if kind.model not in self.groups.models:
            return None
        meters, zones = self._counts(kind.model, zone)
        if meters < self.settings.pool_meters_min or zones < self.settings.pool_zones_min:
            return None
        mean, covariance = self._without(zone)
        row, of_type = self.groups.row(kind), self.groups.row(kind, lot=False)
        unknown = 0.0 if row[self._lots].any() else float(np.exp(self.solved.logs[1]))
        of_mean = float(row @ covariance @ row)
        shared = min(of_mean, float(of_type @ covariance @ of_type))
        own = self.solved.between_sd(self.groups.models[kind.model]) ** 2 + of_mean - shared + unknown
        return PooledPrior(
            kind,
            float(row @ mean),
            max(float(np.sqrt(own)), self.settings.pool_sd_least_pct),
            float(np.hypot(np.sqrt(shared), self.common_pct)),
            meters,
            zones,
        )

    def table(self) -> list[GroupRow]:
        """The types, each followed by its lots where there are several."""
        out = []
        for model in self.groups.models:
            lots = [lot for of_model, lot in self.groups.lots if of_model == model]
            out.append(self._row(model, None))
            out += [self._row(model, lot) for lot in lots if len(lots) > 1]
        return out

    def _row(self, model: str, lot: str | None) -> GroupRow:
        age = self.groups.mean_age.get(model)
        mean, covariance = self._without(None)
        lots = [one for of_model, one in self.groups.lots if of_model == model and lot in (None, one)]
        counts = [self._counts(model, None, one)[0] for one in lots]
        # A type's mean is that of its meters: each lot counts by how many of them it has.
        rows = [self.groups.row(MeterKind(model, one)) for one in lots]
        row = np.average(rows, axis=0, weights=counts if any(counts) else None)
        far = sum(
            int(np.sum(data.removed & ~zone.changed & self._of(zone, model, lot)))
            for zone, data in zip(self.zones, self.data, strict=True)
        )
        trend = self.groups.trends.get(model)
        of_model, in_zones = self._counts(model, None)
        return GroupRow(
            model=model,
            lot=lot,
            meters=sum(counts),
            zones=self._counts(model, None, lot)[1],
            far=far,
            mean_pct=float(row @ mean),
            mean_std_pct=float(np.sqrt(row @ covariance @ row)),
            between_sd_pct=self.solved.between_sd(self.groups.models[model]),
            trend_pct_per_year=0.0 if trend is None else float(mean[1 + len(self.groups.models) + trend]),
            age_years=age,
            used=of_model >= self.settings.pool_meters_min and in_zones >= self.settings.pool_zones_min,
        )

    @property
    def _lots(self) -> slice:
        return slice(1 + len(self.groups.models) + len(self.groups.trends), None)

    def _of(self, zone: ZoneLikelihood, model: str, lot: str | None = None) -> NDArray[np.bool_]:
        of_meters = [self.kinds[i] for i in zone.meter_ids]
        return np.array([one.model == model and lot in (None, one.lot) for one in of_meters], dtype=np.bool_)

    def _counts(self, model: str, without: int | None, lot: str | None = None) -> tuple[int, int]:
        """Meters of a type (or a lot of it) that tell something, and their zones, one zone left out."""
        of_zones = [count for place, count in self._telling.get((model, lot), {}).items() if place != without]
        return sum(of_zones), len(of_zones)

    @cached_property
    def _telling(self) -> dict[tuple[str, str | None], dict[int, int]]:
        """By type (lot None) and by lot: how many meters tell something, by zone."""
        out: dict[tuple[str, str | None], dict[int, int]] = {}
        for place, (zone, data) in enumerate(zip(self.zones, self.data, strict=True)):
            for i in np.flatnonzero(~data.removed & (zone.told >= self.settings.pool_told_min)):
                kind = self.kinds[zone.meter_ids[i]]
                for lot in (None, kind.lot):
                    of_zone = out.setdefault((kind.model, lot), {})
                    of_zone[place] = of_zone.get(place, 0) + 1
        return out

    def _without(self, zone: int | None) -> tuple[Floats, Floats]:
        """Mean and covariance of the coefficients without a zone's part."""
        if zone is None:
            return self._whole
        held = self._left_out.get(zone)
        if held is None:
            total, moment = self.solved.total.copy(), self.solved.moment.copy()
            columns = self.data[zone].columns
            gram, own = self.solved.by_zone[zone]
            total[np.ix_(columns, columns)] -= gram
            moment[columns] -= own
            held = self._left_out[zone] = _solved(total, moment)
        return held

    @cached_property
    def _whole(self) -> tuple[Floats, Floats]:
        return _solved(self.solved.total, self.solved.moment)

    @cached_property
    def _left_out(self) -> dict[int, tuple[Floats, Floats]]:
        return {}


def _solved(total: Floats, moment: Floats) -> tuple[Floats, Floats]:
    # Without the only zone of a type nothing but its own deviation's prior is left; the mean alone has none.
    covariance = np.asarray(np.linalg.inv(total + np.eye(moment.size) * 1e-9), dtype=np.float64)
    return covariance @ moment, covariance
