"""What stands beside readings in the store: the folder of `assess --side`, all or nothing, nothing overwritten."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from meterproof.side_folder import import_folder
from metrology.errors import InvalidInputError
from store.errors import ImportRefusedError
from store.import_summary import ImportSummary
from store.meter_import import import_meters
from store.side import load_conditions, load_network
from store.tables import parse_csv

Connection = psycopg.Connection[Any]
METERS = """\
meter,medium,unit,resolution,service_point,zone,role
A,electricity,kWh,0.01,PA,E1,customer
B,electricity,kWh,0.01,PB,E1,customer
C,electricity,kWh,0.01,PC,E1,customer
R,electricity,kWh,0.01,PR,E1,reference
W,water,m3,0.001,PW,W1,customer
G,gas,m3,0.001,PG,G1,customer
"""
ORDER = "meter,zone,role,medium\nC,E1,customer,electricity\nA,E1,customer,electricity\nR,E1,reference,electricity\n"
MATRIX = np.array([[0.3, 0.1], [0.1, 0.2]])  # of C and A
DAY_US = 86_400_000_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def registry(connection: Connection) -> Connection:
    import_meters(connection, parse_csv(METERS, "m.csv"), utility="u", time_zone="UTC", actor="t")
    connection.commit()
    return connection


def put(folder: Path, name: str, content: Any) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_text(content)


def pressures(*rows: str) -> str:
    return "observed_at,pressure_m\n" + "".join(f"2026-01-{row}\n" for row in rows)


def bring(
    connection: Connection, folder: Path, meters: str | None = ORDER, utility: str = "u", time_zone: str = "UTC"
) -> ImportSummary:
    table = None if meters is None else parse_csv(meters, "meters.csv")
    return import_folder(connection, folder, table, utility=utility, time_zone=time_zone, actor="office", now=NOW)


def became(summary: ImportSummary) -> tuple[int, int, int]:
    return summary.added, summary.changed, summary.unchanged


def zone_id(connection: Connection, code: str) -> int:
    return connection.execute("select zone_id from zone where code = %s", (code,)).fetchone()[0]  # type: ignore[index]


def meter_id(connection: Connection, serial: str) -> int:
    return connection.execute("select meter_id from meter where serial = %s", (serial,)).fetchone()[0]  # type: ignore[index]


def rechecks(connection: Connection) -> dict[str, datetime]:
    """The zones that are to be assessed again, which then are noted no more."""
    rows = connection.execute(
        "with taken as (delete from zone_recheck returning zone_id, from_at)"
        " select code, min(from_at) from taken join zone using (zone_id) group by code"
    ).fetchall()
    return dict(rows)


def test_a_network_is_kept_by_meters_and_replaced_without_losing_the_former_one(
    registry: Connection, tmp_path: Path
) -> None:
    put(tmp_path, "E1/resistance_ohm.npy", MATRIX)
    assert became(bring(registry, tmp_path)) == (1, 0, 0)
    network = load_network(registry, zone_id(registry, "E1"))
    assert network is not None
    assert network.meter_ids == (meter_id(registry, "C"), meter_id(registry, "A"))
    np.testing.assert_array_equal(network.resistance_ohm, MATRIX)
    assert rechecks(registry) == {"E1": datetime(1970, 1, 1, tzinfo=UTC)}

    assert became(bring(registry, tmp_path)) == (0, 0, 1)
    assert rechecks(registry) == {}
    put(tmp_path, "E1/resistance_ohm.npy", MATRIX * 2)
    assert became(bring(registry, tmp_path)) == (0, 1, 0)
    assert rechecks(registry).keys() == {"E1"}
    network = load_network(registry, zone_id(registry, "E1"))
    assert network is not None
    np.testing.assert_array_equal(network.resistance_ohm, MATRIX * 2)
    kept = registry.execute(
        "select n.resistance_ohm, n.superseded_by = later.side_import_id, i.source, i.imported_by"
        " from zone_network n join side_import i using (side_import_id)"
        " left join side_import later on later.side_import_id = n.superseded_by order by n.side_import_id"
    ).fetchall()
    place = str(tmp_path / "E1")
    assert kept == [([0.3, 0.1, 0.2], True, place, "office"), ([0.6, 0.2, 0.4], None, place, "office")]
    actions = [row[0] for row in registry.execute("select action from audit_log order by audit_id").fetchall()]
    assert actions[1:] == [
        "change_zone_resistances",
        "import_side",
        "import_side",
        "change_zone_resistances",
        "import_side",
    ]


def test_the_neutrals_ratio_comes_and_changes_with_the_network(registry: Connection, tmp_path: Path) -> None:
    put(tmp_path, "E1/resistance_ohm.npy", MATRIX)
    (zone_id,) = registry.execute("select zone_id from zone where code = 'E1'").fetchone() or (0,)
    bring(registry, tmp_path)
    put(tmp_path, "E1/network.csv", "neutral_ratio\n2\n")
    assert bring(registry, tmp_path).changed == 1
    network = load_network(registry, zone_id)
    assert network is not None
    assert network.neutral_ratio == 2.0
    assert bring(registry, tmp_path).unchanged == 1
    put(tmp_path, "E1/network.csv", "neutral_ratio\n-1\n")
    with pytest.raises(ImportRefusedError, match="neutral_ratio"):
        bring(registry, tmp_path)


def test_conditions_take_the_place_of_their_own_span_alone(registry: Connection, tmp_path: Path) -> None:
    put(tmp_path, "W1/conditions.csv", pressures("05,40", "06,41", "07,42", "08,43"))
    assert became(bring(registry, tmp_path, None)) == (1, 0, 0)
    assert rechecks(registry) == {"W1": datetime(2026, 1, 5, tzinfo=UTC)}
    put(tmp_path, "W1/conditions.csv", pressures("09,44", "10,45"))
    assert became(bring(registry, tmp_path, None)) == (1, 0, 0)
    assert rechecks(registry) == {"W1": datetime(2026, 1, 9, tzinfo=UTC)}
    put(tmp_path, "W1/conditions.csv", pressures("06,41", "07,42.5", "08,43"))
    assert became(bring(registry, tmp_path, None)) == (0, 1, 0)
    assert rechecks(registry) == {"W1": datetime(2026, 1, 7, tzinfo=UTC)}
    assert became(bring(registry, tmp_path, None)) == (0, 0, 1)
    assert rechecks(registry) == {}

    begin = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000
    held = load_conditions(registry, zone_id(registry, "W1"), begin, begin + 30 * DAY_US)
    assert held.values[:, 0].tolist() == [40, 41, 42.5, 43, 44, 45]
    assert held.of("temperature_degc") is None
    # What tells of a span: the last record before it, and none after its end.
    part = load_conditions(registry, zone_id(registry, "W1"), begin + DAY_US + 5, begin + 3 * DAY_US)
    assert part.values[:, 0].tolist() == [41, 42.5, 43]
    withdrawn = registry.execute("select pressure_m from zone_condition where superseded_by is not null").fetchall()
    assert withdrawn == [(42.0,)]


def test_several_zones_come_in_one_folder_and_local_times_are_of_the_stated_zone(
    registry: Connection, tmp_path: Path
) -> None:
    put(tmp_path, "E1/resistance_ohm.npy", MATRIX)
    put(tmp_path, "G1/conditions.csv", "observed_at,temperature_degc,atmospheric_hpa\n2026-01-05T08:00:00,5,1015\n")
    put(tmp_path, "notes/readme.txt", "not ours")
    assert became(bring(registry, tmp_path, time_zone="Asia/Shanghai")) == (2, 0, 0)
    noon = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000
    held = load_conditions(registry, zone_id(registry, "G1"), noon, noon)
    assert held.observed_us.tolist() == [noon]
    np.testing.assert_array_equal(held.values, [[np.nan, 5, 1015]])


def test_the_faults_of_all_files_are_told_at_once_and_nothing_comes_in(registry: Connection, tmp_path: Path) -> None:
    put(tmp_path, "E1/resistance_ohm.npy", np.array([[0.3, 0.1, 0], [0.1, 0.2, 0], [0, 0, 0.1]]))
    put(tmp_path, "W1/conditions.csv", pressures("05,x", "06,4000", "07,42"))
    put(tmp_path, "G1/conditions.csv", "observed_at,temperature_degc,atmospheric_hpa\n2026-01-05,5,1015\n")
    put(tmp_path, "E11/resistance_ohm.npy", MATRIX)
    order = ORDER + "X,E1,customer,electricity\n"
    with pytest.raises(ImportRefusedError) as refused:
        bring(registry, tmp_path, order)
    text = str(refused.value)
    assert f"{tmp_path}: nothing was imported, 4 faults" in text
    for told in (
        f"{tmp_path / 'E11'}: 'E11' is no zone of utility u; correct the folder's name",
        "meters.csv, line 5, column meter: 'X'; expected a meter that is registered as a customer's of zone E1",
        f"{tmp_path / 'W1' / 'conditions.csv'}, line 2, column pressure_m: 'x'; expected a number",
        f"{tmp_path / 'W1' / 'conditions.csv'}, line 3, column pressure_m: '4000'; expected a number from -10 to 1000",
    ):
        assert told in text
    assert registry.execute("select count(*) from side_import").fetchone() == (0,)
    assert rechecks(registry) == {}


def test_conditions_of_the_future_are_refused(registry: Connection, tmp_path: Path) -> None:
    put(tmp_path, "W1/conditions.csv", "observed_at,pressure_m\n2026-01-05T00:00:00Z,30\n2150-01-05T00:00:00Z,30\n")
    with pytest.raises(ImportRefusedError) as refused:
        bring(registry, tmp_path)
    assert "2150-01-05T00:00:00Z; expected a time in the past" in refused.value.problems[0]
    assert rechecks(registry) == {}


@pytest.mark.parametrize(
    ("meters", "utility", "message"),
    [
        (None, "u", r"name the meters file in whose order \(--meters\)"),
        (ORDER.replace("A,E1", "A,E2"), "u", r"shape \(2, 2\); expected \(1, 1\)"),
        (ORDER.replace("A,E1,customer", "R9,E1,customer"), "u", "line 3, column meter: 'R9'"),
        (
            ORDER.replace("electricity\nA", "wind\nA"),
            "u",
            "nothing was imported, 1 fault.*line 2, column medium: 'wind'",
        ),
        (ORDER, "v", "utility 'v' has no zone"),
    ],
)
def test_a_matrix_whose_rows_are_not_known_is_refused(
    registry: Connection, tmp_path: Path, meters: str | None, utility: str, message: str
) -> None:
    put(tmp_path, "E1/resistance_ohm.npy", MATRIX)
    with pytest.raises(InvalidInputError, match=f"(?s){message}"):
        bring(registry, tmp_path, meters, utility)
    assert load_network(registry, zone_id(registry, "E1")) is None


@pytest.mark.parametrize("name", ["nothing", ""])
def test_a_folder_with_nothing_in_it_or_none_at_all_is_refused(registry: Connection, tmp_path: Path, name: str) -> None:
    with pytest.raises(ImportRefusedError, match="is no folder" if name else "holds nothing for any of the zones"):
        bring(registry, tmp_path / name)
