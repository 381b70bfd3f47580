"""`meterproof score`: the alerts in the database against a simulated city's truth ledger."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from meterproof.console import print_figures, print_json, print_table
from meterproof.embedded.runtime import find_servers
from simulators.score import Score
from simulators.score import score as score_alerts
from simulators.truth import TruthLedger, read_ledger
from store.database import Connection, connect
from store.progress import alerts_for_scoring


def score(
    context: typer.Context,
    truth: Annotated[Path, typer.Argument(help="Truth ledger, written by `meterproof simulate --truth`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what was found, missed, and raised for nothing."""
    ledger = read_ledger(truth)
    with connect(find_servers(context.obj).database) as conn:
        result = score_against(conn, ledger)
    if as_json:
        print_json(result.as_dict())
    else:
        print_score(result)


def score_against(conn: Connection, truth: TruthLedger) -> Score:
    """The score of all alerts of the ledger's utility."""
    alerts = alerts_for_scoring(conn, truth.utility)
    told: dict[tuple[str, str], datetime] = {}
    for alert in alerts:
        key = (alert["kind"], alert["meter"] or "")
        if alert["told_at"] is not None:
            told[key] = min(alert["told_at"], told.get(key, alert["told_at"]))
    return score_alerts(alerts, truth, detected_at=told)


def print_score(result: Score) -> None:
    """The score as tables."""
    rows: list[list[Any]] = [
        [kind, one.expected, one.hits, "–" if one.median_delay_h is None else f"{one.median_delay_h / 24:.1f}"]
        for kind, one in result.by_fault.items()
    ]
    print_table("faults against alerts", ["fault", "expected", "found", "median delay [d]"], rows)
    figures = {
        "alerts": result.alerts,
        "right": result.right,
        "harmless": result.harmless,
        "false alarms": len(result.false_alarms),
        "expected": result.expected,
        "found": result.hits,
    }
    print_figures("alerts against truth", figures)
    for alert in result.false_alarms:
        print_table("false alarm", ["kind", "meter or zone"], [[alert.kind, alert.meter or alert.zone]])
    missed = [[miss.kind, miss.meter, f"{miss.error_pct:+.1f}", f"{miss.mpe_pct:.1f}"] for miss in result.misses]
    if missed:
        print_table("missed", ["fault", "meter", "error now [%]", "limit [%]"], missed)
