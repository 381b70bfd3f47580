"""`meterproof check-config`: read the settings, say what they mean, and whether what they name can be reached."""

from itertools import combinations
from typing import Annotated

import typer
from psycopg import OperationalError
from pydantic import SecretStr

from gateway.settings import GatewaySettings
from gateway.sources import Sources
from meterproof.console import err, out, print_json
from meterproof.settings import Settings
from store.database import connect
from store.migrate import pending_migrations

_HIDDEN = "(set, not shown)"


def check_config(
    context: typer.Context,
    reach: Annotated[bool, typer.Option("--reach", help="Also connect to the database.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the settings in force, passwords hidden; exit 2 with every fault if they can't be used."""
    settings: Settings = context.obj
    shown = describe(settings)
    explained = explain_sources(settings.gateway)
    if as_json:
        print_json(shown | {"sources": explained})
    else:
        for section, values in shown.items():
            out.print(f"[{section}]", markup=False)
            for name, value in values.items() if isinstance(values, dict) else [("", values)]:
                if name != "sources":
                    out.print(f"  {name} = {value}" if name else f"  {value}", markup=False)
        for source, lines in explained.items():
            out.print(f"[source {source}]", markup=False)
            for line in lines:
                out.print(f"  {line}", markup=False)
    if reach:
        _reach(settings)


def describe(settings: Settings) -> dict[str, object]:
    """The settings as plain data without what must stay secret."""
    shown: dict[str, object] = {}
    for section in Settings.model_fields:
        part = getattr(settings, section)
        if part is None:
            shown[section] = "not set: the embedded broker is used"
            continue
        values = {name: getattr(part, name) for name in type(part).model_fields}
        shown[section] = {
            name: _HIDDEN if isinstance(value, SecretStr) or (name == "dsn" and value) else value
            for name, value in values.items()
        }
    return shown


def explain_sources(gateway: GatewaySettings) -> dict[str, list[str]]:
    """What each source takes, line by line. Raises SourceError where one can't be built."""
    sources = Sources(gateway)
    explained = {source.settings.name: source.accepts() for source in sources.sources}
    for earlier, later in combinations(gateway.sources, 2):
        if earlier.plain_filter in (later.plain_filter, "#"):
            explained[later.name].append(f"gets nothing: {earlier.name}, which comes first, takes all of its topics")
    return explained


def _reach(settings: Settings) -> None:
    if not settings.database.dsn:
        out.print("database: embedded, started when needed")
        return
    try:
        with connect(settings.database) as conn:
            pending = pending_migrations(conn)
    except OperationalError as error:
        err.print(f"database: not reached: {str(error).strip()}", style="red", markup=False)
        raise typer.Exit(1) from None
    out.print(
        "database: reached, " + (f"migrations to apply: {', '.join(pending)}" if pending else "schema up to date")
    )
