"""`meterproof explain FINDING`: what a finding rests on, made again from the store and compared to the last bit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from meterproof.console import err, out, print_json, print_table
from meterproof.embedded.runtime import find_servers
from meterproof.explanation import explanation_data, print_explanation
from meterproof.settings import Settings
from meterproof.version import software_version
from store.database import Connection, connect
from store.errors import StoreError
from store.explaining import FindingRecord, load_finding, load_settings_body, registry_changes_since
from store.times import to_datetime, to_micros
from verifier.explanation import explain_assessment
from verifier.follower import settings_digest
from verifier.kinds import KINDS, FindingKind
from verifier.recompute import differences, recompute, spoiling_then, zone_then
from verifier.settings import VerifierSettings
from verifier.zone_assessor import ZoneAssessor, judged_days

_SHOWN = 20  # differences that are printed


def explain(
    context: typer.Context,
    finding: Annotated[int, typer.Argument(min=1, help="The finding's number, as in the console and /v1/findings.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a finding's evidence and make it again. Exit 0: equal to the bit; 1: it differs, and what; 2: wrong use."""
    settings: Settings = find_servers(context.obj)
    with connect(settings.database) as conn:
        record = load_finding(conn, finding)
        data = _explained(conn, record, settings.verifier)
        conn.rollback()  # nothing is written
    if as_json:
        print_json(data)
    else:
        _print(data)
    if not data["equal"]:
        raise typer.Exit(1)


def _explained(conn: Connection, record: FindingRecord, now: VerifierSettings) -> dict[str, Any]:
    then = _settings_then(conn, record)
    made = recompute(conn, record, then)
    found = differences(record.draft, made)
    draft = record.draft
    data: dict[str, Any] = {
        "finding": record.finding_id,
        "kind": draft.kind,
        "title": KINDS[FindingKind(draft.kind)].title_en,
        "severity": draft.severity,
        "utility": record.utility,
        "meter": record.meter,
        "zone": record.zone,
        "starts_at": to_datetime(draft.starts_us).isoformat(),
        "ends_at": to_datetime(draft.ends_us).isoformat(),
        "superseded_at": record.superseded_at and record.superseded_at.isoformat(),
        "detail": draft.detail,
        "evidence": draft.evidence,
        "provenance": {
            "assessed_at": record.provenance.assessed_at.isoformat(),
            "commit_seq": record.provenance.commit_seq,
            "software_version": record.provenance.software_version,
            "settings_digest": record.provenance.settings_digest,
        },
        "now": {
            "software_version": software_version(),
            "settings_digest": settings_digest(now)[0],
            "registry_changes_since": registry_changes_since(conn, record.provenance.assessed_at),
        },
        "equal": not found,
        "differences": {place: {"stored": old, "made_now": new} for place, (old, new) in found.items()},
    }
    if draft.kind == FindingKind.ERROR_BEYOND_MPE:
        data["balance"] = _balance(conn, record, then)
    return data


def _settings_then(conn: Connection, record: FindingRecord) -> VerifierSettings:
    """The settings that made the finding. Raises StoreError where this software does not know them any more."""
    body = load_settings_body(conn, record.provenance.settings_digest)
    try:
        return VerifierSettings.model_validate(body)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise StoreError(
            f"finding {record.finding_id} was made by software {record.provenance.software_version}, whose settings"
            f" this one ({software_version()}) does not know ({places}); explain it with that version"
        ) from None


def _balance(conn: Connection, record: FindingRecord, settings: VerifierSettings) -> dict[str, Any] | None:
    """The evidence of the last day of an error finding."""
    zone = zone_then(conn, record)
    meter = None if zone is None or record.draft.meter_id is None else zone.meters.get(record.draft.meter_id)
    if zone is None or meter is None:
        return None
    end_us = to_micros(datetime.fromisoformat(record.draft.detail["window_end"]))
    spoiling = spoiling_then(conn, zone, record)
    [given] = ZoneAssessor(settings).inputs(conn, zone, [end_us], spoiling, record.provenance.commit_seq)
    [day] = judged_days(zone, given, settings)
    one = next((one for one in day.assessments if one.meter_id == meter.meter_id), None)
    if one is None:
        return None
    told = explain_assessment(given.members, one, day.report)
    serials = {i: other.serial for i, other in zone.meters.items()}
    return explanation_data(
        zone.zone, meter, one, told, serials, given.members, settings, given.comparisons_at(end_us), spoiling,
        given.tried_at(end_us),
    )  # fmt: skip


def _print(data: Mapping[str, Any]) -> None:
    subject = f"meter {data['meter']}" if data["meter"] else f"zone {data['zone']}"
    out.print(f"finding {data['finding']}: {data['title']}, {subject} of {data['utility']}", style="bold", markup=False)
    out.print(f"{data['severity']}, {data['starts_at']} to {data['ends_at']}", markup=False)
    if data["superseded_at"]:
        out.print(f"not in force since {data['superseded_at']}: later data changed the picture", markup=False)
    flat = [[name, str(value)] for name, value in data["detail"].items() if not isinstance(value, list | dict)]
    if flat:
        print_table("detail", ["figure", "value"], flat)
    if data["evidence"]:
        columns = list(dict.fromkeys(name for part in data["evidence"] for name in part))
        print_table("evidence", columns, [[str(part.get(name, "")) for name in columns] for part in data["evidence"]])
    if data.get("balance"):
        print_explanation(data["balance"])
    then, now = data["provenance"], data["now"]
    out.print(
        f"made {then['assessed_at']} after batch {then['commit_seq']} by meterproof {then['software_version']},"
        f" settings {then['settings_digest']}",
        markup=False,
    )
    if then["settings_digest"] != now["settings_digest"]:
        out.print(
            f"the settings have changed since, to {now['settings_digest']}; those of then were used", markup=False
        )
    if data["equal"]:
        out.print("made again from the store: equal to the bit", style="green")
        return
    for place, pair in list(data["differences"].items())[:_SHOWN]:
        err.print(f"differs: {place}: stored {pair['stored']!r}, now {pair['made_now']!r}", style="red", markup=False)
    if then["software_version"] != now["software_version"]:
        err.print(f"the software is another one now: {now['software_version']}", markup=False)
    if now["registry_changes_since"]:
        err.print(f"the registry was changed {now['registry_changes_since']} times since", markup=False)
