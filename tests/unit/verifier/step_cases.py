"""Meters and readings for the tests of the checks on register steps, and a follower kept in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from store.findings import FindingDraft
from store.meter_facts import InstallationFacts, MeterRecord
from store.readings import READING
from verifier.arrays import NEVER_US, STATE, MeterFacts, Structured, new_states
from verifier.facts import join, one_meter
from verifier.sequences import one_valued
from verifier.settings import VerifierSettings
from verifier.step_findings import is_owned, write_findings
from verifier.steps import Checked, check_steps

SECOND = 1_000_000
HOUR = 3_600 * SECOND
START = 1_735_689_600 * SECOND  # 2025-01-01
DAY = 24 * HOUR


def place(**changes: Any) -> InstallationFacts:
    """An installation since ever at a service point, changed as said."""
    return replace(InstallationFacts("P1", "customer", 1.0, None, None, None, None, None, None), **changes)


def meter(
    meter_id: int = 1, medium: str = "water", installations: Sequence[InstallationFacts] = (), **changes: Any
) -> MeterRecord:
    """A meter that resolves a thousandth of its unit, changed as said."""
    record = MeterRecord(meter_id, "u", f"S{meter_id}", medium, "", 1_000, None, tuple(installations) or (place(),))
    return replace(record, **changes)


def readings(points: Iterable[tuple[float, float]], meter_id: int = 1, batch_id: int = 1) -> Structured:
    """READING rows of (hours since START, register in kWh or m3)."""
    rows = np.zeros(len(points := list(points)), dtype=READING)
    rows["observed_us"] = [START + round(hours * HOUR) for hours, _ in points]
    rows["register_micro"] = [round(register * 1e6) for _, register in points]
    rows["meter_id"], rows["batch_id"] = meter_id, batch_id
    return rows


@dataclass
class Outcome:
    """What a check from the first reading concluded."""

    checked: Checked
    findings: list[FindingDraft]

    @property
    def total(self) -> float:
        """The first meter's total up to its anchor [kWh or m3]."""
        return float(self.checked.states["total_micro"][0]) / 1e6

    def of_kind(self, kind: str) -> list[FindingDraft]:
        """The findings of a kind, in order of time."""
        return sorted((f for f in self.findings if f.kind == kind), key=lambda f: (f.meter_id or 0, f.starts_us))

    @property
    def kinds(self) -> list[str]:
        """The kinds found, in order of time."""
        return [f.kind for f in sorted(self.findings, key=lambda f: (f.starts_us, f.kind))]


def check(
    rows: Structured, records: Sequence[MeterRecord] | None = None, settings: VerifierSettings | None = None
) -> Outcome:
    """Checks readings from the first one on, all at once."""
    settings, records = settings or VerifierSettings(), records or [meter()]
    facts = join([one_meter(record, settings) for record in records])
    return _check(new_states(facts.meters["meter_id"]), rows, facts, settings)


def _check(states: Structured, rows: Structured, facts: MeterFacts, settings: VerifierSettings) -> Outcome:
    ordered = one_valued(rows)
    pos = np.searchsorted(facts.meters["meter_id"], ordered.readings["meter_id"])
    checkpoint_us = round(settings.follower.checkpoint_s * SECOND)
    checked = check_steps(states, ordered.readings, pos, facts, settings.steps, checkpoint_us)
    return Outcome(checked, write_findings(checked, states, ordered.conflicts, settings.steps))


@dataclass
class MemoryFollower:
    """One meter followed delivery by delivery, going on from its state as the real follower does."""

    record: MeterRecord
    settings: VerifierSettings
    seen: Structured = field(default_factory=lambda: np.empty(0, READING))
    states: Structured = field(default_factory=lambda: np.empty(0, STATE))  # checkpoints, the current state last
    in_force: dict[Any, FindingDraft] = field(default_factory=dict)

    def deliver(self, rows: Structured) -> None:
        """Takes further readings in."""
        facts = join([one_meter(self.record, self.settings)])
        self.seen = np.concatenate([self.seen, rows])
        earliest = int(rows["observed_us"].min())
        settled_us = np.maximum(self.states["anchor"]["observed_us"], self.states["reach_us"])
        self.states = self.states[settled_us < earliest]
        state = self.states[-1:] if len(self.states) else new_states(np.array([self.record.meter_id]))
        anchor_us = int(state["anchor"]["observed_us"][0])
        outcome = _check(state, self.seen[self.seen["observed_us"] > anchor_us], facts, self.settings)
        for key, finding in list(self.in_force.items()):
            if is_owned(finding, state[0]):
                del self.in_force[key]
        for finding in outcome.findings:
            assert finding.key not in self.in_force, f"two findings in force for {finding.key}"
            self.in_force[finding.key] = finding
        self.states = np.concatenate([self.states, outcome.checked.checkpoints, outcome.checked.states])

    @property
    def total_micro(self) -> int:
        """The total up to the anchor."""
        return int(self.states["total_micro"][-1])

    @property
    def anchor_us(self) -> int:
        """The time up to which all is settled."""
        return int(self.states["anchor"]["observed_us"][-1]) if len(self.states) else NEVER_US
