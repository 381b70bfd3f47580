"""Sources as an operator meets them: explained, tried on a payload, and read again by a running gateway."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from meterproof.embedded.broker import EmbeddedBroker
from store.registry_import import import_meters
from store.tables import Table, TableRow

RADIO = """
[[gateway.sources]]
name = "radio"
topic_filter = "wmbusmeters/+"
codec = "wmbusmeters"
utility = "city"
identity = {topic_level = 2}
"""
PULSES = """
[[gateway.sources]]
name = "pulses"
topic_filter = "vzlogger/data/+/raw"
codec = "vzlogger"
utility = "city"
"""
TELEGRAM = {"media": "water", "id": "W-1", "total_m3": 5.548, "status": "OK", "timestamp": "2026-01-01T00:15:00Z"}


def environment(**settings: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
    return plain | settings


def run(*arguments: str, cwd: Path, payload: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "meterproof", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(), input=payload, capture_output=True, check=False, timeout=120
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "meterproof.toml").write_text(RADIO + PULSES)
    return tmp_path


def test_check_config_explains_what_each_source_takes(folder: Path) -> None:
    shown = run("check-config", cwd=folder).stdout.decode()
    assert "[source radio]" in shown
    assert "register at total_m3 [m3]" in shown
    assert "level 2 of the topic must be every meter's id" in shown
    assert "retained messages are passed over" not in shown.split("[source pulses]")[0]
    as_json = json.loads(run("check-config", "--json", cwd=folder).stdout)
    assert list(as_json["sources"]) == ["radio", "pulses"]
    (folder / "meterproof.toml").write_text(RADIO.replace('"wmbusmeters"\n', '"wmbus"\n'))
    wrong = run("check-config", cwd=folder)
    assert wrong.returncode == 2
    assert b"gateway.sources.radio.codec: codec 'wmbus' is unknown; use one of native" in wrong.stderr


def test_decode_shows_the_readings_of_a_payload(folder: Path) -> None:
    payload = json.dumps(TELEGRAM).encode()
    result = run("decode", "--topic", "wmbusmeters/W-1", "--json", "-", cwd=folder, payload=payload)
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["source"] == "radio"
    assert shown["readings"] == [
        {
            "meter": "W-1",
            "medium": "water",
            "observed_at": "2026-01-01T00:15:00Z",
            "register": "5.548",
            "unit": "m3",
            "status": ["time_of_receipt"],
        }
    ]
    table = run("decode", "-s", "radio", "--topic", "wmbusmeters/W-1", "-", cwd=folder, payload=payload)
    assert "5.548 m3" in table.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["-s", "radio", "--topic", "wmbusmeters/W-2", "-"], 1, "identity_mismatch"),
        (["-s", "radio", "-"], 2, "give it with --topic"),
        (["-s", "radio", "--topic", "elsewhere", "-"], 2, "is taken by no source"),
        (["-s", "radio", "--topic", "vzlogger/data/c/raw", "-"], 2, "is taken by source 'pulses'"),
        (["-s", "morse", "-"], 2, "there is no source 'morse'"),
        (["-s", "radio", "--topic", "wmbusmeters/W-1", "missing.json"], 2, "missing.json: No such file"),
    ],
)
def test_decode_tells_what_is_wrong(folder: Path, arguments: list[str], code: int, complaint: str) -> None:
    result = run("decode", *arguments, cwd=folder, payload=json.dumps(TELEGRAM).encode())
    shown = " ".join((result.stdout + result.stderr).decode().split())
    assert result.returncode == code
    assert complaint in shown
    assert "Traceback" not in shown


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    server = EmbeddedBroker(tmp_path / "broker")
    server.start()
    yield server
    server.stop()


@contextmanager
def serving(folder: Path, dsn: str, broker: EmbeddedBroker) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`meterproof serve gateway` with the settings file in `folder`, and where it logs."""
    log = folder / "gateway.log"
    settings = environment(
        METERPROOF_DATABASE__DSN=dsn, METERPROOF_MQTT__URL=broker.url, METERPROOF_MQTT__CLIENT_ID="gateway-1"
    )
    command = [sys.executable, "-m", "meterproof", "serve", "gateway"]
    with log.open("wb") as stream, subprocess.Popen(command, cwd=folder, env=settings, stderr=stream) as process:
        try:
            yield process, log
        finally:
            process.terminate()


def test_hangup_reads_the_sources_again_and_keeps_the_old_ones_if_they_are_wrong(
    folder: Path, migrated_dsn: str, broker: EmbeddedBroker
) -> None:
    rows = tuple(TableRow(i + 2, (serial, "water", "m3", "0.001")) for i, serial in enumerate(["W-1", "chn0"]))
    with psycopg.connect(migrated_dsn) as conn:
        table = Table("meters.csv", ("meter", "medium", "unit", "resolution"), rows)
        import_meters(conn, table, utility="city", time_zone="UTC", actor="test")
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="sender")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def stored(serial: str, topic: str, payload: bytes) -> bool:
        client.publish(topic, payload, qos=1).wait_for_publish(5)
        query = "select count(*) from reading r join meter m using (meter_id) where m.serial = %s"
        with psycopg.connect(migrated_dsn) as conn:
            row = conn.execute(query, (serial,)).fetchone()
        return bool(row and row[0])

    telegram = json.dumps(TELEGRAM).encode()
    settings_file = folder / "meterproof.toml"
    settings_file.write_text(PULSES + '[gateway.sources.options]\nmedium = "water"\nunit = "L"\n')
    with serving(folder, migrated_dsn, broker) as (process, log):
        wait_until(lambda: stored("chn0", "vzlogger/data/chn0/raw", b"8"))
        settings_file.write_text(RADIO.replace("wmbusmeters", "morse"))
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the sources in force stay" in log.read_text())
        assert not stored("W-1", "wmbusmeters/W-1", telegram)
        settings_file.write_text(RADIO)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: stored("W-1", "wmbusmeters/W-1", telegram))
        assert process.poll() is None
    assert process.wait(20) == 0
    client.disconnect()
    client.loop_stop()
