"""Simulated concentrators: they carry the city's readings, keep the meters' load profiles, and obey commands.

One concentrator a medium, named as in `City.messages`. What it can't do is drawn from the scenario's seed: some meters
have lost their memory up to a moment, some are out of reach at a time. Everything but `answer_commands` is pure: the
time is an argument, and messages are returned, not sent.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiomqtt
import msgspec
import numpy as np
from numpy.typing import NDArray

from metrology.quantities import MICRO
from simulators.city import City
from simulators.payload import Message, Sender, encode_message, encode_messages
from simulators.publisher import Broker, PublishOptions, open_client
from simulators.seeds import stream

_RECONNECT_S: Final = 0.5
_FLUSH_US: Final = 5 * MICRO  # a concentrator sends what it gathered in such a span as one message


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What concentrators and their meters can do, and what fails."""

    memory_s: float = 45 * 86_400.0  # depth of a meter's load profile
    lost_share: float = 0.02  # meters whose memory was lost once, at a time drawn from the planned history
    unreachable_share: float = 0.05  # of a command's meters, those that don't answer this time
    clock_residual_s: float = 0.5  # a clock that was set is right within this
    least_delay_s: float = 1.0  # of a delivery on its way from the meter to the broker
    mean_delay_s: float = 8.0  # exponential, above the least
    late_share: float = 0.03  # deliveries that come up to an hour later


class Concentrators:
    """The concentrators of a city, with the meters behind them."""

    def __init__(self, city: City, behaviour: Behaviour | None = None) -> None:
        self.city, self.behaviour = city, behaviour or Behaviour()
        scenario = city.scenario
        self.serials = city.serials
        self._meter = {serial: number for number, serial in enumerate(self.serials)}
        self.clock_ahead_s = np.array([device.clock_ahead_s for fleet in city.fleets for device in fleet.devices])
        rng = stream(scenario.seed, "memories")
        start_us, end_us = (round(moment.timestamp()) * MICRO for moment in (scenario.start, scenario.end))
        lost = rng.random(len(self.serials)) < self.behaviour.lost_share
        self.lost_before_us = np.where(lost, rng.integers(start_us, end_us, len(self.serials)), 0)
        self._acknowledged: dict[str, Message] = {}
        self.executed = 0

    @property
    def command_filter(self) -> str:
        """The topics that the commands come on."""
        return f"mp/v1/{self.city.scenario.utility}/+/cmd"

    def arrivals(self, start: datetime, end: datetime) -> list[tuple[int, Message]]:
        """The readings of [start, end) (by the meters' clocks) as messages with the time of arrival [µs UTC].

        A reading is taken when the meter's own clock says so, and arrives a delay later.
        """
        readings = self.city.readings(start, end)
        rng = stream(self.city.scenario.seed, "delays", start.isoformat())
        delay_s = self.behaviour.least_delay_s + rng.exponential(self.behaviour.mean_delay_s, len(readings))
        late = rng.random(len(readings)) < self.behaviour.late_share
        delay_s = delay_s + np.where(late, rng.uniform(0, 3_600, len(readings)), 0.0)
        arrival_us = readings["observed_us"] + ((delay_s - self.clock_ahead_s[readings["meter"]]) * MICRO).astype(int)
        out = []
        for number in range(len(self.city.fleets)):
            mine = np.flatnonzero(self._number_of(readings["meter"]) == number)
            mine = mine[np.argsort(arrival_us[mine], kind="stable")]
            slots = arrival_us[mine] // _FLUSH_US
            for group in np.split(mine, np.flatnonzero(np.diff(slots)) + 1):
                if len(group):
                    rows = readings[group]
                    names = [self.serials[meter] for meter in rows["meter"].tolist()]
                    message = encode_message(self._sender(number), names, rows["observed_us"], rows["register_micro"])
                    out.append((int(arrival_us[group[-1]]), message))
        return sorted(out, key=lambda one: one[0])

    def handle(self, topic: str, payload: bytes, now: datetime) -> list[Message]:
        """What is sent upon a command: the readings asked for, then the acknowledgement; nothing for what is none.

        A command that was delivered again is acknowledged again, and not carried out twice.
        """
        number = next((n for n in range(len(self.city.fleets)) if topic == self._topic(n, "cmd")), None)
        try:
            command = msgspec.json.decode(payload)
            command_id, kind, expires_at = command["id"], command["command"], command["expires_at"]
        except (ValueError, KeyError, TypeError):
            return []
        if number is None:
            return []
        if command_id in self._acknowledged:
            return [self._acknowledged[command_id]]
        if now > datetime.fromisoformat(expires_at):
            return [self._acknowledge(number, command_id, "failed", "expired", {})]
        self.executed += 1
        readings: list[Message] = []
        if kind == "read_profile":
            readings, unavailable = self._read(number, command, now)
        elif kind == "sync_clock":
            unavailable = self._synchronise(number, command, now)
        else:
            return [self._acknowledge(number, command_id, "failed", "unsupported", {})]
        return [*readings, self._acknowledge(number, command_id, "done", "", unavailable)]

    def _read(self, number: int, command: dict[str, Any], now: datetime) -> tuple[list[Message], dict[str, str]]:
        ranges = [
            (meter, datetime.fromisoformat(read["from"]), datetime.fromisoformat(read["to"]))
            for read in command["reads"]
            for meter in read["meters"]
        ]
        unavailable = self._unreachable(number, command["id"], [meter for meter, _, _ in ranges])
        ranges = [one for one in ranges if one[0] not in unavailable]
        if not ranges:
            return [], unavailable
        now_us = round(now.timestamp() * MICRO)
        held = self.city.profile(min(start for _, start, _ in ranges), max(end for _, _, end in ranges))
        held = held[np.lexsort((held["observed_us"], held["meter"]))]
        oldest_us = np.maximum(self.lost_before_us, now_us - round(self.behaviour.memory_s * MICRO))
        chosen = []
        for serial, start, end in ranges:
            meter = self._meter[serial]
            own = held[np.searchsorted(held["meter"], meter) : np.searchsorted(held["meter"], meter, side="right")]
            first, last = (np.searchsorted(own["observed_us"], round(t.timestamp() * MICRO)) for t in (start, end))
            part = own[first:last]
            kept = (part["observed_us"] >= oldest_us[meter]) & (part["observed_us"] <= now_us)
            if not kept.all():
                unavailable[serial] = "memory_lost"
            chosen.append(part[kept])
        rows = np.concatenate(chosen)
        sent = encode_messages(
            self._sender(number),
            self.serials,
            rows["meter"],
            rows["observed_us"],
            rows["register_micro"],
            answers=command["id"],
        )
        return list(sent), unavailable

    def _synchronise(self, number: int, command: dict[str, Any], now: datetime) -> dict[str, str]:
        meters = [clock["meter"] for clock in command["clocks"]]
        unavailable = self._unreachable(number, command["id"], meters)
        rng = stream(self.city.scenario.seed, "residuals", command["id"])
        for serial in meters:
            residual_s = float(rng.uniform(-1.0, 1.0)) * self.behaviour.clock_residual_s
            if serial not in unavailable:
                self.clock_ahead_s[self._meter[serial]] = residual_s
                self.city.set_clock(self._meter[serial], residual_s, round(now.timestamp() * MICRO))
        return unavailable

    def _unreachable(self, number: int, command_id: str, serials: Sequence[str]) -> dict[str, str]:
        rng = stream(self.city.scenario.seed, "reach", command_id)
        out = {}
        for serial in dict.fromkeys(serials):
            if serial not in self._meter or self._number_of(np.array([self._meter[serial]]))[0] != number:
                out[serial] = "unknown_meter"
            elif rng.random() < self.behaviour.unreachable_share:
                out[serial] = "unreachable"
        return out

    def _acknowledge(
        self, number: int, command_id: str, state: str, reason: str, unavailable: dict[str, str]
    ) -> Message:
        body: dict[str, Any] = {"v": 1, "id": command_id, "state": state}
        if reason:
            body["reason"] = reason
        if unavailable:
            body["unavailable"] = [{"meter": meter, "reason": why} for meter, why in unavailable.items()]
        message = Message(self._topic(number, "cmd/ack"), msgspec.json.encode(body), 0)
        self._acknowledged[command_id] = message
        return message

    def _number_of(self, meter: NDArray[Any]) -> NDArray[np.intp]:
        return np.searchsorted(np.array(self.city.first_meter), meter, side="right") - 1

    def _sender(self, number: int) -> Sender:
        medium = self.city.fleets[number].medium
        return Sender(self.city.scenario.utility, f"sim-{medium}", medium)

    def _topic(self, number: int, last: str) -> str:
        return f"mp/v1/{self.city.scenario.utility}/sim-{self.city.fleets[number].medium}/{last}"


async def answer_commands(
    concentrators: Concentrators, broker: Broker, seconds: float, on_command: Callable[[int], None] | None = None
) -> int:
    """Obeys what comes over MQTT for so long; returns how many commands were carried out.

    A broken connection is made anew; what was asked meanwhile comes then, for the session is kept.
    """
    ends = time.monotonic() + seconds
    due: deque[Message] = deque()
    session = f"{concentrators.city.scenario.name}-concentrators"
    while (left_s := ends - time.monotonic()) > 0:
        with suppress(TimeoutError, aiomqtt.MqttError):
            async with asyncio.timeout(left_s), open_client(broker, PublishOptions(), session) as client:
                await client.subscribe(concentrators.command_filter, qos=1)
                await _send(client, due)
                async for command in client.messages:
                    payload = command.payload if isinstance(command.payload, bytes) else b""
                    due.extend(concentrators.handle(str(command.topic), payload, datetime.now(UTC)))
                    await _send(client, due)
                    if on_command is not None:
                        on_command(concentrators.executed)
        await asyncio.sleep(min(_RECONNECT_S, max(0.0, ends - time.monotonic())))
    return concentrators.executed


async def _send(client: aiomqtt.Client, due: deque[Message]) -> None:
    """Publish what is due, in order; what the broker has not acknowledged stays due."""
    while due:
        await client.publish(due[0].topic, due[0].payload, qos=1)
        due.popleft()
