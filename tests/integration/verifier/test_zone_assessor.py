"""The zone balance on a real database: day by day, in any order of arrival, with all that forbids a verdict."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from zone_city import START, ZoneCity, make_scenario, table_of

from simulators.city import City
from simulators.fleet import Fault
from store.site_tests import PointRow, SiteTestDraft, find_standard, record_site_test
from store.standard_import import import_standards
from verifier.settings import VerifierSettings

Make = Callable[..., ZoneCity]
# The simulated network is one where a customer's losses do not depend on its place.
EVEN = VerifierSettings.model_validate({"balance": {"loss_spread": 0.0, "network_doubt": 0.0}})


@pytest.fixture
def make(migrated_dsn: str, tmp_path: Path) -> Iterator[Make]:
    with psycopg.connect(migrated_dsn) as connection:

        def build(days: int, settings: VerifierSettings | None = None, seed: int = 3, **plan: Any) -> ZoneCity:
            return ZoneCity(connection, City(make_scenario(days, seed, **plan)), tmp_path, settings or EVEN)

        yield build


def serial_with(zone: ZoneCity, fault: Fault) -> str:
    return next(device.serial for device in zone.city.fleets[0].devices if device.fault is fault)


def test_days_are_assessed_one_by_one_when_they_are_complete(make: Make) -> None:
    zone = make(7)
    zone.run([zone.readings(0, 4.2)])
    assert zone.query("select count(*) from assessment") == [(0,)]
    zone.run([zone.readings(4.2, 4.25), zone.readings(4.25, 5)])  # nothing until seven hours past midnight
    assert zone.query("select count(*) from assessment") == [(8,)]
    zone.run([zone.readings(5, 5.5), zone.readings(5.5, 6.5)])
    assert sorted(zone.outcomes("E-00001")) == [4, 5, 6]
    assert {outcome for outcome, _ in zone.outcomes("E-00001").values()} == {"conforming"}
    assert zone.query("select assessed_through from zone_state") == [(START + timedelta(days=6),)]
    assert zone.conclusions()[1] == []
    [(change_at, decidable, contributions, std_pct)] = zone.query(
        "select change_at, decidable, contributions_pct, std_pct from assessment where meter_id = %s"
        " and window_end = %s", zone.ids["E-00001"], START + timedelta(days=6),
    )  # fmt: skip
    assert change_at is None
    assert decidable
    assert sum(part**2 for part in contributions.values()) == pytest.approx(std_pct**2)
    reports = zone.query("select window_end, groups, decidable, reasons from zone_report order by 1")
    assert [(end - START).days for end, *_ in reports] == [4, 5, 6]
    assert [groups for _, groups, *_ in reports] == [384, 480, 576]
    assert all(count == 8 and reasons == [] for *_, count, reasons in reports)


def test_a_nonconforming_meter_is_told_once_however_long_it_lasts(make: Make) -> None:
    zone = make(14, faults={"stepped": 1})
    bad = serial_with(zone, Fault.STEPPED)
    zone.run(zone.readings(day, day + 1) for day in range(18))
    days = zone.outcomes(bad)
    assert [outcome for outcome, _ in days.values()].count("nonconforming") > 4
    findings = zone.query(
        "select kind, severity, meter_id, detail from finding where superseded_at is null and kind = 'error_beyond_mpe'"
    )
    assert [(severity, meter_id) for _, severity, meter_id, _ in findings] == [("alarm", zone.ids[bad])]
    assert len(findings[0][3]["days"]) == 3
    assert zone.query("select state, findings from alert where kind = 'error_beyond_mpe'") == [("open", 1)]
    assert zone.query("select count(*) from finding where superseded_at is not null and kind = 'error_beyond_mpe'") == [
        (0,)
    ]
    healthy = {meter_id for _, meter_id, *_ in zone.conclusions()[1]}
    assert healthy == {zone.ids[bad]}


@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_batching_ends_the_same(make: Make, seed: int) -> None:
    settings = VerifierSettings.model_validate(
        {"balance": {"history_days": 7, "history_step_days": 2, "loss_spread": 0.0, "network_doubt": 0.0}}
    )
    plan = {"faults": {"stepped": 1, "stopped": 1}, "customers_per_zone": (5, 5),
            "defects": {"glitches": 2, "conflicts": 1, "gaps": 1, "gap_hours": 5.0}}  # fmt: skip
    zone = make(12, settings, **plan)
    rows = zone.readings(0, 12)
    zone.run([rows])
    expected = zone.conclusions()
    assert len({end for _, _, _, end, *_ in expected[0]}) == 8
    for table in ("alert_event", "alert", "finding", "assessment", "zone_state", "meter_state", "meter_checkpoint",
                  "follower_cursor", "reading", "reading_conflict", "reading_repeat", "batch"):  # fmt: skip
        zone.query(f"delete from {table} returning 1")
        zone.connection.execute(f"delete from {table}")
        zone.connection.commit()

    rng = np.random.default_rng(seed)
    late = rng.random(len(rows)) < 0.02  # single readings come days later, a whole meter's second half last of all
    late |= (rows["meter_id"] == zone.ids["E-00002"]) & (rows["observed_us"] > np.median(rows["observed_us"]))
    parts = [*np.array_split(rows[~late], rng.integers(3, 9)), *np.array_split(rng.permutation(rows[late]), 2)]
    zone.run(rng.permutation(part) for part in parts)
    assert zone.conclusions() == expected


def test_a_stopped_meter_is_told_at_once_and_nothing_is_told_of_others(make: Make) -> None:
    zone = make(20, faults={"stopped": 1})
    stopped = next(device for device in zone.city.fleets[0].devices if device.fault is Fault.STOPPED)
    zone.run(zone.readings(day, day + 1) for day in range(14))
    first = (stopped.begins_us - round(START.timestamp()) * 10**6) / 86_400e6
    days = zone.outcomes(stopped.serial)
    told = [day for day, (outcome, codes) in days.items() if codes == ["stopped"] and outcome == "nonconforming"]
    assert first < min(told) < first + 2
    [(kind, meter_id, _, starts_at, _, detail)] = zone.conclusions()[1]
    assert (kind, meter_id, detail["reason"]) == ("error_beyond_mpe", zone.ids[stopped.serial], "stopped")
    assert starts_at <= START + timedelta(days=min(told))


def test_an_expired_certificate_of_the_reference_withholds(make: Make, tmp_path: Path) -> None:
    zone = make(8)
    standard = {"code": "S1", "meter": "ER-001", "certificate": "C-7", "expanded_uncertainty_pct": 0.3,
                "valid_from": "2025-01-01", "valid_until": str((START + timedelta(days=4)).date())}  # fmt: skip
    import_standards(zone.connection, table_of([standard], tmp_path), utility="u", actor="test")
    zone.connection.commit()
    zone.run([zone.readings(0, 8)])
    days = zone.outcomes("E-00001")
    assert [days[day][0] for day in (4, 5)] == ["conforming", "conforming"]  # valid to the fifth day's end
    assert days[6] == ("withheld", ["member_at_fault"])
    [(reasons,)] = zone.query(
        "select distinct reasons from assessment where window_end = %s", START + timedelta(days=6)
    )
    assert "C-7" in reasons[0]["text"]


def test_an_exchange_goes_on_with_the_history(make: Make) -> None:
    zone = make(12, faults={"exchanged": 1})
    old = serial_with(zone, Fault.EXCHANGED)
    exchanged = (
        next(d for d in zone.city.fleets[0].devices if d.serial == old).active_until_us / 1e6 - START.timestamp()
    ) / 86_400
    zone.run([zone.readings(0, 14)])
    assert zone.query("select distinct window_start from assessment") == [(START,)]
    assert max(zone.outcomes(old)) == exchanged
    neighbour = zone.outcomes("E-00001" if old != "E-00001" else "E-00002")
    assert {outcome for day, (outcome, _) in neighbour.items() if day > exchanged} == {"conforming"}
    new = zone.outcomes(old + "N")
    assert min(new) == exchanged + 1
    assert new[max(new)][0] == "conforming"


def test_without_a_reference_nothing_is_assessed(make: Make, migrated_dsn: str, tmp_path: Path) -> None:
    city = City(make_scenario(7))
    rows = [row for row in city.meters_rows() if row["role"] != "reference"]
    with psycopg.connect(migrated_dsn) as connection:
        zone = ZoneCity(connection, city, tmp_path, EVEN, meters_rows=rows)
        zone.run([zone.readings(0, 7)])
        assert zone.query("select count(*) from assessment") == [(0,)]
        assert zone.query("select count(*) from zone_state") == [(0,)]


def test_a_zone_inside_takes_part_by_its_reference(migrated_dsn: str, tmp_path: Path) -> None:
    """The first zone lies in the second, whose reference measures what the first one's does as well."""
    city = City(make_scenario(7, zones=2, customers_per_zone=(6, 6)))
    zones = city.zones_rows()
    zones[0]["parent"] = "EZ002"
    with psycopg.connect(migrated_dsn) as connection:
        zone = ZoneCity(connection, city, tmp_path, EVEN, zones_rows=zones)
        rows = zone.readings(0, 7)
        inner, outer = (rows[rows["meter_id"] == zone.ids[serial]] for serial in ("ER-001", "ER-002"))
        at = {int(row["observed_us"]): int(row["register_micro"]) for row in inner}
        outer["register_micro"] += [at[int(time)] for time in outer["observed_us"]]
        rows[rows["meter_id"] == zone.ids["ER-002"]] = outer
        zone.run([rows])
        of_zone = (
            "select distinct zone.code, serial from assessment join zone using (zone_id) join meter using (meter_id)"
        )
        pairs = zone.query(of_zone)
        assert {serial for code, serial in pairs if code == "EZ001"} == {f"E-0000{i}" for i in range(1, 7)}
        assert {serial for code, serial in pairs if code == "EZ002"} == {
            *(f"E-{i:05d}" for i in range(7, 13)),
            "ER-001",
        }
        assert {tuple(codes) for _, codes in zone.outcomes("ER-001").values()} == {("no_limit",)}
        own = zone.outcomes("E-00007")
        assert own[6][0] == "conforming"


def test_what_is_exported_counts_against_the_zone(migrated_dsn: str, tmp_path: Path) -> None:
    """The reference shows the others' use and 2 % of losses, less what one meter feeds in; that one is known to."""
    city = City(make_scenario(7))
    meters = city.meters_rows()
    next(row for row in meters if row["meter"] == "E-00003")["direction"] = "export"
    with psycopg.connect(migrated_dsn) as connection:
        zone = ZoneCity(connection, city, tmp_path, EVEN, meters_rows=meters)
        rows = zone.readings(0, 7)
        signs = {zone.ids[f"E-{i:05d}"]: -1 if i == 3 else 1 for i in range(1, 9)}
        net: dict[int, int] = {}
        for row in rows[np.isin(rows["meter_id"], list(signs))]:
            time = int(row["observed_us"])
            net[time] = net.get(time, 0) + signs[int(row["meter_id"])] * int(row["register_micro"])
        mine = rows["meter_id"] == zone.ids["ER-001"]
        level = 10**9 - min(net.values())
        rows["register_micro"][mine] = [level + round(1.02 * net[int(t)], -3) for t in rows["observed_us"][mine]]
        zone.run([rows])
        for serial in ("E-00001", "E-00002", "E-00003"):
            assert zone.outcomes(serial)[6] == ("conforming", ["within_limits"])
        assert zone.conclusions()[1] == []


def test_an_unmetered_load_is_told_of_the_zone_not_of_its_meters(migrated_dsn: str, tmp_path: Path) -> None:
    city = City(make_scenario(12))
    rows = [row for row in city.meters_rows() if row["meter"] != "E-00001"]
    with psycopg.connect(migrated_dsn) as connection:
        zone = ZoneCity(connection, city, tmp_path, EVEN, meters_rows=rows)
        zone.run([zone.readings(0, 6), zone.readings(6, 12)])
        [(kind, meter_id, zone_id, *_)] = zone.conclusions()[1]
        assert (kind, meter_id) == ("zone_imbalance", None)
        assert zone_id is not None
        assert zone.query("select kind, state from alert where kind in ('error_beyond_mpe', 'zone_imbalance')") == [
            ("zone_imbalance", "open")
        ]
        assert {outcome for outcome, _ in zone.outcomes("E-00002").values()} == {"withheld"}


def test_a_reading_from_the_far_future_completes_no_day(make: Make) -> None:
    zone = make(6)
    rows = zone.readings(0, 5)
    ahead = rows[-1:].copy()
    ahead["observed_us"] += 900 * 86_400_000_000
    zone.deliver(np.concatenate([rows, ahead]), START + timedelta(days=6))
    zone.follow()
    assert zone.query("select max(window_end) from assessment") == [(START + timedelta(days=4),)]


def test_a_test_recorded_afterwards_sets_the_zone_back_to_its_day(make: Make, tmp_path: Path) -> None:
    zone = make(9)
    standard = {"code": "S1", "meter": "", "certificate": "C-7", "expanded_uncertainty_pct": 0.1,
                "valid_from": "2025-01-01", "valid_until": "2027-01-01"}  # fmt: skip
    import_standards(zone.connection, table_of([standard], tmp_path), utility="u", actor="test")
    zone.connection.commit()
    zone.run([zone.readings(0, 8.5)])
    select = "select window_end, std_pct from assessment where meter_id = %s order by 1"
    before = dict(zone.query(select, zone.ids["E-00002"]))
    tested_at = START + timedelta(days=6.4)
    certificate = find_standard(zone.connection, "u", "S1", tested_at.date())
    points = (PointRow(0.05, 0.1, 0.1, 2.0), PointRow(5.0, 0.1, 0.1, 2.0))
    draft = SiteTestDraft(zone.ids["E-00002"], tested_at, certificate, points, "inspector", "test")
    record_site_test(zone.connection, draft)
    zone.connection.commit()
    zone.run([zone.readings(8.5, 8.6)])  # completes no day
    after = dict(zone.query(select, zone.ids["E-00002"]))
    fell = {(end - START).days: after[end] < before[end] for end in before}
    assert fell == {4: False, 5: False, 6: False, 7: True, 8: True}
    assert zone.query("select count(*) from zone_recheck") == [(0,)]


def test_readings_without_a_zone_are_no_matter(make: Make) -> None:
    zone = make(5)
    zone.connection.execute("delete from zone_membership")
    zone.connection.execute("update registry_version set version = version + 1")
    zone.connection.commit()
    zone.run([zone.readings(0, 5)])
    assert zone.query("select count(*) from assessment") == [(0,)]
