"""`meterproof import`: meters, zones, standards, site tests, and what is known beside readings, all or nothing."""

import getpass
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from meterproof.console import out, print_json
from meterproof.embedded.runtime import find_servers
from meterproof.settings import Settings
from meterproof.side_folder import import_folder
from store.database import Connection, connect
from store.import_summary import ImportSummary
from store.meter_import import import_meters
from store.site_test_import import import_site_tests
from store.standard_import import import_standards
from store.tables import Table, read_table
from store.zone_import import import_zones

app = typer.Typer(
    help="Register meters, zones, reference standards, site tests, or what is known of zones beside their readings,"
    " from files, all or nothing."
)

File = Annotated[Path, typer.Argument(help="CSV (comma, semicolon or tab; UTF-8) or Parquet.")]
Utility = Annotated[str, typer.Option("--utility", "-u", help="Code of the utility, as in its MQTT topics.")]
Encoding = Annotated[str | None, typer.Option(help="Encoding of a CSV that is not UTF-8, e.g. gb18030.")]
Actor = Annotated[str | None, typer.Option(help="Who answers for it, in the audit log; the account's name otherwise.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("meters")
def meters(
    context: typer.Context,
    file: File,
    utility: Utility,
    time_zone: Annotated[str, typer.Option(help="Zone of dates without an offset.")] = "UTC",
    encoding: Encoding = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Meters with their places: meter, medium, unit, resolution, service_point, zone, role, installed_on, ..."""

    def act(conn: Connection, table: Table) -> ImportSummary:
        return import_meters(conn, table, utility=utility, time_zone=time_zone, actor=_actor(actor))

    _import(context.obj, file, encoding, act, as_json)


@app.command("zones")
def zones(
    context: typer.Context,
    file: File,
    utility: Utility,
    encoding: Encoding = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Zones: zone, medium, parent, interval_s, reference_uncertainty_pct."""

    def act(conn: Connection, table: Table) -> ImportSummary:
        return import_zones(conn, table, utility=utility, actor=_actor(actor))

    _import(context.obj, file, encoding, act, as_json)


@app.command("standards")
def standards(
    context: typer.Context,
    file: File,
    utility: Utility,
    encoding: Encoding = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Reference standards: code, certificate, expanded_uncertainty_pct, valid_from, valid_until, meter, ..."""

    def act(conn: Connection, table: Table) -> ImportSummary:
        return import_standards(conn, table, utility=utility, actor=_actor(actor))

    _import(context.obj, file, encoding, act, as_json)


@app.command("site-tests")
def site_tests(
    context: typer.Context,
    file: File,
    utility: Utility,
    time_zone: Annotated[str, typer.Option(help="Zone of times without an offset.")] = "UTC",
    encoding: Encoding = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Tests on site: meter, tested_at, standard, load, error_pct, expanded_uncertainty_pct, tested_by, ..."""

    def act(conn: Connection, table: Table) -> ImportSummary:
        return import_site_tests(conn, table, utility=utility, time_zone=time_zone, actor=_actor(actor))

    _import(context.obj, file, encoding, act, as_json)


@app.command("side")
def side(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Holds a folder for each zone, as for assess --side.")
    ],
    utility: Utility,
    meters: Annotated[
        Path | None, typer.Option(help="Meters file in whose order the resistances are; needed for these alone.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Zone of times without an offset.")] = "UTC",
    encoding: Annotated[str | None, typer.Option(help="Encoding of a meters file that is not UTF-8.")] = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Of each zone: resistances of paths shared by customers (electricity), pressures (water), conditions (gas)."""
    table = None if meters is None else read_table(meters, encoding)
    running = find_servers(context.obj)
    with connect(running.database) as conn, conn.transaction():
        summary = import_folder(
            conn, folder, table, utility=utility, time_zone=time_zone, actor=_actor(actor), now=datetime.now(UTC)
        )
    _tell(str(folder), summary, as_json)


def _import(
    settings: Settings,
    file: Path,
    encoding: str | None,
    act: Callable[[Connection, Table], ImportSummary],
    as_json: bool,
) -> None:
    table = read_table(file, encoding)  # before the database is asked: a wrong file needs no server
    running = find_servers(settings)
    with connect(running.database) as conn, conn.transaction():
        summary = act(conn, table)
    _tell(file.name, summary, as_json)


def _tell(name: str, summary: ImportSummary, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    out.print(
        f"{name}: {summary.added} added, {summary.changed} changed, {summary.unchanged} unchanged"
        + (f", {summary.released:,} waiting readings released" if summary.released else ""),
        markup=False,
    )
    if summary.zones_created:
        out.print(f"zones made: {', '.join(summary.zones_created)}", markup=False)
    if summary.ignored_columns:
        out.print(f"columns without meaning here, ignored: {', '.join(summary.ignored_columns)}", markup=False)


def _actor(given: str | None) -> str:
    return given or getpass.getuser()
