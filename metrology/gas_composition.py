"""Composition of a natural gas by mole fractions, in the 21 components of AGA8 and GERG-2008."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from metrology.arrays import finite_scalar
from metrology.errors import InvalidInputError

COMPONENTS: Final = (
    "methane", "nitrogen", "carbon_dioxide", "ethane", "propane", "isobutane", "n_butane", "isopentane", "n_pentane",
    "hexane", "heptane", "octane", "nonane", "decane", "hydrogen", "oxygen", "carbon_monoxide", "water",
    "hydrogen_sulfide", "helium", "argon",
)  # fmt: skip
_SUM_TOLERANCE: Final = 1e-6  # rounding of printed fractions; ISO 6976:2016, clause 1 wants a sum of exactly one
_RAW_SUM: Final = (0.98, 1.02)  # a chromatogram's raw total beyond this is a faulty analysis, not one to be scaled


@dataclass(frozen=True, slots=True)
class Composition:
    """Mole fractions in the order of COMPONENTS; make one with `of`, which checks them."""

    fractions: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.fractions) != len(COMPONENTS):
            raise InvalidInputError(f"{len(self.fractions)} mole fractions instead of {len(COMPONENTS)}; use of()")

    @classmethod
    def of(cls, fractions: Mapping[str, float], *, normalise: bool = False) -> Self:
        """The composition with these mole fractions (absent components are 0).

        They must sum to 1; `normalise` scales a raw total of 0.98 to 1.02 to one. Raises InvalidInputError for unknown
        components (naming the known), negative fractions and other sums.
        """
        for name, value in fractions.items():
            if name not in COMPONENTS:
                raise InvalidInputError(f"gas component {name!r} is unknown; use one of {', '.join(COMPONENTS)}")
            finite_scalar(f"mole fraction of {name}", value, least=0.0)
        total = math.fsum(fractions.values())
        if normalise and not _RAW_SUM[0] <= total <= _RAW_SUM[1]:
            raise InvalidInputError(f"mole fractions sum to {total:.6g}, outside 0.98 to 1.02; repeat the analysis")
        if not normalise and abs(total - 1) > _SUM_TOLERANCE:
            raise InvalidInputError(
                f"mole fractions sum to {total:.8g}, not to 1; complete them, or ask for normalisation by its name"
            )
        return cls(tuple(fractions.get(name, 0.0) / total for name in COMPONENTS))

    def fraction(self, *names: str) -> float:
        """The sum of the named components' mole fractions."""
        return math.fsum(self.fractions[COMPONENTS.index(name)] for name in names)

    def present(self) -> dict[str, float]:
        """The components with a fraction above 0."""
        return {name: x for name, x in zip(COMPONENTS, self.fractions, strict=True) if x > 0}
