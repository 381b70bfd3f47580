"""Small helpers around operating-system processes and ports."""

import os
import secrets
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path


def free_port() -> int:
    """A TCP port of the loopback address that is free now.

    Below the range that the system gives to outgoing connections: one of those could take the port before its server
    does, or while the server is down for a moment.
    """
    for _ in range(1000):
        port = 15_000 + secrets.randbelow(17_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port between 15000 and 32000 on the loopback address")


def lasting_port(note: Path) -> int:
    """The port kept in that file, if it is still free, else a new one, which is kept there.

    A server that comes back where it was is found again by all who knew its address.
    """
    with suppress(OSError, ValueError), socket.socket() as probe:
        port = int(note.read_text(encoding="ascii"))
        if 0 < port < 65_536:
            # As servers do: the closed connections of the one before are no hindrance, another listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    port = free_port()
    note.write_text(str(port), encoding="ascii")
    return port


def is_listening(port: int) -> bool:
    """Whether something accepts connections on that loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_listening(port: int, timeout_s: float) -> bool:
    """Wait for a loopback port to accept connections; False when the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if is_listening(port):
            return True
        time.sleep(0.02)
    return False


def is_running(pid: int) -> bool:
    """Whether a process of that number exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return status.rpartition(")")[2].split()[0] != "Z"
    return True


def command_line(pid: int) -> str:
    """The command line of a process, empty where it can't be told."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def wait_for_end(pid: int, timeout_s: float) -> bool:
    """Wait for a process to end; False when the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not is_running(pid):
            return True
        time.sleep(0.02)
    return False


def end_process(pid: int, timeout_s: float) -> None:
    """Ask a process to end, and end it the hard way when it doesn't within the time."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not wait_for_end(pid, timeout_s):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
