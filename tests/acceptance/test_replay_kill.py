"""A file replayed through the started system while every part of it is killed: nothing lost, nothing twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from running_system import System

from simulators.make_sample import SampleCounts, write_sample

SWM_MAPPING = Path(__file__).parents[2] / "simulators" / "mappings" / "swm.toml"

# Everything concluded, without what may differ between runs: numbers of batches and times of the machine.
CONCLUSIONS = """
    select m.serial, f.kind, f.severity, f.starts_at, f.ends_at, f.detail,
           (select jsonb_agg(e - 'batch_id' - 'message_no') from jsonb_array_elements(f.evidence) e)
    from finding f join meter m using (meter_id) where f.superseded_at is null
    order by m.serial, f.kind, f.starts_at"""
TOTALS = "select m.serial, s.total_micro from meter_state s join meter m using (meter_id) order by m.serial"
READINGS = """
    select m.serial, r.observed_at, r.register_micro, r.status from reading r join meter m using (meter_id)
    union all
    select m.serial, r.observed_at, r.register_micro, r.status from reading_conflict r join meter m using (meter_id)
    order by 1, 2, 3, 4"""


def assert_accounted(figures: dict[str, Any], counts: SampleCounts) -> None:
    """The replay's account is that of the file's making, line by line."""
    accounting = figures["accounting"]
    expected = {
        "lines": counts.lines,
        "stored": counts.stored,
        "exact_duplicates": counts.exact_duplicates,
        "conflicting": counts.conflicting,
        "rejected": counts.rejected,
        "ambiguous_local_times": counts.ambiguous,
        "missing": 0,
        "pending": 0,
        "complete": True,
    }
    assert {name: accounting[name] for name in expected} == expected


def replay(system: System, file: Path) -> Any:
    return system.run_json("replay", file, "--mapping", SWM_MAPPING, "--register", "--timeout-s", "60")


def test_every_line_is_accounted_for_and_a_second_replay_changes_nothing(system: System, tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    counts = write_sample(file, lines=30_000, meters=10)
    first = replay(system, file)
    assert_accounted(first, counts)
    assert first["run"]["new_readings_stored"] == counts.stored
    findings = first["findings"]
    assert findings["gap"] == counts.gaps
    # A step of some litres back that is made good within the hour may be told as a glitch: it returned.
    assert findings["transient_glitch"] >= counts.glitches
    assert findings["transient_glitch"] + findings["backward_step"] == counts.glitches + counts.backward_steps
    assert findings["conflicting_values"] == counts.conflicting
    assert findings["duplicate"] >= 1
    before = system.query(CONCLUSIONS), system.query(TOTALS), system.query(READINGS)

    second = replay(system, file)
    assert_accounted(second, counts)
    assert second["run"]["new_readings_stored"] == second["run"]["new_conflicting"] == 0
    assert second["findings"] == findings
    assert before == (system.query(CONCLUSIONS), system.query(TOTALS), system.query(READINGS))
    assert system.query("select count(*) from finding where superseded_at is not null and kind = 'duplicate'") == [(0,)]


def test_totals_are_not_bent_by_glitches(system: System, tmp_path: Path) -> None:
    """No meter of the file was reset or exchanged, so a total is the register's difference, whatever came between."""
    file = tmp_path / "sample.csv"
    counts = write_sample(file, lines=6_000, meters=4)
    replay(system, file)
    rows = system.query(
        "select s.total_micro, a.register_micro - f.register_micro from meter_state s"
        " join reading a on a.meter_id = s.meter_id and a.observed_at = s.anchor_at,"
        " lateral (select register_micro from reading where meter_id = s.meter_id order by observed_at limit 1) f"
    )
    assert len(rows) == counts.meters
    assert all(total == difference > 0 for total, difference in rows)
    # What lies after the anchors is a step back that may yet return: less than the largest, for each meter.
    assert abs(sum(total for total, _ in rows) - counts.net_litres * 1_000) < counts.meters * 112_000


def test_killing_gateway_verifier_database_and_broker_in_mid_replay(system: System, tmp_path: Path) -> None:
    file = tmp_path / "sample.csv"
    counts = write_sample(file, lines=30_000, meters=10)
    process = system.command(
        "replay", file, "--mapping", SWM_MAPPING, "--register", "--pace", "3000", "--timeout-s", "60", "--json"
    )
    system.wait_until("select count(*) > 1000 from reading")
    for part in ("gateway", "verifier", "database", "broker", "gateway"):
        assert process.poll() is None, f"the replay ended before the {part} was killed: choose a slower pace"
        if part == "database":
            system.postgres.kill()
            time.sleep(0.5)
            system.postgres.start()
        elif part == "broker":
            system.broker.kill()
            time.sleep(0.5)
            system.broker.start()
        else:
            system.kill_role(part)
            system.start_role(part)
        time.sleep(1.0)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err + system.log("gateway") + system.log("verifier")
    assert_accounted(json.loads(out), counts)
    disturbed = system.query(CONCLUSIONS), system.query(TOTALS), system.query(READINGS)
    assert len({row[:3] for row in disturbed[2]}) == len(disturbed[2]) == counts.stored + counts.conflicting
    undisturbed = System(tmp_path / "undisturbed")
    undisturbed.folder.mkdir()
    undisturbed.start()
    try:
        assert_accounted(replay(undisturbed, file), counts)
        assert disturbed == tuple(undisturbed.query(query) for query in (CONCLUSIONS, TOTALS, READINGS))
    finally:
        undisturbed.stop()


@contextmanager
def everything_in_one_process(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`meterproof serve` with its embedded servers, and what is left of it ended."""
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "meterproof", "serve"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def served_dsn(folder: Path, timeout_s: float = 60) -> str:
    """The database of the system that runs in the folder, as soon as its gateway has subscribed."""
    deadline = time.monotonic() + timeout_s
    log = folder / "serve.log"
    while time.monotonic() < deadline:
        if log.exists() and "connected" in log.read_text(errors="replace"):
            return str(json.loads((folder / "var" / "running.json").read_text())["dsn"])
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))


def test_killing_everything_at_once_in_mid_replay(tmp_path: Path) -> None:
    """One process does it all, as with a newcomer; started again it is found at the same addresses."""
    file = tmp_path / "sample.csv"
    counts = write_sample(file, lines=30_000, meters=10)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
    environment = plain | {"METERPROOF_API__PORT": "0"}
    with everything_in_one_process(tmp_path, environment) as process:
        dsn = served_dsn(tmp_path)
        command = ["replay", str(file), "--mapping", str(SWM_MAPPING), "--register", "--pace", "6000", "--json"]
        sender = subprocess.Popen(
            [sys.executable, "-m", "meterproof", *command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        with psycopg.connect(dsn, autocommit=True) as conn:
            while conn.execute("select count(*) from reading").fetchone() < (3000,):
                assert time.monotonic() < deadline, (tmp_path / "serve.log").read_text()
                time.sleep(0.1)
        assert sender.poll() is None, "the replay ended before the kill: choose a slower pace"
        process.kill()
        process.wait()
    with everything_in_one_process(tmp_path, environment):
        try:
            out, err = sender.communicate(timeout=120)
        finally:
            sender.kill()
        assert sender.returncode == 0, err + (tmp_path / "serve.log").read_text()[-3000:]
        assert_accounted(json.loads(out), counts)
