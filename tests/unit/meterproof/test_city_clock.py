"""The clock of a city that goes on over several runs of the demo."""

from datetime import UTC, datetime, timedelta

import pytest

from meterproof.city_run import CityClock

NOW = datetime(2026, 5, 8, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (timedelta(days=7), NOW - timedelta(days=6)),
        (DAY, NOW),
        (timedelta(minutes=5), NOW),  # run often within a week, it has caught up with the present
        (timedelta(0), NOW),
        (timedelta(hours=-1), NOW + timedelta(hours=1)),  # the machine's clock was set back: nothing to publish
    ],
)
def test_a_city_never_goes_on_beyond_the_present(behind: timedelta, expected: datetime) -> None:
    clock = CityClock(NOW - timedelta(days=60), NOW - behind)
    assert clock.further(DAY, NOW) == expected
