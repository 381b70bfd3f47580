"""A zone day by day equals all of its days at once, and no day depends on later ones."""

import numpy as np
import pytest
import scipy.linalg
from balance_zones import FACTS, INTERVAL_S, START_US, Made, by_meter, days_of, make_zone, without

from verifier.balance.averaging import ChangeBeliefs
from verifier.balance.changes import STEP
from verifier.balance.days import History, calibrate, day_rows, history
from verifier.balance.hyper import likeliest_sd
from verifier.balance.model import Beliefs
from verifier.balance.noise import day_covariance, scaled
from verifier.balance.sequence import Epochs, ZoneState, believing, state_at
from verifier.balance.timeline import zone_timeline
from verifier.balance.types import DAY_US, SideInformation

EPOCHS, CHANGING = Epochs(4, 7), ChangeBeliefs(0.02, 3e-4, 10)


def past_of(made: Made, days: int | None = None, clock_s: float = 0.0) -> History:
    members = make_zone(made).members
    end_us = START_US + (days or made.days) * DAY_US
    timeline = zone_timeline(members[:-1], members[-1:], START_US, end_us, INTERVAL_S * 1_000_000, 1.5)
    return history(FACTS, members[:-1], SideInformation(), Beliefs(2.0, 3.0, 0.3, 0.5, clock_s), timeline)


def state_of(past: History, days: int) -> ZoneState:
    state = state_at(past, days, EPOCHS, CHANGING)
    assert state is not None
    return state


@pytest.mark.parametrize("errors", [{}, {1: 8.0}], ids=["healthy", "stepped"])
def test_days_taken_in_one_by_one_are_the_batch(errors: dict[int, float]) -> None:
    """Dense least squares over all raw rows, under the state's shape, unrests and changes; exact registers."""
    made = Made(3, days=12, meters=4, resolution=1e-6, errors_pct=errors, begins_day=9, noise_pct=1.0)
    past = past_of(made)
    state = state_of(past, 12)  # an epoch on day 7, and five days more
    assert [(change.meter, change.day) for change in state.changes] == [(meter, 9) for meter in errors]
    own = believing(past, state.prior_sd)
    designs, targets, covariances = [], [], []
    for day in range(12):
        rows = slice(past.edges[day], past.edges[day + 1])
        gone = [(day >= c.day if c.kind == STEP else max(day + 0.5 - c.day, 0) / 30) for c in state.changes]
        extra = [g * past.terms.design[rows, c.meter] for g, c in zip(gone, state.changes, strict=True)]
        designs.append(np.column_stack([past.terms.design[rows], *extra]))
        targets.append(past.target[rows])
        covariances.append(day_covariance(scaled(state.shape, state.unrests[day]), day_rows(past, day)))
    a, y, v = np.vstack(designs), np.concatenate(targets), scipy.linalg.block_diag(*covariances)
    weight = np.linalg.inv(v * state.posterior.scale)
    prior = own.terms.prior.extended([change.sd for change in state.changes])
    covariance = np.linalg.inv(a.T @ weight @ a + prior.precision)
    mean = covariance @ (a.T @ weight @ y + prior.precision @ prior.mean)
    sd = np.sqrt(np.diag(covariance))
    # Rows in the tail count a little less in the state, so not to the last digit: a tenth of a standard deviation.
    assert np.all(np.abs(state.posterior.mean - mean) < 0.1 * sd)
    np.testing.assert_allclose(np.sqrt(np.diag(state.posterior.covariance)), sd, rtol=0.02)


def test_a_states_sums_are_those_of_its_blocks_stacked() -> None:
    past = past_of(Made(4, days=10, meters=4))
    state = state_of(past, 10)
    assert [block.day for block in state.blocks] == list(range(10))
    a = np.vstack([block.design for block in state.blocks])
    y = np.concatenate([block.target for block in state.blocks])
    np.testing.assert_allclose(state.sums.gram, a.T @ a, rtol=1e-9, atol=1e-6)
    bias = np.sum([block.bias for block in state.blocks], axis=0)
    np.testing.assert_allclose(state.sums.moment, a.T @ y + bias, rtol=1e-9, atol=1e-6)


def test_an_epoch_is_the_last_at_or_before_a_day() -> None:
    assert [EPOCHS.last(days) for days in (3, 4, 6, 7, 13, 14, 15)] == [0, 4, 4, 7, 7, 14, 14]
    assert state_at(past_of(Made(5, days=5, meters=3)), 3, EPOCHS, CHANGING) is None


def test_outcomes_of_a_day_do_not_depend_on_how_many_days_are_assessed_together() -> None:
    """Readings with gaps; each day alone gives what the run over all of them gives.

    To a tenth of the standard uncertainty: usual courses and the mean load are those of the whole run.
    """
    made = Made(6, days=12, meters=4, errors_pct={2: 5.0}, begins_day=6)
    members = without(make_zone(made).members, np.random.default_rng(1), 0.01)
    together = days_of(members, [8, 10, 12])
    for day, among in zip([8, 10, 12], together, strict=True):
        (alone,) = days_of(members, [day])
        for meter, one in by_meter(alone).items():
            other = by_meter(among)[meter]
            assert (one.outcome, one.change_us, one.decidable) == (other.outcome, other.change_us, other.decidable)
            assert one.error_pct == pytest.approx(other.error_pct, abs=0.1 * one.std_pct)
            assert one.std_pct == pytest.approx(other.std_pct, rel=0.05)


@pytest.mark.parametrize(("clock_s", "least", "most"), [(200.0, 3.0, 100.0), (0.0, 0.0, 1.01)])
def test_clocks_that_are_minutes_off_are_seen_in_the_evidence(clock_s: float, least: float, most: float) -> None:
    """Believed 10 s before the data: at minutes the spread is taken several times wider, at none no wider."""
    past = past_of(Made(7, days=14, meters=6, clock_s=clock_s), clock_s=10.0)
    _, _, sums = calibrate(past, 14)
    clocks = past.terms.columns("clocks")
    ratio = likeliest_sd(past.terms, sums, [])[clocks] / past.terms.sd[clocks]
    assert np.all(ratio == ratio[0])
    assert least <= ratio[0] <= most
