"""`meterproof migrate`: bring the database's schema up to date."""

from typing import Annotated

import typer

from meterproof.console import out
from meterproof.embedded.runtime import embedded_servers
from meterproof.settings import Settings
from store import migrate as migrations
from store.database import connect


def migrate(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Only list what is to be applied; exit 1 if anything is.")
    ] = False,
) -> None:
    """Apply the schema's migrations, in order, each in a transaction of its own."""
    settings: Settings = context.obj
    with embedded_servers(settings) as running, connect(running.database) as conn:
        if check:
            pending = migrations.pending_migrations(conn)
            out.print("\n".join(pending) if pending else "up to date")
            if pending:
                raise typer.Exit(1)
            return
        applied = migrations.migrate(conn)
        out.print("\n".join(f"applied {name}" for name in applied) if applied else "up to date")
