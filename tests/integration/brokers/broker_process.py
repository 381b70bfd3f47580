"""nats-server and mosquitto as processes that a test stops, kills and starts again; their production configurations."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meterproof.embedded.broker import broker_program
from meterproof.embedded.process import is_listening, wait_until_listening

DEPLOY = Path(__file__).parents[3] / "deploy"


def free_port() -> int:
    """A port that is free now, below those that the system gives to outgoing connections.

    Of those, one may be taken while a broker restarts, even by a client that tries to reach it.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        if not is_listening(port):
            return port


def mosquitto_program() -> str | None:
    """The mosquitto of this machine; scripts/mosquitto installs it."""
    names = (
        os.environ.get("METERPROOF_MOSQUITTO", ""),
        "mosquitto",
        "/usr/sbin/mosquitto",
        "/usr/local/sbin/mosquitto",
    )
    return next((found for name in names if name and (found := shutil.which(name))), None)


class BrokerProcess:
    """A broker in the foreground; its data stay in `folder` when it ends."""

    def __init__(self, command: Sequence[str], folder: Path, port: int, *others: int) -> None:
        self._command = list(command)
        self.folder = folder
        self.port = port
        self._ports = (port, *others)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as output:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        if not all(wait_until_listening(port, 20) for port in self._ports):
            self.stop()
            raise AssertionError(f"the broker did not start:\n{self.log()[-3000:]}")

    def stop(self) -> None:
        """End it in order."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process = None

    def restart(self, hard: bool) -> None:
        """Stop or kill it, and start it again after a moment."""
        if hard:
            self.kill()
        else:
            self.stop()
        time.sleep(0.3)
        self.start()

    def log(self) -> str:
        return (self.folder / "broker.log").read_text(errors="replace")


@dataclass
class Certificates:
    """What deploy/certificates/issue made."""

    folder: Path
    made: set[str] = field(default_factory=set)

    def issue(self, *arguments: str, days: int | None = None) -> None:
        environment = os.environ | ({"DAYS": str(days)} if days is not None else {})
        kind, *others = arguments
        subprocess.run(
            ["sh", str(DEPLOY / "certificates" / "issue"), kind, str(self.folder), *others], env=environment, check=True
        )

    def client(self, identity: str, days: int | None = None) -> tuple[Path, Path]:
        """Certificate and key of an identity."""
        name = identity.replace("/", "-") + ("" if days is None else "-expired")
        if name not in self.made:
            self.issue("client", identity, name, days=days)
            self.made.add(name)
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"


class ProductionBroker(BrokerProcess):
    """A broker with its configuration from deploy/, in which a test replaces places and ports only."""

    name: str
    protocol: str
    password_port: int
    meterproof_port: int


class Nats(ProductionBroker):
    """deploy/nats; with `passwords`, as its comments say for those."""

    name, protocol = "nats-server", "3.1.1"

    def __init__(self, folder: Path, certificates: Certificates, passwords: dict[str, str] | None = None) -> None:
        port = free_port()
        replaced = {
            '"/etc/nats/certs/': f'"{certificates.folder}/',
            '"/var/lib/nats"': f'"{folder / "jetstream"}"',
            "0.0.0.0:8883": f"127.0.0.1:{port}",
            "127.0.0.1:4222": f"127.0.0.1:{free_port()}",
            'ack_wait: "30s"': 'ack_wait: "3s"',  # a killed gateway's messages come again sooner
        }
        users = (DEPLOY / "nats" / "users.conf").read_text()
        if passwords is not None:
            replaced["verify_and_map: true"] = "verify_and_map: false"
            for user, password in passwords.items():
                users = users.replace(f'user: "CN={user}"', f'user: "{user}", password: "{password}"')
        (folder / "users.conf").write_text(users)
        config = _rendered(DEPLOY / "nats" / "nats.conf", folder, replaced)
        self.password_port = self.meterproof_port = port
        super().__init__([str(broker_program()), "-c", str(config)], folder, port)


class Mosquitto(ProductionBroker):
    """deploy/mosquitto, with client certificates on one port and passwords on another."""

    name, protocol = "mosquitto", "5"

    def __init__(self, folder: Path, certificates: Certificates, passwords: dict[str, str] | None = None) -> None:
        program = mosquitto_program()
        assert program, "no mosquitto: run scripts/mosquitto, or set METERPROOF_MOSQUITTO to its path"
        port, self.password_port, self.meterproof_port = free_port(), free_port(), free_port()
        data = folder / "data"
        data.mkdir()
        shutil.copy(DEPLOY / "mosquitto" / "acl", folder / "acl")
        replaced = {
            "/etc/mosquitto/certs/": f"{certificates.folder}/",
            "/etc/mosquitto/": f"{folder}/",
            "/var/lib/mosquitto/": f"{data}/",
            "listener 8883": f"listener {port} 127.0.0.1",
            "listener 8884": f"listener {self.password_port} 127.0.0.1",
            "listener 8885": f"listener {self.meterproof_port}",
        }
        config = _rendered(DEPLOY / "mosquitto" / "mosquitto.conf", folder, replaced)
        if os.geteuid() == 0:
            config.write_text("user root\n" + config.read_text())  # it would lose its right to the test's folders
        (folder / "passwords").touch(0o600)
        for user, password in (passwords or {}).items():
            subprocess.run(["mosquitto_passwd", "-b", str(folder / "passwords"), user, password], check=True)
        command = [program, "-c", str(config), "-v"]
        super().__init__(command, folder, port, self.password_port, self.meterproof_port)


def _rendered(source: Path, folder: Path, replaced: dict[str, str]) -> Path:
    text = source.read_text()
    for place, other in replaced.items():
        assert place in text, f"{source} no longer says {place!r}"
        text = text.replace(place, other)
    path = folder / source.name
    path.write_text(text)
    return path


KINDS: dict[str, type[ProductionBroker]] = {"nats-server": Nats, "mosquitto": Mosquitto}
PASSWORDS = {"meterproof": "reads all", "city/gw-1": "of the first", "city/gw-2": "of the second"}
