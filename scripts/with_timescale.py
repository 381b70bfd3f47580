"""Run a command with a real TimescaleDB at METERPROOF_TEST_DSN: `scripts/with_timescale.py COMMAND ...`.

A small Debian 13 tree with PostgreSQL 17 and TimescaleDB is made once (about 500 MB, kept in /var/cache/meterproof)
and its server started through chroot, reached over loopback. Needs root on Debian or Ubuntu; elsewhere set
METERPROOF_TEST_DSN to a server of your own with TimescaleDB preloaded.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meterproof.embedded.process import free_port, wait_until_listening

SUITE = "trixie"  # pinned: Debian 13, TimescaleDB 2.19, Apache edition
PACKAGES = "postgresql-17,postgresql-17-timescaledb"
PROGRAMS = "/usr/lib/postgresql/17/bin"
CACHE = Path(os.environ.get("METERPROOF_CACHE", "/var/cache/meterproof"))


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(f"with_timescale: {text}", file=sys.stderr, flush=True)  # noqa: T201  # a script's only voice


def install(package: str) -> None:
    """Install a Debian package unless it is there."""
    if shutil.which(package):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
    subprocess.run(["apt-get", "install", "-y", "-qq", package], check=True, stdout=sys.stderr, env=environment)


def tree() -> Path:
    """The Debian tree, made when it is not there."""
    place = CACHE / f"timescale-{SUITE}"
    if (place / "complete").exists():
        return place
    install("mmdebstrap")
    say(f"making {place} (once, about a minute)")
    shutil.rmtree(place, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "timescale.log").open("wb") as log:
        made = subprocess.run(
            ["mmdebstrap", "--variant=apt", "--mode=root", f"--include={PACKAGES}", SUITE, str(place)],
            check=False,
            stdout=log,
            stderr=log,
        )
    if made.returncode != 0:
        shutil.rmtree(place, ignore_errors=True)
        sys.exit(f"with_timescale: mmdebstrap failed; see {CACHE / 'timescale.log'}")
    (place / "complete").touch()
    return place


@contextmanager
def server(place: Path) -> Iterator[str]:
    """A fresh cluster inside the tree, gone afterwards; yields its DSN."""
    data = Path(tempfile.mkdtemp(prefix="cluster-", dir=place / "tmp"))
    inside = "/" + str(data.relative_to(place))
    subprocess.run(["chroot", place, "chown", "postgres:postgres", inside], check=True)
    port = free_port()
    as_postgres = ["chroot", "--userspec=postgres:postgres", str(place)]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    initdb = [
        *as_postgres,
        f"{PROGRAMS}/initdb",
        "-D",
        f"{inside}/data",
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--auth=trust",
    ]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, env=environment)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": inside,
        "shared_preload_libraries": "timescaledb",
        "timescaledb.telemetry_level": "off",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": 100,
        # Its telemetry and jobs are not needed; a worker a database would run out with many test databases.
        "timescaledb.max_background_workers": 32,
        "max_worker_processes": 64,
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    postgres = [*as_postgres, f"{PROGRAMS}/postgres", "-D", f"{inside}/data", *arguments]
    with (data / "postgres.log").open("wb") as log:
        process = subprocess.Popen(postgres, stdout=log, stderr=log, env=environment)
    try:
        if not wait_until_listening(port, 30):
            sys.exit("with_timescale: the server did not start:\n" + (data / "postgres.log").read_text()[-2000:])
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        shutil.rmtree(data, ignore_errors=True)


def main() -> int:
    """Run the command; its exit code is ours."""
    if not sys.argv[1:]:
        sys.exit("usage: with_timescale.py COMMAND [ARGUMENT ...]")
    if os.environ.get("METERPROOF_TEST_DSN"):
        return subprocess.run(sys.argv[1:], check=False).returncode
    if os.geteuid() != 0:
        sys.exit(
            "with_timescale: needs root to make its server; run as root, "
            "or set METERPROOF_TEST_DSN to a PostgreSQL that preloads timescaledb"
        )
    with server(tree()) as dsn:
        say("TimescaleDB is up")
        return subprocess.run(sys.argv[1:], check=False, env={**os.environ, "METERPROOF_TEST_DSN": dsn}).returncode


if __name__ == "__main__":
    sys.exit(main())
