"""The started system as its users have it: servers, the roles as processes of their own, and the command line."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psycopg

from meterproof.embedded.broker import EmbeddedBroker
from meterproof.embedded.postgres import EmbeddedPostgres
from meterproof.embedded.process import free_port
from meterproof.gateway_status import gateway_has_subscribed
from simulators.publisher import Broker
from store.migrate import migrate


class System:
    """Embedded servers and role processes that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.broker = EmbeddedBroker(folder / "broker")
        self.roles: dict[str, subprocess.Popen[bytes]] = {}
        self.api_port = free_port()

    def start(self) -> None:
        self.postgres.start()
        self.broker.start()
        with psycopg.connect(self.dsn) as conn:
            migrate(conn)
        for role in ("gateway", "verifier"):
            self.start_role(role)
        # A test that publishes by itself must not be faster than the first subscription.
        assert gateway_has_subscribed(Broker.from_url(self.broker.url), 60), self.log("gateway")

    @property
    def dsn(self) -> str:
        return self.postgres.dsn()

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
        return plain | {
            "METERPROOF_DATABASE__DSN": self.dsn,
            "METERPROOF_MQTT__URL": self.broker.url,
            "METERPROOF_MQTT__CLIENT_ID": "acceptance",
            "METERPROOF_API__PORT": str(self.api_port),
            "METERPROOF_EMBEDDED__VAR_DIR": str(self.folder / "var"),
        }

    def start_role(self, role: str) -> None:
        with (self.folder / f"{role}.log").open("ab") as log:
            command = [sys.executable, "-m", "meterproof", "serve", role]
            self.roles[role] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def kill_role(self, role: str) -> None:
        process = self.roles.pop(role)
        assert process.poll() is None, f"the {role} had ended by itself:\n{self.log(role)}"
        process.send_signal(signal.SIGKILL)
        process.wait()

    def log(self, role: str) -> str:
        return (self.folder / f"{role}.log").read_text(errors="replace")[-3000:]

    def command(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "meterproof", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def run(self, *arguments: str | Path, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        process = self.command(*arguments)
        out, err = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run_json(self, *arguments: str | Path) -> Any:
        result = self.run(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.api_port}{path}", timeout=10) as answer:
            return json.load(answer)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(sql).fetchall()

    def wait_until(self, sql: str, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.query(sql)[0][0]:
                return
            time.sleep(0.1)
        raise AssertionError(f"not within {timeout_s} s: {sql}\n{self.log('gateway')}\n{self.log('verifier')}")

    def stop(self) -> None:
        for process in self.roles.values():
            process.terminate()
        for process in self.roles.values():
            process.wait(30)
        self.broker.stop()
        self.postgres.stop()
