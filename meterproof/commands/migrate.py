"""`meterproof migrate`: bring the database's schema up to date."""

from contextlib import ExitStack
from typing import Annotated

import typer

from meterproof.console import out
from meterproof.embedded.runtime import embedded_servers, find_servers
from meterproof.settings import Settings
from metrology.errors import InvalidInputError
from store import migrate as migrations
from store.database import DatabaseSettings, connect


def migrate(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Only list what is to be applied; exit 1 if anything is.")
    ] = False,
) -> None:
    """Apply the schema's migrations, in order, each in a transaction of its own."""
    settings: Settings = context.obj
    with ExitStack() as stack:
        conn = stack.enter_context(connect(_database(settings, stack)))
        if check:
            pending = migrations.pending_migrations(conn)
            out.print("\n".join(pending) if pending else "up to date")
            if pending:
                raise typer.Exit(1)
            return
        applied = migrations.migrate(conn)
        out.print("\n".join(f"applied {name}" for name in applied) if applied else "up to date")


def _database(settings: Settings, stack: ExitStack) -> DatabaseSettings:
    """The one that is set, else that of the system running here, else an embedded one until the stack ends."""
    if settings.database.dsn:
        return settings.database
    try:
        return find_servers(settings).database
    except InvalidInputError:
        return stack.enter_context(embedded_servers(settings)).database
