"""The repair from end to end: a real broker, a real database, the role as a process that is killed, concentrators."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest
from test_repair import SCENARIO

from meterproof.city_run import publish_messages, register_city
from simulators.city import City
from simulators.concentrator import Behaviour, Concentrators, answer_commands
from simulators.publisher import Broker

ROOT = Path(__file__).parents[3]
QUICK = {"POLL_S": "0.05", "LOOK_EVERY_S": "0.2", "PATIENCE_S": "0.5", "SETTLE_S": "2", "COMMANDS_PER_HOUR": "600"}


class Repair:
    """`meterproof serve repair` as a process."""

    def __init__(self, dsn: str, url: str, log: Path) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
        self._environment = plain | {
            "METERPROOF_DATABASE__DSN": dsn,
            "METERPROOF_MQTT__URL": url,
            "METERPROOF_MQTT__CLIENT_ID": "repair-test",
            "METERPROOF_REPAIR__POINTS_PER_COMMAND": "40",
            **{f"METERPROOF_REPAIR__{name}": value for name, value in QUICK.items()},
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, further: dict[str, str] | None = None) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "meterproof", "serve", "repair"]
            environment = self._environment | (further or {})
            self._process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(30)

    @property
    def log(self) -> str:
        return " ".join(self._log.read_text().split())

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        self._process.send_signal(number)
        self._process.wait(20)
        assert number == signal.SIGKILL or self._process.returncode == 0, self._log.read_text()


@contextmanager
def answering(concentrators: Concentrators, url: str) -> Iterator[None]:
    """The concentrators at work in a thread."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(answer_commands(concentrators, Broker.from_url(url), 300.0))

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)


def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as conn:
        return conn.execute(query.encode()).fetchall()


@pytest.fixture
def city(database) -> City:
    """A city whose history ended at the last midnight, registered."""
    plan = SCENARIO.electricity
    assert plan is not None
    # So much is missing that there is always more than one command to come.
    plan = plan.model_copy(update={"defects": plan.defects.model_copy(update={"missing_share": 0.1})})
    scenario = SCENARIO.model_copy(update={"electricity": plan})
    city = City(scenario.with_history_before(datetime.now(UTC)))
    with psycopg.connect(database.dsn) as conn:
        register_city(conn, city)
    return city


def test_gaps_are_closed_and_clocks_set_though_the_repairer_is_killed_again_and_again(
    city, database, broker, run_gateway, wait_until, tmp_path
):
    scenario = city.scenario
    concentrators = Concentrators(city, Behaviour(lost_share=0.0, unreachable_share=0.0))
    truth = city.profile(scenario.start, scenario.end)
    repair = Repair(database.dsn, broker.url, tmp_path / "repair.log")
    with run_gateway(), answering(concentrators, broker.url):
        publish_messages(city.messages(scenario.start, scenario.end), Broker.from_url(broker.url))
        publish_messages(fast_clock(city, 300), Broker.from_url(broker.url))
        held = f"select count(*) from reading where observed_at < '{scenario.end}'"
        # The last times of the history may be on their way for all that is known, so they aren't asked for.
        settled = int((truth["observed_us"] < truth["observed_us"].max() - 3_600_000_000).sum())
        wait_until(lambda: database.value(held) > 0.8 * settled)
        for pause_s in (0.0, 0.05, 0.3):  # before, while and after its first command is sent
            repair.start()
            commands = database.count("command")
            wait_until(lambda n=commands: database.count("command") > n, 60)
            time.sleep(pause_s)
            repair.end(signal.SIGKILL)
        repair.start()
        complete = f"select count(*) from reading where observed_at < '{scenario.end}'::timestamptz - interval '1 hour'"
        wait_until(lambda: database.value(complete) >= settled, 60)
        wait_until(lambda: database.value("select count(*) from clock_offset where synchronised_at is not null") == 1)
        whole = (
            "select bool_and(whole_until >= settled_observed_at) and not exists (select from command"
            " where closed_at is null) from meter_route join concentrator using (concentrator_id)"
        )
        wait_until(lambda: database.value(whole), 60)
        repair.end(signal.SIGTERM)
    stored = rows(
        database.dsn,
        "select serial, (extract(epoch from observed_at) * 1000000)::bigint, register_micro"
        " from reading join meter using (meter_id) where message_no >= 0 and observed_at <"
        f" '{scenario.end}' order by 1, 2",
    )
    true = {(city.serials[row["meter"]], int(row["observed_us"])): int(row["register_micro"]) for row in truth}
    assert all(true[serial, at_us] == register for serial, at_us, register in stored)
    # Every command was carried out once, and asked for what had not been asked for before.
    assert concentrators.executed == database.count("command") > 3
    [(asked, arrived, states)] = rows(
        database.dsn, "select sum(points)::int, sum(arrived)::int, array_agg(distinct state) from command"
    )
    assert asked == arrived > 20
    assert states == ["answered"]
    # The clock that was 300 s ahead was recognised from its arrivals, and set.
    [(meter, body)] = rows(
        database.dsn,
        "select serial, body from command join command_target using (command_id) join meter using (meter_id)"
        " where kind = 'sync_clock'",
    )
    assert meter == city.serials[0]
    [clock] = json.loads(str(body))["clocks"]
    assert clock["low_s"] <= 300 <= clock["high_s"]
    assert abs(clock["offset_s"] - 300) < 5
    assert np.abs(concentrators.clock_ahead_s[0]) <= 0.5


def fast_clock(city: City, ahead_s: int) -> Iterator[object]:
    """Readings of the first meter as they are taken now, by a clock that is ahead; each message as it is sent."""
    from simulators.payload import Sender, encode_message  # noqa: PLC0415  # beside its only use

    register = city.profile(city.scenario.start, city.scenario.end)
    last = int(register["register_micro"][register["meter"] == 0].max())
    medium = city.fleets[0].medium
    for _ in range(14):
        now_us = time.time_ns() // 1_000_000 * 1000
        yield encode_message(
            Sender(city.scenario.utility, f"sim-{medium}", medium),
            [city.serials[0]],
            np.array([now_us + ahead_s * 1_000_000]),
            np.array([last]),
        )
        time.sleep(0.02)


def test_what_waiting_does_not_heal_ends_it_with_the_remedy(database, tmp_path):
    repair = Repair(database.dsn, "mqtts://127.0.0.1:1", tmp_path / "repair.log")
    repair.start({"METERPROOF_MQTT__CA_FILE": str(tmp_path / "none.pem")})
    assert repair.wait() == 1
    assert "none.pem" in repair.log
    assert "repair.enabled = false" in repair.log
