"""Single sampling plans by acceptance quality limit: ISO 2859-1 (GB/T 2828.1).

From a lot's size, the inspection level, the AQL and the severity to the plan that applies, arrows followed, with its
sample size and acceptance number. Which severity applies: see `switching`; what a plan achieves: `characteristics`.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from metrology.arrays import floats, whole
from metrology.errors import InvalidInputError
from metrology.sampling.tables import Cell, InspectionLevel, MasterTable, Severity, iso_2859_tables

Characteristic = Literal["nonconforming_units", "nonconformities"]

# ISO 2859-1, clause 5: AQL up to 10 may be percent nonconforming; larger ones count nonconformities per 100 units.
MAX_AQL_NONCONFORMING_PCT: Final = 10.0


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """A single sampling plan and where it comes from.

    `lot_size` is None for a plan taken by its code letter. `code_letter` is that at the arrow's end,
    `initial_code_letter` that of Table 1. With `full_inspection` every unit of the lot is inspected, because the
    table's sample size reaches the lot size (10.3).
    """

    lot_size: int | None
    inspection_level: InspectionLevel | None
    severity: Severity
    aql_pct: float
    characteristic: Characteristic
    initial_code_letter: str
    code_letter: str
    sample_size: int
    acceptance_number: int
    full_inspection: bool
    standard: str
    clause: str
    confidence: str

    @property
    def rejection_number(self) -> int:
        """Re = Ac + 1 in every single sampling plan of ISO 2859-1."""
        return self.acceptance_number + 1

    def accepts(self, nonconforming: int) -> bool:
        """Is the lot accepted with this number of nonconforming units (or nonconformities) in the sample? (11.1)"""
        most = self.sample_size if self.characteristic == "nonconforming_units" else None
        whole(f"nonconforming of {self.sample_size}", nonconforming, least=0, most=most)
        return nonconforming <= self.acceptance_number


def inspection_level(text: str) -> InspectionLevel:
    """Read an inspection level; refuses an unknown one with the choices."""
    try:
        return InspectionLevel(str(text).strip().upper())
    except ValueError:
        raise InvalidInputError(
            f"inspection level {text!r} does not exist; choose one of {', '.join(InspectionLevel)}"
        ) from None


def code_letter(lot_size: int, level: str = "II") -> str:
    """The sample size code letter of a lot (ISO 2859-1, Table 1). `lot_size` [units], at least 2."""
    if whole("lot size", lot_size, least=0) < 2:
        raise InvalidInputError(f"lot size {lot_size}: sampling plans begin at 2 units; inspect a single unit itself")
    return iso_2859_tables().code_letter(lot_size, inspection_level(level))


def aql_series(severity: Severity = Severity.NORMAL) -> tuple[float, ...]:
    """The AQL values that a master table holds [%, or nonconformities per 100 units]."""
    return _master(severity).aql_pct


def single_sampling_plan(
    lot_size: int,
    aql_pct: float,
    level: str = "II",
    severity: Severity = Severity.NORMAL,
    characteristic: Characteristic = "nonconforming_units",
) -> SamplingPlan:
    """The single sampling plan for a lot (ISO 2859-1, 10.1 to 10.3, Tables 1 and 2-A, 2-B, 2-C).

    `lot_size` [units], at least 2; `aql_pct` from the series [% nonconforming units, or nonconformities per 100 units].
    Normal and tightened plans exist for AQL 0.010 to 1000, reduced ones for 0.010 to 10.
    Raises InvalidInputError for a lot below 2, an unknown level, an AQL out of the series or above 10 for units.
    """
    plan = plan_for_code_letter(code_letter(lot_size, level), aql_pct, severity, characteristic)
    lot_size = int(lot_size)  # numpy's integers are no JSON numbers
    return replace(
        plan,
        lot_size=lot_size,
        inspection_level=inspection_level(level),
        sample_size=min(plan.sample_size, lot_size),
        full_inspection=plan.sample_size >= lot_size,
    )


def plan_for_code_letter(
    initial_code_letter: str,
    aql_pct: float,
    severity: Severity = Severity.NORMAL,
    characteristic: Characteristic = "nonconforming_units",
) -> SamplingPlan:
    """The plan for a code letter, without a lot (for characteristics of series of lots). Raises InvalidInputError
    with the valid letters, AQL values, severities and characteristics."""
    master, cell = _master(severity), _cell(initial_code_letter, aql_pct, severity, characteristic)
    return SamplingPlan(
        lot_size=None,
        inspection_level=None,
        severity=master.severity,
        aql_pct=aql_pct,
        characteristic=characteristic,
        initial_code_letter=initial_code_letter,
        code_letter=cell.code_letter,
        sample_size=cell.sample_size,
        acceptance_number=cell.acceptance_number,
        full_inspection=False,
        standard=iso_2859_tables().standard,
        clause=master.clause,
        confidence=cell.confidence,
    )


def one_step_tighter_aql_pct(aql_pct: float, severity: Severity = Severity.NORMAL) -> float:
    """The next smaller AQL of the series (for the switching score)."""
    table = _master(severity)
    column = table.column(aql_pct)
    if column == 0:
        raise InvalidInputError(f"AQL {aql_pct:g} is the smallest of the series; there is none one step tighter")
    return table.aql_pct[column - 1]


def _master(severity: Severity) -> MasterTable:
    if severity not in tuple(Severity):
        raise InvalidInputError(f"severity {severity!r} is unknown; use one of {', '.join(Severity)}")
    return iso_2859_tables().master[severity]


def _cell(letter: str, aql_pct: float, severity: Severity, characteristic: Characteristic) -> Cell:
    if characteristic not in get_args(Characteristic):
        raise InvalidInputError(
            f"characteristic {characteristic!r} is unknown; use one of {', '.join(get_args(Characteristic))}"
        )
    floats("aql_pct", aql_pct)
    if characteristic == "nonconforming_units" and math.isfinite(aql_pct) and aql_pct > MAX_AQL_NONCONFORMING_PCT:
        raise InvalidInputError(
            f"AQL {aql_pct:g} is above {MAX_AQL_NONCONFORMING_PCT:g}, which counts nonconformities per 100 units; "
            "take a smaller AQL or characteristic='nonconformities'"
        )
    return _master(severity).resolve(letter, aql_pct)
