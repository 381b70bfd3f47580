"""A zone's last day written into the seeded city: meters of every state, a report with remedies, a shut gate."""

from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from seeded_city import SETTINGS_DIGEST, START, City

END = START + timedelta(days=29)
PARTS = {"meters": 0.3, "noise": 0.2, "gains": 0.1, "left_out": 0.05, "rhythm": 0.0001}
_SINCE_US = int((START + timedelta(days=20)).timestamp() * 1e6)
SHUT = [
    {"code": "unmetered_load", "text": "t", "data": {"size": 0.4, "share_pct": 2.5, "since_us": _SINCE_US}},
    {"code": "zone_refused", "text": "t",
     "data": {"rule": "zone_monthly_loss_pct_max", "limit": 10.0, "found": 12.345}},
]  # fmt: skip


def write_day(conn: psycopg.Connection[Any], city: City, gate: list[dict[str, Any]] | None = None) -> None:
    """Assesses the four meters of TG-0417 at `END`: within, beyond, without a limit, without an estimate."""
    zone_id, meters = city.zones["TG-0417"], city.meters
    figures = {"error_pct": -3.4, "std_pct": 0.38, "mpe_pct": 2.0}
    rows = [
        ("E-10021", 0.31, 0.28, 2.0, 0.0, "conforming", [], True, None),
        ("E-10024", -3.4, 0.38, 2.0, 0.9999, "nonconforming",
         [{"code": "outside_limits", "text": "t", "data": figures}], True, START + timedelta(days=14)),
        ("E-10022", 0.9, 1.6, None, None, "withheld", [{"code": "no_limit", "text": "t", "data": {}}], False, None),
        ("E-10023", None, None, 2.0, None, "withheld",
         [{"code": "member_at_fault", "text": "t",
           "data": {"meter_id": meters["E-10021"], "findings": ["gap", "reference expired: C-9"]}}], False, None),
    ]  # fmt: skip
    conn.execute("delete from assessment where zone_id = %s", (zone_id,))
    for serial, error, std, mpe, p, outcome, reasons, decidable, change_at in rows:
        conn.execute(
            """insert into assessment (zone_id, meter_id, window_start, window_end, error_pct, std_pct, mpe_pct,
                    p_nonconforming, outcome, reasons, decidable, change_at, contributions_pct, assessed_at, commit_seq,
                    software_version, settings_digest)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now(), 1, '0.1.0', %s)""",
            (zone_id, meters[serial], START, END, error, std, mpe, p, outcome, Jsonb(reasons), decidable, change_at,
             Jsonb(PARTS if std is not None else {}), SETTINGS_DIGEST),
        )  # fmt: skip
    remedies = [
        {"code": "site_test", "text": "t", "newly_decidable": 2, "std_fall_pct": 0.1,
         "data": {"meter_id": meters["E-10022"]}},
        {"code": "more_days", "text": "t", "newly_decidable": 0, "std_fall_pct": 0.05, "data": {"days": 30}},
    ]  # fmt: skip
    conn.execute(
        """update zone_report set decidable = 2, remedies = %s, reasons = %s, unmetered = %s, unmetered_since = %s
           where zone_id = %s and window_end = %s""",
        (Jsonb(remedies), Jsonb(gate or []), 0.4 if gate else None, START + timedelta(days=20) if gate else None,
         zone_id, END),
    )  # fmt: skip
    conn.commit()
