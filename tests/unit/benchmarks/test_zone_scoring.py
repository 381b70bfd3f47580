"""The scores by hand: what counts as covered, as an alert, as decidable, and how late it came."""

from dataclasses import replace

import numpy as np
import pytest
from zones.assessed import OUTCOMES, Assessed
from zones.case import START_US, ZoneCase
from zones.electricity import homes_zone
from zones.injection import Injection
from zones.peers import PeerResult
from zones.scoring import score_peer, score_zone, true_error_pct

from metrology.conformity import Outcome

BAD, WITHHELD, GOOD = (OUTCOMES.index(o) for o in (Outcome.NONCONFORMING, Outcome.WITHHELD, Outcome.CONFORMING))
DAYS, COUNT = 40, 6


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> ZoneCase:
    monkeypatch.setenv("METERPROOF_HOMES", "nowhere.npz")
    return homes_zone("test", 5, COUNT, replace(Injection(), steps=1, size_pct=(5.0, 6.0), fault_at=0.5), days=DAYS)


def told(case: ZoneCase, error: np.ndarray | float = 0.0, std: float = 0.3) -> Assessed:
    ends = np.arange(21, DAYS + 1)
    shape = (ends.size, COUNT)
    return Assessed(ends, np.zeros(shape), np.broadcast_to(np.asarray(error, dtype=float), shape).copy(),
                    np.full(shape, std), np.full(shape, GOOD, dtype=np.int8))  # fmt: skip


def bad_place(case: ZoneCase) -> int:
    return [case.meters[p].serial for p in case.customers].index(case.truth.faults[0].serial)


def test_the_true_error_is_weighted_by_use(case: ZoneCase) -> None:
    place = bad_place(case)
    before = true_error_pct(case, np.zeros(COUNT, int), 20)[place]
    after = true_error_pct(case, np.full(COUNT, 20), DAYS)[place]
    whole = true_error_pct(case, np.zeros(COUNT, int), DAYS)[place]
    use = case.truth.true_use[place]
    assert abs(before) < 1.75
    assert abs(after) > 4.9
    assert whole == pytest.approx((before * use[:20].sum() + after * use[20:].sum()) / use.sum())


def test_guessing_zero_scores_as_the_prior(case: ZoneCase) -> None:
    score = score_zone(case, told(case), 3)
    assert score.rmse_pct == pytest.approx(score.prior_rmse_pct)
    assert score.rmse_by_day.keys() == {28}
    assert not score.alerts
    assert [(one.kind, one.decidable, one.delay_days) for one in score.bad] == [("step", True, None)]
    assert score.meter_months == pytest.approx(6 * 20 / 30.4)


def test_coverage_counts_the_estimates_that_were_not_withheld(case: ZoneCase) -> None:
    truth = np.array([true_error_pct(case, np.zeros(COUNT, int), day) for day in range(21, DAYS + 1)])
    exact = replace(told(case), error_pct=truth)
    assert score_zone(case, exact, 3).covered == (2 * COUNT, 2 * COUNT)  # on days 30 and 40
    off = replace(exact, error_pct=truth + 1.96 * 0.3 + 0.01)
    assert score_zone(case, off, 3).covered == (0, 2 * COUNT)
    off.outcome[:, :2] = WITHHELD
    assert score_zone(case, off, 3).covered == (0, 2 * (COUNT - 2))


def test_an_alert_needs_days_on_end_and_knows_whether_it_is_right(case: ZoneCase) -> None:
    place = bad_place(case)
    other = (place + 1) % COUNT
    said = told(case)
    said.outcome[[0, 1, 3, 4, 5, 6], place] = BAD  # days 21, 22, 24 to 27: persistent on day 26
    said.outcome[[0, 1, 3, 5], other] = BAD  # never three on end
    score = score_zone(case, said, 3)
    assert [(a.customer, a.told_day, a.right) for a in score.alerts] == [(place, 26.0, True)]
    left_day = (case.truth.faults[0].leaves_limit_us - START_US) / 86.4e9
    assert left_day == 20
    assert score.bad[0].delay_days == pytest.approx(6.0)
    said.outcome[10:13, other] = BAD
    assert [a.right for a in score_zone(case, said, 3).alerts if a.customer == other] == [False]


def test_a_wide_posterior_is_not_decidable(case: ZoneCase) -> None:
    assert not score_zone(case, told(case, std=5.0), 3).bad[0].decidable


def test_a_peer_is_scored_like_that(case: ZoneCase) -> None:
    truth = true_error_pct(case, np.full(COUNT, 20), DAYS)
    right = score_peer(case, "exact", PeerResult(truth, np.full(COUNT, 0.1)), (20, DAYS), 0.0)
    assert (right.found, right.false, right.covered) == ((1, 1), (0, COUNT - 1), (COUNT, COUNT))
    assert right.rmse_pct == pytest.approx(0.0, abs=1e-12)
    wild = score_peer(case, "wild", PeerResult(truth + 10.0, None), (20, DAYS), 0.0)
    assert wild.covered is None
    assert wild.false == (COUNT - 1, COUNT - 1)
    assert wild.rmse_pct == pytest.approx(10.0)
