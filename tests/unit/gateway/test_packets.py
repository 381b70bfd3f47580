"""Packets as they come in pieces, against an encoder that shares nothing with the reader."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.packets import (
    PUBACK,
    MalformedPacketError,
    PacketReader,
    Publish,
    acknowledgements,
    codes_of,
    packet_id,
    publish,
    subscribe,
    unsubscribe,
)

ALL = (10**9, 10**12)


def encoded(head: int, body: bytes) -> bytes:
    """A packet by the standard's own algorithm (MQTT 3.1.1, 2.2.3)."""
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit + 128 if length else digit])
        if not length:
            return bytes([head]) + digits + body


def as_sent(message: Publish, is_v5: bool, properties: bytes) -> bytes:
    topic = message.topic.encode()
    head = 0x30 | (2 if message.mid else 0) | (8 if message.is_repeated else 0) | message.is_retained
    body = len(topic).to_bytes(2) + topic + (message.mid.to_bytes(2) if message.mid else b"")
    return encoded(head, body + (encoded(0, properties)[1:] if is_v5 else b"") + message.payload)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
MESSAGES = st.builds(
    Publish, TEXT, st.binary(max_size=400), st.sampled_from([0, 1, 7, 65_535]), st.booleans(), st.booleans()
)


@given(st.lists(MESSAGES, max_size=12), st.booleans(), st.binary(max_size=150), st.data())
def test_what_was_sent_is_read_in_whatever_pieces_it_comes(messages, is_v5, properties, data):
    stream = b"".join(as_sent(message, is_v5, properties) for message in messages) + encoded(PUBACK, b"\0\x05")
    reader, read, others = PacketReader(is_v5), [], []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:size])
        stream = stream[size:]
        room = data.draw(st.integers(1, 3))
        while reader.has_packet:
            some, more = reader.read(room, 10**12)
            assert len(some) <= room
            read += some
            others += more
            if not some and not more:
                break
    assert read == messages
    assert others == [(PUBACK, b"\0\x05")]


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_every_length_of_the_length(size):
    reader = PacketReader(False)
    packet = publish(1, "t", bytes(size), 1, False)
    assert packet == as_sent(Publish("t", bytes(size), 1, False, False), False, b"")
    for piece in (packet[:1], packet[1:2], packet[2:4], packet[4:-1]):
        reader.feed(piece)
        assert reader.read(*ALL) == ([], [])
    reader.feed(packet[-1:])
    assert [len(message.payload) for message in reader.read(*ALL)[0]] == [size]
    assert not reader.has_packet


def test_no_more_is_read_than_there_is_room_for():
    reader = PacketReader(False)
    for mid in range(1, 11):
        reader.feed(publish(mid, "t", bytes(100), 1, False))
    assert [message.mid for message in reader.read(3, 10**6)[0]] == [1, 2, 3]
    assert reader.has_packet
    assert [message.mid for message in reader.read(100, 150)[0]] == [4, 5]  # the first that exceeds it is the last
    assert len(reader.read(*ALL)[0]) == 5
    assert not reader.has_packet


@pytest.mark.parametrize(
    "packet",
    [
        "32 00",
        "32 01 00",
        "32 03 ff ff ff",
        "32 04 00 01 74 00",  # cut off in its id
        "32 05 00 01 74 00 00",  # id 0
        "34 05 00 01 74 00 01",  # quality of service 2 was not subscribed to
        "36 05 00 01 74 00 01",
        "32 ff ff ff ff 01",
        "30 80 80 80 80 80",
    ],
)
@pytest.mark.parametrize("behind", ["", "d0 00 d0 00 d0 00 d0 00"])
def test_what_is_no_packet(packet, behind):
    reader = PacketReader(False)
    reader.feed(bytes.fromhex(packet + behind))
    with pytest.raises(MalformedPacketError):
        reader.read(*ALL)


@given(st.binary(max_size=64), st.booleans())
@example(b"\x32\x05\x00\x01t\x00\x01", True)  # ends before its properties
@example(b"\x30\x03\x00\x01t", True)
def test_any_bytes_are_packets_or_none(data, is_v5):
    reader = PacketReader(is_v5)
    reader.feed(data)
    try:
        messages, others = reader.read(*ALL)
    except MalformedPacketError:
        return
    assert sum(len(message.payload) for message in messages) + sum(len(body) for _, body in others) <= len(data)


def test_topics_without_end_do_not_grow_the_memory(monkeypatch):
    monkeypatch.setattr("gateway.packets._TOPICS_MAX", 10)
    reader = PacketReader(False)
    for number in range(1000):
        reader.feed(publish(1, f"t/{number}", b"", 1, False))
        assert [message.topic for message in reader.read(*ALL)[0]] == [f"t/{number}"]
        assert len(reader._topics) <= 10


def test_what_is_written():
    assert acknowledgements([1, 65_535]) == bytes.fromhex("40020001 4002ffff")
    assert subscribe(2, ["a/+", "b"], 1, False) == bytes.fromhex("820c 0002 0003") + b"a/+\x01\0\x01b\x01"
    assert subscribe(2, ["b"], 1, True) == bytes.fromhex("8207 0002 00 0001") + b"b\x01"
    assert unsubscribe(3, ["b"], False) == bytes.fromhex("a205 0003 0001") + b"b"


def test_answers_to_a_subscription():
    assert packet_id(b"\x01\x02\x01") == 0x102
    assert codes_of(b"\x01\x02\x01\x80", False) == b"\x01\x80"
    assert codes_of(b"\x01\x02\x05\x1f\0\x02no\x01\x80", True) == b"\x01\x80"
    for cut in (b"\x01\x02", b"\x01", b"\x01\x02\x05\x1f\0\x02no"):
        with pytest.raises(MalformedPacketError):
            codes_of(cut, len(cut) != 2)
    with pytest.raises(MalformedPacketError):
        packet_id(b"\x01")
