"""A subscriber that counts and acknowledges and does nothing else: PORT CLIENT_ID TOPIC_FILTER MESSAGES.

Prints the time [s since 1970] at which it had them all.
"""

import sys
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


def main() -> None:
    """Count."""
    port, client_id, topic_filter, messages = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == messages:
            print(f"{time.time():.6f}", flush=True)

    client.on_message = count
    client.on_connect = lambda made, *_: made.subscribe(topic_filter, qos=1)
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main()
