"""A file replayed through the started system while every part of it is killed: nothing lost, nothing twice."""

import json
import time
from pathlib import Path
from typing import Any

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
