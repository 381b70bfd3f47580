"""Switching rules of ISO 2859-1, 9.3 and 9.4: walked by hand, and against an independent model over random series."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError, StateConflictError
from metrology.sampling.plans import plan_for_code_letter, single_sampling_plan
from metrology.sampling.switching import LotResult, SwitchingState, lot_result, next_state, resume
from metrology.sampling.tables import Severity

GOOD, BAD = LotResult(accepted=True, acceptance_number=1), LotResult(accepted=False, acceptance_number=1)


def _walk(results, state=None, **conditions):
    state = state or SwitchingState()
    for result in results:
        state = next_state(state, result, **conditions)
    return state


@pytest.mark.parametrize("between", [0, 1, 2, 3])
def test_two_of_five_or_fewer_lots_not_accepted_tighten(between):
    state = _walk([BAD] + [GOOD] * between)
    assert state.severity is Severity.NORMAL
    assert next_state(state, BAD) == SwitchingState(severity=Severity.TIGHTENED)


def test_two_rejected_lots_further_apart_do_not_tighten():
    assert _walk([BAD, GOOD, GOOD, GOOD, GOOD, BAD]).severity is Severity.NORMAL


def test_five_lots_accepted_in_a_row_end_tightened_inspection():
    tight = SwitchingState(severity=Severity.TIGHTENED)
    assert _walk([GOOD] * 4, tight).severity is Severity.TIGHTENED
    assert _walk([GOOD] * 4 + [BAD] + [GOOD] * 4, tight).severity is Severity.TIGHTENED
    assert _walk([GOOD] * 4 + [BAD] + [GOOD] * 5, tight) == SwitchingState()


def test_five_lots_rejected_in_all_on_tightened_discontinue_until_resumed():
    state = _walk([BAD, GOOD] * 4 + [BAD], SwitchingState(severity=Severity.TIGHTENED))
    assert state.discontinued
    with pytest.raises(StateConflictError, match="corrective action"):
        next_state(state, GOOD)
    assert resume(state) == SwitchingState(severity=Severity.TIGHTENED)
    with pytest.raises(StateConflictError, match="nothing to resume"):
        resume(SwitchingState())


def test_score_of_small_acceptance_numbers():
    assert _walk([GOOD] * 3).switching_score == 6
    assert _walk([GOOD] * 3 + [BAD]).switching_score == 0
    assert _walk([GOOD] * 14, reduced_allowed=True).severity is Severity.NORMAL
    assert _walk([GOOD] * 15, reduced_allowed=True) == SwitchingState(severity=Severity.REDUCED)


def test_score_of_larger_acceptance_numbers_asks_for_the_next_tighter_aql():
    plan = single_sampling_plan(5000, 1.0)  # L: Ac 5; at AQL 0.65 Ac 3
    assert (plan.acceptance_number, plan_for_code_letter("L", 0.65).acceptance_number) == (5, 3)
    assert _walk([lot_result(plan, 3)] * 2).switching_score == 6
    accepted_only = lot_result(plan, 4)
    assert accepted_only.accepted
    assert _walk([lot_result(plan, 3)] * 2 + [accepted_only]).switching_score == 0
    assert _walk([lot_result(plan, 0)] * 10, reduced_allowed=True).severity is Severity.REDUCED


def test_score_judges_the_sample_that_was_drawn_where_an_arrow_led_elsewhere():
    plan = single_sampling_plan(5000, 10)  # letter L, arrow up to K: n 125, Ac 21; K at AQL 6.5 has Ac 14
    assert (plan.initial_code_letter, plan.code_letter, plan.acceptance_number) == ("L", "K", 21)
    assert lot_result(plan, 14).accepted_one_step_tighter is True
    assert lot_result(plan, 15).accepted_one_step_tighter is False


def test_score_without_the_tighter_decision_is_refused():
    with pytest.raises(InvalidInputError, match="one step tighter"):
        next_state(SwitchingState(), LotResult(accepted=True, acceptance_number=2))


def test_reduced_needs_leave_and_steady_production():
    assert _walk([GOOD] * 20).severity is Severity.NORMAL
    assert _walk([GOOD] * 20, reduced_allowed=True, production_steady=False).severity is Severity.NORMAL
    late = next_state(_walk([GOOD] * 20), GOOD, reduced_allowed=True)  # the score is kept until leave is given
    assert late.severity is Severity.REDUCED


def test_reduced_ends_with_a_rejected_lot_or_irregular_production():
    reduced = SwitchingState(severity=Severity.REDUCED)
    assert next_state(reduced, GOOD) == reduced
    assert next_state(reduced, BAD) == SwitchingState()
    assert next_state(reduced, GOOD, production_steady=False) == SwitchingState()


def test_resubmitted_lots_change_nothing():
    again = LotResult(accepted=False, acceptance_number=1, original_inspection=False)
    state = _walk([GOOD, BAD])
    assert next_state(state, again) == state


@given(st.lists(st.booleans(), max_size=120))
def test_against_a_model_that_looks_back_over_the_whole_series(accepted):
    """Independent model: the rules read off the raw history of (severity, accepted) after each lot."""
    state, severity, history = SwitchingState(), "normal", []
    for ok in accepted:
        if severity == "stopped":
            assert state.discontinued
            break
        state = next_state(state, GOOD if ok else BAD, reduced_allowed=True)
        history.append((severity, ok))
        phase = []
        for past_severity, past_ok in reversed(history):
            if past_severity != severity:
                break
            phase.append(past_ok)
        if severity == "normal":
            run = next((i for i, past in enumerate(phase) if not past), len(phase))
            severity = "tightened" if phase[:5].count(False) >= 2 else "reduced" if 2 * run >= 30 else "normal"
        elif severity == "tightened":
            stopped = phase.count(False) >= 5
            severity = "stopped" if stopped else "normal" if phase[:5] == [True] * 5 else "tightened"
        else:
            severity = "reduced" if ok else "normal"
        if severity != history[-1][0]:
            history.append((None, None))
        assert state.discontinued == (severity == "stopped")
        assert state.severity.value == ("tightened" if severity == "stopped" else severity)


def test_the_full_walk_through_every_severity():
    """Normal, tightened, discontinued, resumed, normal, reduced, normal: each step at the lot that the clauses name."""
    plan = plan_for_code_letter("J", 1.0)  # n 80, Ac 2; one step tighter (AQL 0.65) Ac 1
    good, bad = lot_result(plan, 0), lot_result(plan, 3)
    lots = [bad, good, bad]  # two of five not accepted
    lots += [bad] * 5  # five on tightened
    state, path = SwitchingState(), []
    for lot in lots:
        state = next_state(state, lot, reduced_allowed=True)
        path.append((state.severity.value, state.discontinued))
    assert path == [("normal", False)] * 2 + [("tightened", False)] * 5 + [("tightened", True)]
    state = resume(state)
    path = []
    for _ in range(15):  # five accepted end tightened inspection, ten more at 3 points each make 30
        state = next_state(state, good, reduced_allowed=True)
        path.append(state.severity.value)
    assert path == ["tightened"] * 4 + ["normal"] * 10 + ["reduced"]
    state = next_state(next_state(state, good, reduced_allowed=True), bad, reduced_allowed=True)
    assert state == SwitchingState()
