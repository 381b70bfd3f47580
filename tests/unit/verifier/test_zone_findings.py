"""What persists, what is told of it, and which findings on steps shut a zone's gate when."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from store.assessments import DayOutcome
from store.findings import FindingDraft
from verifier.arrays import FOREVER_US
from verifier.balance.types import DAY_US
from verifier.persistence import persistent_runs
from verifier.zone_findings import error_findings, faults_at, imbalance_findings, is_spoiling, spoiled_spans

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@given(st.sets(st.integers(0, 40)), st.integers(1, 6))
def test_runs_are_what_a_day_by_day_count_finds(days: set[int], needed: int) -> None:
    found = persistent_runs([day(n) for n in sorted(days)], sorted(days), needed)
    expected = [
        list(range(n, n + needed))
        for n in sorted(days)
        if n - 1 not in days and all(n + i in days for i in range(needed))
    ]
    assert found == expected


def test_a_run_that_goes_on_is_told_as_it_was() -> None:
    assert persistent_runs([day(n) for n in range(9)], list(range(9)), 3) == [[0, 1, 2]]
    assert persistent_runs([], [], 3) == []


def outcome(meter_id: int, number: int, error_pct: float = 5.0) -> DayOutcome:
    return DayOutcome(meter_id, day(number - 28), day(number), error_pct, 0.4, 2.0, 0.999)


def test_each_meters_run_is_one_finding_with_its_days() -> None:
    days = [outcome(1, 1), outcome(1, 2), *(outcome(2, n, 5 + n) for n in (1, 2, 3, 4, 6, 7, 8))]
    first, second = error_findings(days, 3)
    assert (first.meter_id, first.severity, first.starts_us) == (2, "alarm", round(day(1).timestamp() * 1e6))
    assert [entry["error_pct"] for entry in first.detail["days"]] == [6, 7, 8]
    assert first.detail["error_pct"] == 8
    assert second.starts_us == round(day(6).timestamp() * 1e6)


def test_an_imbalance_that_a_known_fault_explains_is_not_told() -> None:
    unexplained = [{"code": "zone_not_understood"}]
    explained = [{"code": "member_at_fault"}, *unexplained]

    def days(reasons: list[Any]) -> list[tuple[datetime, datetime, Any]]:
        return [(day(0), day(n), reasons) for n in range(4, 8)]

    [finding] = imbalance_findings(5, days(unexplained), [], 3)
    assert (finding.zone_id, finding.meter_id, finding.detail["reasons"]) == (5, None, unexplained)
    assert imbalance_findings(5, days(explained), [], 3) == []
    start_us = round(day(5).timestamp() * 1e6)
    stopped = FindingDraft("stopped", "warning", 4, None, start_us, start_us + 1, {"ongoing": True}, [])
    assert imbalance_findings(5, days(unexplained), [stopped], 3) == []


def draft(kind: str, start_day: float, end_day: float, severity: str = "warning", **detail: Any) -> FindingDraft:
    return FindingDraft(kind, severity, 4, None, round(start_day * DAY_US), round(end_day * DAY_US), detail, [])


def test_a_fault_blocks_the_days_it_touches_and_spoils_its_span() -> None:
    reset = [draft("reset", 2.3, 2.4)]
    assert faults_at(reset, 2 * DAY_US) == {}
    assert faults_at(reset, 3 * DAY_US) == {4: ("reset",)}
    assert faults_at(reset, 4 * DAY_US) == {}
    assert spoiled_spans(reset, 4, is_reference=False) == ((round(2.3 * DAY_US), round(2.4 * DAY_US)),)
    assert spoiled_spans(reset, 5, is_reference=False) == ()


def test_a_meter_that_stood_still_spoils_a_history_only_as_its_reference() -> None:
    """A customer's silence is accounted for by the balance itself."""
    stopped = [draft("stopped", 2, 4), draft("reversed_running", 5, 6, ongoing=True)]
    assert spoiled_spans(stopped, 4, is_reference=False) == ()
    assert spoiled_spans(stopped, 4, is_reference=True) == ((2 * DAY_US, 4 * DAY_US), (5 * DAY_US, FOREVER_US))


def test_what_a_meter_shows_by_itself_is_told_at_once() -> None:
    days = [outcome(1, 1), outcome(1, 2)._replace(reason="stopped"), outcome(1, 3)]
    [finding] = error_findings(days, 3)
    assert [entry["window_end"] for entry in finding.detail["days"]] == [day(1).isoformat(), day(2).isoformat()]
    assert finding.detail["reason"] == "stopped"
    assert error_findings(days[:1], 3) == []


def test_what_is_ongoing_blocks_every_day_from_its_start() -> None:
    stopped = [draft("stopped", 2.5, 5.5, ongoing=True)]  # ends where it was told
    assert faults_at(stopped, 2 * DAY_US) == {}
    assert all(faults_at(stopped, n * DAY_US) == {4: ("stopped",)} for n in range(3, 40))
    ended = [draft("stopped", 2.5, 9.5, ongoing=False)]
    assert [n for n in range(20) if faults_at(ended, n * DAY_US)] == [*range(3, 11)]


def test_small_steps_spoil_nothing() -> None:
    assert not is_spoiling(draft("backward_step", 1, 1, "info"))
    assert not is_spoiling(draft("gap", 1, 2, "info"))
    assert is_spoiling(draft("backward_step", 1, 1))
    assert is_spoiling(draft("stopped", 1, 2))
