"""MQTT packets of a connection that stands, read and written many at once (OASIS MQTT 3.1.1 and 5.0). Pure: no IO.

paho takes three calls of the system and several locks for each packet, more time than all that the gateway does with
a small message.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 0x30, 0x40, 0x90, 0xB0, 0xD0, 0xE0
PINGREQ = b"\xc0\x00"
GOODBYE = b"\xe0\x00"
_SUBSCRIBE, _UNSUBSCRIBE = 0x82, 0xA2
_LENGTH_BYTES_MAX = 4
_TOPICS_MAX = 65_536  # texts kept in memory; a sender may invent topics without end
_PUBACK = np.dtype([("head", ">u2"), ("mid", ">u2")])


class MalformedPacketError(Exception):
    """The broker sent what is no packet."""


class Publish(msgspec.Struct, frozen=True, gc=False):
    """A message as it came. `mid` is 0 where it needs no acknowledgement."""

    topic: str
    payload: bytes
    mid: int
    is_repeated: bool
    is_retained: bool


class PacketReader:
    """Bytes of a connection, in pieces as they come, to packets."""

    def __init__(self, is_v5: bool) -> None:
        self._is_v5 = is_v5
        self._parts: list[bytes] = []  # not read yet
        self._size = 0  # of all parts
        self._needed = 2  # bytes without which there is no whole packet
        self._topics: dict[bytes, str] = {}

    @property
    def has_packet(self) -> bool:
        """True while a packet may be there already, so that nothing must be received first."""
        return self._size >= self._needed

    def feed(self, data: bytes) -> None:
        """Bytes that were received."""
        self._parts.append(data)
        self._size += len(data)

    def read(self, messages_max: int, bytes_max: int) -> tuple[list[Publish], list[tuple[int, bytes]]]:
        """The messages that are there, and the other packets as type and body.

        No further message is read when there are `messages_max`, or more than `bytes_max` of topics and payloads.
        Raises MalformedPacketError.
        """
        messages: list[Publish] = []
        others: list[tuple[int, bytes]] = []
        if not self.has_packet:
            return messages, others
        data, position, size = b"".join(self._parts), 0, 0
        while len(messages) < messages_max and size < bytes_max:
            start, end = _body_of(data, position)
            if end > len(data):
                self._needed = end - position
                break
            head = data[position]
            if head & 0xF0 == PUBLISH:
                try:
                    messages.append(self._publish(head, data, start, end))
                except IndexError:  # it ends with the data, before its topic does
                    raise MalformedPacketError(f"a message of {end - start} bytes") from None
                size += end - start
            else:
                others.append((head & 0xF0, data[start:end]))
            position = end
        else:
            self._needed = 2
        self._parts = [data[position:]]
        self._size = len(data) - position
        return messages, others

    def _publish(self, head: int, data: bytes, start: int, end: int) -> Publish:
        body = start + 2 + (data[start] << 8 | data[start + 1])
        name = data[start + 2 : body]
        mid = 0
        if head & 0x06:  # the quality of service
            mid = data[body] << 8 | data[body + 1]
            body += 2
        if self._is_v5:
            properties, body = _length_at(data, body)
            body += properties
        if body > end or head & 0x04 or (head & 0x02 and not mid):
            raise MalformedPacketError(f"a message of {end - start} bytes with head {head:#x}")
        topic = self._topics.get(name)
        if topic is None:
            topic = self._new_topic(name)
        return Publish(topic, data[body:end], mid, head & 0x08 != 0, head & 0x01 != 0)

    def _new_topic(self, name: bytes) -> str:
        if len(self._topics) >= _TOPICS_MAX:
            self._topics.clear()
        topic = self._topics[name] = name.decode("utf-8", "replace")
        return topic


def _body_of(data: bytes, position: int) -> tuple[int, int]:
    """Where the body of the packet at `position` begins and ends; beyond the data where the packet is not whole."""
    length = 0
    for digit, byte in enumerate(data[position + 1 : position + 1 + _LENGTH_BYTES_MAX]):
        length |= (byte & 0x7F) << 7 * digit
        if byte < 0x80:
            start = position + 2 + digit
            return start, start + length
    if len(data) > position + _LENGTH_BYTES_MAX:
        raise MalformedPacketError("a length that does not end")
    return len(data), len(data) + 1


def _length_at(data: bytes, position: int) -> tuple[int, int]:
    """A variable byte integer (MQTT 5, 1.5.5), and where it ends."""
    value = 0
    for digit, byte in enumerate(data[position : position + _LENGTH_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * digit
        if byte < 0x80:
            return value, position + digit + 1
    raise MalformedPacketError("a length that does not end")


def packet_id(body: bytes) -> int:
    """The id that a PUBACK or SUBACK answers. Raises MalformedPacketError."""
    if len(body) < 2:
        raise MalformedPacketError("an answer without an id")
    return body[0] << 8 | body[1]


def codes_of(suback: bytes, is_v5: bool) -> bytes:
    """A SUBACK's reason code for each filter. Raises MalformedPacketError."""
    start = 2
    if is_v5:
        properties, start = _length_at(suback, 2)
        start += properties
    if len(suback) <= start:
        raise MalformedPacketError("an answer without a code")
    return suback[start:]


def publish(mid: int, topic: str, payload: bytes, qos: int, is_v5: bool) -> bytes:
    """A PUBLISH with quality of service 1 or 2."""
    return _packet(PUBLISH | qos << 1, _text(topic) + mid.to_bytes(2) + (b"\0" if is_v5 else b"") + payload)


def subscribe(mid: int, topic_filters: Sequence[str], qos: int, is_v5: bool) -> bytes:
    """A SUBSCRIBE."""
    filters = b"".join(_text(topic_filter) + bytes([qos]) for topic_filter in topic_filters)
    return _packet(_SUBSCRIBE, mid.to_bytes(2) + (b"\0" if is_v5 else b"") + filters)


def unsubscribe(mid: int, topic_filters: Sequence[str], is_v5: bool) -> bytes:
    """An UNSUBSCRIBE."""
    return _packet(_UNSUBSCRIBE, mid.to_bytes(2) + (b"\0" if is_v5 else b"") + b"".join(map(_text, topic_filters)))


def acknowledgements(mids: Sequence[int]) -> bytes:
    """A PUBACK for each of the ids."""
    packets = np.empty(len(mids), dtype=_PUBACK)
    packets["head"] = 0x4002
    packets["mid"] = mids
    return packets.tobytes()


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2) + encoded


def _packet(head: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while length >= 0x80:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([head, *digits, length]) + body
