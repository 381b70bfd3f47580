"""What meters have in common with others, as coefficients of a model of the fleet. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from verifier.balance.hierarchy import Coefficients
from verifier.balance.types import Floats


@dataclass(frozen=True)
class MeterKind:
    """What a meter has in common with others: `model` (its type) and `lot`, empty where unknown, and its age [a]."""

    model: str
    lot: str = ""
    age_years: float | None = None


@dataclass(frozen=True)
class Groups:
    """How kinds of meters become coefficients of the model: places by type, by type with a trend, by type and lot."""

    models: Mapping[str, int]
    trends: Mapping[str, int]
    lots: Mapping[tuple[str, str], int]
    mean_age: Mapping[str, float]

    @classmethod
    def of(cls, kinds: Sequence[MeterKind], spread_years: float) -> Self:
        """The groups that these meters make; a trend where the standard deviation of a type's ages is great enough."""
        models = {model: i for i, model in enumerate(sorted({kind.model for kind in kinds}))}
        ages: dict[str, list[float]] = {}
        for kind in kinds:
            if kind.age_years is not None:
                ages.setdefault(kind.model, []).append(kind.age_years)
        spread = sorted(model for model, years in ages.items() if np.std(years) >= spread_years)
        lots = sorted({(kind.model, kind.lot) for kind in kinds})
        return cls(
            models,
            {model: i for i, model in enumerate(spread)},
            {lot: i for i, lot in enumerate(lots)},
            {model: float(np.mean(years)) for model, years in ages.items()},
        )

    def coefficients(self, trend_sd: float) -> Coefficients:
        """What the model's coefficients are."""
        return Coefficients(len(self.models), len(self.trends), len(self.lots), trend_sd)

    def row(self, kind: MeterKind, *, lot: bool = True) -> Floats:
        """A meter's row of the design, (B,); a lot that is not known has no coefficient."""
        at_trends = 1 + len(self.models)
        at_lots = at_trends + len(self.trends)
        row = np.zeros(at_lots + len(self.lots))
        row[[0, 1 + self.models[kind.model]]] = 1.0
        if kind.model in self.trends and kind.age_years is not None:
            row[at_trends + self.trends[kind.model]] = kind.age_years - self.mean_age[kind.model]
        if lot and (kind.model, kind.lot) in self.lots:
            row[at_lots + self.lots[kind.model, kind.lot]] = 1.0
        return row
