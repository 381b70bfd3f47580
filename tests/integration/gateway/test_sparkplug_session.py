"""Sparkplug B at a real broker: a node that was born before the gateway came is asked for its births, then read."""

import json
import queue
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

GOLDEN = Path(__file__).parents[2] / "unit/gateway/golden/sparkplug_b/session_with_a_gap.json"
NCMD = "spBv1.0/plant/NCMD/edge1"


class EdgeNode:
    """Sends its births when it is asked for them, as the specification demands."""

    def __init__(self, port: int, births: list[tuple[str, bytes]]) -> None:
        self.asked: queue.SimpleQueue[paho.MQTTMessage] = queue.SimpleQueue()
        subscribed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._births = births
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"edge-{time.monotonic_ns()}")
        self._client.on_connect = lambda client, *_: client.subscribe(NCMD, 1)
        self._client.on_subscribe = lambda *_: subscribed.put(None)
        self._client.on_message = self._commanded
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        subscribed.get(timeout=10)

    def _commanded(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.asked.put(message)
        for topic, payload in self._births:
            client.publish(topic, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_a_gateway_that_comes_late_asks_for_the_births(run_gateway, publisher, database, broker, wait_until):
    case = json.loads(GOLDEN.read_text())
    node_birth, device_birth, data, *_ = [(m["topic"], bytes.fromhex(m["hex"])) for m in case["messages"]]
    source = {
        "name": "plant",
        "topic_filter": "spBv1.0/plant/#",
        "codec": "sparkplug_b",
        "utility": "city",
        "options": case["options"],
    }
    database.register("E-0001", medium="electricity", unit="kWh")
    edge = EdgeNode(broker.port, [node_birth, device_birth])
    try:
        with run_gateway(sources=[source]):
            publisher.publish(data[1], data[0])
            asked = edge.asked.get(timeout=10)
            assert (asked.topic, asked.qos, asked.retain) == (NCMD, 0, False)
            wait_until(lambda: database.count("reading") == 1)
            publisher.publish(data[1], data[0])  # again: the next in order after the births
            wait_until(lambda: database.count("reading") == 2)
        assert database.value("select string_agg(reason, ',') from quarantine") == "birth_missing"
        assert edge.asked.empty()
    finally:
        edge.close()
    registers = database.rows("select register_micro from reading order by observed_at")
    assert registers == [(1_234_500_000,), (1_234_750_000,)]
