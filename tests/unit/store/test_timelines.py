"""Installations and zone memberships over time."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.meter_rows import Placement
from store.timelines import Installations, Membership, Memberships, Place, Stay, TimelineError


def year(number: int | None) -> datetime | None:
    return None if number is None else datetime(2000 + number, 1, 1, tzinfo=UTC)


def placement(point: str, start: int | None, **values: Any) -> Placement:
    fields: dict[str, Any] = {
        "service_point": point,
        "medium": "water",
        "role": "customer",
        "direction": "import",
        "phase": "123",
        "multiplier": Decimal(1),
        "start": year(start),
        "start_register_micro": None,
        "previous_end_register_micro": None,
        "zone": "",
        "zone_since": None,
    }
    return Placement(**fields | values)


def known(*stays: tuple[str, str, int | None, int | None]) -> Installations:
    """Installations as the database holds them: serial, service point, start, end."""
    installations = Installations()
    for row_id, (serial, point, start, end) in enumerate(stays):
        place = Place(point, "water", "customer", "import", "123")
        installations.add(Stay(row_id=row_id, serial=serial, place=place, start=year(start), end=year(end)))
    return installations


def number(time: datetime | None) -> int | None:
    return None if time is None else time.year - 2000


def spans(installations: Installations) -> list[tuple[str, str, int | None, int | None]]:
    stays = [stay for stays in installations.by_place.values() for stay in stays]
    rows = [(stay.serial, stay.place.service_point, number(stay.start), number(stay.end)) for stay in stays]
    return sorted(rows, key=lambda row: (row[1], -1 if row[2] is None else row[2]))


def test_an_exchange_closes_one_stay_and_opens_the_next() -> None:
    installations = known(("A", "P", 1, None))
    stay = installations.place_meter("B", placement("P", 5, start_register_micro=7, previous_end_register_micro=9))
    assert spans(installations) == [("A", "P", 1, 5), ("B", "P", 5, None)]
    old = installations.by_meter["A"][0]
    assert (stay.start_register_micro, old.end_register_micro) == (7, 9)
    assert old.before == {"end": None, "end_register_micro": None}


def test_a_move_closes_the_meters_own_stay() -> None:
    installations = known(("A", "P", 1, None))
    installations.place_meter("A", placement("Q", 5))
    assert spans(installations) == [("A", "P", 1, 5), ("A", "Q", 5, None)]


def test_what_is_known_already_changes_nothing() -> None:
    installations = known(("A", "P", None, 5), ("B", "P", 5, None))
    for serial, start in [("A", None), ("B", 5), ("B", None)]:
        installations.place_meter(serial, placement("P", start))
    assert installations.touched() == []


def test_a_corrected_date_moves_the_exchange() -> None:
    installations = known(("A", "P", 1, 5), ("B", "P", 5, None))
    installations.place_meter("B", placement("P", 6))
    assert spans(installations) == [("A", "P", 1, 6), ("B", "P", 6, None)]


def test_a_date_learned_later_is_taken_over() -> None:
    installations = known(("A", "P", None, None))
    installations.place_meter("A", placement("P", 4))
    assert spans(installations) == [("A", "P", 4, None)]


def test_an_earlier_meter_learned_later_ends_where_the_next_begins() -> None:
    installations = known(("B", "P", 5, None))
    installations.place_meter("A", placement("P", 1))
    assert spans(installations) == [("A", "P", 1, 5), ("B", "P", 5, None)]


def test_a_meter_may_come_back() -> None:
    installations = known(("A", "P", 1, 5), ("B", "P", 5, None))
    installations.place_meter("A", placement("P", 8))
    assert spans(installations) == [("A", "P", 1, 5), ("B", "P", 5, 8), ("A", "P", 8, None)]


def test_media_roles_directions_and_phases_are_places_of_their_own() -> None:
    installations = known(("A", "P", 1, None))
    apart = {"B": {"role": "check"}, "C": {"direction": "export"}, "D": {"phase": "1"}, "E": {"medium": "gas"}}
    for serial, values in apart.items():
        installations.place_meter(serial, placement("P", 2, **values))
    assert len(installations.touched()) == 4
    assert installations.by_meter["A"][0].end is None


def test_a_service_point_lies_in_a_zone_of_each_medium() -> None:
    memberships = members(("Z", None, None))
    memberships.place(("P", "gas"), "G", None)
    assert [(m.zone, m.medium) for m in memberships.touched()] == [("G", "gas")]
    assert zones(memberships) == [("Z", None, None)]


@pytest.mark.parametrize(
    ("serial", "where", "column", "message"),
    [
        ("B", placement("P", None), "installed_on", "meter A is at service point P"),
        ("A", placement("Q", None), "installed_on", "it is at service point P"),
        ("B", placement("P", 1), "installed_on", "another date: meter A is at"),
        ("B", placement("R", 2), "installed_on", "meter X is at service point R .* until 2005-"),
        ("X", placement("R", 2, previous_end_register_micro=1), "installed_on", "until 2005-"),
        ("A", placement("P", 1, previous_end_register_micro=1), "previous_end_register", "no meter was at this place"),
        ("Y", placement("R", 0), "installed_on", "a date after 2001-"),
    ],
)
def test_contradictions_name_the_column_and_what_is_known(
    serial: str, where: Placement, column: str, message: str
) -> None:
    installations = known(("A", "P", 1, None), ("X", "R", 1, 5), ("Y", "R", 5, None))
    with pytest.raises(TimelineError, match=message) as caught:
        installations.place_meter(serial, where)
    assert caught.value.column == column


def test_one_file_can_not_give_two_dates_for_a_stay() -> None:
    installations = Installations()
    installations.place_meter("A", placement("P", 1))
    with pytest.raises(TimelineError, match="one date for one stay"):
        installations.place_meter("A", placement("P", 2))


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.sampled_from("PQ"), st.none() | st.integers(0, 6)), max_size=8, unique=True
    )
)
def test_no_meter_is_at_two_places_and_no_place_holds_two_meters(rows: list[tuple[str, str, int | None]]) -> None:
    """Whatever is accepted leaves stays that don't overlap."""
    installations = Installations()
    for serial, point, start in sorted(rows, key=lambda row: -1 if row[2] is None else row[2]):
        before = spans(installations)
        try:
            installations.place_meter(serial, placement(point, start))
        except TimelineError:
            installations = known(*before)  # as a rollback would
    held = spans(installations)
    for group in (0, 1):
        for one in held:
            for other in held:
                if one is not other and one[group] == other[group]:
                    first, second = sorted((one, other), key=lambda row: -1 if row[2] is None else row[2])
                    assert first[3] is not None
                    assert second[2] is not None
                    assert first[3] <= second[2]
    assert all(start is None or end is None or start < end for _, _, start, end in held)


def members(*rows: tuple[str, int | None, int | None]) -> Memberships:
    memberships = Memberships()
    for row_id, (zone, start, end) in enumerate(rows):
        memberships.add(
            Membership(row_id=row_id, service_point="P", medium="water", zone=zone, start=year(start), end=year(end))
        )
    return memberships


def zones(memberships: Memberships) -> list[tuple[str, int | None, int | None]]:
    return [(m.zone, number(m.start), number(m.end)) for m in memberships.by_point["P", "water"]]


@pytest.mark.parametrize(
    ("before", "zone", "since", "after"),
    [
        ([], "Z", None, [("Z", None, None)]),
        ([], "Z", 3, [("Z", 3, None)]),
        ([("Z", None, None)], "Z", None, [("Z", None, None)]),
        ([("Z", None, None)], "Y", 3, [("Z", None, 3), ("Y", 3, None)]),
        ([("Z", None, 3), ("Y", 3, None)], "Z", None, [("Z", None, 3), ("Y", 3, None)]),
        ([("Z", None, 3), ("Y", 3, None)], "Y", 4, [("Z", None, 4), ("Y", 4, None)]),
        ([("Z", None, 3), ("Y", 3, None)], "Z", 5, [("Z", None, 3), ("Y", 3, 5), ("Z", 5, None)]),
        ([("Z", None, None)], "Z", 2, [("Z", 2, None)]),
    ],
)
def test_a_service_point_changes_its_zone_at_a_date(before: Any, zone: str, since: int | None, after: Any) -> None:
    memberships = members(*before)
    memberships.place(("P", "water"), zone, year(since))
    assert zones(memberships) == after
    assert [m.zone for m in memberships.touched()] == [m[0] for m in after if m not in before]


@pytest.mark.parametrize(("since", "message"), [(None, "lies in zone Y; say since when"), (2, "a date after 2003-")])
def test_a_change_of_zone_without_a_possible_date_is_refused(since: int | None, message: str) -> None:
    with pytest.raises(TimelineError, match=message) as caught:
        members(("X", None, 3), ("Y", 3, None)).place(("P", "water"), "W", year(since))
    assert caught.value.column == "zone_since"
