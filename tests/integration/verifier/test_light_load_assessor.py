"""Light load on a real database: weeks digested as they are complete, findings the same in whatever order all came."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from households import draws, register

from verifier.assessors import Assessors
from verifier.light_load_assessor import LightLoadAssessor
from verifier.settings import VerifierSettings
from verifier.zone_assessor import ZoneAssessor

City = Any
Make = Callable[..., City]
Point = tuple[int, float, float]  # meter, hours since START, register in m3
START = datetime(2026, 1, 1, tzinfo=UTC)  # of the city's hours
MONDAY_H = 4 * 24.0  # from START, a Thursday, to the first week
WEEKS = 18
KINDS = ("low_flow_lost", "continuous_flow", "light_load", "creep")
# Small enough a history for a short test; certain enough that healthy meters give nothing.
SETTINGS = VerifierSettings.model_validate({"light_load": {"history_weeks": 8, "block_s": 1800}})


@pytest.fixture(scope="module")
def points() -> dict[int, list[Point]]:
    """Half-hourly readings by meter: 1 healthy, 2 with a starting flow of 30 L/h from the 12th week on, 3 leaking."""
    made = {}
    for meter_id, seed, given in ((1, 1, {}), (2, 2, {"starting_m3ph": 0.03, "lost_from": 12}), (3, 4, {})):
        flow = draws(
            np.random.default_rng(seed),
            WEEKS,
            trickles=2.5 if meter_id == 2 else 1.0,
            leak_m3ph=0.02 if meter_id == 3 else 0.0,
        )
        total = register(flow, minutes=30, **given).total  # type: ignore[arg-type]  # two figures
        made[meter_id] = [(meter_id, MONDAY_H + i / 2, round(float(t), 3)) for i, t in enumerate(total)]
    return made


def follow(city: City) -> None:
    city.follow(assessor=Assessors(ZoneAssessor(city.settings), LightLoadAssessor(city.settings)))


def conclusions(city: City) -> tuple[list[Any], list[Any]]:
    """Digests, and findings without what depends on the way to them."""
    found = [one for one in city.findings() if one.kind in KINDS]
    return city.query("select meter_id, week_start, digest from light_load_week order by 1, 2"), found


def weeks(points: Sequence[Point]) -> list[list[Point]]:
    """The points by week."""
    return [[p for p in points if week <= (p[1] - MONDAY_H) // 168 < week + 1] for week in range(WEEKS + 1)]


def test_lost_small_loads_and_a_leak_are_found_with_their_readings(make_city: Make, points: Any) -> None:
    city = make_city(3, SETTINGS)
    city.deliver([p for of_meter in points.values() for p in of_meter])
    follow(city)
    digests, found = conclusions(city)
    # The last week waits for a day past its end.
    assert len(digests) == 3 * (WEEKS - 1)
    by_meter = {(one.meter_id, one.kind): one for one in found}
    assert set(by_meter) == {(2, "low_flow_lost"), (3, "continuous_flow"), (3, "light_load")}
    lost = by_meter[2, "low_flow_lost"]
    assert lost.severity == "warning"
    lost_at = START + timedelta(hours=MONDAY_H + 12 * 168)
    assert lost.starts_us == round(lost_at.timestamp() * 1e6)
    assert lost.detail["p_false_alarm"] <= 1e-5
    assert "told_us" not in lost.detail
    assert [reading["part"] for reading in lost.evidence] == ["before", "start", "told"]
    shown = {(2, round(hours * 3600)): round(register * 1e6) for _, hours, register in points[2]}
    for reading in lost.evidence:
        at_s = round((np.datetime64(reading["observed_at"].rstrip("Z")) - np.datetime64(START.replace(tzinfo=None)))
                     / np.timedelta64(1, "s"))  # fmt: skip
        assert reading["register_micro"] == shown[2, at_s]
    assert by_meter[3, "continuous_flow"].detail["least_flow_m3ph"] == pytest.approx(0.02, rel=0.1)
    alerts = city.query("select kind, meter_id, severity, state from alert")
    assert alerts == [("low_flow_lost", 2, "warning", "open")]


def test_week_by_week_late_and_shuffled_end_the_same(make_city: Make, points: Any) -> None:
    city = make_city(3, SETTINGS)
    every = [p for of_meter in points.values() for p in of_meter]
    city.deliver(every)
    follow(city)
    expected = conclusions(city)
    for table in ("alert_event", "alert", "finding", "assessment", "zone_state", "light_load_week", "light_load_state",
                  "meter_state", "meter_checkpoint", "follower_cursor", "reading", "reading_conflict",
                  "reading_repeat", "batch"):  # fmt: skip
        city.connection.execute(f"delete from {table}".encode())
    city.connection.commit()

    rng = np.random.default_rng(7)
    late = rng.random(len(every)) < 0.01
    held_back = [p for p, is_late in zip(every, late, strict=True) if is_late]
    held_back += weeks(points[2])[5]  # a whole week of one meter comes last
    there = set(held_back)
    for part in weeks([p for p in every if p not in there]):
        city.deliver([part[i] for i in rng.permutation(len(part))])
        follow(city)
    assert conclusions(city) != expected
    for part in np.array_split(rng.permutation(len(held_back)), 3):
        city.deliver([held_back[i] for i in part])
        follow(city)
    assert conclusions(city) == expected


def test_between_the_ends_of_weeks_nothing_is_read_or_written(make_city: Make, points: Any) -> None:
    city = make_city(3, SETTINGS)
    first, second = weeks(points[1])[:2]
    city.deliver(first)
    follow(city)
    assert city.query("select count(*) from light_load_week") == [(0,)]
    city.deliver(second[:48])  # until just before a day past the week's end
    follow(city)
    assert city.query("select count(*) from light_load_week") == [(0,)]
    city.deliver(second[48:49])
    follow(city)
    assert city.query("select week_start from light_load_week") == [(START + timedelta(hours=MONDAY_H),)]
    before = city.query("select xmin::text from light_load_week")
    city.deliver(second[49:])
    follow(city)
    assert city.query("select xmin::text from light_load_week") == before


def test_another_setting_digests_anew_when_the_next_week_is_complete(make_city: Make, points: Any) -> None:
    city = make_city(3, SETTINGS)
    parts = weeks(points[3])
    city.deliver([p for part in parts[:5] for p in part])
    follow(city)
    assert city.query("select distinct digest ->> 'block_s' from light_load_week") == [("1800",)]
    city.settings = VerifierSettings.model_validate({"light_load": {"block_s": 3600}})
    city.deliver(parts[5] + parts[6])
    follow(city)
    assert city.query("select count(*), min(digest ->> 'block_s') from light_load_week") == [(6, "3600")]


def test_references_and_weeks_of_an_exchange_have_no_digest(make_city: Make, points: Any) -> None:
    city = make_city(3, SETTINGS)
    moved = START + timedelta(hours=MONDAY_H + 2.5 * 168)
    city.connection.execute("update installation set role = 'reference' where meter_id = 1")
    city.connection.execute("update installation set during = tstzrange(null, %s) where meter_id = 3", (moved,))
    city.connection.execute(
        "insert into installation (meter_id, service_point_id, role, during) values (3, 1, 'customer',"
        " tstzrange(%s, null))",
        (moved,),
    )
    city.connection.commit()
    city.deliver([p for meter_id in (1, 3) for part in weeks(points[meter_id])[:7] for p in part])
    follow(city)
    found = city.query("select meter_id, week_start from light_load_week order by 2")
    number = [(at - START - timedelta(hours=MONDAY_H)).days // 7 for _, at in found]
    assert {meter_id for meter_id, _ in found} == {3}
    assert number == [0, 1, 3, 4, 5]
    # At either place water never stops: two findings, the first one over.
    flows = [one for one in conclusions(city)[1] if one.kind == "continuous_flow"]
    assert [one.detail["ongoing"] for one in flows] == [False, True]
