"""`meterproof demo`: the whole system on a simulated mini city, in one process tree."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer

from meterproof.city_run import CityClock, publish_messages, register_city
from meterproof.commands.demo_view import QUIET_S, HistoryView, LiveView, print_summary
from meterproof.commands.replay import publisher_broker
from meterproof.console import err
from meterproof.embedded.postgres import EmbeddedServerError
from meterproof.embedded.process import free_port, is_listening
from meterproof.embedded.runtime import check_servers, embedded_servers
from meterproof.gateway_status import gateway_has_subscribed
from meterproof.patience import wait_for
from meterproof.settings import Settings
from metrology.errors import MeterproofError
from simulators.broken import broken_messages
from simulators.city import City
from simulators.publisher import Broker
from simulators.scenario import load_scenario
from store.database import Connection, connect
from store.migrate import migrate
from store.overview import BatchTotals, add_batch_totals
from store.progress import system_progress

_LIVE = timedelta(days=7)  # simulated days between the history's end and now
_ONCE = timedelta(days=1)  # of these, what `--once` goes on live each time, while there are any left
_ROLES = ("gateway", "verifier", "api")


class DemoError(MeterproofError):
    """The demo could not go on."""

    status = 500
    title = "Demo failed"


def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="End by itself with a summary.")] = False,
    scenario: Annotated[Path | None, typer.Option(help="Another scenario than the mini city.")] = None,
    pace_h: Annotated[float, typer.Option(min=0.1, max=240, help="Simulated hours a second, live.")] = 1.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin with a new city, in a folder of its own.")] = False,
) -> None:
    """Start everything, load some weeks of history, go on live, and show it. The data stay for the next time."""
    settings: Settings = context.obj
    if fresh:
        folder = settings.embedded.var_dir / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        settings = settings.model_copy(update={"embedded": settings.embedded.model_copy(update={"var_dir": folder})})
    plan = load_scenario(scenario or Path(str(files("simulators") / "scenarios" / "demo.toml")))
    with ExitStack() as stack:
        # A terminal's window that is closed, or a supervisor, ends everything in order, as Ctrl-C does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        running = stack.enter_context(embedded_servers(settings))
        clock_file = settings.embedded.var_dir / f"{plan.name}.json"
        clock = CityClock.load(clock_file, plan, datetime.now(UTC), _LIVE)
        city = City(plan.model_copy(update={"start": clock.start}))
        with connect(running.database) as conn:
            migrate(conn)
            register_city(conn, city)
            conn.commit()
        port = running.api.port
        if port == 0 or is_listening(port):
            taken, port = port, free_port()
            err.print(f"port {taken} is taken: the console listens on {port}" if taken else f"the console: port {port}")
        children = stack.enter_context(
            _roles(running, context.parent.params["config"] if context.parent else None, port)
        )
        _Demo(running, city, clock, clock_file, children, port).run(once, timedelta(hours=pace_h))


class _Demo:
    """A demo under way."""

    def __init__(
        self,
        settings: Settings,
        city: City,
        clock: CityClock,
        clock_file: Path,
        children: dict[str, subprocess.Popen[bytes]],
        port: int,
    ) -> None:
        assert settings.mqtt is not None  # embedded_servers gave it an address
        self.settings, self.city, self.clock, self.clock_file = settings, city, clock, clock_file
        self.children, self.address = children, f"http://127.0.0.1:{port}/"
        self.broker: Broker = publisher_broker(settings.mqtt)
        self.published = 0

    def run(self, once: bool, pace: timedelta) -> None:
        self._wait_until_ready()
        with connect(self.settings.database) as conn:
            conn.autocommit = True
            begun_seq = system_progress(conn).commit_seq
            self._history(conn, begun_seq)
            err.print(f"\n[bold]The inspector's console: {self.address}[/bold]\n")
            try:
                self._live(conn, begun_seq, pace, self.clock.further(_ONCE, datetime.now(UTC)) if once else None)
            except KeyboardInterrupt:
                if once:
                    raise
            arrived = wait_for(lambda: self._stored(conn, begun_seq), self.published, QUIET_S)
            self._wait_until_verified(conn)
            print_summary(conn, self.city, self.clock.published_until, self.published)
            stored = self._stored(conn, begun_seq)
        if not arrived:
            raise DemoError(
                f"{self.published:,} readings were published but {stored:,} were stored; look into the quarantine"
                " (meterproof quarantine list) and the gateway's log"
            )

    def _history(self, conn: Connection, begun_seq: int) -> None:
        end = self.city.scenario.end
        if self.clock.published_until >= end:
            err.print(f"history up to {end:%Y-%m-%d} is loaded already")
            return
        with HistoryView(conn, begun_seq, self._expected(end)) as view:
            done = publish_messages(self.city.messages(self.clock.published_until, end), self.broker, view.published)
            serial = next(meter for meter in self.city.serials if meter.startswith("E"))
            publish_messages(broken_messages(self.city.scenario.utility, serial, self.clock.start), self.broker)
            self.published += done.readings
            self._advance(end)
            view.wait(self._check_children)

    def _live(self, conn: Connection, begun_seq: int, pace: timedelta, until: datetime | None) -> None:
        """Publish tick by tick: at the pace until the present is reached, in real time from then on."""
        with LiveView(conn, begun_seq) as view:
            while until is None or self.clock.published_until < until:
                tick_end = min(self.clock.published_until + pace, datetime.now(UTC), until or datetime.now(UTC))
                if tick_end > self.clock.published_until:
                    messages = list(self.city.messages(self.clock.published_until, tick_end))
                    self.published += publish_messages(messages, self.broker).readings
                    self._advance(tick_end)
                view.update(self.clock.published_until, self.published)
                self._check_children()
                time.sleep(0.1 if until else 1.0)

    def _advance(self, until: datetime) -> None:
        self.clock = self.clock.advanced(until)
        self.clock.save(self.clock_file)

    def _expected(self, end: datetime) -> int:
        return sum(len(part) for _, part in self.city.days(self.clock.published_until, end))

    def _stored(self, conn: Connection, begun_seq: int) -> int:
        """Readings of this run that the store holds; rejected ones, such as the broken messages', don't count."""
        self._check_children()
        totals = add_batch_totals(conn, BatchTotals(commit_seq=begun_seq))
        return totals.stored + totals.duplicates + totals.conflicting

    def _wait_until_verified(self, conn: Connection, timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while (progress := system_progress(conn)).verified_seq < progress.commit_seq:
            self._check_children()
            if time.monotonic() > deadline:
                raise DemoError(f"not verified within {timeout_s:g} s; see the log of the verifier above")
            time.sleep(0.1)

    def _wait_until_ready(self, timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self._check_children()
            try:
                with urlopen(self.address + "livez", timeout=2):  # noqa: S310  # our own address
                    break
            except (URLError, OSError):
                time.sleep(0.1)
        else:
            raise EmbeddedServerError(f"the HTTP interface did not answer at {self.address} within {timeout_s:g} s")
        if not gateway_has_subscribed(self.broker, timeout_s):
            raise DemoError(f"the gateway has not subscribed at the broker within {timeout_s:g} s")
        self._check_children()

    def _check_children(self) -> None:
        for name, child in self.children.items():
            if child.poll() is not None:
                raise DemoError(f"the {name} ended with exit code {child.returncode}; its message is above")
        check_servers(self.settings)


@contextmanager
def _roles(settings: Settings, config: Path | None, port: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The three roles as processes of their own, which end with this one."""
    environment = {
        "METERPROOF_LOG__LEVEL": "WARNING",
        **os.environ,
        "METERPROOF_EMBEDDED__VAR_DIR": str(settings.embedded.var_dir),
        "METERPROOF_API__PORT": str(port),
    }
    program = [sys.executable, "-m", "meterproof", *(["--config", str(config)] if config else [])]
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for role in _ROLES:
            command = [*program, "serve", role, "--parent", str(os.getpid())]
            # A process group of its own: a Ctrl-C in the terminal is this process's to handle.
            children[role] = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)
        yield children
    finally:
        for child in children.values():
            child.terminate()
        for child in children.values():
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
