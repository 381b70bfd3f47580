"""The consumers side by side, each a process of its own that takes over a session and stores what waits in it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from ingest.node_red import flow, settings_file
from ingest.peers import MQ_BRIDGE_FOLDER, NODE_RED_FOLDER
from ingest.workload import BATCHED, SHAPES, SINGLE, TOPIC_FILTER, Shape

HERE: Final = Path(__file__).parent
NODE_RED_BY_ROW: Final = "Node-RED, row by row"
OURS, BARE, NODE_RED, MQ_BRIDGE, COPY = "meterproof", "bare subscriber", "Node-RED", "mq-bridge", "binary COPY"
CLIENT_ID: Final = "ingest"
EVERY: Final = tuple(SHAPES.values())


@dataclass(frozen=True)
class Task:
    """What a consumer is started for."""

    dsn: str
    port: int
    shape: Shape
    messages: int
    folder: Path


class Contestant(Protocol):
    """Starts a consumer."""

    name: str
    table: str | None
    shapes: tuple[Shape, ...]

    def start(self, task: Task) -> subprocess.Popen[bytes]:
        """The process; what it says goes to `log` in the task's folder."""
        ...


class Meterproof:
    """The gateway as `meterproof serve gateway` with its default settings."""

    name, table, shapes = OURS, "batch", EVERY

    def start(self, task: Task) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")} | {
            "METERPROOF_DATABASE__DSN": task.dsn,
            "METERPROOF_MQTT__URL": f"mqtt://127.0.0.1:{task.port}",
            "METERPROOF_MQTT__CLIENT_ID": CLIENT_ID,
            "METERPROOF_EMBEDDED__VAR_DIR": str(task.folder / "var"),
            "METERPROOF_METRICS__GATEWAY_PORT": "0",
        }
        return _started([sys.executable, "-m", "meterproof", "serve", "gateway"], task, environment)


class BareSubscriber:
    """paho-mqtt, counting and acknowledging."""

    name, table, shapes = BARE, None, EVERY

    def start(self, task: Task) -> subprocess.Popen[bytes]:
        arguments = [str(task.port), CLIENT_ID, TOPIC_FILTER, str(task.messages)]
        return _started([sys.executable, str(HERE / "bare_subscriber.py"), *arguments], task)


class NodeRed:
    """Node-RED without its editor: mqtt in, a function, a PostgreSQL node."""

    name, table, shapes = NODE_RED, "peer_reading", EVERY
    row_by_row = False

    def start(self, task: Task) -> subprocess.Popen[bytes]:
        flow_file, settings = task.folder / "flow.json", task.folder / "settings.js"
        flow_file.write_text(
            json.dumps(flow(task.dsn, task.port, CLIENT_ID, task.shape == BATCHED, self.row_by_row)), encoding="utf-8"
        )
        settings.write_text(settings_file(), encoding="utf-8")
        program = NODE_RED_FOLDER / "node_modules" / "node-red" / "red.js"
        node = NODE_RED_FOLDER / "node_modules" / "node" / "bin" / "node"
        command = [
            str(node),
            str(program),
            "--userDir",
            str(NODE_RED_FOLDER),
            "--settings",
            str(settings),
            str(flow_file),
        ]
        return _started(command, task)


class NodeRedByRow(NodeRed):
    """The same with one INSERT a reading, as the nodes' documentation shows it."""

    name, shapes = NODE_RED_BY_ROW, (BATCHED,)
    row_by_row = True


class MqBridge:
    """The package mq-bridge: a route from mqtt to sqlx. It refuses packets above 10 KiB and has no setting for that."""

    name, table, shapes = MQ_BRIDGE, "peer_reading", (SINGLE,)

    def start(self, task: Task) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(MQ_BRIDGE_FOLDER)}
        command = [sys.executable, str(HERE / "mq_bridge_route.py")]
        document = task.folder / "route.json"
        document.write_text(json.dumps(mq_bridge_route(task)), encoding="utf-8")
        with document.open("rb") as given:
            return _started(command, task, environment, given.fileno())


_BY_FIELDS: Final = """
    insert into peer_reading (meter, observed_at, register, status)
    values (${payload:meter}, ${payload:observed_at}::timestamptz, ${payload:register}, ${payload:status})
    on conflict do nothing"""


def mq_bridge_route(task: Task) -> dict[str, object]:
    """A document with the route `readings`."""
    mqtt = {
        "url": f"tcp://127.0.0.1:{task.port}",
        "topic": TOPIC_FILTER,
        "client_id": CLIENT_ID,
        "protocol": "v3",
        "qos": 1,
        "clean_session": False,
        "queue_capacity": 20_000,  # with less it waits for ever for its SUBACK behind the messages
        "max_inflight": 1000,
    }
    parts = urlsplit(task.dsn)
    sqlx = {
        "url": parts._replace(scheme="postgres").geturl(),
        "table": "peer_reading",
        "insert_query": _BY_FIELDS,
    }
    route = {"input": {"mqtt": mqtt}, "output": {"sqlx": sqlx}, "batch_size": 1000}
    return {"routes": {"readings": route}}


def _started(
    command: list[str], task: Task, environment: dict[str, str] | None = None, given: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    with (task.folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdin=given, stdout=log, stderr=log, env=environment, cwd=task.folder)
