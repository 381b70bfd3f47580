"""How commands end, and how far a concentrator has come: pure rules."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.repair.closing import conclude
from gateway.repair.looking import watermark
from gateway.repair.settings import RepairSettings
from store.command_results import ActiveCommand, Target
from store.concentrators import Concentrator

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = RepairSettings(attempts_max=3)


def command(kind="read_profile", state="sent", acknowledged=False, done=None, expires=HOUR, failed=False):
    return ActiveCommand(
        "x", 1, kind, state, NOW - HOUR, NOW + expires, NOW - HOUR if acknowledged or done else None, done, failed
    )


def target(number=0, attempt=1, points=4, reason=""):
    return Target(number, number + 1, f"m{number}", attempt, points, 900, NOW - 2 * HOUR, NOW - HOUR, reason)


def outcomes(conclusion):
    return [(one.outcome, one.attempt, one.reason) for one in conclusion.outcomes]


def test_it_ends_as_soon_as_all_is_there_whoever_brought_it():
    found = conclude(command(), [target(), target(1)], [4, 4], NOW, SETTINGS)
    assert (found.state, [one.outcome for one in found.outcomes]) == ("answered", ["complete", "complete"])
    assert not found.counts_as_unanswered
    assert conclude(command(), [target(), target(1)], [4, 3], NOW, SETTINGS) is None


def test_done_leaves_time_for_answers_to_be_stored():
    targets = [target(), target(1, reason="memory_lost"), target(2, attempt=3), target(3, reason="unreachable")]
    done = command(state="acknowledged", done=NOW)
    arrived = [4, 1, 0, 0]
    assert conclude(done, targets, arrived, NOW + timedelta(seconds=119), SETTINGS) is None
    found = conclude(done, targets, arrived, NOW + timedelta(seconds=120), SETTINGS)
    assert found.state == "answered"
    assert outcomes(found) == [
        ("complete", 1, ""),
        ("given_up", 1, "memory_lost"),
        ("given_up", 3, "not among what the concentrator sent; given up after 3 attempts"),
        ("retry", 1, "unreachable"),
    ]
    assert found.outcomes[3].retry_at == NOW + timedelta(seconds=120 + SETTINGS.retry_first_s)
    assert [one.missing for one in found.outcomes] == [0, 3, 4, 4]


def test_without_any_sign_an_attempt_does_not_count_and_the_concentrator_is_deaf():
    found = conclude(command(expires=timedelta(0)), [target(attempt=3)], [0], NOW, SETTINGS)
    assert (found.state, found.reason, found.counts_as_unanswered) == ("expired", "no acknowledgement", True)
    assert outcomes(found) == [("retry", 2, "no acknowledgement")]
    unsent = conclude(command(state="open", expires=timedelta(0)), [target()], [0], NOW, SETTINGS)
    assert (unsent.state, unsent.counts_as_unanswered) == ("expired", False)
    assert outcomes(unsent) == [("retry", 0, "not sent, the broker was away")]


def test_accepted_and_not_done_in_time_counts():
    late = command(state="acknowledged", acknowledged=True, expires=timedelta(0))
    found = conclude(late, [target(attempt=3)], [1], NOW, SETTINGS)
    assert (found.state, found.counts_as_unanswered) == ("answered", False)
    assert outcomes(found) == [("given_up", 3, "not done in time; given up after 3 attempts")]


def test_a_clock_is_set_if_its_concentrator_says_so_and_not_otherwise():
    targets = [target(points=0), target(1, points=0, reason="unreachable")]
    found = conclude(command("sync_clock", "acknowledged", done=NOW), targets, [0, 0], NOW, SETTINGS)
    assert (found.state, [one.outcome for one in found.outcomes]) == ("answered", ["complete", "retry"])
    failed = conclude(command("sync_clock", "acknowledged", done=NOW, failed=True), targets, [0, 0], NOW, SETTINGS)
    assert (failed.state, [one.outcome for one in failed.outcomes]) == ("failed", ["retry", "retry"])
    assert conclude(command("sync_clock"), targets, [0, 0], NOW, SETTINGS) is None


def concentrator(last, marked=None, settled=None):
    observed_at, marked_at = marked or (None, None)
    return Concentrator(1, "u", "g", last, observed_at, marked_at, settled, 0, None)


def test_only_what_was_passed_long_enough_ago_is_settled():
    assert watermark(concentrator(NOW), NOW, 1800) == ((NOW, NOW), None)
    soon = concentrator(NOW + HOUR, marked=(NOW, NOW))
    assert watermark(soon, NOW + HOUR / 4, 1800) == ((NOW, NOW), None)
    assert watermark(soon, NOW + HOUR / 2, 1800) == ((NOW + HOUR, NOW + HOUR / 2), NOW)


@pytest.mark.parametrize("attempt", [1, 2, 5, 40])
def test_pauses_grow_to_the_longest(attempt):
    assert SETTINGS.retry_pause_s(attempt) == min(900 * 4.0 ** (attempt - 1), 86_400)
