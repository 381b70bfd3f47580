"""A codec in a process of its own, which is ended when a message takes it too long: the watchdog of plug-ins.

Python can't stop a thread that is at work, nor keep another package's loop or regular expression within bounds; a
process can be ended. Costs about 0.1 ms a message.
"""

import contextlib
import logging
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.codec.rows import CodecContext, MessageRejected, RowReject, Rows
from gateway.reasons import Reason, show
from metrology.errors import InvalidInputError
from metrology.quantities import Medium, micro_per_unit

_log = logging.getLogger(__name__)
_START_TIMEOUT_S = 30.0
_FAILURES_MAX = 3  # one after the other; then the source's messages are quarantined undecoded for a while
_PAUSE_S = 30.0
_LENGTH = struct.Struct(">I")


class WorkerGoneError(Exception):
    """The process ended, or said what it must not."""


class IsolatedCodec:
    """See Codec. `close` ends the process; the next message would start another."""

    def __init__(self, name: str, options: Mapping[str, Any], context: CodecContext, timeout_s: float) -> None:
        self._job = {
            "codec": name,
            "options": dict(options),
            "source": context.source,
            "time_zone": context.time_zone.key,
            "readings_max": context.readings_max,
            "nesting_max": context.nesting_max,
            "path": sys.path,
        }
        self._readings_max = context.readings_max
        self._source = context.source
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._failures = 0
        self._paused_until = 0.0

    def decode(self, topic: str, payload: bytes, received_us: int | None) -> Rows:
        """See Codec."""
        if time.monotonic() < self._paused_until:
            raise MessageRejected(Reason.DECODER_TIMED_OUT, f"{self._failures} messages in a row; not tried")
        try:
            connection = self._connection()
            answer = _exchange(connection, [topic, payload, received_us], self._timeout_s)
        except TimeoutError:
            raise self._failed(Reason.DECODER_TIMED_OUT, f"after {self._timeout_s:g} s") from None
        except (OSError, WorkerGoneError, msgspec.DecodeError) as error:
            raise self._failed(Reason.UNDECODABLE, f"the decoder's process ended: {show(error)}") from None
        self._failures = 0
        return _as_rows(answer, self._readings_max)

    def close(self) -> None:
        """End the process."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None

    def _failed(self, reason: Reason, found: str) -> MessageRejected:
        self.close()
        self._failures += 1
        _log.error("source %s: %s: %s", self._source, reason, found)
        if self._failures >= _FAILURES_MAX:
            self._paused_until = time.monotonic() + _PAUSE_S
        return MessageRejected(reason, found)

    def _connection(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "gateway.codec.worker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                )
            self._socket = ours
            answer = _exchange(ours, self._job, _START_TIMEOUT_S)
            if answer != ["ready"]:
                raise WorkerGoneError(show(answer))
        return self._socket


def _exchange(connection: socket.socket, question: Any, timeout_s: float) -> Any:
    """Send and wait for the answer. Raises TimeoutError, OSError, WorkerGoneError."""
    deadline = time.monotonic() + timeout_s
    data = msgspec.msgpack.encode(question)
    connection.settimeout(timeout_s)
    connection.sendall(_LENGTH.pack(len(data)) + data)
    (length,) = _LENGTH.unpack(_receive(connection, _LENGTH.size, deadline))
    return msgspec.msgpack.decode(_receive(connection, length, deadline))


def _receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        part = connection.recv(min(size - len(parts), 2**20))
        if not part:
            raise WorkerGoneError("no answer")
        parts += part
    return bytes(parts)


def send_frame(connection: socket.socket, answer: Any) -> None:
    """Send an answer, whole."""
    data = msgspec.msgpack.encode(answer)
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_frame(connection: socket.socket) -> Any:
    """The next question; None when the other side is gone."""
    with contextlib.suppress(WorkerGoneError, OSError):
        far = time.monotonic() + 10**9
        connection.settimeout(None)
        (length,) = _LENGTH.unpack(_receive_waiting(connection, _LENGTH.size))
        return msgspec.msgpack.decode(_receive(connection, length, far))
    return None


def _receive_waiting(connection: socket.socket, size: int) -> bytes:
    data = connection.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        raise WorkerGoneError("the gateway is gone")
    return data


def _as_rows(answer: Any, readings_max: int) -> Rows:
    """The rows of an answer, checked: another package made them. Raises MessageRejected."""
    kind: Any
    content: list[Any]
    kind, *content = answer if isinstance(answer, list) and answer else [None]
    if kind == "rejected":
        reason, found, readings = content
        raise MessageRejected(Reason(reason), str(found), int(readings))
    if kind == "fault":
        raise MessageRejected(Reason.UNDECODABLE, str(content[0]))
    fields = dict(zip(("medium", "unit", *_COLUMNS, "rejects", "sender", "skipped"), content, strict=False))
    try:
        return checked_rows(fields, readings_max)
    except (KeyError, TypeError, ValueError) as error:
        raise MessageRejected(Reason.UNDECODABLE, f"the codec yields no rows: {show(error)}") from None


_COLUMNS = ("meter", "observed_at", "register", "status")
_TYPES: dict[str, tuple[type, ...]] = {
    "meter": (str,),
    "observed_at": (str, int),
    "register": (float, str),
    "status": (int,),
}


def checked_rows(fields: Mapping[str, Any], readings_max: int) -> Rows:
    """Rows whose columns have the types and lengths that they must have. Raises ValueError, KeyError, TypeError."""
    n = len(fields["meter"])
    if n > readings_max:
        raise ValueError(f"{n} readings, {readings_max} are allowed")
    for name in _COLUMNS:
        if len(fields[name]) != n:
            raise ValueError(f"{name} has {len(fields[name])} values, meter has {n}")
        wrong = [value for value in fields[name] if type(value) not in _TYPES[name]]
        if wrong:
            raise TypeError(f"{name} holds {show(wrong[0])}")
    media, units = _spread(fields["medium"], n), _spread(fields["unit"], n)
    media = [Medium(medium) for medium in media]
    for medium, unit in set(zip(media, units, strict=True)):
        _check_unit(unit, medium)
    rejects = [RowReject(row, Reason(reason), str(found)) for row, reason, found in fields["rejects"]]
    if any(type(reject.row) is not int or not 0 <= reject.row < n for reject in rejects):
        raise ValueError("a reject names no row")
    sender = fields["sender"]
    return Rows(
        media,
        units,
        fields["meter"],
        fields["observed_at"],
        fields["register"],
        fields["status"],
        rejects,
        None if sender is None else str(sender),
        int(fields["skipped"]),
    )


def _spread(value: Any, n: int) -> list[Any]:
    return value if isinstance(value, list) and len(value) == n else [value] * n


def _check_unit(unit: Any, medium: Medium) -> None:
    try:
        micro_per_unit(unit, medium)
    except InvalidInputError as error:
        raise ValueError(str(error)) from None
