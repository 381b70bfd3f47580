"""Publishes the benchmark's messages with QoS 1 as a process of its own: PORT SHAPE MESSAGES [IN_FLIGHT].

All are encoded first; then it says "ready", waits for a line, publishes without a pause, and ends when the broker has
acknowledged everything. It prints how long that took [s].
"""

import sys
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).parents[1]))
from ingest.workload import SHAPES, TOPIC, payloads


def main() -> None:
    """Publish."""
    port, shape, messages = int(sys.argv[1]), SHAPES[sys.argv[2]], int(sys.argv[3])
    in_flight = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    encoded = list(payloads(shape, messages))
    room = threading.Semaphore(in_flight)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="publisher", clean_session=True)
    client.max_inflight_messages_set(in_flight)

    def acknowledged(*_: Any) -> None:
        room.release()

    client.on_publish = acknowledged
    client.connect("127.0.0.1", port)
    client.loop_start()
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    for payload in encoded:
        room.acquire()
        client.publish(TOPIC, payload, qos=1)
    for _ in range(in_flight):
        if not room.acquire(timeout=120):
            sys.exit("the broker does not acknowledge")
    print(f"{time.monotonic() - started:.3f}", flush=True)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
