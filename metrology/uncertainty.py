"""Uncertainty budgets after the GUM (JCGM 100:2008).

A `Budget` is the whole statement of a measurement: its components with their standard uncertainties and sensitivities,
correlations, the combined standard uncertainty and, for a coverage probability, the expanded one.
`metrology.montecarlo` checks a budget by propagating distributions; `metrology.budget_table` prints it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

import numpy as np
from scipy import special

from metrology.arrays import FloatArray
from metrology.components import Component, Correlation, Distribution, parse_distribution
from metrology.errors import InvalidInputError

__all__ = ["COVERAGE_95", "COVERAGE_K2", "Budget", "Component", "Correlation", "Distribution"]

COVERAGE_95: Final = 0.95
COVERAGE_K2: Final = 0.9545  # of a normal quantity within k = 2 (GUM, G.6.6 and 6.3.3)


@dataclass(frozen=True, slots=True)
class Budget:
    """The measurand's estimate `value` [`unit`] and everything its uncertainty is made of."""

    measurand: str
    unit: str
    value: float
    components: tuple[Component, ...]
    correlations: tuple[Correlation, ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InvalidInputError(f"budget {self.measurand!r}: value = {self.value:g}; give a number")
        names = [c.name for c in self.components]
        if not names:
            raise InvalidInputError(f"budget {self.measurand!r} has no components; name at least one")
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InvalidInputError(
                f"budget {self.measurand!r}: {', '.join(twice)} named twice; give each its own name"
            )
        smallest = float(np.linalg.eigvalsh(self.correlation_matrix()).min())
        if smallest < -1e-9:
            raise InvalidInputError(
                f"budget {self.measurand!r}: the correlations contradict each other (smallest eigenvalue {smallest:g});"
                " make them smaller"
            )

    @classmethod
    def from_model(
        cls,
        measurand: str,
        unit: str,
        model: Callable[..., Any],
        inputs: Sequence[Component],
        correlations: Sequence[Correlation] = (),
    ) -> Self:
        """The budget of y = model(x1, x2, ...), called with the inputs' values by position.

        Sensitivities are central differences over ± one standard uncertainty (GUM 5.1.3, note 2); an input with
        uncertainty 0 gets sensitivity 0 for it adds nothing. Raises InvalidInputError where the model gives no finite
        number, at the values or one standard uncertainty away from them.
        """
        values = [c.value for c in inputs]

        def y(at: Sequence[float]) -> float:
            try:
                result = float(model(*at))
            except (ArithmeticError, TypeError, ValueError) as error:
                raise InvalidInputError(f"budget {measurand!r}: the model fails at {list(at)}: {error}") from None
            if not math.isfinite(result):
                raise InvalidInputError(f"budget {measurand!r}: the model gives {result:g} at {list(at)}")
            return result

        lines = []
        for i, line in enumerate(inputs):
            sensitivity = 0.0
            if line.std_uncertainty > 0:
                high = [*values[:i], line.value + line.std_uncertainty, *values[i + 1 :]]
                low = [*values[:i], line.value - line.std_uncertainty, *values[i + 1 :]]
                sensitivity = (y(high) - y(low)) / (2 * line.std_uncertainty)
            lines.append(replace(line, sensitivity=sensitivity))
        return cls(measurand, unit, y(values), tuple(lines), tuple(correlations))

    def correlation_matrix(self) -> FloatArray:
        """Correlation coefficients of the components, shape (n, n), 1 on the diagonal."""
        place = {c.name: i for i, c in enumerate(self.components)}
        matrix = np.eye(len(place))
        for pair in self.correlations:
            unknown = [n for n in (pair.first, pair.second) if n not in place]
            if unknown or pair.first == pair.second or not -1 <= pair.coefficient <= 1:
                raise InvalidInputError(
                    f"budget {self.measurand!r}: correlation {pair.first!r}-{pair.second!r} = {pair.coefficient:g};"
                    f" name two different components of {', '.join(place)} and a coefficient within ±1"
                )
            i, j = place[pair.first], place[pair.second]
            matrix[i, j] = matrix[j, i] = pair.coefficient
        return matrix

    @property
    def combined_std_uncertainty(self) -> float:
        """u_c = √(Σ Σ c_i c_j u_i u_j r_ij), in the measurand's unit (GUM 5.1.2 and 5.2.2)."""
        largest = max(c.contribution for c in self.components)
        if largest == 0:
            return 0.0
        # Relative to the largest: squares of very small contributions would underflow.
        signed = np.array([c.sensitivity * c.std_uncertainty / largest for c in self.components])
        return largest * math.sqrt(max(float(signed @ self.correlation_matrix() @ signed), 0.0))

    @property
    def effective_degrees_of_freedom(self) -> float:
        """u_c⁴ / Σ(c_i u_i)⁴/ν_i (Welch-Satterthwaite, GUM G.4.1); infinite where nothing limits it.

        Raises InvalidInputError where a correlated component has finite degrees of freedom: the formula holds for
        independent components only.
        """
        tied = {n for p in self.correlations if p.coefficient for n in (p.first, p.second)}
        limited = [c for c in self.components if math.isfinite(c.degrees_of_freedom) and c.contribution > 0]
        broken = sorted(c.name for c in limited if c.name in tied)
        if broken:
            raise InvalidInputError(
                f"budget {self.measurand!r}: {', '.join(broken)} correlated and of finite degrees of freedom, for which"
                " the Welch-Satterthwaite formula does not hold; join the correlated components or use Monte Carlo"
            )
        total = self.combined_std_uncertainty
        # Shares first: fourth powers of small uncertainties would underflow.
        share = sum((c.contribution / total) ** 4 / c.degrees_of_freedom for c in limited) if total > 0 else 0.0
        return 1.0 / share if share > 0 else math.inf

    def coverage_factor(self, probability: float = COVERAGE_95) -> float:
        """k for a two-sided coverage probability: the t quantile at the effective degrees of freedom, truncated to the
        next lower integer (GUM G.4.1 and G.6.4), or the normal quantile where they are infinite."""
        if not 0 < probability < 1:
            raise InvalidInputError(f"coverage probability {probability:g}; give one between 0 and 1, such as 0.95")
        dof = self.effective_degrees_of_freedom
        quantile = (1 + probability) / 2
        # The small relative addition keeps a whole number, computed as 3.9999999, from becoming 3.
        return float(
            special.ndtri(quantile) if math.isinf(dof) else special.stdtrit(math.floor(dof * (1 + 1e-9)), quantile)
        )

    def expanded_uncertainty(self, probability: float = COVERAGE_95) -> float:
        """U = k·u_c in the measurand's unit (GUM 6.2.1), for a two-sided coverage probability."""
        return self.coverage_factor(probability) * self.combined_std_uncertainty

    def share(self, name: str) -> float:
        """The part of u_c² that a component brings by itself, (c·u)²/u_c², in 0..1 where nothing is correlated."""
        total = self.combined_std_uncertainty
        line = next((c for c in self.components if c.name == name), None)
        if line is None:
            raise InvalidInputError(f"budget {self.measurand!r} has no component {name!r}")
        return (line.contribution / total) ** 2 if total > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The budget as plain JSON values; infinite degrees of freedom become null."""
        lines = []
        for line in self.components:
            fields = asdict(line) | {"distribution": str(line.distribution)}
            fields["degrees_of_freedom"] = None if math.isinf(line.degrees_of_freedom) else line.degrees_of_freedom
            lines.append(fields)
        return {
            "measurand": self.measurand,
            "unit": self.unit,
            "value": self.value,
            "components": lines,
            "correlations": [asdict(pair) for pair in self.correlations],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The budget that `to_dict` wrote. Raises InvalidInputError naming what is missing, unknown or invalid."""
        try:
            lines = []
            for raw in fields["components"]:
                line = dict(raw)
                line["distribution"] = parse_distribution(line.get("distribution", Distribution.NORMAL))
                dof = line.get("degrees_of_freedom")
                line["degrees_of_freedom"] = math.inf if dof is None else float(dof)
                lines.append(Component(**line))
            pairs = tuple(Correlation(**pair) for pair in fields.get("correlations", ()))
            return cls(str(fields["measurand"]), str(fields["unit"]), float(fields["value"]), tuple(lines), pairs)
        except KeyError as error:
            raise InvalidInputError(f"budget: the field {error.args[0]!r} is missing") from None
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"budget: {error}; write it as Budget.to_dict does") from None
