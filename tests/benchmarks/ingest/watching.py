"""Looking at other processes: when one reaches the broker, what memory and processor time it takes (Linux)."""

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_ESTABLISHED: Final = "01"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def connected_clients(port: int) -> int:
    """How many connections to this loopback port there are."""
    found = 0
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            _, _, remote, state = line.split(maxsplit=4)[:4]
            found += state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) == port
    return found


def wait_for_client(port: int, timeout_s: float) -> float:
    """When the first connection to the port was seen [s since 1970]. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if connected_clients(port):
            return time.time()
        time.sleep(0.005)
    raise TimeoutError(f"nobody connected within {timeout_s} s")


def resident_mb(pid: int) -> float:
    """Resident memory of a process [MB]."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid: int) -> float:
    """Processor time of a process so far [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


@dataclass
class MemoryWatch:
    """Samples a process' memory while used as a context."""

    pid: int
    interval_s: float = 0.25
    samples_mb: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak_mb(self) -> float:
        """The highest sample [MB]."""
        return max(self.samples_mb, default=0.0)

    def _run(self) -> None:
        while not self._stop.wait(self.interval_s):
            try:
                self.samples_mb.append(resident_mb(self.pid))
            except OSError:
                return
