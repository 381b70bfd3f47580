"""Findings made again from the store: equal to the last bit whatever came after; and what differs if not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from zone_city import ZoneCity, make_scenario, table_of

from simulators.city import City
from simulators.fleet import Fault
from store.explaining import load_finding, load_settings_body
from store.meter_import import import_meters
from verifier.recompute import differences, recompute
from verifier.settings import VerifierSettings

Make = Callable[..., ZoneCity]
_BALANCE = {"loss_spread": 0.0, "network_doubt": 0.0, "history_days": 7, "history_step_days": 2}
SETTINGS = VerifierSettings.model_validate({"balance": _BALANCE})


@pytest.fixture
def make(migrated_dsn: str, tmp_path: Path) -> Iterator[Make]:
    with psycopg.connect(migrated_dsn) as connection:

        def build(days: int, seed: int = 3, **plan: Any) -> ZoneCity:
            return ZoneCity(connection, City(make_scenario(days, seed, **plan)), tmp_path, SETTINGS)

        yield build


def made_again(zone: ZoneCity, finding_id: int, settings: VerifierSettings | None = None) -> dict[str, Any]:
    record = load_finding(zone.connection, finding_id)
    body = load_settings_body(zone.connection, record.provenance.settings_digest)
    then = settings or VerifierSettings.model_validate(body)
    found = differences(record.draft, recompute(zone.connection, record, then))
    zone.connection.rollback()
    return found


def findings(zone: ZoneCity) -> dict[int, str]:
    """The numbers and kinds of findings, some of each kind: a reversed meter makes a thousand of one."""
    found = zone.query("select finding_id, kind from finding order by 1")
    per_kind: dict[str, list[int]] = {}
    for number, kind in found:
        per_kind.setdefault(kind, []).append(number)
    return {number: kind for kind, numbers in per_kind.items() for number in [*numbers[:3], *numbers[-3:]]}


@pytest.mark.parametrize("days_at_once", [1, 5, 14])
def test_findings_of_every_kind_are_made_again_to_the_bit(make: Make, days_at_once: int) -> None:
    faults = {"stepped": 1, "stopped": 1, "reversed": 1, "reset": 1, "swapped": 1, "exchanged": 1}
    defects = {"glitches": 3, "gaps": 1, "gap_hours": 60.0, "conflicts": 2, "repeats": 3, "missing_share": 0.001}
    zone = make(14, faults=faults, defects=defects)
    zone.run(zone.readings(day, min(day + days_at_once, 18)) for day in range(0, 18, days_at_once))
    kinds = findings(zone)
    assert len(set(kinds.values())) >= 6, kinds
    assert {number: made_again(zone, number) for number in kinds} == {number: {} for number in kinds}


@pytest.mark.parametrize("days_at_once", [1, 18])
def test_an_error_is_made_again_to_the_bit_after_readings_that_came_later(make: Make, days_at_once: int) -> None:
    zone = make(14, faults={"stepped": 1})
    zone.run(zone.readings(day, day + days_at_once) for day in range(0, 18, days_at_once))
    errors = [number for number, kind in findings(zone).items() if kind == "error_beyond_mpe"]
    assert errors
    assert [made_again(zone, number) for number in errors] == [{}]


def test_a_loss_is_made_again_to_the_bit(make: Make) -> None:
    zone = make(14, seed=5, faults={"stopped": 1})
    rows = zone.readings(0, 14)
    stopped = next(d.serial for d in zone.city.fleets[0].devices if d.fault is Fault.STOPPED)
    zone.run([rows[rows["meter_id"] != zone.ids[stopped]]])  # as if nobody had listed the meter's readings
    zone.run([rows])
    kinds = findings(zone)
    assert {number: made_again(zone, number) for number in kinds} == {number: {} for number in kinds}


def test_other_settings_and_another_registry_show_as_differences(make: Make, tmp_path: Path) -> None:
    zone = make(14, faults={"stepped": 1})
    zone.run([zone.readings(0, 18)])
    number = next(number for number, kind in findings(zone).items() if kind == "error_beyond_mpe")
    other = SETTINGS.model_copy(update={"balance": SETTINGS.balance.model_copy(update={"std_floor_pct": 0.3})})
    assert any(place.endswith("std_pct") for place in made_again(zone, number, other))
    rows = [row | {"prior_sd_pct": 2.0} for row in zone.city.meters_rows()]
    import_meters(zone.connection, table_of(rows, tmp_path), utility="u", time_zone="UTC", actor="test")
    zone.connection.commit()
    assert made_again(zone, number)


def test_the_command_says_whether_it_is_equal(make: Make, migrated_dsn: str, tmp_path: Path) -> None:
    zone = make(14, faults={"stepped": 1})
    zone.run([zone.readings(0, 18)])
    number = next(number for number, kind in findings(zone).items() if kind == "error_beyond_mpe")

    def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
        return subprocess.run(
            [sys.executable, "-m", "meterproof", "explain", *arguments],
            env=plain | {"METERPROOF_DATABASE__DSN": migrated_dsn},
            capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        )  # fmt: skip

    told = explain(str(number))
    assert told.returncode == 0, told.stderr
    assert "made again from the store: equal to the bit" in told.stdout
    assert "the settings have changed since" in told.stdout  # the process has the defaults
    assert "standard uncertainty" in told.stdout
    data = json.loads(explain(str(number), "--json").stdout)
    assert data["equal"]
    squares = sum(part**2 for part in data["balance"]["budget_std_pct"].values())
    assert squares == pytest.approx(data["detail"]["std_pct"] ** 2, rel=1e-6)
    rows = [row | {"prior_sd_pct": 2.0} for row in zone.city.meters_rows()]
    import_meters(zone.connection, table_of(rows, zone.folder), utility="u", time_zone="UTC", actor="test")
    zone.connection.commit()
    differing = explain(str(number))
    assert differing.returncode == 1
    assert "differs: detail." in differing.stderr
    assert "the software is another one now" in differing.stderr
    unknown = explain("999999")
    assert unknown.returncode == 2
    assert "finding 999999 does not exist" in unknown.stderr
