"""A zone day by day equals all of its days at once, and no day depends on later ones."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from balance_zones import (
    FACTS,
    INTERVAL_S,
    PER_DAY,
    SETTINGS,
    START_US,
    Made,
    by_meter,
    codes,
    days_of,
    make_zone,
    without,
)

from metrology.outcomes import Outcome
from metrology.quantities import Medium
from verifier.balance.averaging import ChangeBeliefs
from verifier.balance.changes import STEP
from verifier.balance.days import calibrate, day_rows
from verifier.balance.history import History, history, known_after
from verifier.balance.hyper import likeliest_sd
from verifier.balance.model import Beliefs
from verifier.balance.noise import day_covariance, scaled
from verifier.balance.sequence import Epochs, ZoneState, advance, begin, believing
from verifier.balance.timeline import zone_timeline
from verifier.balance.types import DAY_US, MemberSeries, SideInformation

EPOCHS, CHANGING = Epochs(4, 7), ChangeBeliefs(0.02, 3e-4, 10)


def past_of(made: Made, clock_s: float = 0.0) -> History:
    """The zone's history, learned from all of its days."""
    members = make_zone(made).members
    end_us = START_US + made.days * DAY_US
    timeline = zone_timeline(members[:-1], members[-1:], START_US, end_us, INTERVAL_S * 1_000_000, 1.5)
    return history(FACTS, members[:-1], SideInformation(), Beliefs(2.0, 3.0, 0.3, 0.5, clock_s), timeline)


def walked(made: Made, days: int) -> tuple[History, ZoneState]:
    """From the last epoch on, day by day."""
    customers, past = make_zone(made).members[:-1], past_of(made)
    known = known_after(past, EPOCHS.last(days), customers)
    known, state = begin(known, CHANGING)
    while state.days < days:
        known = known_after(known, state.days + 1, customers)
        known, state = advance(known, state, CHANGING)
    return known, state


@pytest.mark.parametrize("errors", [{}, {1: 8.0}], ids=["healthy", "stepped"])
def test_days_taken_in_one_by_one_are_the_batch(errors: dict[int, float]) -> None:
    """Dense least squares over all raw rows, under the state's shape, unrests and changes; exact registers."""
    made = Made(3, days=12, meters=4, resolution=1e-6, errors_pct=errors, begins_day=9, noise_pct=1.0)
    past, state = walked(made, 12)  # an epoch on day 7, and five days more
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
    _, state = walked(Made(4, days=10, meters=4), 10)
    assert [block.day for block in state.blocks] == list(range(10))
    a = np.vstack([block.design for block in state.blocks])
    y = np.concatenate([block.target for block in state.blocks])
    np.testing.assert_allclose(state.sums.gram, a.T @ a, rtol=1e-9, atol=1e-6)
    bias = np.sum([block.bias for block in state.blocks], axis=0)
    np.testing.assert_allclose(state.sums.moment, a.T @ y + bias, rtol=1e-9, atol=1e-6)


def test_an_epoch_is_the_last_at_or_before_a_day() -> None:
    assert [EPOCHS.last(days) for days in (3, 4, 6, 7, 13, 14, 15)] == [0, 4, 4, 7, 7, 14, 14]


def cut(members: list[MemberSeries], day: int, late_us: int) -> list[MemberSeries]:
    """The members' readings as they were known at a day's end."""
    out = []
    for member in members:
        kept = member.observed_us < START_US + day * DAY_US + late_us
        out.append(replace(member, observed_us=member.observed_us[kept], total=member.total[kept]))
    return out


@pytest.mark.parametrize(
    ("seed", "medium", "clock_s"),
    [(6, Medium.ELECTRICITY, 0.0), (6, Medium.ELECTRICITY, 5.0), (7, Medium.ELECTRICITY, 5.0), (8, Medium.WATER, 5.0)],
)
def test_a_days_outcomes_are_the_same_to_the_bit_whatever_came_later(seed: int, medium: Medium, clock_s: float) -> None:
    """Gaps over midnight, a silence that ends and another that begins, a step; readings up to each day's end alone."""
    settings = SETTINGS.model_copy(update={f"clock_sd_{medium.value}_s": clock_s})
    facts = replace(FACTS, medium=medium)
    made = Made(seed, days=16, meters=5, errors_pct={2: 5.0}, begins_day=6, silent={1: 14.0}, away={3: 12.3})
    members = without(make_zone(made).members, np.random.default_rng(seed), 0.03)
    ends = [3, 5, 8, 10, 13, 14, 15, 16]
    together = days_of(members, ends, settings, facts=facts)
    for day, among in zip(ends, together, strict=True):
        (alone,) = days_of(cut(members, day, int(settings.late_member_s * 1e6)), [day], settings, facts=facts)
        assert alone.assessments == among.assessments
        assert replace(alone.report, remedies=()) == replace(among.report, remedies=())
    assert by_meter(together[-1])[1].outcome is Outcome.NONCONFORMING


def test_a_silence_before_another_hides_nothing_from_the_days_between() -> None:
    """Stopped on day 10, runs again from 13 on, stops again on 17: on day 12 it has stopped, whatever came later."""
    members = make_zone(Made(9, days=20, meters=8)).members
    shown = np.diff(members[0].total, prepend=members[0].total[0])
    day = (np.arange(shown.size) - 1) / PER_DAY
    shown[((day >= 10) & (day < 13)) | (day >= 17)] = 0.0
    members[0] = replace(members[0], total=members[0].total[0] + np.cumsum(shown))
    days = dict(zip([12, 16, 19], days_of(members, [12, 16, 19]), strict=True))
    for end in (12, 19):
        stopped = by_meter(days[end])[0]
        assert (stopped.outcome, codes(stopped)) == (Outcome.NONCONFORMING, {"stopped"})
    others = {one.outcome for end in days for meter, one in by_meter(days[end]).items() if meter}
    assert Outcome.NONCONFORMING not in others


@pytest.mark.parametrize(("clock_s", "least", "most"), [(200.0, 3.0, 100.0), (0.0, 0.0, 1.01)])
def test_clocks_that_are_minutes_off_are_seen_in_the_evidence(clock_s: float, least: float, most: float) -> None:
    """Believed 10 s before the data: at minutes the spread is taken several times wider, at none no wider."""
    past = past_of(Made(7, days=14, meters=6, clock_s=clock_s), clock_s=10.0)
    _, _, sums = calibrate(past)
    clocks = past.terms.columns("clocks")
    ratio = likeliest_sd(past.terms, sums, [])[clocks] / past.terms.sd[clocks]
    assert np.all(ratio == ratio[0])
    assert least <= ratio[0] <= most
