"""All runs of the benchmark, the contestants in turn within each round, so that a slow moment hits all alike."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.contestants import CLIENT_ID, BareSubscriber, Contestant, Meterproof, MqBridge, NodeRed, NodeRedByRow, Task
from ingest.measuring import (
    LONGEST_S,
    Result,
    RunError,
    end,
    go,
    last_commit,
    publisher,
    rows_stored,
    run_consumer,
    run_copy,
)
from ingest.peers import install_mq_bridge, install_node_red
from ingest.servers import BROKERS, Database, broker, make_session
from ingest.watching import MemoryWatch, cpu_s, wait_for_client
from ingest.workload import BATCHED, SHAPES, Shape


@dataclass(frozen=True)
class Plan:
    """How much is measured: messages a run of each shape, of the peers as well, and readings of the long run."""

    rounds: int
    messages: dict[str, int]
    peer_messages: dict[str, int]
    peer_rounds: int
    sustained_messages: int


FULL = Plan(3, {"a": 2_000, "b": 60_000}, {"a": 200, "b": 5_000}, 2, 6_000)
QUICK = Plan(1, {"a": 500, "b": 20_000}, {"a": 60, "b": 2_000}, 1, 1_000)


@dataclass(frozen=True)
class Sustained:
    """The gateway while the publisher works beside it, and its memory over the run."""

    broker: str
    readings: int
    stored: int
    took_s: float
    published_s: float
    cpu_s: float
    samples_mb: list[float]

    def quarters_mb(self) -> list[float]:
        """The median memory in each quarter of the run [MB]."""
        count = len(self.samples_mb)
        parts = [self.samples_mb[count * n // 4 : count * (n + 1) // 4] for n in range(4)]
        return [statistics.median(part) for part in parts if part]


def available_peers() -> tuple[list[Contestant], dict[str, str]]:
    """The other systems that are there, and why others are not."""
    tried: list[tuple[Contestant, Callable[[], str | None]]] = [
        (NodeRed(), install_node_red),
        (NodeRedByRow(), install_node_red),
        (MqBridge(), install_mq_bridge),
    ]
    reasons = {peer.name: install() for peer, install in tried}
    return [peer for peer, _ in tried if not reasons[peer.name]], {n: r for n, r in reasons.items() if r}


def run_all(
    database: Database, plan: Plan, brokers: Sequence[str], peers: list[Contestant], deadline: float
) -> tuple[list[Result], list[str]]:
    """Every contestant's runs, and what went wrong. No run is begun after the deadline [s, monotonic]."""
    results: list[Result] = []
    faults: list[str] = []

    def attempt(contestant: Contestant, name: str, shape: Shape, messages: int) -> None:
        if time.monotonic() > deadline:
            faults.append(f"{contestant.name}, {name}, ({shape.key}): left out, the time was over")
            return
        try:
            result = run_consumer(database, contestant, name, shape, messages)
        except RunError as error:
            faults.append(f"{contestant.name}, {name}, ({shape.key}): {error}")
            print(faults[-1], flush=True)
            return
        results.append(result)
        print(_line(result), flush=True)

    for turn in range(plan.rounds):
        for name in brokers:
            print(f"round {turn + 1} of {plan.rounds}, {name}; {deadline - time.monotonic():.0f} s left", flush=True)
            if time.monotonic() > deadline:
                faults.append(f"round {turn + 1}, {name}: left out, the time was over")
                continue
            results.append(run_copy(database, plan.messages["a"] * BATCHED.readings))
            print(_line(results[-1]), flush=True)
            for shape in SHAPES.values():
                pair: list[Contestant] = [BareSubscriber(), Meterproof()]
                for contestant in pair if turn % 2 else reversed(pair):
                    attempt(contestant, name, shape, plan.messages[shape.key])
                for peer in peers if turn < plan.peer_rounds else []:
                    if shape not in peer.shapes:
                        continue
                    few = 10 if isinstance(peer, NodeRedByRow) else 1  # it takes as much longer
                    attempt(peer, name, shape, plan.peer_messages[shape.key] // few)
    return results, faults


def _line(result: Result) -> str:
    note = "" if result.values_right else f"; {result.stored:,} of {result.sent:,} stored"
    shape = "" if not result.broker else f"({result.shape.key}) {result.broker:12}"
    return f"{result.contestant:16} {shape:20} {result.per_s:12,.0f} readings/s{note}"


def run_sustained(database: Database, broker_name: str, messages: int) -> Sustained:
    """The gateway takes what a publisher sends without a pause at the same time."""
    database.empty()
    sent = messages * BATCHED.readings
    with broker(broker_name) as port, tempfile.TemporaryDirectory() as folder:
        make_session(port, CLIENT_ID)
        with publisher(port, BATCHED, messages) as source:  # encoding is done by now
            gateway = Meterproof().start(Task(database.dsn, port, BATCHED, messages, Path(folder)))
            try:
                wait_for_client(port, 30)
                time.sleep(1.0)
                began, began_cpu = time.time(), cpu_s(gateway.pid)
                go(source)
                with MemoryWatch(gateway.pid) as memory:
                    stored, changed = 0, time.monotonic()
                    deadline = changed + 2 * LONGEST_S
                    while stored < sent and time.monotonic() < min(changed + 30, deadline):
                        time.sleep(0.5)
                        now = rows_stored(database, "batch")
                        stored, changed = (now, time.monotonic()) if now != stored else (stored, changed)
                ended, used = last_commit(database, "batch"), cpu_s(gateway.pid) - began_cpu
                assert source.stdout
                published = float(source.stdout.readline() or 0)
            finally:
                end(gateway)
        held = int(database.value("select count(*) from reading"))
    print(f"published and stored at the same time, {broker_name}: {held / (ended - began):,.0f} readings/s", flush=True)
    return Sustained(broker_name, sent, held, ended - began, published, used, memory.samples_mb)


def brokers_here(has_mosquitto: bool) -> tuple[str, ...]:
    """The brokers that can be measured."""
    return BROKERS if has_mosquitto else BROKERS[:1]


def of(results: Sequence[Result], contestant: str, broker_name: str, shape: Shape) -> list[Result]:
    """The runs of one cell of the table."""
    return [r for r in results if r.contestant == contestant and r.broker == broker_name and r.shape == shape]
