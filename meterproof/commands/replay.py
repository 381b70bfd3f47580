"""`meterproof replay`: send a file of readings through MQTT and account for every line of it."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.settings import MqttSettings
from meterproof.commands.registering import register_serials
from meterproof.console import err, print_figures, print_json
from meterproof.embedded.runtime import find_servers
from meterproof.gateway_status import gateway_has_subscribed
from meterproof.patience import PatientConnection, wait_for
from meterproof.settings import Settings
from metrology.errors import InvalidInputError, MeterproofError
from simulators.accounting import HELD_ROW, Accounting, Held, account
from simulators.mapping import load_mapping
from simulators.publisher import Broker, PublishOptions, publish
from simulators.publisher import Progress as Published
from simulators.replay import ReplayPlan, load_replay
from store.database import Connection, connect
from store.progress import findings_by_kind, quarantined_rows, system_progress
from store.readings import read_conflicts, read_meter_readings
from store.registry import load_identities

_ALL_TIMES_US = (-(2**62), 2**62)
_GATEWAY_WAIT_S = 15.0
_SHOWN = 3  # rejected lines that are printed


class IncompleteError(MeterproofError):
    """The system did not take everything in time."""

    status = 504
    title = "Incomplete"


def replay(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, plain, .gz or in a .zip, or Parquet.")],
    mapping: Annotated[Path, typer.Option("--mapping", "-m", help="TOML file that says what the columns mean.")],
    register: Annotated[
        bool, typer.Option("--register", help="Register the file's unknown meters as customers' meters first.")
    ] = False,
    rejects: Annotated[Path | None, typer.Option(help="Write the lines that can't be read to this CSV file.")] = None,
    readings_per_message: Annotated[int, typer.Option(min=1, max=10_000, help="Readings in a message.")] = 500,
    pace: Annotated[
        float | None, typer.Option(min=1, help="Readings a second; as fast as the broker takes them.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(min=1, help="Give up when nothing moves for this long [s].")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish a file's readings into the running system, wait until all are verified, and account for every line."""
    if rejects is not None and rejects.resolve() in (file.resolve(), mapping.resolve()):
        raise InvalidInputError(f"--rejects {rejects} would overwrite the input; name another file")
    plan = load_replay(file, load_mapping(mapping), readings_per_message=readings_per_message)
    settings = find_servers(context.obj)
    if settings.mqtt is None:
        raise InvalidInputError("the section mqtt is not set; name the broker in mqtt.url and mqtt.client_id")
    with connect(settings.database) as conn:
        meter_ids = _meter_ids(conn, plan, register)
        before = _held(conn, plan, meter_ids)
        begun_seq = system_progress(conn).commit_seq
        conn.commit()
    if rejects is not None:
        _write_rejects(plan, rejects)
    warn_without_gateway(publisher_broker(settings.mqtt))
    options = PublishOptions(readings_per_s=pace)
    result = _run(settings, settings.mqtt, plan, meter_ids, begun_seq, options, timeout_s)
    figures = _figures(settings, plan, before, result)
    if as_json:
        print_json(figures)
    else:
        title = "every line accounted for" if result.accounting.complete else "INCOMPLETE: not every line has arrived"
        print_figures(f"{plan.source}: {title}", figures["accounting"])
        print_figures("run", figures["run"])
        print_figures("findings in force on these meters", figures["findings"])
    _judge(plan, result.accounting, timeout_s)


def _judge(plan: ReplayPlan, accounting: Accounting, timeout_s: float) -> None:
    """Say what was rejected. Raises where lines are missing, or where not one could be used."""
    for reject in plan.rejects[:_SHOWN]:
        place = f"line {reject.line}, column {reject.column}: {reject.value!r}"
        err.print(f"rejected: {place} {reject.reason}", style="yellow", markup=False)
    if len(plan.rejects) > _SHOWN:
        err.print(f"... and {len(plan.rejects) - _SHOWN:,} more lines; --rejects FILE lists all", style="yellow")
    if accounting.quarantined:
        err.print(
            f"{accounting.quarantined:,} lines are in quarantine; `meterproof quarantine list` says why", style="yellow"
        )
    if not accounting.complete:
        missing = f"{accounting.missing:,} lines missing, {accounting.pending:,} waiting"
        raise IncompleteError(f"{plan.source}: {missing} after {timeout_s:g} s without progress; does the gateway run?")
    if accounting.lines and accounting.rejected == accounting.lines:
        raise InvalidInputError(
            f"{plan.source}: not one of {accounting.lines:,} lines could be used; see the reasons above"
        )


def _write_rejects(plan: ReplayPlan, file: Path) -> None:
    try:
        with file.open("w", encoding="utf-8", newline="") as stream:
            plan.write_rejects(stream)
    except OSError as error:
        raise InvalidInputError(f"--rejects {file}: {error.strerror}; name a file that can be written") from None


class _Result:
    """What a run measured."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.published_s = self.committed_s = self.verified_s = 0.0
        self.resent = 0
        self.accounting: Accounting
        self.held: Held

    def elapsed(self) -> float:
        return time.monotonic() - self.begun


def _run(
    settings: Settings,
    mqtt: MqttSettings,
    plan: ReplayPlan,
    meter_ids: NDArray[np.int64],
    begun_seq: int,
    options: PublishOptions,
    timeout_s: float,
) -> _Result:
    result = _Result()
    store = PatientConnection(settings.database, timeout_s)
    with _progress_display() as display:
        sent = display.add_task("published", total=len(plan.rows))
        taken = display.add_task("committed", total=len(plan.rows))

        def on_published(progress: Published) -> None:
            display.update(sent, completed=progress.readings)

        def committed() -> int:
            count = store.ask(lambda conn: system_progress(conn, begun_seq)).readings_in
            display.update(taken, completed=min(count, len(plan.rows)))
            return count

        def look() -> None:
            result.held = store.ask(lambda conn: _held(conn, plan, meter_ids))
            result.accounting = account(plan, result.held)

        done = asyncio.run(publish(plan.messages(), publisher_broker(mqtt), options, on_published))
        result.published_s, result.resent = result.elapsed(), done.resent
        moves = wait_for(committed, len(plan.rows), timeout_s)
        look()
        # Messages that were delivered twice count twice above, so it is the lines that decide.
        while moves and not result.accounting.complete:
            moves = wait_for(committed, committed() + 1, timeout_s)
            look()
        result.committed_s = result.elapsed()
        last_seq = store.ask(system_progress).commit_seq
        display.add_task("verified", total=None)
        if not wait_for(lambda: store.ask(system_progress).verified_seq, last_seq, timeout_s):
            err.print("not verified in time: does `meterproof serve verifier` run?", style="yellow")
        result.verified_s = result.elapsed()
    store.close()
    return result


def publisher_broker(mqtt: MqttSettings) -> Broker:
    """The publisher's view of the settings' broker."""
    address = mqtt.address
    password = mqtt.password.get_secret_value() if mqtt.password else None
    return Broker(address.hostname or "", mqtt.port, mqtt.username, password, address.scheme == "mqtts")


def warn_without_gateway(broker: Broker) -> None:
    """Wait until a gateway has subscribed: what is sent before is kept for nobody. Say so where none is seen."""
    if not gateway_has_subscribed(broker, _GATEWAY_WAIT_S):
        err.print(
            f"no gateway's status is seen at the broker after {_GATEWAY_WAIT_S:g} s: unless one has subscribed, what "
            "is sent now is lost; start `meterproof serve gateway` first",
            style="yellow",
        )


def _meter_ids(conn: Connection, plan: ReplayPlan, register: bool) -> NDArray[np.int64]:
    """The registry's ids of the plan's serials, shape (number of serials,)."""
    utility = plan.sender.utility
    known = load_identities(conn).meters
    unknown = [serial for serial in plan.serials if (utility, serial) not in known]
    if unknown and not register:
        raise InvalidInputError(
            f"{plan.source}: {len(unknown)} of {len(plan.serials)} meters are not registered at utility {utility!r}, "
            f"first {unknown[0]!r}; import them (meterproof import meters), or add --register"
        )
    if unknown:
        register_serials(conn, utility, plan.sender.medium, unknown)
        conn.commit()
        known = load_identities(conn).meters
    return np.array([known[utility, serial].meter_id for serial in plan.serials], dtype=np.int64)


def _held(conn: Connection, plan: ReplayPlan, meter_ids: NDArray[np.int64]) -> Held:
    """What the store holds of the plan's meters."""
    ids = [int(meter_id) for meter_id in meter_ids]
    return Held(
        stored=_as_held(read_meter_readings(conn, ids, *_ALL_TIMES_US), meter_ids),
        conflicting=_as_held(read_conflicts(conn, ids, *_ALL_TIMES_US), meter_ids),
        quarantined=tuple(quarantined_rows(conn, plan.digests())),
    )


def _as_held(readings: NDArray[np.void], meter_ids: NDArray[np.int64]) -> NDArray[np.void]:
    order = np.argsort(meter_ids)
    held = np.zeros(len(readings), dtype=HELD_ROW)
    for name in ("observed_us", "register_micro", "status"):
        held[name] = readings[name]
    held["meter"] = order[np.searchsorted(meter_ids[order], readings["meter_id"])]
    return held


def _figures(settings: Settings, plan: ReplayPlan, before: Held, result: _Result) -> dict[str, Any]:
    with connect(settings.database) as conn:
        findings = findings_by_kind(conn, plan.sender.utility, plan.serials)
    new = len(result.held.stored) - len(before.stored)
    new_conflicts = len(result.held.conflicting) - len(before.conflicting)
    verified_s = max(result.verified_s, 1e-9)
    return {
        "file": plan.source,
        "accounting": result.accounting.as_dict(),
        "run": {
            "meters": len(plan.serials),
            "messages": plan.message_count,
            "messages_sent_again": result.resent,
            "new_readings_stored": new,
            "new_conflicting": new_conflicts,
            "published_s": round(result.published_s, 1),
            "committed_s": round(result.committed_s, 1),
            "verified_s": round(result.verified_s, 1),
            "readings_per_s": round((len(plan.rows) - result.accounting.missing) / verified_s),
        },
        "findings": findings,
    }


def _progress_display() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=not err.is_terminal,
    )
