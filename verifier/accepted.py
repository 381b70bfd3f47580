"""What the checks on register steps make of readings from their very beginning: accepted totals and findings. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import MICRO
from store.findings import FindingDraft
from store.meter_facts import MeterRecord
from verifier.arrays import Structured, new_states
from verifier.facts import join, one_meter
from verifier.sequences import OneValued, one_valued
from verifier.settings import VerifierSettings
from verifier.step_findings import write_findings
from verifier.steps import Checked, check_steps

Series = Mapping[int, tuple[NDArray[np.int64], NDArray[np.float64]]]  # by meter: times [us], totals [base unit]
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class StepResults:
    """By meter its accepted totals, and all findings on register steps."""

    series: Series
    findings: tuple[FindingDraft, ...]

    def of_meters(self, ids: Collection[int]) -> "StepResults":
        """Those of some meters."""
        series = {meter_id: one for meter_id, one in self.series.items() if meter_id in ids}
        return StepResults(series, tuple(draft for draft in self.findings if draft.meter_id in ids))


def accepted_totals(readings: Structured, records: Sequence[MeterRecord], settings: VerifierSettings) -> Series:
    """Times and accepted totals of readings (READING, any order, conflicting values among them).

    Glitches are left out, rollovers unwound and resets bridged by the same checks that make the findings. `records`
    ascend by meter_id; meters without a reading are left out.
    """
    checked, _, _ = _check(readings, records, settings)
    return {} if checked is None else _series(checked)


def step_results(readings: Structured, records: Sequence[MeterRecord], settings: VerifierSettings) -> StepResults:
    """The same with the findings that these readings make, as the verifier writes them once it has followed them."""
    checked, states, ordered = _check(readings, records, settings)
    if checked is None:
        return StepResults({}, ())
    return StepResults(_series(checked), tuple(write_findings(checked, states, ordered.conflicts, settings.steps)))


def _check(
    readings: Structured, records: Sequence[MeterRecord], settings: VerifierSettings
) -> tuple[Checked | None, Structured, OneValued]:
    ordered = one_valued(readings)
    there = np.unique(ordered.readings["meter_id"])
    known = set(there.tolist())
    records = [record for record in records if record.meter_id in known]
    states = new_states(there)
    if not records:
        return None, states, ordered
    facts = join([one_meter(record, settings) for record in records])
    pos = np.searchsorted(there, ordered.readings["meter_id"])
    return check_steps(states, ordered.readings, pos, facts, settings.steps, _DAY_US), states, ordered


def _series(checked: Checked) -> Series:
    points = checked.sequence.points
    out = {}
    for i, meter_id in enumerate(checked.states["meter_id"].tolist()):
        rows = np.arange(checked.sequence.first[i], checked.sequence.last[i] + 1)
        rows = rows[checked.usable[rows]]
        out[int(meter_id)] = (points["observed_us"][rows], checked.total_micro[rows] / MICRO)
    return out
