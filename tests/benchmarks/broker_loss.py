"""What a broker loses that it had acknowledged: a session waits, its broker is killed with SIGKILL and started again.

Measured from outside, by MQTT alone. SIGKILL takes the process, not the machine: what lies in the system's page cache
survives it. What a power failure takes is bounded by how often a broker waits for the disk, which is stated beside.
`make bench-brokers` writes docs/benchmarks/broker-loss.md.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "integration" / "brokers"))

from broker_process import BrokerProcess, free_port, mosquitto_program  # noqa: E402
from mqtt_client import wait_until  # noqa: E402

from meterproof.embedded.broker import broker_program  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks" / "broker-loss.md"
PAYLOAD = b"x" * 300
TOPIC = "mp/v1/city/gw-1/readings"


@dataclass(frozen=True)
class Setup:
    """A broker's configuration and what it says of a power failure."""

    name: str
    make: Callable[[Path], BrokerProcess]
    power_failure: str
    protocol: int = paho.MQTTv311


def nats(sync_interval: str) -> Callable[[Path], BrokerProcess]:
    def make(folder: Path) -> BrokerProcess:
        port = free_port()
        config = folder / "nats.conf"
        config.write_text(
            f'server_name: bench\nlisten: "127.0.0.1:{free_port()}"\n'
            f'jetstream {{ store_dir: "{folder}/js", sync_interval: "{sync_interval}" }}\n'
            f'mqtt {{ listen: "127.0.0.1:{port}", ack_wait: "2s", max_ack_pending: 16000 }}\n'
        )
        return BrokerProcess([str(broker_program()), "-c", str(config)], folder, port)

    return make


def mosquitto(*lines: str) -> Callable[[Path], BrokerProcess]:
    def make(folder: Path) -> BrokerProcess:
        port = free_port()
        config = folder / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []
        own = [f"listener {port} 127.0.0.1", "allow_anonymous true", f"persistence_location {folder}/", *user]
        config.write_text("\n".join([*own, *lines]) + "\n")
        return BrokerProcess([mosquitto_program() or "mosquitto", "-c", str(config)], folder, port)

    return make


UNBOUNDED = "max_queued_messages 0"
AUTOSAVE = ("persistence true", UNBOUNDED, "autosave_on_changes true")
EACH_SECOND = ("persistence true", UNBOUNDED, "autosave_on_changes false", "autosave_interval 1")
SETUPS = [
    Setup("nats-server, `sync_interval: 1s` (deploy/nats)", nats("1s"), "up to 1 s"),
    Setup("nats-server, `sync_interval: always`", nats("always"), "nothing"),
    Setup("mosquitto, no configuration file (persistence off)", mosquitto(), "everything"),
    Setup("mosquitto, Debian's (`persistence true`)", mosquitto("persistence true"), "up to 30 min"),
    Setup("mosquitto, the same, `max_queued_messages 0`", mosquitto("persistence true", UNBOUNDED), "up to 30 min"),
    Setup("mosquitto, `autosave_interval` 100 changes", mosquitto(*AUTOSAVE, "autosave_interval 100"), "not bounded"),
    Setup("mosquitto, 10 changes", mosquitto(*AUTOSAVE, "autosave_interval 10"), "not bounded"),
    Setup("mosquitto, 1 change", mosquitto(*AUTOSAVE, "autosave_interval 1"), "not bounded"),
    Setup("mosquitto, each second (deploy/mosquitto)", mosquitto(*EACH_SECOND), "not bounded"),
]


@dataclass
class Outcome:
    """Messages acknowledged to the sender before the kill, of these delivered after it, and the sender's rates."""

    acknowledged: int
    delivered: int
    waiting_per_s: float
    attached_per_s: float
    session_kept: bool


def client(port: int, name: str, clean: bool) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
    made.max_inflight_messages_set(100)
    made.connect("127.0.0.1", port)
    return made


def make_session(port: int) -> None:
    """A subscriber that subscribes and goes away; its session stays."""
    subscribed = threading.Event()
    subscriber = client(port, "waiting", clean=False)
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.on_connect = lambda c, *_: c.subscribe("mp/v1/+/+/readings", qos=1)
    subscriber.loop_start()
    assert subscribed.wait(10)
    subscriber.disconnect()
    subscriber.loop_stop()


def publish_until_killed(broker: BrokerProcess, messages: int, waiting: int, quiet_s: float) -> tuple[set[int], float]:
    """Publish without a pause and kill in the midst, or when it was quiet for a while.

    Returns what was acknowledged by then, and how fast [1/s].
    """
    acknowledged: set[int] = set()
    numbers: dict[int, int] = {}
    publisher = client(broker.port, "sender", clean=True)
    publisher.on_publish = lambda _c, _d, mid, *_: acknowledged.add(mid)
    publisher.loop_start()
    started = time.monotonic()
    for number in range(messages):
        info = publisher.publish(TOPIC, number.to_bytes(4) + PAYLOAD, qos=1)
        numbers[info.mid] = number
        while number - len(acknowledged) > 200:
            time.sleep(0.0005)
        if len(acknowledged) >= waiting:
            break
    took_s = time.monotonic() - started
    if quiet_s:
        wait_until(lambda: len(acknowledged) == len(numbers))
        time.sleep(quiet_s)
    broker.kill()
    time.sleep(0.2)  # acknowledgements that were under way
    publisher.loop_stop()
    return {numbers[mid] for mid in acknowledged}, len(acknowledged) / took_s


def collect(port: int, expected: set[int]) -> tuple[set[int], bool]:
    """What the session delivers, until nothing new comes for some seconds."""
    delivered: set[int] = set()
    present = threading.Event()
    last = [time.monotonic()]

    def on_message(_c: Any, _d: Any, message: paho.MQTTMessage) -> None:
        delivered.add(int.from_bytes(message.payload[:4]))
        last[0] = time.monotonic()

    def on_connect(_c: Any, _d: Any, flags: Any, *_: Any) -> None:
        if flags.session_present:
            present.set()

    subscriber = client(port, "waiting", clean=False)
    subscriber.on_message = on_message
    subscriber.on_connect = on_connect
    subscriber.loop_start()
    while time.monotonic() - last[0] < 5 and not expected <= delivered:
        time.sleep(0.05)
    subscriber.disconnect()
    subscriber.loop_stop()
    return delivered, present.is_set()


def rate_attached(broker: BrokerProcess, messages: int) -> float:
    """Messages acknowledged per second while the session's client takes and acknowledges them."""
    subscriber = client(broker.port, "waiting", clean=False)
    subscriber.loop_start()
    published = threading.Semaphore(0)
    publisher = client(broker.port, "sender", clean=True)
    publisher.on_publish = lambda *_: published.release()
    publisher.loop_start()
    started = time.monotonic()
    for number in range(messages):
        publisher.publish(TOPIC, number.to_bytes(4) + PAYLOAD, qos=1)
    for _ in range(messages):
        assert published.acquire(timeout=60)
    rate = messages / (time.monotonic() - started)
    for each in (publisher, subscriber):
        each.disconnect()
        each.loop_stop()
    return rate


def measure(setup: Setup, waiting: int, quiet_s: float) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        broker = setup.make(Path(folder))
        broker.start()
        try:
            make_session(broker.port)
            attached = rate_attached(broker, waiting)
            acknowledged, rate = publish_until_killed(broker, 2 * waiting, waiting, quiet_s)
            broker.start()
            delivered, present = collect(broker.port, acknowledged)
        finally:
            broker.stop()
    return Outcome(len(acknowledged), len(acknowledged & delivered), rate, attached, present)


INTRODUCTION = """\
# What a killed broker loses

A sender publishes with QoS 1 (304 bytes, up to 100 in flight) to a persistent session whose client is away. When
about {waiting:,} messages are acknowledged the broker is killed with SIGKILL, in the midst of the stream or after
{quiet:g} s of quiet, and started again, and the session takes what is there. *Lost* are messages that were
acknowledged to their sender and never came.

| Broker | lost, in the stream | lost, after quiet | session kept | acknowledged/s, attached | waiting | power failure |
|---|---:|---:|---|---:|---:|---|
"""
REMARKS = """
*Attached*: the session's client takes and acknowledges what comes; *waiting*: it is away and its queue grows. With
`autosave_on_changes` mosquitto writes its whole file each time, so it slows down as the queue grows.

*Power failure* is not measured: it says how long what is acknowledged may wait for the disk by the broker's own
settings. mosquitto leaves that to the system, which writes within about 30 s on Linux.
"""


def page(results: list[tuple[Setup, list[Outcome], list[Outcome]]], waiting: int, quiet_s: float) -> str:
    lines = []
    for setup, in_stream, after_quiet in results:
        both = [*in_stream, *after_quiet]
        lost = [" · ".join(f"{o.acknowledged - o.delivered:,}" for o in some) for some in (in_stream, after_quiet)]
        kept = "yes" if all(outcome.session_kept for outcome in both) else "no"
        attached = sum(outcome.attached_per_s for outcome in both) / len(both)
        rate = sum(outcome.waiting_per_s for outcome in both) / len(both)
        lines.append(
            f"| {setup.name} | {lost[0]} | {lost[1]} | {kept} | {attached:,.0f} | {rate:,.0f} | {setup.power_failure} |"
        )
    machine = f"{os.cpu_count()} processors, {platform.system()}, {versions()}. Measured by `make bench-brokers`."
    return INTRODUCTION.format(waiting=waiting, quiet=quiet_s) + "\n".join(lines) + f"\n{REMARKS}\n{machine}\n"


def versions() -> str:
    nats_server = subprocess.run(
        [str(broker_program()), "--version"], capture_output=True, text=True, check=True
    ).stdout
    other = subprocess.run([mosquitto_program() or "", "-h"], capture_output=True, text=True, check=False).stdout
    return f"{nats_server.strip()}, {other.splitlines()[0].strip()}, Python {platform.python_version()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000, help="acknowledged before the kill")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quiet-s", type=float, default=3.0)
    arguments = parser.parse_args()
    results = []
    for setup in SETUPS:
        in_stream = [measure(setup, arguments.messages, 0) for _ in range(arguments.runs)]
        after_quiet = [measure(setup, arguments.messages, arguments.quiet_s) for _ in range(arguments.runs)]
        results.append((setup, in_stream, after_quiet))
        print(f"{setup.name}: {in_stream} {after_quiet}", flush=True)
    PAGE.write_text(page(results, arguments.messages, arguments.quiet_s), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
