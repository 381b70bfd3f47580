"""Switching between normal, tightened and reduced inspection: ISO 2859-1, clause 9.3 and 9.4 (GB/T 2828.1).

A pure state machine: a state and a lot's result give the next state. Only lots of original inspection count; a lot
that is submitted again changes nothing.
"""

from dataclasses import dataclass, replace
from typing import Final

from metrology.errors import InvalidInputError, StateConflictError
from metrology.sampling.plans import SamplingPlan, one_step_tighter_aql_pct
from metrology.sampling.tables import Severity, iso_2859_tables

REDUCED_SCORE: Final = 30  # 9.3.3.1 a)
_TIGHTEN_WINDOW: Final = 5  # 9.3.1: 2 of 5 or fewer consecutive lots not accepted
_TIGHTEN_REJECTED: Final = 2
_NORMAL_RUN: Final = 5  # 9.3.2: 5 consecutive lots accepted
_DISCONTINUE_REJECTED: Final = 5  # 9.4: 5 lots not accepted while on tightened inspection


@dataclass(frozen=True, slots=True)
class SwitchingState:
    """What the rules remember of a series of lots.

    `recent` holds the acceptance of the last lots on normal inspection (at most 5, oldest first), `accepted_run` the
    lots accepted in a row and `rejected_total` all lots not accepted since tightened inspection began.
    """

    severity: Severity = Severity.NORMAL
    switching_score: int = 0
    recent: tuple[bool, ...] = ()
    accepted_run: int = 0
    rejected_total: int = 0
    discontinued: bool = False


@dataclass(frozen=True, slots=True)
class LotResult:
    """A lot's result as the rules need it; `lot_result` makes it from a plan and a count.

    `accepted_one_step_tighter`: would it have been accepted under the AQL one step tighter? None where Ac is 0 or 1.
    """

    accepted: bool
    acceptance_number: int
    accepted_one_step_tighter: bool | None = None
    original_inspection: bool = True


def lot_result(plan: SamplingPlan, nonconforming: int, *, original_inspection: bool = True) -> LotResult:
    """The result of a lot inspected by `plan` with `nonconforming` units (or nonconformities) found."""
    tighter = None
    if plan.acceptance_number >= 2:
        # The sample that was drawn is judged, so the letter at the arrow's end is looked up, not that of Table 1.
        table = iso_2859_tables().master[plan.severity]
        cell = table.resolve(plan.code_letter, one_step_tighter_aql_pct(plan.aql_pct, plan.severity))
        tighter = nonconforming <= cell.acceptance_number
    return LotResult(plan.accepts(nonconforming), plan.acceptance_number, tighter, original_inspection)


def next_state(
    state: SwitchingState, result: LotResult, *, reduced_allowed: bool = False, production_steady: bool = True
) -> SwitchingState:
    """The state after a lot.

    `reduced_allowed`: the responsible authority considers reduced inspection desirable (9.3.3.1 c); off by default,
    because reducing is a right and never a duty. `production_steady` is False when production has become irregular or
    other conditions ask for normal inspection (9.3.3.1 b, 9.3.4 b and c).
    Raises StateConflictError when inspection has been discontinued (see `resume`).
    """
    if state.discontinued:
        raise StateConflictError("inspection is discontinued: record the supplier's corrective action, then resume")
    if not result.original_inspection:
        return state
    if state.severity is Severity.NORMAL:
        return _after_normal(state, result, reduced_allowed and production_steady)
    if state.severity is Severity.TIGHTENED:
        return _after_tightened(state, accepted=result.accepted)
    return state if result.accepted and production_steady else SwitchingState()  # 9.3.4


def resume(state: SwitchingState) -> SwitchingState:
    """Take up a discontinued inspection again after corrective action: on tightened inspection (9.4)."""
    if not state.discontinued:
        raise StateConflictError("inspection is not discontinued; there is nothing to resume")
    return SwitchingState(severity=Severity.TIGHTENED)


def updated_score(score: int, result: LotResult) -> int:
    """The switching score of single sampling after a lot on normal inspection (9.3.3.2).

    Ac of 2 or more: +3 if the lot would also have been accepted under the AQL one step tighter, else back to 0.
    Ac of 0 or 1: +2 if the lot is accepted, else back to 0.
    """
    if result.acceptance_number <= 1:
        return score + 2 if result.accepted else 0
    if result.accepted_one_step_tighter is None:
        raise InvalidInputError("with Ac of 2 or more the score needs the decision under the AQL one step tighter")
    return score + 3 if result.accepted and result.accepted_one_step_tighter else 0


def _after_normal(state: SwitchingState, result: LotResult, may_reduce: bool) -> SwitchingState:
    recent = (*state.recent, result.accepted)[-_TIGHTEN_WINDOW:]
    if recent.count(False) >= _TIGHTEN_REJECTED:
        return SwitchingState(severity=Severity.TIGHTENED)
    score = updated_score(state.switching_score, result)
    if score >= REDUCED_SCORE and may_reduce:
        return SwitchingState(severity=Severity.REDUCED)
    return replace(state, switching_score=score, recent=recent)


def _after_tightened(state: SwitchingState, *, accepted: bool) -> SwitchingState:
    if accepted:
        run = state.accepted_run + 1
        return SwitchingState() if run >= _NORMAL_RUN else replace(state, accepted_run=run)
    rejected = state.rejected_total + 1
    return replace(state, accepted_run=0, rejected_total=rejected, discontinued=rejected >= _DISCONTINUE_REJECTED)
