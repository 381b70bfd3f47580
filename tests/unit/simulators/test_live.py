from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metrology.errors import InvalidInputError
from simulators.city import City
from simulators.live import live_messages
from simulators.scenario import load_scenario

TINY = load_scenario(Path(__file__).parents[3] / "simulators/scenarios/tiny.toml")


class Clock:
    """A clock that moves only by sleeping."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


async def test_the_past_is_sent_at_the_wished_speed_and_nothing_before_its_time() -> None:
    city, begun = City(TINY), TINY.end
    clock = Clock(begun)
    start = begun - timedelta(hours=10)
    sent = [
        (clock.at, message)
        async for message in live_messages(
            city, start, speed=60, until=begun + timedelta(hours=2), now=clock.now, sleep=clock.sleep
        )
    ]
    expected = [m.payload for m in city.messages(start, begun + timedelta(hours=2))]
    assert sum(message.readings for _, message in sent) == len(city.readings(start, begun + timedelta(hours=2)))
    assert len(expected) > 0
    past_due = [at for at, _ in sent if at - begun <= timedelta(minutes=11)]
    assert past_due[0] - begun == timedelta(seconds=30), "half an hour at sixty times the clock's pace"
    assert clock.at == begun + timedelta(hours=2), "what lies ahead waits for its time"


async def test_a_speed_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="above 0"):
        async for _ in live_messages(City(TINY), datetime(2026, 1, 1, tzinfo=UTC), speed=0):
            pass
