"""A city's readings as time goes by, faster than real time if wished, but never ahead of the clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from metrology.errors import InvalidInputError
from simulators.city import City
from simulators.payload import Encoding, Message


def _now() -> datetime:
    return datetime.now(UTC)


async def live_messages(
    city: City,
    start: datetime,
    *,
    speed: float = 1.0,
    until: datetime | None = None,
    encoding: Encoding = "json",
    now: Callable[[], datetime] = _now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Message]:
    """Messages of the readings from `start` on, each when its time has come; ends at `until`, or never.

    Time runs `speed` times as fast as the clock, from now on, and falls to the clock's pace when it has caught up: no
    reading is sent before the time that it bears. Raises InvalidInputError for a speed that is not above 0.
    """
    if not speed > 0:
        raise InvalidInputError(f"speed = {speed:g}; give a factor above 0, 1 for real time")
    tick = timedelta(seconds=min(plan.interval_s for plan in city.scenario.media.values()))
    begun, at = now(), start
    while until is None or at < until:
        end = at + tick if until is None else min(at + tick, until)
        due = begun + (end - start) / speed
        # What bears a time that has not come yet waits for it, whatever the speed.
        wait_s = (max(due, end) - now()).total_seconds()
        if wait_s > 0:
            await sleep(wait_s)
        for message in city.messages(at, end, encoding=encoding):
            yield message
        at = end
