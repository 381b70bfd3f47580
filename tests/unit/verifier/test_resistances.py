"""Resistances of a file put in the order of the balance's members."""

from decimal import Decimal

import numpy as np

from store.registry import Installation, Zone, ZoneMember
from verifier.resistances import customers_in_order, resistance_of


def member(meter_id: int, role: str = "customer", zone_id: int = 1) -> ZoneMember:
    place = Installation(0, meter_id, 0, f"P{meter_id}", role, "import", "123", Decimal(1), None, None, None, None)
    return ZoneMember(zone_id, None, None, place)


def test_rows_follow_the_members_and_others_share_no_path() -> None:
    members = (member(7), member(2), member(4), member(9, "reference"), member(5, "reference", zone_id=3))
    zone = Zone(1, 0, "u", "Z", "electricity", None, 900, 0.3, members)
    assert customers_in_order(zone) == [2, 4, 7]
    given = np.array([[1.0, 0.1, 0.2], [0.1, 2.0, 0.3], [0.2, 0.3, 3.0]])
    found = resistance_of(zone, [7, 5, 2, 7], given)
    expected = [[3.0, 0, 0.2, 3.0], [0, 0, 0, 0], [0.2, 0, 1.0, 0.2], [3.0, 0, 0.2, 3.0]]
    np.testing.assert_array_equal(found, expected)
