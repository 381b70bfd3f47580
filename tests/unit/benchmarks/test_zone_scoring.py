"""The scores by hand: what counts as covered, as an alert, as decidable, and how late it came."""

from dataclasses import replace

import numpy as np
import pytest
from zones.assessed import OUTCOMES, Assessed
from zones.case import DAY_US, START_US, ZoneCase
from zones.electricity import homes_zone
from zones.injection import Injection
from zones.peers import PeerResult
from zones.scoring import score_peer, score_zone, true_error_pct

from metrology.conformity import Outcome

BAD, GOOD = (OUTCOMES.index(o) for o in (Outcome.NONCONFORMING, Outcome.CONFORMING))
DAYS, COUNT = 40, 6


def made(monkeypatch: pytest.MonkeyPatch, injection: Injection) -> ZoneCase:
    monkeypatch.setenv("METERPROOF_HOMES", "nowhere.npz")
    return homes_zone("test", 5, COUNT, injection, days=DAYS)


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> ZoneCase:
    return made(monkeypatch, replace(Injection(), steps=1, size_pct=(5.0, 6.0), fault_at=0.5))


def told(case: ZoneCase, error: np.ndarray | float = 0.0, std: float = 0.3) -> Assessed:
    ends = np.arange(21, DAYS + 1)
    shape = (ends.size, COUNT)
    return Assessed(ends, np.broadcast_to(np.asarray(error, dtype=float), shape).copy(), np.full(shape, std),
                    np.full(shape, GOOD, dtype=np.int8), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool),
                    np.ones(ends.size, dtype=bool))  # fmt: skip


def bad_place(case: ZoneCase) -> int:
    return [case.meters[p].serial for p in case.customers].index(case.truth.faults[0].serial)


def truth_at(case: ZoneCase) -> np.ndarray:
    """Of every day at whose end is assessed."""
    return case.truth.error_pct[:, 20:DAYS].T


def test_the_true_error_is_weighted_by_use(case: ZoneCase) -> None:
    place = bad_place(case)
    before, after, whole = (true_error_pct(case, *days)[place] for days in ((0, 20), (20, DAYS), (0, DAYS)))
    use = case.truth.true_use[place]
    assert abs(before) < 1.75
    assert abs(after) > 4.9
    assert whole == pytest.approx((before * use[:20].sum() + after * use[20:].sum()) / use.sum())


def test_guessing_zero_scores_as_the_prior(case: ZoneCase) -> None:
    score = score_zone(case, told(case), 3)
    assert score.rmse_pct == pytest.approx(score.prior_rmse_pct)
    assert score.all_rmse_pct > 2.0  # the stepped meter is in it
    assert score.rmse_by_day.keys() == {28}
    assert not score.alerts
    assert [(one.kind, one.decidable, one.clear, one.delay_days) for one in score.bad] == [("step", False, True, None)]
    assert score.meter_months == pytest.approx(6 * 20 / 30.4)


def test_coverage_counts_the_last_days_error_and_the_open_gate_apart(case: ZoneCase) -> None:
    exact = told(case, truth_at(case))
    score = score_zone(case, exact, 3)
    assert score.covered == score.covered_open == (2 * COUNT, 2 * COUNT)  # on days 30 and 40
    off = told(case, truth_at(case) + 1.96 * 0.3 + 0.01)
    off.open_gate[-1] = False
    score = score_zone(case, off, 3)
    assert score.covered == (0, 2 * COUNT)
    assert score.covered_open == (0, COUNT)
    assert (score.is_open, score.open_share) == (False, 0.95)


def test_an_alert_needs_days_on_end_and_knows_whether_it_is_right(case: ZoneCase) -> None:
    place = bad_place(case)
    other = (place + 1) % COUNT
    said = told(case)
    said.outcome[[0, 1, 3, 4, 5, 6], place] = BAD  # days 21, 22, 24 to 27: persistent on day 26
    said.outcome[[0, 1, 3, 5], other] = BAD  # never three on end
    score = score_zone(case, said, 3)
    assert [(a.customer, a.told_day, a.verdict) for a in score.alerts] == [(place, 26.0, "right")]
    left_day = (case.truth.faults[0].leaves_limit_us - START_US) / 86.4e9
    assert left_day == 20
    assert score.bad[0].delay_days == pytest.approx(6.0)
    said.outcome[10:13, other] = BAD
    said.outcome[15:19, other] = BAD
    false = [a for a in score_zone(case, said, 3).alerts if a.customer == other]
    assert [(a.told_day, a.verdict) for a in false] == [(33.0, "false"), (38.0, "false")]


def test_a_stopped_meter_is_told_at_once_and_its_figure_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    case = made(monkeypatch, replace(Injection(), stopped=1, fault_at=0.7))
    place = bad_place(case)
    said = told(case)
    said.outcome[8:, place], said.at_once[8:, place] = BAD, True  # from day 29 on
    score = score_zone(case, said, 3)
    assert [(a.told_day, a.verdict) for a in score.alerts] == [(29.0, "right")]
    assert score.bad[0].delay_days == pytest.approx(1.0)
    assert score.covered[1] == 2 * (COUNT - 1)
    assert score.all_rmse_pct < 1.0


def test_a_swapped_meters_alert_is_counted_apart_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    case = made(monkeypatch, replace(Injection(), swapped=1))
    place = bad_place(case)
    begins = (case.truth.faults[0].begins_us - START_US) // DAY_US
    assert begins < 30
    said = told(case)
    said.outcome[10:, place] = BAD
    assert [a.verdict for a in score_zone(case, said, 3).alerts] == ["other"]


def test_decidable_is_what_the_method_said_after_the_limit_was_left(case: ZoneCase) -> None:
    said = told(case, std=5.0)
    said.decidable[3, bad_place(case)] = True
    (one,) = score_zone(case, said, 3).bad
    assert (one.decidable, one.clear) == (True, False)


def test_a_peer_is_scored_like_that(case: ZoneCase) -> None:
    truth = true_error_pct(case, 20, DAYS)
    right = score_peer(case, "exact", PeerResult(truth, np.full(COUNT, 0.1)), (20, DAYS), 0.0)
    assert (right.found, right.false, right.covered) == ((1, 1), (0, COUNT - 1), (COUNT, COUNT))
    assert right.rmse_pct == pytest.approx(0.0, abs=1e-12)
    wild = score_peer(case, "wild", PeerResult(truth + 10.0, None), (20, DAYS), 0.0)
    assert wild.covered is None
    assert wild.false == (COUNT - 1, COUNT - 1)
    assert wild.rmse_pct == pytest.approx(10.0)
