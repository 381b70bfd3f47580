"""The command `meterproof`: a subcommand a task. Exit codes: 0 done, 1 ran and failed, 2 wrong use or input."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import psycopg
import psycopg_pool
import typer

from meterproof.commands import (
    assess,
    check_config,
    decode,
    demo,
    explain,
    imports,
    migrate,
    priors,
    quarantine,
    regulations,
    replay,
    score,
    serve,
    simulate,
)
from meterproof.console import err
from meterproof.logs import set_up_logging
from meterproof.settings import load_settings
from meterproof.version import software_version
from metrology.errors import MeterproofError

app = typer.Typer(
    name="meterproof",
    help="Verifies water, electricity and gas meters where they work.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(software_version())
        raise typer.Exit


@app.callback()
def prepare(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file; meterproof.toml where there is one.")
    ] = None,
    version: Annotated[  # noqa: ARG001  # acted on by its callback
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Read the settings before every subcommand."""
    if context.resilient_parsing:
        return
    settings = load_settings(config)
    set_up_logging(settings.log)
    context.obj = settings


app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("migrate")(migrate.migrate)
app.command("check-config")(check_config.check_config)
app.command("assess")(assess.assess)
app.command("explain")(explain.explain)
app.command("priors")(priors.priors)
app.command("decode")(decode.decode_payload)
app.add_typer(imports.app, name="import")
app.add_typer(quarantine.app, name="quarantine")
app.command("simulate")(simulate.simulate)
app.command("replay")(replay.replay)
app.command("score")(score.score)
app.command("regulations")(regulations.regulations)


def main() -> None:
    """Run the command line; expected faults become one message, never a traceback."""
    try:
        app()
    except MeterproofError as error:
        _fail(str(error), 2 if error.status < 500 else 1)
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        _fail(f"database: {str(error).strip()}; check database.dsn and that the server runs", 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _fail(message: str, code: int) -> None:
    logging.getLogger(__name__).debug("ended by an error", exc_info=True)
    err.print(f"meterproof: {message}", markup=False, style="red")
    sys.exit(code)
