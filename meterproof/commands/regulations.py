"""`meterproof regulations`: the regulations whose figures decide, with the confidence of each."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from metrology.errors import InvalidInputError
from metrology.regulation import get_regulation, load_regulations, period_in_force
from metrology.regulation_page import confidence_counts, index_page, regulation_page


def regulations(
    show: Annotated[
        str | None, typer.Option("--show", metavar="ID", help="Print every figure of one regulation.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print machine-readable results.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="DIR", help="Write the pages as Markdown files into a folder.")
    ] = None,
) -> None:
    """List the regulations that Meterproof knows, or show one with clause and confidence of each figure."""
    if write is not None:
        _write_pages(write)
    elif show is not None:
        regulation = get_regulation(show)
        typer.echo(_json(regulation) if json else regulation_page(regulation), nl=json)
    elif json:
        typer.echo(_json([msgspec.to_builtins(regulation) for regulation in load_regulations()]))
    else:
        _print_list()


def _print_list() -> None:
    rows = [("ID", "DESIGNATION", "MEDIUM", "FIGURES A/B/C", "IN FORCE")]
    for regulation in load_regulations():
        counts = "/".join(confidence_counts(regulation))
        media = ", ".join(regulation.media)
        rows.append((regulation.id, regulation.designation, media, counts, period_in_force(regulation)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        typer.echo("  ".join([*cells, row[-1]]))
    typer.echo(
        "Confidence: A certain, B very likely, C to be confirmed. Show one with: meterproof regulations --show ID"
    )


def _write_pages(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for regulation in load_regulations():
            (folder / f"{regulation.id}.md").write_text(regulation_page(regulation), encoding="utf-8")
        (folder / "README.md").write_text(index_page(load_regulations()), encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"--write {folder}: {error.strerror}; give a folder that can be written") from None
    typer.echo(f"wrote {len(load_regulations()) + 1} pages into {folder}")


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
