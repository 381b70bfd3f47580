"""Which days are due, against a plain statement of the rule day by day; and whose news reach which days."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.findings import FindingDraft
from store.readings import READING
from verifier.arrays import FOREVER_US
from verifier.balance.types import DAY_US
from verifier.balance_settings import BalanceSettings
from verifier.settings import VerifierSettings
from verifier.zone_due import REACH_US, News, due_ends, news_of_meters

SETTINGS = BalanceSettings(first_days=2)
LATE_US = int(SETTINGS.late_member_s * 1e6)
LONGEST_US = 5 * DAY_US
HOUR_US = 3_600_000_000
times = st.integers(0, 30 * 24).map(lambda hour: hour * HOUR_US)


def rule(first_us: int, news: News, through_us: int | None) -> set[int]:
    """Every end that is complete, not before the first window is full, and new or touched by the news."""
    due = set()
    for end in range(0, 60 * DAY_US, DAY_US):
        if end - 2 * DAY_US < first_us:
            continue
        complete = news.last_us >= end + LATE_US
        if through_us is None or end > through_us:
            if complete:
                due.add(end)
        elif news.first_us < end + LATE_US and end <= news.reach_us:
            due.add(end)
    return due


@given(times, times, times, st.none() | st.integers(2, 30), st.booleans())
def test_due_days_follow_the_rule(one: int, other: int, first: int, through: int | None, finding: bool) -> None:
    first_us, last_us = min(one, other), max(one, other)
    news = News(first_us, last_us, FOREVER_US if finding else last_us + LONGEST_US + REACH_US)
    through_us = None if through is None else through * DAY_US
    found = set(due_ends(first, news, through_us, SETTINGS))
    expected = rule(first, news, through_us)
    assert expected <= found
    # More are assessed again only between the earliest touched day and later ones that are due anyway.
    assert all(through_us is not None and min(expected) < end <= through_us for end in found - expected)


def test_a_day_waits_for_late_members() -> None:
    def due(last_us: int) -> list[int]:
        return [end // DAY_US for end in due_ends(0, News(last_us, last_us, FOREVER_US), 9 * DAY_US, SETTINGS)]

    assert due(10 * DAY_US + LATE_US - 1) == []
    assert due(10 * DAY_US + LATE_US) == [10]


def test_news_are_of_each_meter_and_findings_reach_on() -> None:
    rows = np.zeros(4, dtype=READING)
    rows["meter_id"], rows["observed_us"] = [3, 1, 3, 7], [50, 10, 20, 5]
    stopped = FindingDraft("stopped", "warning", 7, None, 2, 4, {}, [])
    elsewhere = FindingDraft("stopped", "warning", 8, None, 1, 4, {}, [])
    news = news_of_meters(rows, [stopped, elsewhere], LONGEST_US)
    reach = LONGEST_US + REACH_US
    assert news.tolist() == [(1, 10, 10, 10 + reach), (3, 20, 50, 50 + reach), (7, 2, 5, FOREVER_US)]


def test_days_must_be_settled_when_they_are_assessed() -> None:
    with pytest.raises(ValueError, match=r"late_member_s = 3600 must exceed steps\.return_horizon_s"):
        VerifierSettings.model_validate({"balance": {"late_member_s": 3600}})
