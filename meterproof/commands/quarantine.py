"""`meterproof quarantine`: look at what could not become readings, try it again, or answer for leaving it."""

import getpass
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.decode import decode
from gateway.reasons import ADVICE, Reason
from gateway.retry import QuarantineRetry, RetrySummary
from gateway.sources import Sources
from meterproof.console import out, print_json, print_table
from meterproof.embedded.runtime import find_servers
from meterproof.payload_text import hex_dump, payload_text, printable
from meterproof.settings import Settings
from metrology.errors import InvalidInputError
from store.database import connect, open_pool
from store.quarantine import QuarantineEntry
from store.quarantine_closing import discard_entries, lock_quarantine
from store.quarantine_listing import (
    QuarantineFilter,
    ReasonCount,
    count_by_reason,
    entry_history,
    find_entry,
    list_quarantine,
)

app = typer.Typer(help="What could not become readings: list it, show one, try again, or discard with a reason.")
_COUNTED_MAX = 1_000_000
_SHOWN_BYTES = 4096
_STATES = ("open", "released", "discarded")

ReasonCode = Annotated[str | None, typer.Option("--reason", "-r", help="Code of a reason, as `list` shows it.")]
Utility = Annotated[str | None, typer.Option("--utility", "-u", help="Code of the utility that the topic names.")]
Topic = Annotated[str | None, typer.Option("--topic", "-t", help="MQTT topic filter, e.g. mp/v1/+/gw-7/#.")]
Actor = Annotated[str | None, typer.Option(help="Who answers for it, in the audit log; the account's name otherwise.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Ids = Annotated[list[int], typer.Argument(help="Numbers of entries, as `list` shows them.", min=1)]


@app.command("list")
def list_entries(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="open, released, discarded or all.")] = "open",
    reason: ReasonCode = None,
    utility: Utility = None,
    topic: Topic = None,
    since: Annotated[str | None, typer.Option(help="Received at or after, e.g. 2026-01-31T08:00:00Z.")] = None,
    before: Annotated[int | None, typer.Option(help="Entries with smaller numbers only: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Entries at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Entries, the newest first, below the counts by reason of all that match."""
    if state not in (*_STATES, "all"):
        raise InvalidInputError(f"--state {state!r} is unknown; use one of {', '.join(_STATES)} or all")
    wanted = QuarantineFilter(
        state=None if state == "all" else state,  # type: ignore[arg-type]  # checked above
        reason=_known_reason(reason),
        utility=utility,
        topic=topic,
        since=_instant(since),
    )
    with connect(find_servers(context.obj).database) as conn:
        counts = count_by_reason(conn, wanted, _COUNTED_MAX)
        entries = list_quarantine(conn, wanted, before, limit)
    if as_json:
        print_json({"reasons": [_count_json(count) for count in counts], "entries": list(map(_entry_json, entries))})
        return
    if not entries:
        out.print("no entry matches")
        return
    rows: list[list[Any]] = [[count.reason, count.entries, advice_of(count.reason)[1]] for count in counts]
    print_table("by reason", ["reason", "entries", "remedy"], rows)
    for entry in entries:
        head = (entry.quarantine_id, _time(entry.received_at), entry.state, entry.reason, printable(entry.topic))
        out.print(*head, markup=False)
        out.print(f"    {printable(entry.detail)}", markup=False)
    if len(entries) == limit:
        out.print(f"more: --before {entries[-1].quarantine_id}")


@app.command("show")
def show_entry(
    context: typer.Context,
    entry: Annotated[int, typer.Argument(help="Number of the entry, as `list` shows it.", min=1)],
    as_hex: Annotated[bool, typer.Option("--hex", help="The payload in hexadecimal even if it is text.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help=f"The whole payload, not its first {_SHOWN_BYTES} bytes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """One entry: the reason with its remedy, the rows concerned, its history, and the payload as it came."""
    with connect(find_servers(context.obj).database) as conn:
        held, payload = find_entry(conn, entry)
        history = entry_history(conn, entry)
    if as_json:
        print_json({**_entry_json(held), "payload_hex": payload.hex(), "history": history})
        return
    title, remedy = advice_of(held.reason)
    lines = {
        "state": held.state,
        "reason": f"{held.reason}: {title}",
        "remedy": remedy,
        "detail": printable(held.detail),
        "rows": "the whole message" if held.rows is None else ", ".join(map(str, held.rows)),
        "topic": printable(held.topic),
        "received": f"{_time(held.received_at)}, {held.deliveries} deliveries, batch {held.batch_id}",
        "digest": held.message_digest.hex(),
    }
    out.print(f"entry {entry}", markup=False)
    for name, value in lines.items():
        out.print(f"  {name:9} {value}", markup=False)
    for event in history:
        out.print(f"  {_time(event['at'])} {event['action']} by {event['actor']}: {event['detail']}", markup=False)
    part = payload if full else payload[:_SHOWN_BYTES]
    text = None if as_hex else payload_text(part)
    out.print(f"payload, {len(payload)} bytes:", markup=False)
    out.print(hex_dump(part) if text is None else text, markup=False)
    if len(part) < len(payload):
        out.print(f"… {len(payload) - len(part)} bytes more: --full", markup=False)


@app.command("retry")
def retry_entries(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(help="Numbers of entries; or choose by the options.")] = None,
    reason: ReasonCode = None,
    utility: Utility = None,
    topic: Topic = None,
    all_open: Annotated[bool, typer.Option("--all", help="Every open entry.")] = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Decode messages again with the present settings and registry; what is good now is stored, exactly once.

    A message is tried as a whole, with all of its open entries. Safe to interrupt and to run again.
    """
    if not (ids or reason or utility or topic or all_open):
        raise InvalidInputError("nothing is chosen; name entries, --reason, --utility or --topic, or say --all")
    settings: Settings = find_servers(context.obj)
    wanted = QuarantineFilter(
        reason=_known_reason(reason), utility=utility, topic=topic, ids=tuple(ids) if ids else None
    )
    with connect(settings.database) as conn, open_pool(settings.database) as pool:
        if ids:
            _check_open(find_entry(conn, number)[0] for number in ids)
        with closing(Sources(settings.gateway)) as sources:
            retry = QuarantineRetry(
                settings.gateway, pool, lambda message: decode(message, sources), actor or getpass.getuser()
            )
            summary = retry.run(conn, wanted)
    _print_retry(summary, as_json)


@app.command("discard")
def discard(
    context: typer.Context,
    ids: Ids,
    reason: Annotated[str, typer.Option("--reason", help="Why nothing is lost by this; kept in the audit log.")],
    actor: Actor = None,
) -> None:
    """Close entries for good, all or none; they stay as evidence."""
    with connect(find_servers(context.obj).database) as conn:
        lock_quarantine(conn)
        discard_entries(conn, ids, actor or getpass.getuser(), reason)
        conn.commit()
    out.print(f"{len(set(ids))} discarded", markup=False)


def advice_of(reason: str) -> tuple[str, str]:
    """Title and remedy of a reason; of one that this version doesn't know, its code."""
    if reason not in set(Reason):
        return reason, "see the detail; another version of the gateway gave this reason"
    advice = ADVICE[Reason(reason)]
    return advice.title, advice.remedy


def _check_open(entries: Any) -> None:
    for entry in entries:
        if entry.state != "open":
            raise InvalidInputError(
                f"quarantine entry {entry.quarantine_id} is {entry.state}; only open ones can be tried"
            )


def _known_reason(code: str | None) -> str | None:
    if code is not None and code not in set(Reason):
        raise InvalidInputError(f"--reason {code!r} is unknown; use one of {', '.join(sorted(Reason))}")
    return code


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(f"--since {text!r} is no time; write e.g. 2026-01-31T08:00:00Z") from None
    if moment.tzinfo is None:
        raise InvalidInputError(f"--since {text!r} has no offset; write e.g. {text}Z or {text}+08:00")
    return moment


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _count_json(count: ReasonCount) -> dict[str, Any]:
    title, remedy = advice_of(count.reason)
    return {**asdict(count), "title": title, "remedy": remedy}


def _entry_json(entry: QuarantineEntry) -> dict[str, Any]:
    title, remedy = advice_of(entry.reason)
    return {**asdict(entry), "message_digest": entry.message_digest.hex(), "title": title, "remedy": remedy}


def _print_retry(summary: RetrySummary, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(summary), "released": summary.released})
        return
    for entry in summary.entries:
        if not entry.released:
            out.print(
                f"entry {entry.quarantine_id} stays open: {entry.reason}: {printable(entry.detail)}", markup=False
            )
    figures = ", ".join(f"{count:,} {result}" for result, count in summary.readings.items() if count) or "none"
    out.print(
        f"{summary.messages:,} messages tried, {summary.released:,} entries released, "
        f"{len(summary.entries) - summary.released:,} stay open; readings: {figures}",
        markup=False,
    )
