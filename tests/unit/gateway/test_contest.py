import random

import pytest

from gateway.contest import CLOSED_MAX, SessionContest

STEADY_S = 5.0


@pytest.fixture
def contest() -> SessionContest:
    return SessionContest(STEADY_S, random.Random(1))


def closed_at_once(contest: SessionContest, times: int) -> list[float]:
    return [contest.pause_s(True, True, 0.2) for _ in range(times)]


def test_yields_after_some_and_longer_each_time_up_to_ten_minutes(contest):
    pauses = closed_at_once(contest, CLOSED_MAX + 9)
    assert pauses[: CLOSED_MAX - 1] == [0.0] * (CLOSED_MAX - 1)
    yielded = pauses[CLOSED_MAX - 1 :]
    assert all(30 <= first <= 60 for first in yielded[:1])
    assert all(300 <= pause <= 600 for pause in yielded[5:])


@pytest.mark.parametrize(("was_reached", "was_accepted", "lasted_s"), [(False, False, 0.0), (True, True, STEADY_S)])
def test_broker_that_is_away_and_connection_that_held_are_no_contest(contest, was_reached, was_accepted, lasted_s):
    closed_at_once(contest, CLOSED_MAX - 1)
    assert contest.pause_s(was_reached, was_accepted, lasted_s) == 0.0
    assert closed_at_once(contest, CLOSED_MAX - 1) == [0.0] * (CLOSED_MAX - 1)


def test_contest_that_is_over_is_forgotten(contest):
    closed_at_once(contest, CLOSED_MAX + 5)
    contest.pause_s(True, True, STEADY_S)
    assert 30 <= closed_at_once(contest, CLOSED_MAX)[-1] <= 60


def test_connection_that_is_not_accepted_says_nothing(contest):
    assert [contest.pause_s(True, False, 0.0) for _ in range(3 * CLOSED_MAX)] == [0.0] * 3 * CLOSED_MAX
    closed_at_once(contest, CLOSED_MAX - 1)
    contest.pause_s(True, False, 0.0)
    assert closed_at_once(contest, 1)[0] > 0
