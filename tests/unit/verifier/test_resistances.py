"""Resistances of a file put in the order of the balance's members."""

from decimal import Decimal

import numpy as np

from store.registry import Installation, Zone, ZoneMember
from verifier.resistances import customers_in_order, resistance_by_place, resistance_of


def member(
    meter_id: int, role: str = "customer", zone_id: int = 1, point: str = "", start_us: int | None = None
) -> ZoneMember:
    point = point or f"P{meter_id}"
    place = Installation(0, meter_id, 0, point, role, "import", "123", Decimal(1), start_us, None, None, None)
    return ZoneMember(zone_id, start_us, None, place)


def test_rows_follow_the_members_and_others_share_no_path() -> None:
    members = (member(7), member(2), member(4), member(9, "reference"), member(5, "reference", zone_id=3))
    zone = Zone(1, 0, "u", "Z", "electricity", None, 900, 0.3, members)
    assert customers_in_order(zone) == [2, 4, 7]
    given = np.array([[1.0, 0.1, 0.2], [0.1, 2.0, 0.3], [0.2, 0.3, 3.0]])
    found = resistance_of(zone, [7, 5, 2, 7], given)
    expected = [[3.0, 0, 0.2, 3.0], [0, 0, 0, 0], [0.2, 0, 1.0, 0.2], [3.0, 0, 0.2, 3.0]]
    np.testing.assert_array_equal(found, expected)


def test_meters_that_are_not_named_take_the_path_of_their_place_or_none() -> None:
    members = (
        member(2),
        member(4),
        member(6, point="P4", start_us=50),  # came in the place of 4
        member(7, point="P9"),
        member(8, "check", point="P2"),
        member(9, "reference", zone_id=3),
    )
    zone = Zone(1, 0, "u", "Z", "electricity", None, 900, 0.3, members)
    given = np.array([[1.0, 0.1], [0.1, 2.0]])  # of 4 and 2
    found = resistance_by_place(zone, [4, 2], [2, 4, 6, 7, 9], given)
    expected = np.zeros((5, 5))
    expected[:3, :3] = [[2.0, 0.1, 0.1], [0.1, 1.0, 1.0], [0.1, 1.0, 1.0]]
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(resistance_by_place(zone, [4, 2], [6, 7], given), [[1.0, 0], [0, 0]])
    assert resistance_by_place(zone, [4, 2], [7, 9], given) is None


def test_a_meter_that_is_named_keeps_its_own_path_wherever_it_went() -> None:
    members = (member(2), member(4), member(2, point="P4", start_us=50), member(5, point="P2", start_us=60))
    zone = Zone(1, 0, "u", "Z", "electricity", None, 900, 0.3, members)
    given = np.array([[1.0, 0.1], [0.1, 2.0]])
    found = resistance_by_place(zone, [2, 4], [2, 4, 5], given)
    assert found is not None
    np.testing.assert_array_equal(found[:2, :2], given)
    np.testing.assert_array_equal(found[2], [1.0, 0.1, 1.0])  # of the place where 2 was before
