"""What the gateway says at the broker: to senders about what was rejected, and about itself."""

import json
import queue
import time

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.feedback_settings import FeedbackSettings
from gateway.outbox import Outbox
from gateway.settings import MqttSettings
from gateway.topics import STATUS_TOPIC

REJECTED = "mp/v1/city/gw/rejected"


class Listener:
    """A client that keeps what it receives, in order."""

    def __init__(self, port: int, topic_filter: str) -> None:
        self.messages: queue.SimpleQueue[paho.MQTTMessage] = queue.SimpleQueue()
        subscribed = queue.SimpleQueue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{time.monotonic_ns()}")
        self._client.on_message = lambda _client, _data, message: self.messages.put(message)
        self._client.on_connect = lambda client, *_: client.subscribe(topic_filter, 1)
        self._client.on_subscribe = lambda *_: subscribed.put(None)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        subscribed.get(timeout=10)

    def next(self, timeout_s: float = 10.0):
        message = self.messages.get(timeout=timeout_s)
        return {**json.loads(message.payload), "qos": message.qos, "retain": message.retain}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listen(broker):
    listeners = []

    def start(topic_filter: str) -> Listener:
        listeners.append(Listener(broker.port, topic_filter))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


def test_the_sender_hears_of_what_was_quarantined_once_and_after_the_commit(
    run_gateway, publisher, database, listen, wait_until
):
    listener = listen("mp/v1/+/+/rejected")
    bad = json.dumps({"v": 2, "id": "m-1"}).encode()
    with run_gateway() as gateway:
        publisher.publish(bad)
        told = listener.next()
        # It stood in the database before it was told.
        assert database.rows("select encode(message_digest, 'hex'), reason from quarantine") == [
            (told["digest"], told["reason"])
        ]
        assert (told["id"], told["reason"], told["rows"], told["qos"]) == ("m-1", "version_unsupported", None, 1)
        assert told["remedy"] == 'send "v": 1'
        publisher.publish(bad)  # a redelivery: its sender was told
        publisher.publish(b"\x00")
        assert listener.next()["reason"] == "undecodable"
        publisher.publish(b'{"no": "reading"}', topic=REJECTED)
        assert database.value("select deliveries from quarantine where reason = 'version_unsupported'") == 2
        wait_until(lambda: gateway.metric("feedback_total", result="told") == 2)
        assert listener.next()["no"] == "reading"  # what the test itself sent
    assert listener.messages.empty()


def test_a_gateway_that_reads_everything_does_not_answer_its_own_feedback(
    run_gateway, publisher, database, listen, wait_until
):
    listener = listen("mp/v1/+/+/rejected")
    everything = [{"name": "all", "topic_filter": "mp/v1/#", "codec": "native", "utility_level": 3}]
    with run_gateway(sources=everything):
        publisher.publish(b"\x00")
        assert listener.next()["reason"] == "undecodable"
        wait_until(lambda: database.value("select count(*) from quarantine where topic like '%/rejected'") == 1)
        publisher.publish(b"\x01")
        assert listener.next()["reason"] == "undecodable"
    assert listener.messages.empty()


def test_nothing_is_told_before_the_commit(run_gateway, publisher, listen, database_proxy, proxy_dsn, wait_until):
    listener = listen("mp/v1/+/+/rejected")
    with run_gateway(dsn=proxy_dsn) as gateway:
        database_proxy.cut()
        publisher.publish(b"\x00")
        wait_until(lambda: gateway.metric("database_retries_total") >= 2)
        assert listener.messages.empty()
        database_proxy.restore()
        assert listener.next()["reason"] == "undecodable"


def test_feedback_waits_for_the_broker(run_gateway, publisher, broker, database, listen, wait_until):
    with run_gateway() as gateway:
        with psycopg.connect(database.dsn) as conn:
            conn.execute("lock table quarantine in access exclusive mode")
            publisher.publish(b"\x00")
            wait_until(lambda: gateway.metric("in_flight_messages") == 1)
            broker.kill()
        wait_until(lambda: database.count("quarantine") == 1)
        broker.start()
        # The listener was not there when the message was committed, but is when the gateway is connected again.
        listener = listen("mp/v1/+/+/rejected")
        assert listener.next(20)["reason"] == "undecodable"


def test_the_gateways_status_is_retained_and_ends_with_it(run_gateway, broker, listen, broker_proxy):
    topic = STATUS_TOPIC.format(client_id="gateway-1")
    watcher = listen(topic)
    with run_gateway(url=f"mqtt://127.0.0.1:{broker_proxy.port}"):
        assert watcher.next() == {
            "gateway": "gateway-1", "state": "online", "reason": "", "v": 1, "qos": 1, "retain": False,
        }  # fmt: skip
        late = listen(topic)
        assert (late_status := late.next())["state"] == "online"
        assert late_status["retain"] is True
        broker_proxy.cut()  # as if it were killed: the broker says it
        lost = watcher.next(20)
        assert (lost["state"], lost["reason"]) == ("offline", "connection lost")
        broker_proxy.restore()
        assert watcher.next(20)["state"] == "online"
    stopped = watcher.next()
    assert (stopped["state"], stopped["reason"]) == ("offline", "stopped")


def test_a_broker_that_forbids_the_feedback_does_not_stop_the_gateway(
    run_gateway, publisher, database, wait_until, monkeypatch
):
    monkeypatch.setattr("gateway.outbox.Outbox.publish", lambda *_: False)
    with run_gateway(feedback={"publish_status": False}) as gateway:
        publisher.publish(b"\x00")
        wait_until(lambda: gateway.metric("feedback_total", result="dropped") == 1)
    assert database.count("quarantine") == 1


def test_the_status_is_told_although_much_feedback_waits_and_what_is_too_much_is_dropped(broker, listen, wait_until):
    settings = MqttSettings(url=broker.url, client_id="full", reconnect_pause_max_s=0.3)
    outbox = Outbox(settings, FeedbackSettings(waiting_max=30))
    watcher, sender = listen(STATUS_TOPIC.format(client_id="full")), listen(REJECTED)
    taken = [outbox.publish(REJECTED, b'{"n": %d}' % i) for i in range(40)]
    assert taken == [True] * 30 + [False] * 10
    outbox.start()
    outbox.announce()
    assert [sender.next()["n"] for _ in range(30)] == list(range(30))
    assert watcher.next()["state"] == "online"
    outbox.stop()
    assert watcher.next()["reason"] == "stopped"
