"""`meterproof priors`: how meters of a type, lot and age err, from all zones' data; applied from a day on if asked."""

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

from meterproof.console import bars, out, print_json
from meterproof.embedded.runtime import find_servers
from meterproof.pools import pool_data, print_pools
from meterproof.settings import Settings
from meterproof.version import software_version
from metrology.errors import InvalidInputError
from store.database import Connection, connect
from store.findings import Provenance, note_settings
from store.meter_priors import apply_priors
from store.progress import system_progress
from store.times import to_micros
from verifier.fleet_priors import LearnedFleet, learn
from verifier.follower import settings_digest
from verifier.settings import VerifierSettings


def priors(
    context: typer.Context,
    apply: Annotated[
        bool, typer.Option("--apply", help="Use them for days from --from on; zones are rechecked.")
    ] = False,
    from_day: Annotated[str, typer.Option("--from", help="First day (UTC), e.g. 2026-07-01; with --apply.")] = "",
    actor: Annotated[
        str | None, typer.Option(help="Who answers for it, in the audit log; the account's name otherwise.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how meters err by type, lot and age, learned from all zones at their last day. Takes seconds a zone."""
    from_at = _from_at(from_day, apply=apply)
    settings: Settings = find_servers(context.obj)
    with connect(settings.database) as conn:
        seq = system_progress(conn).verified_seq
        fleets = _learned(conn, settings.verifier, seq)
        conn.rollback()
        applied = None if from_at is None else _apply(conn, fleets, from_at, actor, settings.verifier, seq)
    pools = [pool_data(one.medium, one.fleet) for one in fleets]
    if as_json:
        print_json({"commit_seq": seq, "pools": pools, "applied": applied})
        return
    if not fleets:
        out.print("no zone has been assessed", markup=False)
    print_pools(pools)
    if applied is not None:
        out.print(
            f"applied from {applied['from']} on: {applied['meters']} meters; {applied['zones']} zones are assessed"
            " again with the next batch",
            markup=False,
        )


def _from_at(day: str, *, apply: bool) -> datetime | None:
    if apply != bool(day):
        raise InvalidInputError("--apply and --from go together: name the first day that the priors are for")
    if not day:
        return None
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInputError(f"--from {day!r} is no day; write it as 2026-07-01") from None


def _learned(conn: Connection, settings: VerifierSettings, seq: int) -> list[LearnedFleet]:
    with bars() as shown:
        task = shown.add_task("zones", total=None)
        return learn(conn, settings, seq, lambda done, of: shown.update(task, completed=done, total=of))


def _apply(
    conn: Connection,
    fleets: list[LearnedFleet],
    from_at: datetime,
    actor: str | None,
    settings: VerifierSettings,
    seq: int,
) -> dict[str, str | int]:
    rows = [row for one in fleets for row in one.priors(to_micros(from_at))]
    if not rows:
        raise InvalidInputError("nothing to apply: no type has enough meters in enough zones (see the table)")
    digest, body = settings_digest(settings)
    with conn.transaction():
        note_settings(conn, digest, body)
        provenance = Provenance(datetime.now(UTC), seq, software_version(), digest)
        zones = apply_priors(conn, rows, from_at, actor or getpass.getuser(), provenance)
    return {"from": from_at.date().isoformat(), "meters": len(rows), "zones": zones}
