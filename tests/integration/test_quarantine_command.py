"""`meterproof quarantine` as an operator uses it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from gateway.decode import message_digest
from meterproof.commands.quarantine import app
from meterproof.payload_text import hex_dump, payload_text, printable
from meterproof.settings import Settings
from metrology.errors import InvalidInputError, MeterproofError, StateConflictError
from store.database import DatabaseSettings
from store.meter_import import import_meters
from store.quarantine import QuarantineRow, insert_quarantine
from store.tables import Table, TableRow

TOPIC = "mp/v1/village/gw/readings"
RECEIVED = datetime(2026, 1, 2, tzinfo=UTC)
Command = Callable[..., Result]


def payload(meter: str) -> bytes:
    fields = {"v": 1, "medium": "water", "unit": "m3", "observed_at": "2026-01-01T00:00:00Z", "register": 1.5}
    return json.dumps({**fields, "meter": meter}).encode()


def quarantined(payload: bytes, reason: str = "utility_unknown", topic: str = TOPIC) -> QuarantineRow:
    digest = message_digest(topic, payload)
    return QuarantineRow(digest, reason, "detail [/bold]\x1b[2J", "village", topic, payload, None, 1, RECEIVED)


@pytest.fixture
def command(migrated_dsn: str) -> Command:
    """`command("list", …)` on a database with three entries."""
    rows = [quarantined(payload("V-1")), quarantined(payload("V-2")), quarantined(b"\x00\x1b[2J", "undecodable")]
    with psycopg.connect(migrated_dsn) as conn:
        insert_quarantine(conn, rows)
    settings = Settings(database=DatabaseSettings(dsn=migrated_dsn))

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments), obj=settings)
        if isinstance(result.exception, MeterproofError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return run


def listed(command: Command, *arguments: str) -> Any:
    return json.loads(command("list", "--json", *arguments).stdout)


def test_list_counts_by_reason_with_the_remedy_and_prints_nothing_that_a_terminal_obeys(command: Command) -> None:
    shown = command("list").stdout
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J" in shown
    answer = listed(command)
    assert [(count["reason"], count["entries"]) for count in answer["reasons"]] == [
        ("utility_unknown", 2),
        ("undecodable", 1),
    ]
    assert "meterproof import meters" in answer["reasons"][0]["remedy"]
    assert len(listed(command, "--reason", "undecodable", "--utility", "village")["entries"]) == 1
    assert listed(command, "--topic", "mp/v1/town/#")["entries"] == []
    assert listed(command, "--since", "2026-01-03T00:00:00Z")["entries"] == []
    newest = answer["entries"][0]["quarantine_id"]
    assert len(listed(command, "--before", str(newest))["entries"]) == 2
    assert "no entry matches" in command("list", "--state", "released").stdout


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["list", "--state", "closed"], "--state 'closed'"),
        (["list", "--reason", "nonsense"], "--reason 'nonsense'"),
        (["list", "--since", "yesterday"], "--since 'yesterday'"),
        (["list", "--since", "2026-01-03T00:00:00"], "has no offset"),
        (["retry"], "nothing is chosen"),
        (["retry", "999"], "quarantine entry 999 does not exist"),
        (["show", "999"], "quarantine entry 999 does not exist"),
        (["discard", "999", "--reason", "a test"], "quarantine entry 999 does not exist"),
    ],
)
def test_wrong_use_is_told(command: Command, arguments: list[str], place: str) -> None:
    with pytest.raises(MeterproofError, match=place):
        command(*arguments)


def test_show_gives_reason_remedy_and_the_payload_as_it_came(command: Command) -> None:
    (binary,) = (entry["quarantine_id"] for entry in listed(command, "-r", "undecodable")["entries"])
    digest = message_digest(TOPIC, payload("V-2")).hex()
    (text,) = (e["quarantine_id"] for e in listed(command)["entries"] if e["message_digest"] == digest)
    shown = command("show", str(binary)).stdout
    assert "00000000  00 1b 5b 32 4a" in shown
    assert "the payload is" in shown
    assert "\x1b" not in shown
    assert payload("V-2").decode() in command("show", str(text)).stdout
    assert json.loads(command("show", str(text), "--json").stdout)["payload_hex"] == payload("V-2").hex()
    assert "00000000  7b 22 76 22" in command("show", str(text), "--hex").stdout


def test_retry_after_the_import_and_discard_with_a_reason(command: Command, migrated_dsn: str) -> None:
    assert "0 entries released, 2 stay open" in command("retry", "--utility", "village", "-r", "utility_unknown").stdout
    with psycopg.connect(migrated_dsn) as conn:
        rows = (TableRow(2, ("V-1", "water", "m3", "0.001")),)
        table = Table("meters.csv", ("meter", "medium", "unit", "resolution"), rows)
        import_meters(conn, table, utility="village", time_zone="UTC", actor="test")
    shown = command("retry", "--utility", "village", "--actor", "Li").stdout
    assert "3 messages tried, 2 entries released, 1 stay open; readings: 1 stored, 1 pending" in shown
    assert "stays open: undecodable" in shown
    (entry,) = listed(command)["entries"]
    number = str(entry["quarantine_id"])
    with pytest.raises(InvalidInputError, match="nothing is lost"):
        command("discard", number, "--reason", " ")
    command("discard", number, "--reason", "a test message", "--actor", "Li")
    assert listed(command)["entries"] == []
    shown = command("show", number).stdout
    assert "quarantine.discard by Li" in shown
    assert "a test message" in shown
    with pytest.raises(StateConflictError, match="discarded already"):
        command("discard", number, "--reason", "again")
    with pytest.raises(InvalidInputError, match="is discarded"):
        command("retry", number)


def test_payloads_are_printed_as_text_where_they_are_text() -> None:
    assert payload_text("{\n\t表: 1}".encode()) == "{\n    表: 1}"
    assert payload_text("表".encode()[:2]) is None
    assert payload_text("ab表".encode()[:4]) == "ab"
    assert payload_text(b"\xff\x00") is None
    assert payload_text(b"\x00" * 9 + b"a") is None
    assert printable("a\x1b\u202eb") == "a\\x1b\\u202eb"
    assert hex_dump(bytes(range(17))).splitlines()[1] == f"00000010  {'10':<47}  ."
