"""Priors learned from all zones of a database, applied from a day on: what changes, and that all stays explained."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from zone_city import START, ZoneCity, make_scenario

from metrology.errors import StateConflictError
from simulators.city import City
from store.explaining import load_finding
from store.findings import Provenance
from store.meter_priors import apply_priors
from store.progress import system_progress
from store.times import to_micros
from verifier.fleet_priors import LearnedFleet, learn
from verifier.follower import settings_digest
from verifier.recompute import differences, recompute
from verifier.settings import VerifierSettings

_BALANCE = {"loss_spread": 0.0, "network_doubt": 0.0, "history_days": 10, "history_step_days": 2, "pool_meters_min": 12}
SETTINGS = VerifierSettings.model_validate({"balance": _BALANCE})
DAYS, FROM_DAY = 14, 11


@pytest.fixture
def zone(migrated_dsn: str, tmp_path: Path) -> Iterator[ZoneCity]:
    """Four small zones, followed up to their last day; a meter with a stated prior among them, and one at fault."""
    city = City(make_scenario(DAYS, zones=4, customers_per_zone=(6, 6), interval_s=1800, faults={"stepped": 1}))
    rows = [row | {"prior_sd_pct": ""} for row in city.meters_rows()]
    rows[1]["prior_sd_pct"] = 0.5
    with psycopg.connect(migrated_dsn) as connection:
        made = ZoneCity(connection, city, tmp_path, SETTINGS, meters_rows=rows)
        made.run([made.readings(0, DAYS + 0.5)])
        yield made


def learned(zone: ZoneCity) -> tuple[LearnedFleet, int]:
    seq = system_progress(zone.connection).verified_seq
    [fleet] = learn(zone.connection, SETTINGS, seq, lambda _done, _of: None)
    zone.connection.rollback()
    return fleet, seq


def apply(zone: ZoneCity, fleet: LearnedFleet, seq: int, day: int) -> int:
    at = START + timedelta(days=day)
    made_by = Provenance(at, seq, "test 1", settings_digest(SETTINGS)[0])
    with zone.connection.transaction():
        return apply_priors(zone.connection, fleet.priors(to_micros(at)), at, "someone", made_by)


def outcomes(zone: ZoneCity) -> dict[int, list[Any]]:
    """The meters' figures by day."""
    rows = zone.query("select window_end, meter_id, error_pct, std_pct, outcome from assessment order by 1, 2")
    found: dict[int, list[Any]] = {}
    for end, *rest in rows:
        found.setdefault((end - START).days, []).append(rest)
    return found


def test_applied_priors_hold_from_their_day_on_and_all_is_made_again_to_the_bit(zone: ZoneCity) -> None:
    before = outcomes(zone)
    fleet, seq = learned(zone)
    assert outcomes(zone) == before
    assert fleet.fleet is not None
    [row, *_] = fleet.fleet.table()
    assert (row.model.split()[0], row.zones, row.used) == ("Simulated", 4, True)
    priors = fleet.priors(0)
    stated = zone.query("select meter_id from meter where prior_sd_pct is not null")[0][0]
    assert stated not in {prior.meter_id for prior in priors}
    assert all(prior.sd_pct < 0.6 and "3 other zones" in prior.source for prior in priors)

    assert apply(zone, fleet, seq, FROM_DAY) == 4
    zone.run([zone.readings(DAYS + 0.5, DAYS + 0.6)])
    after = outcomes(zone)
    days = sorted(before)
    assert {day: after[day] == before[day] for day in days} == {day: day <= FROM_DAY for day in days}

    with zone.connection.transaction():
        zone.connection.execute("insert into zone_recheck (zone_id, from_at) select zone_id, %s from zone", (START,))
    zone.run([zone.readings(DAYS + 0.6, DAYS + 0.7)])
    assert outcomes(zone) == after

    errors = zone.query("select finding_id from finding where kind = 'error_beyond_mpe' and superseded_at is null")
    assert errors
    for (number,) in errors:
        record = load_finding(zone.connection, number)
        assert differences(record.draft, recompute(zone.connection, record, SETTINGS)) == {}


def test_what_rests_on_priors_stays_explained(zone: ZoneCity) -> None:
    fleet, seq = learned(zone)
    apply(zone, fleet, seq, FROM_DAY)
    for day in (FROM_DAY - 1, FROM_DAY):
        with pytest.raises(StateConflictError, match="apply new ones from a later day on"):
            apply(zone, fleet, seq, day)
    assert apply(zone, fleet, seq, FROM_DAY + 1) == 4
    [(actor, detail)] = zone.query("select actor, detail from audit_log where action = 'change_priors' limit 1")
    assert actor == "someone"
    assert detail["zones"] == 4
    assert learned(zone)[0].priors(0)  # those in force are taken out again, and nothing is learned from them
    kept = zone.query("select count(*), min(from_at), max(from_at) from meter_prior")
    assert kept[0][1:] == (START + timedelta(days=FROM_DAY), START + timedelta(days=FROM_DAY + 1))


def test_the_command_shows_the_groups_and_applies_them(zone: ZoneCity, migrated_dsn: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
        balance = {f"METERPROOF_VERIFIER__BALANCE__{name.upper()}": str(value) for name, value in _BALANCE.items()}
        return subprocess.run(
            [sys.executable, "-m", "meterproof", "priors", *arguments],
            env=plain | balance | {"METERPROOF_DATABASE__DSN": migrated_dsn},
            capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        )  # fmt: skip

    shown = run()
    assert shown.returncode == 0, shown.stderr
    assert "electricity: meters by type and lot" in shown.stdout
    assert zone.query("select count(*) from meter_prior") == [(0,)]
    assert run("--apply").returncode == 2
    assert "write it as 2026-07-01" in run("--apply", "--from", "tomorrow").stderr
    applied = run("--apply", "--from", "2026-02-01", "--actor", "someone", "--json")
    assert applied.returncode == 0, applied.stderr
    told = json.loads(applied.stdout)["applied"]
    assert told["zones"] == 4
    assert zone.query("select count(*), min(applied_by) from meter_prior") == [(told["meters"], "someone")]
    assert run("--apply", "--from", "2026-02-01").returncode == 2
