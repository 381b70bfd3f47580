"""The process of an isolated codec: `python -m gateway.codec.worker FD`. Ends when the gateway is gone."""

import contextlib
import os
import resource
import socket
import sys
from typing import Any
from zoneinfo import ZoneInfo

from gateway.codec.isolated import receive_frame, send_frame
from gateway.codec.registry import find_codec, read_options
from gateway.codec.rows import Codec, CodecContext, MessageRejected, Rows

_MEMORY_BYTES_MAX = 4 * 2**30


def main(descriptor: int) -> None:
    """Build the codec that the first frame names, then answer a frame a message."""
    os.dup2(2, 1)  # what a package prints goes to the log
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    connection = socket.socket(fileno=descriptor)
    job = receive_frame(connection)
    if job is None:
        return
    try:
        codec = _build(job)
    except Exception as error:  # told to the gateway, which logs it
        send_frame(connection, ["fault", repr(error)])
        return
    send_frame(connection, ["ready"])
    while (question := receive_frame(connection)) is not None:
        send_frame(connection, answer_to(codec, *question))


def _build(job: dict[str, Any]) -> Codec:
    sys.path += [place for place in job["path"] if place not in sys.path]
    context = CodecContext(job["source"], ZoneInfo(job["time_zone"]), job["readings_max"], job["nesting_max"])
    kind = find_codec(job["codec"])
    return kind.build(read_options(kind, job["options"], "options"), context)


def answer_to(codec: Codec, topic: str, payload: bytes, received_us: int | None) -> list[Any]:
    """What the codec makes of a message, as plain lists."""
    try:
        rows = codec.decode(topic, payload, received_us)
        return _plain(rows)
    except MessageRejected as rejection:
        return ["rejected", rejection.reason.value, rejection.found, rejection.readings]
    except Exception as error:  # a fault of the codec: its message is quarantined, the next one is tried
        return ["fault", repr(error)[:500]]


def _plain(rows: Rows) -> list[Any]:
    rejects = [[reject.row, reject.reason.value, reject.found] for reject in rows.rejects]
    columns = [rows.meter, rows.observed_at, rows.register, rows.status]
    return ["rows", rows.medium, rows.unit, *columns, rejects, rows.sender, rows.skipped]


if __name__ == "__main__":
    main(int(sys.argv[1]))
