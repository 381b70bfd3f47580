"""Simulated concentrators: they hold what the meters recorded, obey commands once, and fail as the seed says."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from simulators.city import City
from simulators.concentrator import Behaviour, Concentrators
from simulators.scenario import load_scenario

TINY = load_scenario(Path(__file__).parents[3] / "simulators/scenarios/tiny.toml")
PERFECT = Behaviour(lost_share=0.0, unreachable_share=0.0)
COMMANDS = "mp/v1/tinytown/sim-electricity/cmd"
HOUR = timedelta(hours=1)


@pytest.fixture
def city() -> City:
    return City(TINY)


def read(start: datetime, end: datetime, *meters: str, command_id: str = "r-1", expires: datetime = TINY.end) -> bytes:
    return json.dumps(
        {
            "command": "read_profile",
            "v": 1,
            "id": command_id,
            "expires_at": expires.isoformat(),
            "reads": [
                {"meters": list(meters), "from": start.isoformat(), "to": end.isoformat(), "interval_s": 1800},
            ],
        }
    ).encode()


def rows(messages: list) -> list[tuple[str, int, float]]:
    out = []
    for message in messages:
        body = json.loads(message.payload)
        n = message.readings
        columns = [
            body[name] if isinstance(body[name], list) else [body[name]] * n for name in ("meter", "observed_at")
        ]
        registers = body["register"] if isinstance(body["register"], list) else [body["register"]] * n
        out += list(zip(*columns, map(float, registers), strict=True))
    return out


def test_it_sends_what_the_meters_recorded_and_acknowledges(city: City) -> None:
    concentrators = Concentrators(city, PERFECT)
    start = TINY.start + timedelta(days=2)
    serials = city.serials[:3]
    *readings, ack = concentrators.handle(COMMANDS, read(start, start + 3 * HOUR, *serials), start + 5 * HOUR)
    assert all(json.loads(message.payload)["answers"] == "r-1" for message in readings)
    assert {message.topic for message in readings} == {"mp/v1/tinytown/sim-electricity/readings"}
    truth = city.profile(start, start + 3 * HOUR)
    truth = truth[truth["meter"] < 3]
    assert sorted(rows(readings)) == sorted(
        (city.serials[row["meter"]], int(row["observed_us"]) // 1000, row["register_micro"] / 1e6) for row in truth
    )
    assert len(truth) == 3 * 6
    assert ack.topic == COMMANDS + "/ack"
    assert json.loads(ack.payload) == {"v": 1, "id": "r-1", "state": "done"}


def test_a_command_that_comes_again_is_acknowledged_again_and_not_carried_out(city: City) -> None:
    concentrators = Concentrators(city, PERFECT)
    command = read(TINY.start, TINY.start + HOUR, city.serials[0])
    first = concentrators.handle(COMMANDS, command, TINY.start + HOUR)
    assert concentrators.handle(COMMANDS, command, TINY.start + 2 * HOUR) == first[-1:]
    assert concentrators.executed == 1


def test_what_no_profile_holds_is_named(city: City) -> None:
    concentrators = Concentrators(city, Behaviour(lost_share=0.0, unreachable_share=0.0, memory_s=3600.0))
    now = TINY.start + timedelta(days=1)
    *readings, ack = concentrators.handle(COMMANDS, read(now - 3 * HOUR, now, city.serials[0], "X-1", "W-00001"), now)
    assert [at_ms for _, at_ms, _ in rows(readings)] == [
        round((now - HOUR).timestamp() * 1000),
        round((now - HOUR / 2).timestamp() * 1000),
    ]
    unavailable = {one["meter"]: one["reason"] for one in json.loads(ack.payload)["unavailable"]}
    assert unavailable == {city.serials[0]: "memory_lost", "X-1": "unknown_meter", "W-00001": "unknown_meter"}


def test_meters_are_out_of_reach_at_a_time_and_memories_lost_as_the_seed_says(city: City) -> None:
    behaviour = Behaviour(lost_share=0.5, unreachable_share=0.5)
    concentrators = Concentrators(city, behaviour)
    assert (concentrators.lost_before_us == Concentrators(City(TINY), behaviour).lost_before_us).all()
    assert 0 < (concentrators.lost_before_us > 0).mean() < 1
    reasons = []
    for attempt in range(20):
        command = read(TINY.start, TINY.start + HOUR, *city.serials[:8], command_id=f"r-{attempt}")
        ack = concentrators.handle(COMMANDS, command, TINY.start + HOUR)[-1]
        found = {one["meter"]: one["reason"] for one in json.loads(ack.payload).get("unavailable", [])}
        reasons.append(frozenset(meter for meter, reason in found.items() if reason == "unreachable"))
    assert len(set(reasons)) > 5  # another time others


def test_expired_unknown_and_garbled_commands(city: City) -> None:
    concentrators = Concentrators(city, PERFECT)
    late = read(TINY.start, TINY.start + HOUR, city.serials[0], expires=TINY.start + HOUR)
    [ack] = concentrators.handle(COMMANDS, late, TINY.start + 2 * HOUR)
    assert json.loads(ack.payload) == {"v": 1, "id": "r-1", "state": "failed", "reason": "expired"}
    other = json.dumps({"command": "dance", "id": "d-1", "expires_at": TINY.end.isoformat()}).encode()
    [ack] = concentrators.handle(COMMANDS, other, TINY.start)
    assert json.loads(ack.payload)["reason"] == "unsupported"
    for payload in (b"", b"[]", b"{}", b"\xff"):
        assert concentrators.handle(COMMANDS, payload, TINY.start) == []
    assert concentrators.handle("mp/v1/tinytown/sim-gas/cmd", late, TINY.start) == []


def test_a_clock_that_was_set_reads_its_register_at_the_right_time(city: City) -> None:
    concentrators = Concentrators(city, PERFECT)
    meter = city.serials.index("W-00001")
    assert concentrators.clock_ahead_s[meter] > 1.0
    right = City(TINY.model_copy(update={"water": TINY.water.model_copy(update={"clock_ahead_s": 0.0})}))
    now = TINY.start + timedelta(days=3)
    command = json.dumps(
        {
            "command": "sync_clock",
            "v": 1,
            "id": "c-1",
            "expires_at": TINY.end.isoformat(),
            "clocks": [{"meter": "W-00001", "offset_s": 9.0, "low_s": 8.0, "high_s": 10.0}],
        }
    ).encode()
    before = city.profile(TINY.start, now)
    [ack] = concentrators.handle("mp/v1/tinytown/sim-water/cmd", command, now)
    assert json.loads(ack.payload)["state"] == "done"
    assert abs(concentrators.clock_ahead_s[meter]) <= PERFECT.clock_residual_s
    assert (city.profile(TINY.start, now) == before).all()

    def registers(of: City, start: datetime, end: datetime) -> np.ndarray:
        part = of.profile(start, end)
        return part["register_micro"][part["meter"] == meter]

    spans = ((TINY.start, now - HOUR), (now, now + timedelta(days=3)))
    apart = [np.abs(registers(city, *span) - registers(right, *span)).mean() for span in spans]
    assert apart[1] < apart[0] / 5


def test_readings_arrive_after_they_were_taken_by_clocks_that_may_be_ahead(city: City) -> None:
    concentrators = Concentrators(city, PERFECT)
    day = (TINY.start, TINY.start + timedelta(days=1))
    arrivals = concentrators.arrivals(*day)
    assert [at_us for at_us, _ in arrivals] == sorted(at_us for at_us, _ in arrivals)
    assert sum(message.readings for _, message in arrivals) == len(city.readings(*day))
    number = {serial: place for place, serial in enumerate(city.serials)}
    for at_us, message in arrivals:
        for serial, at_ms, _ in rows([message]):
            taken_us = at_ms * 1000 - concentrators.clock_ahead_s[number[serial]] * 1e6
            assert at_us >= taken_us + PERFECT.least_delay_s * 1e6 - 1
