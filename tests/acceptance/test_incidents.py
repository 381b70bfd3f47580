"""Register sequences that were really reported, sent over MQTT into the started system: findings and totals.

One utility sends them as they happened; another sends the same messages in another order, and some of them twice.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from running_system import System

START = datetime(2026, 1, 1, tzinfo=UTC)
UTILITIES = ("ordered", "shuffled")
COLUMNS = ("meter", "medium", "unit", "resolution", "service_point", "rolls_over_at", "installed_on", "start_register",
           "previous_end_register")  # fmt: skip
Finding = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Incident:
    """A meter, its readings (hours since START, register as sent), and what must be concluded of them."""

    serial: str
    readings: Sequence[tuple[float, float | str | None]]
    total: float  # kWh or m3
    findings: Sequence[Finding] = ()
    medium: str = "electricity"
    unit: str = "kWh"
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def registry_row(self) -> dict[str, str]:
        row = {"meter": self.serial, "medium": self.medium, "unit": self.unit, "resolution": "0.001"}
        return {"service_point": f"at {self.serial}"} | row | self.columns


def hourly(start_hour: float, registers: Sequence[float]) -> list[tuple[float, float]]:
    return [(start_hour + hour, register) for hour, register in enumerate(registers)]


INCIDENTS = (
    # 3.737, unavailable, 0.000, 3.746 within 3.4 s
    Incident(
        "glitch-of-seconds",
        [(0, 3.7), (1, 3.737), (1 + 1.2 / 3600, "unavailable"), (1 + 2 / 3600, 0.0), (1 + 3.4 / 3600, 3.746),
         *hourly(2, [3.8 + 0.1 * k for k in range(8)])],
        total=0.8,
        findings=[("transient_glitch", "info", {"largest_step_micro": -3_737_000, "foreign_readings": 1})],
    ),
    # 439534 Wh, then 718 Wh: the sender was restarted and counts anew. What passed in between is not known.
    Incident(
        "restart",
        [*hourly(0, [438_900, 439_534]), *hourly(2, [718 + 400 * k for k in range(10)])],
        total=0.634 + 3.6,
        findings=[("reset", "warning", {"step_micro": -438_816_000, "counted": False,
                                        "may_be_unregistered_exchange": True})],
        unit="Wh",
        columns={"resolution": "1"},
    ),
    # a register of 23 bits counting tenths of a watt-hour
    Incident(
        "rollover",
        [*hourly(0, ["838560.7", "838860.7"]), *hourly(2, [f"{59.9 + 100 * k:.1f}" for k in range(8)])],
        total=0.3 + 0.06 + 0.7,
        findings=[("rollover", "info", {"wrapped_step_micro": 60_000})],
        unit="Wh",
        columns={"resolution": "0.1", "rolls_over_at": "838860.8"},
    ),
    # another meter under the old one's number, which starts small but not at zero
    Incident(
        "silent-exchange",
        [*hourly(0, [61.2, 61.3]), *hourly(2, [3.1 + 0.01 * k for k in range(10)])],
        total=0.1 + 0.09,
        findings=[("reset", "warning", {"may_be_unregistered_exchange": True, "counted": False})],
        medium="water",
        unit="m3",
    ),
    # the same exchange as it should be: registered, with the registers of both meters
    Incident(
        "old-meter", hourly(0, [61.2, 61.3]), total=0.1, medium="water", unit="m3",
        columns={"service_point": "house", "installed_on": "2020-01-01"},
    ),
    Incident(
        "new-meter",
        hourly(2, [3.1 + 0.01 * k for k in range(10)]),
        total=0.05 + 0.09,
        findings=[("meter_exchange", "info", {"predecessor_serial": "old-meter",
                                              "predecessor_end_register_micro": 61_310_000,
                                              "start_register_micro": 3_050_000})],
        medium="water",
        unit="m3",
        columns={"service_point": "house", "installed_on": "2026-01-01T01:30:00", "start_register": "3.05",
                 "previous_end_register": "61.31"},
    ),
    # a transient 0 that made a slot of 53.7 MWh
    Incident(
        "megawatt-hours",
        hourly(0, [53_700.0, 53_700.4, 0.0, *[53_701.2 + 0.4 * k for k in range(8)]]),
        total=4.0,
        findings=[("transient_glitch", "warning", {"largest_step_micro": -53_700_400_000})],
    ),
    # accumulated registers repeated across clock hours
    Incident("repeated", hourly(0, [1.0, 1.4, 1.4, 1.4, 1.9, 1.9, 2.2, 2.2, 2.2]), total=1.2),
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """A message of one reading of one meter."""

    utility: str
    incident: Incident
    reading_no: int

    def publish(self, client: paho.Client) -> None:
        hours, register = self.incident.readings[self.reading_no]
        payload = {
            "v": 1,
            "id": f"{self.incident.serial}-{self.reading_no}",
            "medium": self.incident.medium,
            "unit": self.incident.unit,
            "observed_at": (START + timedelta(hours=hours)).isoformat(),
            "meter": self.incident.serial,
            "register": register,
        }
        published = client.publish(f"mp/v1/{self.utility}/gw/readings", json.dumps(payload), qos=1)
        published.wait_for_publish(20)
        assert published.is_published()


def messages_of(utility: str) -> Iterator[Message]:
    for incident in INCIDENTS:
        for reading_no in range(len(incident.readings)):
            yield Message(utility, incident, reading_no)


def register(system: System, utility: str) -> None:
    lines = [",".join(COLUMNS)]
    lines += [",".join(incident.registry_row.get(column, "") for column in COLUMNS) for incident in INCIDENTS]
    file = system.folder / "meters.csv"
    file.write_text("\n".join(lines) + "\n")
    assert system.run_json("import", "meters", file, "--utility", utility)["added"] == len(INCIDENTS)


def replay(system: System) -> int:
    """Publishes all messages for both utilities; how many."""
    ordered, shuffled = (list(messages_of(utility)) for utility in UTILITIES)
    rng = random.Random(20260101)
    shuffled += rng.sample(shuffled, 20)
    rng.shuffle(shuffled)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="incidents")
    client.connect("127.0.0.1", system.broker.port)
    client.loop_start()
    for message in ordered + shuffled:
        message.publish(client)
    client.disconnect()
    client.loop_stop()
    return len(ordered) + len(shuffled)


@pytest.fixture
def verified(system: System) -> System:
    """The system when it has taken in and verified every message."""
    for utility in UTILITIES:
        register(system, utility)
    published = replay(system)
    system.wait_until(f"select coalesce(sum(messages), 0) >= {published} from batch")
    system.wait_until(
        "select (select commit_seq from batch_counter) = (select commit_seq from follower_cursor"
        " where follower = 'verifier')"
    )
    return system


def findings(system: System, utility: str, serial: str) -> list[Finding]:
    return [
        (kind, severity, detail)
        for kind, severity, detail in system.query(
            "select f.kind, f.severity, f.detail from finding f join meter m using (meter_id)"
            " join utility u on u.utility_id = m.utility_id"
            f" where f.superseded_at is null and u.code = '{utility}' and m.serial = '{serial}' order by f.starts_at"
        )
    ]


def test_incidents_that_really_happened(verified: System) -> None:
    for utility in UTILITIES:
        totals = dict(
            verified.query(
                "select m.serial, s.total_micro from meter_state s join meter m using (meter_id)"
                f" join utility u using (utility_id) where u.code = '{utility}'"
            )
        )
        for incident in INCIDENTS:
            place = f"{utility}/{incident.serial}"
            found = findings(verified, utility, incident.serial)
            assert [(kind, severity) for kind, severity, _ in found] == [
                (kind, severity) for kind, severity, _ in incident.findings
            ], place
            for (_, _, detail), (_, _, expected) in zip(found, incident.findings, strict=True):
                assert {name: detail.get(name) for name in expected} == expected, place
            assert totals[incident.serial] == round(incident.total * 1e6), place
    # What could not be read is kept as sent, and nothing beside it was lost or stored twice.
    rows = [verified.query(f"select reason, detail from quarantine where utility = '{u}'") for u in UTILITIES]
    assert [[reason for reason, _ in row] for row in rows] == [["register_invalid"]] * 2
    assert all("register 'unavailable'" in row[0][1] for row in rows)
    expected_readings = sum(len(incident.readings) for incident in INCIDENTS) - 1
    assert verified.query("select u.code, count(*) from reading join meter m using (meter_id)"
                          " join utility u using (utility_id) group by 1 order by 1") == [
        (utility, expected_readings) for utility in UTILITIES
    ]  # fmt: skip
    assert verified.query("select count(*) from reading_conflict") == [(0,)]
    # An inspector is asked about what is not explained, and about nothing else.
    alerts = verified.query(
        "select u.code, m.serial, a.kind from alert a join meter m using (meter_id)"
        " join utility u on u.utility_id = m.utility_id where a.state = 'open' order by 1, 2"
    )
    unexplained = sorted((i.serial, k) for i in INCIDENTS for k, severity, _ in i.findings if severity == "warning")
    assert alerts == [(utility, serial, kind) for utility in UTILITIES for serial, kind in unexplained]
