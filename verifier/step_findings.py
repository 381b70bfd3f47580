"""Findings written from what the checks on register steps concluded, each with its figures and its readings."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np

from store.findings import FindingDraft
from store.times import EPOCH
from verifier.arrays import NEVER_US, MeterFacts, Structured
from verifier.excursions import Excursion
from verifier.kinds import FindingKind, Severity, severity_of
from verifier.runs import IN_STATE, NO_ROW, Spell
from verifier.settings import StepSettings
from verifier.steps import Checked

_MAX_FOREIGN: Final = 50  # readings of one excursion that are shown as evidence
_EXCHANGE_POSSIBLE: Final = (FindingKind.RESET, FindingKind.BACKWARD_STEP, FindingKind.IMPLAUSIBLE_RATE)


def write_findings(
    checked: Checked, states: Structured, conflicts: Sequence[Structured], settings: StepSettings
) -> list[FindingDraft]:
    """All findings of the checked rows; `states` are those the checks began from, `conflicts` see OneValued."""
    writer = _Writer(checked, states, settings)
    return [
        *writer.excursions(),
        *writer.small_backward_steps(),
        *writer.gaps(),
        *writer.exchanges(),
        *writer.spells(FindingKind.STOPPED, checked.stopped),
        *writer.spells(FindingKind.REVERSED_RUNNING, checked.reversed),
        *writer.conflicts(conflicts),
    ]


def time_text(time_us: int) -> str:
    """The time in RFC 3339, UTC."""
    return (EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def reading_evidence(part: str, point: np.void) -> dict[str, Any]:
    """One reading as evidence; `part` says what it shows (before, foreign, after, ...)."""
    return {
        "part": part,
        "observed_at": time_text(int(point["observed_us"])),
        "register_micro": int(point["register_micro"]),
        "batch_id": int(point["batch_id"]),
        "message_no": int(point["message_no"]),
    }


class _Writer:
    """Writes the findings of one check."""

    def __init__(self, checked: Checked, states: Structured, settings: StepSettings) -> None:
        self._checked, self._states, self._settings = checked, states, settings
        self._sequence = checked.placed.sequence
        self._points = self._sequence.points
        self._facts: MeterFacts = checked.placed.facts

    def _draft(
        self,
        kind: FindingKind,
        severity: Severity,
        pos: int,
        span: tuple[np.void, np.void],
        detail: dict[str, Any],
        evidence: list[dict[str, Any]],
    ) -> FindingDraft:
        meter_id = int(self._facts.meters["meter_id"][pos])
        starts_us, ends_us = int(span[0]["observed_us"]), int(span[1]["observed_us"])
        return FindingDraft(kind.value, severity.value, meter_id, None, starts_us, ends_us, detail, evidence)

    def excursions(self) -> Iterator[FindingDraft]:
        """Glitches, rollovers, resets, large backward steps and implausible rises."""
        for start, excursion in self._checked.excursions:
            yield (
                self._glitch(start, excursion)
                if excursion.kind == FindingKind.TRANSIENT_GLITCH
                else self._level(start, excursion)
            )

    def _glitch(self, start: int, excursion: Excursion) -> FindingDraft:
        before, first, after = start + excursion.before, start + excursion.first, start + excursion.after
        pos = int(self._sequence.pos[before])
        if excursion.looked_back:
            base = self._accepted_before(before)
            foreign, last = self._points[before : before + 1], self._points[first]
            span = (self._points[before], last)
        else:
            base, last = self._points[before], self._points[after]
            foreign, span = self._points[first:after], (base, last)
        steps = foreign["register_micro"] - int(base["register_micro"])
        largest = int(steps[np.argmax(np.abs(steps))])
        detail = {
            "largest_step_micro": largest,
            "returned_after_s": (int(last["observed_us"]) - int(foreign["observed_us"][0])) / 1e6,
            "foreign_readings": len(foreign),
            "net_micro": int(last["register_micro"]) - int(base["register_micro"]),
        }
        large = abs(largest) > self._large_step_micro(before)
        evidence = [
            reading_evidence("before", base),
            *(reading_evidence("foreign", point) for point in foreign[:_MAX_FOREIGN]),
            reading_evidence("after", last),
        ]
        return self._draft(excursion.kind, severity_of(excursion.kind, large), pos, span, detail, evidence)

    def _accepted_before(self, row: int) -> np.void:
        """The accepted reading before an accepted row of the same meter."""
        pos = int(self._sequence.pos[row])
        if row == self._sequence.first[pos]:
            carried: np.void = self._states["prev"][pos]
            return carried
        found: np.void = self._points[self._checked.rows[int(np.searchsorted(self._checked.rows, row)) - 1]]
        return found

    def _level(self, start: int, excursion: Excursion) -> FindingDraft:
        before, first = start + excursion.before, start + excursion.first
        pos = int(self._sequence.pos[before])
        step = int(self._points["register_micro"][first]) - int(self._points["register_micro"][before])
        detail: dict[str, Any] = {"step_micro": step, "counted": excursion.counted}
        if excursion.added_micro:
            detail |= {"modulus_micro": excursion.added_micro, "wrapped_step_micro": step + excursion.added_micro}
        detail |= self._rate(before, first, step + excursion.added_micro)
        if excursion.kind in _EXCHANGE_POSSIBLE and not excursion.counted:
            # Nothing in the readings tells a reset from a meter that was exchanged without being registered.
            detail["may_be_unregistered_exchange"] = True
        if excursion.provisional:
            detail["provisional"] = True
        large = abs(step) > self._large_step_micro(before)
        severity = Severity.INFO if excursion.provisional else severity_of(excursion.kind, large)
        evidence = [reading_evidence("before", self._points[before]), reading_evidence("after", self._points[first])]
        return self._draft(excursion.kind, severity, pos, (self._points[before], self._points[first]), detail, evidence)

    def small_backward_steps(self) -> Iterator[FindingDraft]:
        """Steps back within the register's noise: they are counted, and noted."""
        rows, moved = self._checked.rows, self._checked.counted.moved_micro
        told = np.zeros(len(self._points), dtype=np.bool_)
        told[[start + excursion.after for start, excursion in self._checked.excursions]] = True
        back = (moved < 0) & ~told[rows] & ~self._checked.placed.boundary[rows]
        for place in np.flatnonzero(back).tolist():
            before, after = self._points[rows[place - 1]], self._points[rows[place]]
            detail = {"step_micro": int(moved[place]), "counted": True, "within_noise": True}
            evidence = [reading_evidence("before", before), reading_evidence("after", after)]
            kind = FindingKind.BACKWARD_STEP
            pos = int(self._sequence.pos[rows[place]])
            yield self._draft(kind, severity_of(kind), pos, (before, after), detail, evidence)

    def gaps(self) -> Iterator[FindingDraft]:
        """Long times without any reading of an installed meter."""
        elapsed_us = np.diff(self._points["observed_us"], prepend=0)
        gap = self._sequence.inner & (elapsed_us > self._settings.gap_s * 1e6) & ~self._checked.placed.boundary
        gap &= self._facts.stretches["installed"][self._checked.placed.stretch]
        for row in np.flatnonzero(gap).tolist():
            before, after = self._points[row - 1], self._points[row]
            detail = {"gap_s": int(elapsed_us[row]) / 1e6}
            evidence = [reading_evidence("before", before), reading_evidence("after", after)]
            pos = int(self._sequence.pos[row])
            yield self._draft(FindingKind.GAP, severity_of(FindingKind.GAP), pos, (before, after), detail, evidence)

    def exchanges(self) -> Iterator[FindingDraft]:
        """Readings from which on a meter is at another place, or in place of another meter."""
        sequence, stretches = self._sequence, self._facts.stretches
        entered = self._checked.placed.boundary | ~(sequence.inner | sequence.is_head)
        stretch = self._checked.placed.stretch
        told = entered & stretches["installed"][stretch] & stretches["follows"][stretch]
        for row in np.flatnonzero(told).tolist():
            yield self._exchange(row, bool(sequence.inner[row]))

    def _exchange(self, row: int, has_before: bool) -> FindingDraft:
        stretch = int(self._checked.placed.stretch[row])
        facts = self._facts.stretches[stretch]
        place = int(np.searchsorted(self._checked.rows, row))
        contradicted = bool(self._checked.counted.contradicted[place])
        detail: dict[str, Any] = dict(self._facts.notes[stretch])
        detail["installed_at"] = time_text(int(facts["start_us"]))
        detail["counted_micro"] = int(self._checked.counted.counted_micro[place])
        detail["contradicts_registers"] = contradicted
        if facts["has_start_register"]:
            detail["start_register_micro"] = int(facts["start_register_micro"])
        evidence = [reading_evidence("after", self._points[row])]
        start = self._points[row].copy()
        if has_before:
            before = int(self._checked.rows[place - 1])
            left = self._facts.stretches[self._checked.placed.stretch[before]]
            if left["has_end_register"]:
                detail["end_register_micro"] = int(left["end_register_micro"])
            evidence.insert(0, reading_evidence("before", self._points[before]))
            start = self._points[before]
        else:
            start["observed_us"] = facts["start_us"]
        kind = FindingKind.METER_EXCHANGE
        pos = int(self._sequence.pos[row])
        return self._draft(kind, severity_of(kind, contradicted), pos, (start, self._points[row]), detail, evidence)

    def spells(self, kind: FindingKind, spells: Iterable[Spell]) -> Iterator[FindingDraft]:
        """Meters that stopped or ran backwards for long."""
        start_name, told_name = ("run", "stopped") if kind == FindingKind.STOPPED else ("peak", "reversed")
        for spell in spells:
            start = self._point(spell.start, spell.pos, start_name)
            told = self._point(spell.told, spell.pos, told_name)
            last = told if spell.end == NO_ROW else self._point(spell.last, spell.pos, "anchor")
            detail: dict[str, Any] = {"ongoing": spell.end == NO_ROW}
            detail["lasted_s"] = (int(last["observed_us"]) - int(start["observed_us"])) / 1e6
            if kind == FindingKind.REVERSED_RUNNING:
                detail["net_register_micro"] = int(told["register_micro"]) - int(start["register_micro"])
                if spell.end != NO_ROW:
                    detail["backward_steps"] = spell.down_steps
            evidence = [reading_evidence("start", start), reading_evidence("told", told)]
            if spell.end != NO_ROW:
                end = self._point(spell.end, spell.pos, "anchor")
                evidence += [reading_evidence("last", last), reading_evidence("end", end)]
            yield self._draft(kind, severity_of(kind), spell.pos, (start, last), detail, evidence)

    def _point(self, place: int, pos: int, name: str) -> np.void:
        point: np.void = self._states[name][pos] if place == IN_STATE else self._points[self._checked.rows[place]]
        return point

    def conflicts(self, groups: Sequence[Structured]) -> Iterator[FindingDraft]:
        """Times for which several values are held; all of them are shown, the one used first."""
        if not groups:
            return
        position = {int(meter_id): pos for pos, meter_id in enumerate(self._facts.meters["meter_id"])}
        for group in groups:
            pos = position[int(group["meter_id"][0])]
            spread = int(group["register_micro"].max()) - int(group["register_micro"].min())
            row = self._row_at(pos, int(group["observed_us"][0]))
            detail = {
                "values": len(group),
                "spread_micro": spread,
                "used_register_micro": int(group["register_micro"][0]),
                "status": [int(status) for status in group["status"]],
            }
            evidence = [reading_evidence("used", group[0]), *(reading_evidence("other", other) for other in group[1:])]
            kind = FindingKind.CONFLICTING_VALUES
            severity = severity_of(kind, spread > self._large_step_micro(row))
            yield self._draft(kind, severity, pos, (group[0], group[0]), detail, evidence)

    def _row_at(self, pos: int, observed_us: int) -> int:
        first, last = int(self._sequence.first[pos]), int(self._sequence.last[pos])
        return first + int(np.searchsorted(self._points["observed_us"][first:last], observed_us))

    def _large_step_micro(self, row: int) -> int:
        return int(self._facts.stretches["large_step_micro"][self._checked.placed.stretch[row]])

    def _rate(self, before: int, after: int, step_micro: int) -> dict[str, float]:
        """The mean rate of a step after the multiplier, and the highest plausible one [kW or m3/h]."""
        facts = self._facts.stretches[self._checked.placed.stretch[after]]
        elapsed_us = int(self._points["observed_us"][after]) - int(self._points["observed_us"][before])
        unit = "kw" if self._facts.media[self._sequence.pos[before]] == "electricity" else "m3ph"
        per_hour = 3_600.0 * float(facts["multiplier"])  # millionths per us are base units per second
        return {
            f"rate_{unit}": round(step_micro / elapsed_us * per_hour, 6),
            f"max_rate_{unit}": round(float(facts["max_rate"]) * per_hour, 6),
        }


def owned_from_us(state: np.void) -> int:
    """The earliest start of a finding that checks going on from this state conclude about."""
    starts = [int(state[name]["observed_us"]) for name in ("anchor", "run", "peak")]
    return min(start for start in starts if start != NEVER_US) if starts[0] != NEVER_US else NEVER_US


def is_owned(finding: FindingDraft, state: np.void) -> bool:
    """Whether checks going on from this state conclude about the finding anew; else it is settled."""
    anchor_us = int(state["anchor"]["observed_us"])
    if finding.starts_us >= anchor_us:
        return finding.ends_us > anchor_us
    name = {FindingKind.STOPPED: "run", FindingKind.REVERSED_RUNNING: "peak"}.get(FindingKind(finding.kind))
    return name is not None and finding.starts_us == int(state[name]["observed_us"])
