"""Imports of meters, zones and standards: all or nothing, effective-dated, audited."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from metrology.errors import InvalidInputError
from store.assessments import balanced_meters
from store.errors import ImportRefusedError
from store.listings import MeterFilter, find_meter, list_meters
from store.meter_facts import load_meter_records
from store.registry import (
    Installation,
    Zone,
    list_zones,
    load_identities,
    load_installations,
    load_meters,
    load_zone,
    lock_registry_shared,
    registry_version,
    zones_of_meters,
)
from store.registry_import import ImportSummary, import_meters, import_standards, import_zones
from store.tables import parse_csv
from store.times import to_micros

Connection = psycopg.Connection[Any]
TWO_METERS = """\
meter,service_point,zone,role,medium,unit,resolution,multiplier,accuracy_class,lot,installed_on,register_digits
0001,P1,Z,customer,water,L,1,1,2,lot-1,2020-01-05,8
R,PR,Z,reference,water,m3,0.01,10,1,,,
"""


def meters(connection: Connection, text: str, utility: str = "w", zone: str = "Asia/Shanghai") -> ImportSummary:
    return import_meters(connection, parse_csv(text, "meters.csv"), utility=utility, time_zone=zone, actor="test")


def zones(connection: Connection, text: str) -> ImportSummary:
    return import_zones(connection, parse_csv(text, "zones.csv"), utility="w", actor="test")


def counts(summary: ImportSummary) -> tuple[int, int, int]:
    return summary.added, summary.changed, summary.unchanged


def meter_id(connection: Connection, serial: str) -> int:
    return load_identities(connection).meters["w", serial].meter_id


def zone_named(connection: Connection, code: str) -> Zone:
    return next(z for z in (load_zone(connection, zone_id) for zone_id in list_zones(connection)) if z.code == code)


def stays(connection: Connection, *serials: str) -> list[Installation]:
    return load_installations(connection, [meter_id(connection, serial) for serial in serials])


def shanghai_midnight_us(year: int, month: int, day: int) -> int:
    return to_micros(datetime(year, month, day, tzinfo=UTC)) - 8 * 3_600_000_000


def audit_actions(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("select action from audit_log order by audit_id").fetchall()]


def test_a_register_that_does_not_count_in_tens_rolls_over_where_the_file_says(connection: Connection) -> None:
    header = "meter,medium,unit,resolution,register_digits,rolls_over_at\n"
    meters(connection, header + "B,electricity,Wh,0.1,,838860.8\nD,electricity,kWh,0.1,6,\nN,water,L,1,,\n")
    ids = [meter_id(connection, serial) for serial in "BDN"]
    assert [meter.register_modulus_micro for meter in load_meters(connection, ids)] == [
        838_860_800,
        1_000_000_000_000,
        None,
    ]
    for row, place in (
        ("B,electricity,Wh,0.1,6,838860.8", "rolls_over_at"),
        ("B,electricity,Wh,0.1,,0.0001", "rolls_over_at"),
        ("B,electricity,Wh,0.1,,-1", "rolls_over_at"),
        ("B,electricity,Wh,0.1,,1e30", "rolls_over_at"),
    ):
        with pytest.raises(InvalidInputError, match=place):
            meters(connection, header + row)


DWELLING = """\
meter,medium,unit,resolution,service_point,zone,installed_on
W1,water,m3,0.001,P1,Z2,2024-01-01
R,water,m3,0.001,PR,Z2,2024-01-01
"""


def test_meters_of_different_media_share_a_service_point(connection: Connection) -> None:
    meters(connection, DWELLING)
    gas = "meter,medium,unit,resolution,service_point,installed_on\nG1,gas,m3,0.001,P1,2026-03-01\n"
    assert counts(meters(connection, gas)) == (1, 0, 0)
    assert [stay.end_us for stay in stays(connection, "W1", "G1")] == [None, None]
    water, gas_id = zone_named(connection, "Z2"), meter_id(connection, "G1")
    assert gas_id not in {m.installation.meter_id for m in water.members}
    assert zones_of_meters(connection, [gas_id]) == []
    assert gas_id not in set(balanced_meters(connection)["meter_id"])
    assert {row["serial"] for row in list_meters(connection, MeterFilter(zone="Z2"), None, 10)} == {"W1", "R"}
    assert [(find_meter(connection, "w", serial) or {})["zone"] for serial in ("W1", "G1")] == ["Z2", None]


def test_a_service_point_lies_in_a_zone_of_each_medium_and_an_exchange_keeps_to_its_own(connection: Connection) -> None:
    meters(connection, DWELLING)
    head = "meter,medium,unit,resolution,service_point,zone,installed_on,previous_end_register\n"
    assert counts(meters(connection, head + "G1,gas,m3,0.001,P1,GZ,2024-03-01,\n")) == (1, 0, 0)
    assert counts(meters(connection, head + "G2,gas,m3,0.001,P1,GZ,2026-03-01,7\n")) == (1, 1, 0)
    water, old, new = stays(connection, "W1", "G1", "G2")
    assert (water.end_us, old.end_us, new.end_us) == (None, new.start_us, None)
    assert old.end_register_micro == 7_000_000
    assert [m.installation.meter_id for m in zone_named(connection, "GZ").members] == [old.meter_id, new.meter_id]
    predecessor = load_meter_records(connection, [new.meter_id])[0].installations[0].predecessor_serial
    assert predecessor == "G1"
    assert counts(meters(connection, DWELLING)) == (0, 0, 2)


def test_the_database_keeps_places_apart_by_the_meters_medium_whatever_the_writer_says(connection: Connection) -> None:
    meters(connection, DWELLING)
    meters(connection, "meter,medium,unit,resolution\nW9,water,m3,0.001\nG9,gas,m3,0.001\n")
    place = (
        "insert into installation (meter_id, service_point_id, role, during, medium)"
        " select %s, service_point_id, 'customer', tstzrange('2025-01-01Z', null), %s from service_point"
        " where code = 'P1'"
    )
    connection.execute(place, (meter_id(connection, "G9"), "water"))
    with pytest.raises(psycopg.errors.ExclusionViolation):
        connection.execute(place, (meter_id(connection, "W9"), "gas"))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            "X,P9,,customer,water,m3,1,1,,2024-01-05,5,-5,",
            "column start_register: '-5'; expected a register of at least 0",
        ),
        (
            "X,P9,,customer,water,m3,1,1,,2024-01-05,3,5000,",
            "column start_register: '5000 m3'; expected less than 1000 m3",
        ),
        (
            "X,P1,,customer,water,m3,1,1,,2024-01-05,8,,99999999",
            "'99999999 m3'; expected less than 100000 m3, where meter 0",
        ),
        ("0001,P1,,customer,water,L,1,1,,2020-01-05,5,100000,", "'100 m3'; expected less than 100 m3"),
        ("X,P9,,customer,water,m3,1,1,,0001-01-01,5,,", "column installed_on: '0001-01-01'; expected a date"),
        ("X,P9,,customer,water,m3,1,1,,9999-12-31,5,,", "column installed_on: '9999-12-31'; expected a date from 1950"),
        ("..,,,,water,m3,1,,,,,,", "column meter: '..'; expected another name"),
        ("Vd,,,,electricity,MWh,1000,,,,12,,", "column register_digits: '12'; expected fewer digits"),
    ],
)
def test_registers_and_dates_are_checked_against_what_a_meter_can_show(
    connection: Connection, row: str, fault: str
) -> None:
    head = (
        "meter,service_point,zone,role,medium,unit,resolution,multiplier,lot,installed_on,register_digits,"
        "start_register,previous_end_register\n"
    )
    meters(connection, TWO_METERS)  # the meter 0001 at P1 has 8 digits of litres, hence 5 of m3
    with pytest.raises(ImportRefusedError) as caught:
        meters(connection, f"{head}{row}\n")
    assert caught.value.total == 1
    assert caught.value.problems[0].startswith("line 2, column ")
    assert fault in caught.value.problems[0]


def test_a_register_is_checked_against_the_digits_on_record(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    head = "meter,service_point,medium,unit,resolution,installed_on,start_register\n"
    with pytest.raises(ImportRefusedError, match="expected less than 100000 m3, where meter 0001 begins anew"):
        meters(connection, head + "0001,P1,water,L,1,2020-01-05,100000000\n")
    meters(connection, head + "0001,P1,water,L,1,2020-01-05,99999999\n")


def test_a_first_import_registers_everything_the_file_names(connection: Connection) -> None:
    summary = meters(connection, TWO_METERS)
    assert (counts(summary), summary.zones_created, summary.registry_version) == ((2, 0, 0), ("Z",), 1)
    identities = load_identities(connection)
    assert identities.version == lock_registry_shared(connection) == registry_version(connection) == 1
    assert set(identities.meters) == {("w", "0001"), ("w", "R")}
    customer, reference = load_meters(connection, [meter_id(connection, "0001"), meter_id(connection, "R")])
    assert (customer.serial, customer.unit, customer.resolution_micro, customer.lot) == ("0001", "L", 1_000, "lot-1")
    assert customer.register_modulus_micro == 10**8 * 1_000  # eight digits of litres
    assert (reference.resolution_micro, reference.register_modulus_micro) == (10_000, None)
    (stay,) = stays(connection, "0001")
    assert (stay.service_point, stay.role, stay.multiplier) == ("P1", "customer", Decimal(1))
    assert (stay.start_us, stay.end_us) == (shanghai_midnight_us(2020, 1, 5), None)
    members = zone_named(connection, "Z").members
    assert [(m.installation.role, m.start_us, m.end_us) for m in members] == [
        ("customer", shanghai_midnight_us(2020, 1, 5), None),
        ("reference", None, None),
    ]


def test_an_equal_file_changes_nothing_but_the_audit_log(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    before = [connection.execute(f"select * from {table}").fetchall() for table in ("meter", "installation", "zone")]
    summary = meters(connection, TWO_METERS)
    assert (counts(summary), summary.registry_version) == ((0, 0, 2), 1)
    after = [connection.execute(f"select * from {table}").fetchall() for table in ("meter", "installation", "zone")]
    assert before == after
    assert audit_actions(connection) == ["import_meters", "import_meters"]


def test_a_meter_exchange_closes_one_installation_and_opens_the_next(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    exchange = (
        "meter,service_point,medium,unit,resolution,installed_on,start_register,previous_end_register\n"
        "0002,P1,water,m3,0.001,2024-06-01T10:00:00+02:00,0.125,987.654\n"
    )
    assert counts(meters(connection, exchange)) == (1, 1, 0)
    at_us = to_micros(datetime(2024, 6, 1, 8, tzinfo=UTC))
    old, new = stays(connection, "0001", "0002")
    assert (old.end_us, old.end_register_micro) == (at_us, 987_654_000)
    assert (new.start_us, new.end_us, new.start_register_micro) == (at_us, None, 125_000)
    assert audit_actions(connection)[-1] == "change_installation"
    # The zone is the place's: the new meter is in it from the day of the exchange.
    spans = {m.installation.meter_id: (m.start_us, m.end_us) for m in zone_named(connection, "Z").members}
    assert spans[new.meter_id] == (at_us, None)
    for text in (exchange, TWO_METERS):
        assert counts(meters(connection, text))[:2] == (0, 0)


def test_an_exchange_and_both_meters_may_stand_in_one_file_in_any_order(connection: Connection) -> None:
    head, row_1, _ = TWO_METERS.splitlines()
    row_2 = row_1.replace("0001", "0002").replace("2020-01-05", "2024-01-01")
    assert counts(meters(connection, "\n".join([head, row_2, row_1]))) == (2, 0, 0)
    (old,), (new,) = stays(connection, "0001"), stays(connection, "0002")
    assert old.end_us == new.start_us == shanghai_midnight_us(2024, 1, 1)


def test_changed_attributes_are_written_and_audited_and_absent_columns_left_alone(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    summary = meters(connection, "meter,medium,unit,resolution,lot\n0001,water,L,1,lot-2\nR,water,m3,0.01,\n")
    assert counts(summary) == (0, 1, 1)
    (meter,) = load_meters(connection, [meter_id(connection, "0001")])
    assert (meter.lot, meter.accuracy_class) == ("lot-2", "2")
    assert len(stays(connection, "0001")) == 1
    action, subject, detail = connection.execute(
        "select action, subject, detail from audit_log order by audit_id desc limit 1"
    ).fetchone() or ("", "", {})
    assert (action, subject) == ("change_meter", "w/0001")
    assert detail == {"before": {"lot": "lot-1"}, "after": {"lot": "lot-2"}}


def test_a_place_changes_its_zone_at_the_date_given(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    moved = (
        "meter,service_point,zone,zone_since,medium,unit,resolution,installed_on\n0001,P1,Y,{},water,L,1,2020-01-05\n"
    )
    with pytest.raises(
        ImportRefusedError, match=r"line 2, column zone_since: empty; expected a date: .* lies in zone Z"
    ):
        meters(connection, moved.format(""))
    assert counts(meters(connection, moved.format("2024-01-01"))) == (0, 1, 0)
    change_us = shanghai_midnight_us(2024, 1, 1)
    ours = meter_id(connection, "0001")
    for code, span in {"Z": (shanghai_midnight_us(2020, 1, 5), change_us), "Y": (change_us, None)}.items():
        members = zone_named(connection, code).members
        assert [(m.start_us, m.end_us) for m in members if m.installation.meter_id == ours] == [span]


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        ("X,P9,Z,customer,steam,L,1,1,,,,", ["column medium: 'steam'; expected one of electricity, water, gas"]),
        ("X,P9,Z,customer,water,kWh,1,1,,,,", ["column unit: 'kWh'; expected one of mL, L"]),
        ("X,P9,Z,boss,water,L,0,1,,,,", ["column resolution: '0'", "column role: 'boss'; expected one of customer"]),
        ("X,P9,Z,customer,water,L,1,-2,,,5.1.2024,", ["column multiplier: '-2'", "column installed_on: '5.1.2024'"]),
        (",P9,Z,customer,water,L,1,1,,,,", ["column meter: empty"]),
        ("X,P9,Z,customer,gas,m3,1,1,,,,", ["column zone: 'Z'; expected a zone of gas; this one is of water"]),
        ("X,P1,Z,customer,water,L,1,1,,,2020-01-05,", ["expected another date: meter 0001 is at service point P1"]),
        ("0001,P1,Z,customer,water,L,1,1,2,lot-1,2020-01-05,8", ["each meter and place once; it stands in line 2"]),
        (
            "0001,P1,Z,customer,water,L,1,1,2,lot-9,2024-01-05,8",
            ["column lot: 'lot-9'; expected the same as in line 2"],
        ),
        ("X,,Z,customer,water,L,1,1,,,,", ["column zone: 'Z'; expected a service_point"]),
    ],
)
def test_a_faulty_row_refuses_the_whole_file(connection: Connection, row: str, faults: list[str]) -> None:
    with pytest.raises(ImportRefusedError, match=r"meters\.csv: nothing was imported") as caught:
        meters(connection, f"{TWO_METERS}{row}\n")
    for fault in faults:
        assert any(fault in problem and problem.startswith("line 4") for problem in caught.value.problems), caught.value
    assert registry_version(connection) == 0
    assert connection.execute("select count(*) from meter").fetchone() == (0,)
    assert connection.execute("select count(*) from utility").fetchone() == (0,)


def test_a_registered_meter_keeps_its_medium(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    with pytest.raises(ImportRefusedError, match="column medium: 'gas'; expected water, as this meter is registered"):
        meters(connection, "meter,medium,unit,resolution\n0001,gas,m3,1\n")


def test_a_place_that_is_taken_needs_the_date_of_the_exchange(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    with pytest.raises(ImportRefusedError, match="installed_on: empty; expected the date of installation: meter 0001"):
        meters(connection, "meter,service_point,medium,unit,resolution\n0002,P1,water,L,1\n")


def test_utilities_are_apart(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    assert counts(meters(connection, TWO_METERS, utility="v")) == (2, 0, 0)
    assert len(load_meters(connection)) == 4
    for wrong in ("", "a/b", "a+", "中"):
        with pytest.raises(InvalidInputError, match="utility"):
            meters(connection, TWO_METERS, utility=wrong)


def test_zones_lie_in_each_other_and_hold_each_others_meters(connection: Connection) -> None:
    meters(connection, TWO_METERS)
    text = "zone,medium,parent,interval_s,reference_uncertainty_pct\nZ,water,city,900,0.25\ncity,water,,,\n"
    assert counts(zones(connection, text)) == (1, 1, 0)
    assert counts(zones(connection, text)) == (0, 0, 2)
    zone, city = zone_named(connection, "Z"), zone_named(connection, "city")
    assert (zone.interval_s, zone.reference_uncertainty_pct, zone.parent_zone_id) == (900, 0.25, city.zone_id)
    assert (city.interval_s, city.parent_zone_id) == (3600, None)
    assert [m.installation for m in city.members] == [m.installation for m in zone.members]
    assert {m.zone_id for m in city.members} == {zone.zone_id}
    assert zones_of_meters(connection, [meter_id(connection, "0001")]) == sorted([zone.zone_id, city.zone_id])
    assert counts(zones(connection, "zone,medium,parent\nZ,water,\n")) == (0, 1, 0)
    assert zone_named(connection, "Z").parent_zone_id is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("A,water,B\nB,water,C\nC,water,A", "A > B > C > A"),
        ("Z,water,A\nA,water,Z", "Z > A > Z"),
        ("A,water,A", "A > A"),
        ("A,water,nowhere", "column parent: 'nowhere'; expected a zone of this file or of the registry"),
        ("A,gas,Z", "expected a zone of gas; this one is of water"),
        ("Z,gas,", "column medium: 'gas'; expected water, as this zone is registered"),
        ("A,water,\nA,water,", "line 3, column zone: 'A'; expected each zone once; it stands in line 2"),
    ],
)
def test_zones_that_can_not_be_are_refused(connection: Connection, text: str, fault: str) -> None:
    zones(connection, "zone,medium\nZ,water\n")
    with pytest.raises(ImportRefusedError) as caught:
        zones(connection, f"zone,medium,parent\n{text}\n")
    assert fault in str(caught.value)
    assert len(list_zones(connection)) == 1


@pytest.mark.parametrize(
    ("row", "column"), [("\u200b,water", "zone"), (f"{'z' * 200},water", "zone"), ("A,steam", "medium")]
)
def test_a_zone_with_one_fault_is_told_one_fault(connection: Connection, row: str, column: str) -> None:
    with pytest.raises(ImportRefusedError) as caught:
        zones(connection, f"zone,medium\n{row}\n")
    assert caught.value.total == 1
    assert f"column {column}: " in caught.value.problems[0]


def test_a_circle_through_registered_zones_is_refused(connection: Connection) -> None:
    zones(connection, "zone,medium,parent\nA,water,B\nB,water,\n")
    with pytest.raises(ImportRefusedError, match="B > A > B"):
        zones(connection, "zone,medium,parent\nB,water,A\n")


def test_standards_have_a_row_for_each_certificate(connection: Connection) -> None:
    def standards(text: str) -> tuple[int, int, int]:
        head = "code,meter,certificate,issued_by,expanded_uncertainty_pct,coverage_factor,valid_from,valid_until\n"
        return counts(import_standards(connection, parse_csv(head + text, "s.csv"), utility="w", actor="test"))

    meters(connection, TWO_METERS)
    first = "S,R,C-1,Institute,0.1,2,2024-01-01,2025-01-01\n"
    assert standards(first) == (1, 0, 0)
    assert standards(first) == (0, 0, 1)
    assert standards(first.replace("0.1", "0.2") + "S,R,C-2,,0.1,,2025-01-01,2026-01-01\n") == (1, 1, 0)
    rows = connection.execute(
        "select certificate, meter_id, expanded_uncertainty_pct, coverage_factor from reference_standard order by 1"
    ).fetchall()
    reference = meter_id(connection, "R")
    assert rows == [("C-1", reference, 0.2, 2.0), ("C-2", reference, 0.1, 2.0)]
    with pytest.raises(ImportRefusedError) as caught:
        standards("S,nobody,C,,0,2,2025-01-01,2025-01-01\nT,,,,,,,\n")
    for fault in (
        "meter: 'nobody'",
        "expanded_uncertainty_pct: '0'",
        "a date after 2025-01-01",
        "line 3, column certificate",
    ):
        assert fault in str(caught.value)


def test_an_import_waits_for_batches_and_keeps_them_out(connection: Connection, migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as gateway:
        lock_registry_shared(gateway)
        connection.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            meters(connection, TWO_METERS)
        connection.rollback()
        gateway.rollback()
        meters(connection, TWO_METERS)
        gateway.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            lock_registry_shared(gateway)


def test_many_meters_are_imported_in_bulk(connection: Connection) -> None:
    head = "meter,service_point,zone,medium,unit,resolution\n"
    text = head + "".join(f"m{i:05},p{i},z{i % 50},electricity,kWh,0.01\n" for i in range(5_000))
    assert counts(meters(connection, text)) == (5_000, 0, 0)
    assert counts(meters(connection, text)) == (0, 0, 5_000)
    assert len(zone_named(connection, "z7").members) == 100
