"""A small city written straight into the database: meters with a month of hourly readings, findings and alerts."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

START = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = 30 * 24
MICRO = 1_000_000
SETTINGS_DIGEST = "0" * 64


@dataclass
class City:
    """What was written: identities by serial, alerts by kind, and registers [millionths] by serial, one an hour."""

    meters: dict[str, int] = field(default_factory=dict)
    zones: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    registers: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class MeterSeed:
    """One meter: identity, place, kind, and its mean rate [kW or m3/h]."""

    utility: str
    medium: str
    zone: str
    serial: str
    point: str
    mean_rate: float
    validity_until: date
    accuracy_class: str
    model: str


_E, _W = ("dazhou-power", "electricity", "TG-0417"), ("dazhou-water", "water", "DMA-03")
_G = ("dazhou-gas", "gas", "GZ-11")
METERS = (
    MeterSeed(*_E, "E-10021", "通川区 朝阳东路 12 号", 0.42, date(2031, 5, 31), "B", "DDZY-9"),
    MeterSeed(*_E, "E-10022", "通川区 朝阳东路 14 号", 0.61, date(2031, 5, 31), "B", "DDZY-9"),
    MeterSeed(*_E, "E-10023", "通川区 朝阳东路 16 号", 0.35, date(2026, 2, 28), "B", "DDZY-9"),
    MeterSeed(*_E, "E-10024", "通川区 朝阳东路 18 号", 1.10, date(2031, 5, 31), "B", "DTZY-3"),
    MeterSeed(*_W, "0045-7781", "达川区 南国路 5 号", 0.021, date(2030, 1, 31), "2", "LXS-20"),
    MeterSeed(*_W, "0045-7782", "达川区 南国路 7 号", 0.034, date(2030, 1, 31), "2", "LXS-20"),
    MeterSeed(*_W, "0045-7783", "达川区 南国路 9 号", 0.027, date(2025, 12, 31), "2", "LXS-20"),
    MeterSeed(*_G, "G-220915", "通川区 西外镇 3 栋 2 单元", 0.08, date(2034, 8, 31), "1.5", "G2.5"),
)
ZONES = {
    "TG-0417": ("dazhou-power", "electricity"),
    "DMA-03": ("dazhou-water", "water"),
    "GZ-11": ("dazhou-gas", "gas"),
}


def hour(number: int) -> datetime:
    """The time of a reading."""
    return START + timedelta(hours=number)


def seed_city(conn: psycopg.Connection[Any]) -> City:
    """Fills an empty, migrated database."""
    city = City()
    rng = np.random.default_rng(417)
    _registry(conn, city)
    conn.execute(
        "insert into settings_snapshot (digest, body) values (%s, %s)", (SETTINGS_DIGEST, Jsonb({"gap_s": 7200}))
    )
    for meter in METERS:
        city.registers[meter.serial] = _registers(rng, meter)
    _disturb(city)
    _write_readings(conn, city)
    _raise_alerts(conn, city)
    _assess(conn, city, rng)
    conn.execute(
        "insert into follower_cursor (follower, commit_seq) select 'verifier', commit_seq - 1 from batch_counter"
    )
    conn.commit()
    return city


def _registry(conn: psycopg.Connection[Any], city: City) -> None:
    utilities = {}
    for code in ("dazhou-power", "dazhou-water", "dazhou-gas"):
        utilities[code] = _one(conn, "insert into utility (code) values (%s) returning utility_id", code)
    for code, (utility, medium) in ZONES.items():
        city.zones[code] = _one(
            conn,
            "insert into zone (utility_id, code, medium) values (%s, %s, %s) returning zone_id",
            utilities[utility], code, medium,
        )  # fmt: skip
    for meter in METERS:
        utility_id = utilities[meter.utility]
        point = _one(
            conn,
            "insert into service_point (utility_id, code) values (%s, %s) returning service_point_id",
            utility_id, meter.point,
        )  # fmt: skip
        conn.execute(
            "insert into zone_membership (zone_id, service_point_id) values (%s, %s)", (city.zones[meter.zone], point)
        )
        meter_id = _one(
            conn,
            """insert into meter (utility_id, serial, medium, unit, resolution_micro, accuracy_class, manufacturer,
                                  model, lot, validity_until, mpe_pct)
               values (%s, %s, %s, %s, 10000, %s, '川达仪表', %s, 'L2023-08', %s, 2.0) returning meter_id""",
            utility_id, meter.serial, meter.medium, "kWh" if meter.medium == "electricity" else "m3",
            meter.accuracy_class, meter.model, meter.validity_until,
        )  # fmt: skip
        conn.execute(
            """insert into installation (meter_id, service_point_id, role, during, start_register_micro)
               values (%s, %s, 'customer', tstzrange(%s, null), 0)""",
            (meter_id, point, START - timedelta(days=900)),
        )
        city.meters[meter.serial] = meter_id


def _registers(rng: np.random.Generator, meter: MeterSeed) -> list[int]:
    of_day = np.arange(HOURS) % 24
    shape = 0.45 + 0.9 * np.exp(-((of_day - 12.0) ** 2) / 18.0) + 1.1 * np.exp(-((of_day - 4.0) ** 2) / 5.0)
    rates = meter.mean_rate * shape * rng.lognormal(0.0, 0.35, HOURS)
    total = 1000 * meter.mean_rate * 8 + np.cumsum(rates)
    return [round(value * 1000) * 1000 for value in total]


def _disturb(city: City) -> None:
    backward, stopped, glitch = (city.registers[s] for s in ("0045-7781", "0045-7782", "E-10022"))
    for i in range(400, HOURS):
        backward[i] -= 3_420_000
    for i in range(380, HOURS):
        stopped[i] = stopped[379]
    for i in (500, 501):
        glitch[i] = 718_000
    fast = city.registers["G-220915"]
    for i in range(610, HOURS):
        fast[i] += 96_500_000


def _write_readings(conn: psycopg.Connection[Any], city: City) -> None:
    for day in range(HOURS // 24):
        rows = [
            (hour(i), registers[i], city.meters[serial], i % 24)
            for i in range(day * 24, day * 24 + 24)
            for serial, registers in city.registers.items()
        ]
        batch_id = insert_batch(conn, len(rows), hour(day * 24 + 24))
        with conn.cursor().copy(
            "copy reading (observed_at, register_micro, batch_id, meter_id, status, message_no) from stdin"
        ) as copy:
            for observed_at, register, meter_id, message in rows:
                copy.write_row((observed_at, register, batch_id, meter_id, 0, message))
    conn.execute(
        """insert into reading_conflict (observed_at, register_micro, batch_id, meter_id, status, message_no)
           values (%s, %s, 1, %s, 1, 3)""",
        (hour(100), city.registers["E-10021"][100] + 15_250_000, city.meters["E-10021"]),
    )
    conn.execute(
        """insert into quarantine (message_digest, reason, detail, topic, payload, batch_id, received_at)
           values ('\\x00', 'not_decodable', 'byte 0: no JSON', 'mp/v1/x/y/readings', '\\x00', 1, now())"""
    )
    conn.execute(
        """insert into pending_reading
           select utility_id, 'E-99999', 'electricity', %s, 5, 0, 1, 0 from utility limit 1""",
        (START,),
    )


def insert_batch(conn: psycopg.Connection[Any], stored: int, received_at: datetime) -> int:
    """One committed batch."""
    seq = _one(conn, "update batch_counter set commit_seq = commit_seq + 1 returning commit_seq")
    return _one(
        conn,
        """insert into batch (commit_seq, gateway, received_at, messages, readings_in, stored, duplicates, conflicting,
                              pending, rejected, message_digests)
           values (%s, 'gw', %s, 1, %s, %s, 0, 0, 0, 0, %s) returning batch_id""",
        seq, received_at, stored, stored, b"\0" * 16,
    )  # fmt: skip


def evidence(city: City, serial: str, *rows: tuple[str, int]) -> list[dict[str, Any]]:
    """Readings of a meter as the verifier writes them down."""
    return [
        {
            "part": part,
            "observed_at": hour(i).isoformat().replace("+00:00", "Z"),
            "register_micro": city.registers[serial][i],
            "batch_id": i // 24 + 1,
            "message_no": i % 24,
        }
        for part, i in rows
    ]


def add_finding(
    conn: psycopg.Connection[Any], kind: str, severity: str, subject: tuple[int | None, int | None],
    span: tuple[datetime, datetime], detail: dict[str, Any], evidence: list[dict[str, Any]],
) -> int:  # fmt: skip
    """One finding in force of (meter_id, zone_id)."""
    return _one(
        conn,
        """insert into finding (kind, severity, utility_id, meter_id, zone_id, starts_at, ends_at, detail, evidence,
                                assessed_at, commit_seq, software_version, settings_digest)
           select %s, %s, coalesce((select utility_id from meter where meter_id = %s),
                                   (select utility_id from zone where zone_id = %s)),
                  %s, %s, %s, %s, %s, %s, %s, 1, '0.1.0', %s returning finding_id""",
        kind, severity, subject[0], subject[1], subject[0], subject[1], span[0], span[1], Jsonb(detail),
        Jsonb(evidence), span[1] + timedelta(minutes=3), SETTINGS_DIGEST,
    )  # fmt: skip


def add_alert(
    conn: psycopg.Connection[Any], kind: str, severity: str, subject: tuple[int | None, int | None],
    span: tuple[datetime, datetime], finding_id: int,
) -> int:  # fmt: skip
    """One open alert with the event that raised it."""
    alert_id = _one(
        conn,
        """insert into alert (kind, severity, utility_id, meter_id, zone_id, opened_at, starts_at, last_at,
                              latest_finding_id)
           select kind, %s, utility_id, meter_id, zone_id, %s, %s, %s, finding_id from finding where finding_id = %s
           returning alert_id""",
        severity, span[1] + timedelta(minutes=3), span[0], span[1], finding_id,
    )  # fmt: skip
    conn.execute(
        "insert into alert_event (alert_id, at, actor, action) values (%s, %s, 'verifier', 'raised')",
        (alert_id, span[1] + timedelta(minutes=3)),
    )
    return alert_id


def _raise_alerts(conn: psycopg.Connection[Any], city: City) -> None:
    def meter_alert(kind: str, severity: str, serial: str, rows: list[tuple[str, int]], detail: dict[str, Any]) -> None:
        span = (hour(rows[0][1]), hour(rows[-1][1])) if rows else (hour(24), hour(719))
        subject = (city.meters[serial], None)
        readings = evidence(city, serial, *rows)
        city.findings[kind] = add_finding(conn, kind, severity, subject, span, detail, readings)
        city.alerts[kind] = add_alert(conn, kind, severity, subject, span, city.findings[kind])

    def step(serial: str, i: int) -> int:
        return city.registers[serial][i] - city.registers[serial][i - 1]

    meter_alert("backward_step", "warning", "0045-7781", [("before", 399), ("after", 400)],
                {"step_micro": step("0045-7781", 400), "counted": True, "rate_m3ph": -3.39,
                 "max_rate_m3ph": 20.0})  # fmt: skip
    meter_alert(
        "stopped", "warning", "0045-7782", [("start", 379), ("told", 715)], {"ongoing": True, "lasted_s": 336 * 3600.0}
    )
    meter_alert("transient_glitch", "warning", "E-10022",
                [("before", 499), ("foreign", 500), ("foreign", 501), ("after", 502)],
                {"largest_step_micro": step("E-10022", 500), "returned_after_s": 7200.0, "foreign_readings": 2,
                 "net_micro": city.registers["E-10022"][502] - city.registers["E-10022"][499]})  # fmt: skip
    meter_alert("implausible_rate", "warning", "G-220915", [("before", 609), ("after", 610)],
                {"step_micro": step("G-220915", 610), "counted": False, "rate_m3ph": 96.6, "max_rate_m3ph": 40.0,
                 "may_be_unregistered_exchange": True})  # fmt: skip
    meter_alert("error_beyond_mpe", "alarm", "E-10024", [],
                {"error_pct": -3.42, "std_pct": 0.38, "mpe_pct": 2.0, "p_nonconforming": 0.99991})  # fmt: skip
    told = [{"code": "zone_not_understood", "text": "the balance leaves too much unexplained", "data": {}}]
    detail = {"window_start": hour(480).isoformat(), "window_end": hour(719).isoformat(), "reasons": told}
    span, subject = (hour(480), hour(719)), (None, city.zones["DMA-03"])
    finding = add_finding(conn, "zone_imbalance", "warning", subject, span, detail, [])
    city.findings["zone_imbalance"] = finding
    city.alerts["zone_imbalance"] = add_alert(conn, "zone_imbalance", "warning", subject, span, finding)


def _assess(conn: psycopg.Connection[Any], city: City, rng: np.random.Generator) -> None:
    for day in range(3, 30):
        error = -0.4 - 3.0 / (1 + np.exp(-(day - 14) / 2.5)) + rng.normal(0, 0.1)
        std = 0.25 + 1.6 / day
        outcome = "nonconforming" if error < -2.9 else "inconclusive" if error < -1.2 else "conforming"
        conn.execute(
            """insert into assessment (zone_id, meter_id, window_start, window_end, error_pct, std_pct, mpe_pct,
                    p_nonconforming, outcome, assessed_at, commit_seq, software_version, settings_digest)
               values (%s, %s, %s, %s, %s, %s, 2.0, %s, %s, now(), 1, '0.1.0', %s)""",
            (city.zones["TG-0417"], city.meters["E-10024"], START, START + timedelta(days=day), float(error), std,
             float(min(1.0, max(0.0, (-error - 1) / 2.2))), outcome, SETTINGS_DIGEST),
        )  # fmt: skip

    reasons = [{"code": "unmetered_load", "text": "a load runs past the meters", "data": {"share_pct": 2.5}}]
    remedies = [{"code": "network", "text": "a plan", "newly_decidable": 2, "std_fall_pct": 0.1, "data": {}}]
    for day, told in ((28, []), (29, reasons)):
        conn.execute(
            """insert into zone_report (zone_id, window_end, groups, collected_pct, loss_pct, noise_share_pct,
                    unmetered, decidable, remedies, reasons, assessed_at, commit_seq, software_version, settings_digest)
               values (%s, %s, 672, 99.5, 2.1, 0.3, 0.4, 7, %s, %s, now(), 1, '0.1.0', %s)""",
            (city.zones["TG-0417"], START + timedelta(days=day), Jsonb(remedies), Jsonb(told), SETTINGS_DIGEST),
        )


def register_text(register_micro: int) -> str:
    """The exact decimal text, worked out by other means than the interface's."""
    text = format(Decimal(register_micro) / Decimal(MICRO), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _one(conn: psycopg.Connection[Any], query: str, *params: object) -> Any:
    row = conn.execute(query, params).fetchone()
    assert row is not None
    return row[0]
