"""The source against a broker that does exactly what each test says, where a real one can't be made to."""

import base64
import gc
import hashlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.contest import CLOSED_MAX
from gateway.errors import GatewayError
from gateway.settings import GatewaySettings, MqttSettings
from gateway.source import MqttSource
from gateway.source_settings import NATIVE_SOURCE

CERTIFICATE, KEY = (Path(__file__).parent / "tls" / name for name in ("certificate.pem", "key.pem"))
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


class ScriptedBroker:
    """Answers CONNECT and SUBSCRIBE as told, sends what it is told, and notes what it gets."""

    def __init__(self, protocol: str = "3.1.1", tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.is_v5 = protocol == "5"
        self.connack_code = 0
        self.connack_properties = b""
        self.pings = 0
        self.answers_pings = True
        self.suback_code = 1
        self.connects: list[bytes] = []
        self.acknowledged: list[tuple[int, int]] = []  # (connection's number, message id)
        self.disconnects = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._socket: socket.socket | None = None
        self.subscribed = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def publish(self, mid: int, payload: bytes = b"x", topic: bytes = b"t", dup: bool = False) -> None:
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", mid) + (b"\0" if self.is_v5 else b"") + payload
        self.send(bytes([PUBLISH << 4 | 2 | (8 if dup else 0), len(body)]) + body)

    def send(self, packet: bytes) -> None:
        assert self._socket
        self._socket.sendall(packet)

    def cut(self) -> None:
        assert self._socket
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                self._socket, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError):
                if self._tls:
                    self._socket = self._tls.wrap_socket(self._socket, server_side=True)
                self._serve(self._socket)
            self._socket.close()

    def _serve(self, sock: socket.socket) -> None:
        stream = sock.makefile("rb")
        while head := stream.read(1):
            length, shift = 0, 0
            while True:
                byte = stream.read(1)[0]
                length, shift = length | (byte & 0x7F) << shift, shift + 7
                if byte < 0x80:
                    break
            self._answer(sock, head[0] >> 4, stream.read(length))
        stream.close()

    def _answer(self, sock: socket.socket, kind: int, body: bytes) -> None:
        properties = b"\0" if self.is_v5 else b""
        if kind == CONNECT:
            self.connects.append(body)
            own = bytes([len(self.connack_properties)]) + self.connack_properties
            answer = bytes([0, self.connack_code]) + (own if self.is_v5 else b"")
            sock.sendall(bytes([CONNACK << 4, len(answer)]) + answer)
        elif kind == SUBSCRIBE:
            answer = body[:2] + properties + bytes([self.suback_code])
            sock.sendall(bytes([SUBACK << 4, len(answer)]) + answer)
            self.subscribed.release()
        elif kind == PUBACK:
            self.acknowledged.append((len(self.connects), struct.unpack(">H", body[:2])[0]))
        elif kind == PINGREQ:
            self.pings += 1
            if self.answers_pings:
                sock.sendall(bytes([PINGRESP << 4, 0]))
        elif kind == DISCONNECT:
            self.disconnects += 1


@pytest.fixture(params=["3.1.1", "5"])
def broker(request: pytest.FixtureRequest) -> Iterator[ScriptedBroker]:
    broker = ScriptedBroker(request.param)
    yield broker
    broker.close()


@pytest.fixture
def source(broker: ScriptedBroker) -> Iterator[MqttSource]:
    source = make_source(broker)
    yield source
    source.stop()


def make_source(broker: ScriptedBroker, **limits: int) -> MqttSource:
    mqtt = MqttSettings(
        url=f"mqtt://127.0.0.1:{broker.port}",
        client_id="gateway-1",
        protocol="5" if broker.is_v5 else "3.1.1",
        username="reader",
        password="secret",
        reconnect_pause_max_s=0.1,
        session_expiry_s=0x01020304,
        connect_timeout_s=2,
    )
    source = MqttSource(mqtt, GatewaySettings(in_flight_messages_max=limits.get("messages", 0x0506)))
    source.start()
    return source


def take(source: MqttSource, count: int) -> list:
    """Exactly this many messages, or a failure after a while."""
    messages: list = []
    deadline = time.monotonic() + 5
    while len(messages) < count and time.monotonic() < deadline:
        messages += source.take(count - len(messages), 0.1)
    assert len(messages) == count
    return messages


def wait_until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_connects_with_a_persistent_session_and_credentials(broker, source):
    assert broker.subscribed.acquire(timeout=5)
    packet = broker.connects[0]
    assert packet[6] == (5 if broker.is_v5 else 4)
    assert packet[7] & 0b1100_0010 == 0b1100_0000  # user name, password, and not a clean session
    assert packet.endswith(b"\0\x09gateway-1\0\x06reader\0\x06secret")
    if broker.is_v5:
        assert b"\x11\x01\x02\x03\x04" in packet  # session expiry interval
        assert b"\x21\x05\x06" in packet  # receive maximum


def test_acknowledges_only_what_is_settled_and_before_it_leaves(broker, source):
    assert broker.subscribed.acquire(timeout=5)
    for mid in (1, 2, 3):
        broker.publish(mid, b"payload %d" % mid)
    messages = take(source, 3)
    assert [m.payload for m in messages] == [b"payload 1", b"payload 2", b"payload 3"]
    assert source.in_flight == (3, 3 * len(b"payload 1t"))
    time.sleep(0.1)
    assert broker.acknowledged == []
    source.settle(messages[:2])
    wait_until(lambda: len(broker.acknowledged) == 2)
    source.settle(messages[2:])
    source.stop()
    wait_until(lambda: broker.disconnects == 1)
    assert broker.acknowledged == [(1, 1), (1, 2), (1, 3)]
    assert source.in_flight == (0, 0)


def test_acknowledgement_of_a_former_connection_is_never_sent(broker, source):
    assert broker.subscribed.acquire(timeout=5)
    broker.publish(1, b"before")
    before = take(source, 1)
    broker.cut()
    assert broker.subscribed.acquire(timeout=5)
    broker.publish(1, b"another message of the same number")
    after = take(source, 1)
    source.settle(before)
    time.sleep(0.2)
    assert broker.acknowledged == []
    source.settle(after)
    wait_until(lambda: broker.acknowledged == [(2, 1)])


def test_message_repeated_while_it_is_at_work_is_taken_once(broker, source):
    assert broker.subscribed.acquire(timeout=5)
    broker.publish(1)
    broker.publish(1, dup=True)
    broker.publish(2)
    messages = take(source, 2)
    assert [m.mid for m in messages] == [1, 2]
    source.settle(messages)
    wait_until(lambda: len(broker.acknowledged) == 2)
    broker.publish(1, dup=True)  # the acknowledgement was lost: it needs another
    source.settle(take(source, 1))
    wait_until(lambda: broker.acknowledged == [(1, 1), (1, 2), (1, 1)])


def test_reads_no_more_than_may_be_in_flight(broker):
    source = make_source(broker, messages=10)
    try:
        assert broker.subscribed.acquire(timeout=5)
        for mid in range(1, 101):
            broker.publish(mid)
        time.sleep(0.3)
        assert source.in_flight[0] == 10
        for _ in range(10):
            source.settle(take(source, 10))
            assert source.in_flight[0] <= 10
        wait_until(lambda: len(broker.acknowledged) == 100)
    finally:
        source.stop()


def test_topic_that_is_no_text_and_packet_that_is_none(broker, source):
    assert broker.subscribed.acquire(timeout=5)
    broker.publish(1, topic=b"a/\xff")
    (message,) = take(source, 1)
    assert message.topic == "a/\ufffd"
    broker.send(bytes([PUBLISH << 4 | 2, 3]) + b"\xff\xff\xff")  # its topic's length reaches beyond the packet
    assert broker.subscribed.acquire(timeout=5), "the gateway connects anew"


@pytest.mark.parametrize(("v3_code", "v5_code"), [(2, 133), (4, 134), (5, 135)])
def test_refused_log_in_ends_it_with_the_remedy(broker, v3_code, v5_code):
    broker.connack_code = v5_code if broker.is_v5 else v3_code
    source = make_source(broker)
    try:
        with pytest.raises(GatewayError, match=r"refused client 'gateway-1'.*check mqtt.username"):
            take(source, 1)
    finally:
        source.stop()


@pytest.mark.parametrize("code", [0, 128])
def test_refused_subscription_and_lesser_quality_end_it(broker, code):
    broker.suback_code = code
    source = make_source(broker)
    try:
        with pytest.raises(GatewayError, match=r"refused to deliver 'mp/v1/.*/readings' with QoS 1"):
            take(source, 1)
    finally:
        source.stop()


def test_a_silent_broker_is_asked_for_a_sign_of_life_and_left_without_one():
    broker = ScriptedBroker("5")
    broker.connack_properties = b"\x13\0\x01"  # the server's own bound of silence [s] (MQTT 5, 3.2.2.3.14)
    source = make_source(broker)
    try:
        assert broker.subscribed.acquire(timeout=5)
        wait_until(lambda: broker.pings >= 2)
        assert len(broker.connects) == 1
        broker.answers_pings = False
        assert broker.subscribed.acquire(timeout=5), "the gateway connects anew"
    finally:
        source.stop()
        broker.close()


def test_many_messages_and_acknowledgements_in_one_piece(broker, source):
    assert broker.subscribed.acquire(timeout=5)
    for mid in range(1, 3001):
        broker.publish(mid, bytes([mid % 256]) * (mid % 100))
    messages: list = []
    while len(messages) < 3000:
        taken = take(source, min(3000 - len(messages), 500))
        messages += taken
        source.settle(taken)
    assert [m.mid for m in messages] == list(range(1, 3001))
    assert all(m.payload == bytes([m.mid % 256]) * (m.mid % 100) for m in messages)
    wait_until(lambda: [mid for _, mid in broker.acknowledged] == list(range(1, 3001)))


def test_unavailable_broker_is_tried_again(broker):
    broker.connack_code = 136 if broker.is_v5 else 3
    source = make_source(broker)
    try:
        wait_until(lambda: len(broker.connects) >= 3)
        assert source.take(1, 0) == []
        broker.connack_code = 0
        assert broker.subscribed.acquire(timeout=5)
    finally:
        source.stop()


def test_address_must_be_given():
    with pytest.raises(GatewayError, match=r"mqtt.url is not set"):
        MqttSource(MqttSettings(client_id="g"), GatewaySettings())


def test_unreadable_certificate_ends_it(tmp_path):
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate")
    mqtt = MqttSettings(url="mqtts://127.0.0.1:1", client_id="g", ca_file=ca_file)
    source = MqttSource(mqtt, GatewaySettings())
    source.start()
    try:
        with pytest.raises(GatewayError, match=r"ca.pem\) can't be read: .*; give readable PEM files"):
            take(source, 1)
    finally:
        source.stop()


@pytest.fixture
def tls_broker() -> Iterator[ScriptedBroker]:
    """A broker that demands the client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    context.load_verify_locations(CERTIFICATE)
    context.verify_mode = ssl.CERT_REQUIRED
    broker = ScriptedBroker(tls=context)
    yield broker
    broker.close()


def test_tls_with_a_certificate_of_its_own(tls_broker):
    url = f"mqtts://127.0.0.1:{tls_broker.port}"
    mqtt = MqttSettings(url=url, client_id="g", ca_file=CERTIFICATE, certificate_file=CERTIFICATE, key_file=KEY)
    source = MqttSource(mqtt, GatewaySettings())
    source.start()
    try:
        assert tls_broker.subscribed.acquire(timeout=5)
        for mid in range(1, 51):
            tls_broker.publish(mid, b"x" * 100)
        source.settle(take(source, 50))
        wait_until(lambda: len(tls_broker.acknowledged) == 50)
    finally:
        source.stop()


class WebsocketBroker(ScriptedBroker):
    """The same behind a websocket (RFC 6455), each packet in a frame of its own, long ones in two."""

    def _serve(self, sock: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += sock.recv(1)
        headers = {line.split(b":", 1)[0].lower(): line.split(b":", 1)[-1].strip() for line in request.split(b"\r\n")}
        digest = hashlib.sha1(headers[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        inside, outside = socket.socketpair()
        with inside, outside:
            self._socket = inside  # `send` writes plain packets, which are framed on their way
            threading.Thread(target=self._unmask, args=(sock, outside), daemon=True).start()
            threading.Thread(target=self._frame, args=(outside, sock), daemon=True).start()
            super()._serve(inside)

    def _unmask(self, sock: socket.socket, outside: socket.socket) -> None:
        stream = sock.makefile("rb")
        with suppress(OSError, IndexError, struct.error), stream:
            while True:
                length = stream.read(2)[1] & 0x7F
                if length == 126:
                    (length,) = struct.unpack(">H", stream.read(2))
                mask = stream.read(4)
                outside.sendall(bytes(byte ^ mask[i % 4] for i, byte in enumerate(stream.read(length))))

    def _frame(self, outside: socket.socket, sock: socket.socket) -> None:
        with suppress(OSError):
            while data := outside.recv(125):
                sock.sendall(bytes([0x82, len(data)]) + data)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_websockets(protocol):
    broker = WebsocketBroker(protocol)
    url = f"ws://127.0.0.1:{broker.port}/mqtt"
    source = MqttSource(MqttSettings(url=url, client_id="g", protocol=protocol), GatewaySettings())
    source.start()
    try:
        assert broker.subscribed.acquire(timeout=5)
        for mid in range(1, 101):
            broker.publish(mid, b"x" * mid)
        messages = take(source, 100)
        assert [len(m.payload) for m in messages] == list(range(1, 101))
        source.settle(messages)
        wait_until(lambda: [mid for _, mid in broker.acknowledged] == list(range(1, 101)))
    finally:
        source.stop()
        broker.close()


def test_certificate_of_an_unknown_authority_ends_it_with_the_remedy(tls_broker):
    source = MqttSource(MqttSettings(url=f"mqtts://127.0.0.1:{tls_broker.port}", client_id="g"), GatewaySettings())
    source.start()
    try:
        with pytest.raises(GatewayError, match=r"is not trusted \(self-signed certificate\); set mqtt.ca_file"):
            take(source, 1)
    finally:
        source.stop()
        del source
        gc.collect()


def test_session_taken_over_ends_the_older_with_the_remedy():
    broker = ScriptedBroker("5")
    source = make_source(broker)
    try:
        assert broker.subscribed.acquire(timeout=5)
        broker.send(bytes([DISCONNECT << 4, 2, 142, 0]))
        with pytest.raises(GatewayError, match=r"another client connected as 'gateway-1'.*client_id of its own"):
            take(source, 1)
        assert len(broker.connects) == 1
    finally:
        source.stop()
        broker.close()


def test_session_that_another_client_fights_over_is_left_to_it(caplog):
    broker = ScriptedBroker("3.1.1")
    source = make_source(broker)
    try:
        for _ in range(CLOSED_MAX):
            assert broker.subscribed.acquire(timeout=5)
            wait_until(lambda: source.is_connected)
            broker.cut()
            wait_until(lambda: not source.is_connected)
        time.sleep(0.5)  # several times the longest usual pause
        assert len(broker.connects) == CLOSED_MAX
        assert "another client seems to use mqtt.client_id 'gateway-1'" in caplog.text
    finally:
        source.stop()
        broker.close()


def test_shared_topics_need_mqtt_5():
    broker = ScriptedBroker("3.1.1")
    mqtt = MqttSettings(url=f"mqtt://127.0.0.1:{broker.port}", client_id="g")
    shared = NATIVE_SOURCE.model_copy(update={"topic_filter": "$share/meterproof/mp/v1/+/+/readings"})
    source = MqttSource(mqtt, GatewaySettings(sources=(shared,)))
    source.start()
    try:
        with pytest.raises(GatewayError, match=r"needs MQTT 5; set mqtt.protocol to 5, or.*topics of its own"):
            take(source, 1)
        assert broker.connects == []
    finally:
        source.stop()
        broker.close()
