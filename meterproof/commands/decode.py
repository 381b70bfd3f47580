"""`meterproof decode`: show what a payload becomes under a source of the settings, without storing anything."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from gateway.batch import Assembly, assemble
from gateway.decode import Decoded, Message, decode
from gateway.identity import IdentityMap
from gateway.sources import Sources
from meterproof.console import out, print_json, print_table
from meterproof.settings import Settings
from metrology.errors import InvalidInputError
from metrology.quantities import BASE_UNIT, Medium, format_micro
from metrology.status import flag_names

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode_payload(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="File with the payload as it was published; - for standard input.")],
    source: Annotated[str, typer.Option("--source", "-s", help="Name of the source; default: the topic's.")] = "",
    topic: Annotated[str, typer.Option(help="Topic; needed where the source's filter has wildcards.")] = "",
    retained: Annotated[bool, typer.Option(help="As if the broker had retained it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the readings that a payload becomes, and what is wrong with the rest; exit 1 if anything is."""
    settings: Settings = context.obj
    sources = Sources(settings.gateway)
    try:
        message = Message(_topic(sources, source, topic), _read(file), time.time_ns() // 1000, retained=retained)
        decoded = decode(message, sources)
    finally:
        sources.close()
    nobody = IdentityMap(0, {decoded.utility: 1}, {decoded.utility: {}}, np.full(1, -1, dtype=np.int8))
    result = assemble([decoded], nobody, settings.gateway, 0)
    if as_json:
        print_json(describe(decoded, result))
    else:
        _show(decoded, result)
    if result.quarantine:
        raise typer.Exit(1)


def _topic(sources: Sources, source: str, topic: str) -> str:
    """The topic to decode under. Raises InvalidInputError where the source would not get it."""
    if not topic:
        topic = sources.named(source).settings.plain_filter if source else ""
        if not topic or "+" in topic or "#" in topic:
            raise InvalidInputError(f"the topic is not known ({topic or 'no source'}); give it with --topic")
    route = sources.route(topic)
    taken_by = route.source.settings.name if route else None
    if source and taken_by != sources.named(source).settings.name:
        found = f"source {taken_by!r}, which comes first" if taken_by else "no source"
        raise InvalidInputError(f"topic {topic!r} is taken by {found}; give another --topic, or change gateway.sources")
    return topic


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file}: {error.strerror}; name a file with one payload, or -") from None


def describe(decoded: Decoded, result: Assembly) -> dict[str, Any]:
    """What a message comes to, as plain data."""
    return {
        "source": decoded.source,
        "topic": decoded.message.topic,
        "utility": decoded.utility,
        "readings": [
            {
                "meter": row.serial,
                "medium": row.medium,
                "observed_at": _time_text(row.observed_us),
                "register": format_micro(row.register_micro),
                "unit": BASE_UNIT[Medium(row.medium)],
                "status": flag_names(row.status),
            }
            for row in result.pending
        ],
        "skipped": decoded.rows.skipped if decoded.rows else 0,
        "quarantine": [
            {"reason": row.reason, "rows": list(row.rows) if row.rows else None, "detail": row.detail}
            for row in result.quarantine
        ],
    }


def _time_text(observed_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=observed_us)).isoformat().replace("+00:00", "Z")


def _show(decoded: Decoded, result: Assembly) -> None:
    plain = describe(decoded, result)
    title = f"source {plain['source'] or '(none)'}, utility {plain['utility'] or '(none)'}"
    rows = [
        (r["meter"], r["medium"], r["observed_at"], f"{r['register']} {r['unit']}", ", ".join(r["status"]))
        for r in plain["readings"]
    ]
    print_table(title, ("meter", "medium", "observed at", "register", "status"), rows)
    if plain["skipped"]:
        out.print(f"passed over: {plain['skipped']}", markup=False)
    if not rows and not plain["quarantine"] and not plain["skipped"]:
        out.print("the message holds no reading", markup=False)
    for entry in plain["quarantine"]:
        out.print(f"{entry['reason']}: {entry['detail']}", markup=False)
