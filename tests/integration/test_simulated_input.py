"""What the simulators make is what the gateway and the registry take."""

from pathlib import Path

import numpy as np
import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec.rows import Rows
from gateway.convert import observed_us_of, register_micro_of, status_of
from gateway.decode import Message, decode
from gateway.settings import GatewaySettings
from gateway.sources import Sources
from metrology.quantities import Medium, micro_per_unit
from simulators.city import City
from simulators.payload import Encoding, Sender, encode_message
from simulators.registry_files import write_registry
from simulators.scenario import load_scenario
from store.meter_import import import_meters
from store.registry import load_identities
from store.tables import read_table
from store.zone_import import import_zones

SOURCES = Sources(GatewaySettings())
TINY = load_scenario(Path(__file__).parents[2] / "simulators/scenarios/tiny.toml")
registers = st.one_of(st.integers(-(2**40), 2**40), st.integers(2**50, 2**62))
rows = st.lists(
    st.tuples(st.sampled_from(["0001", "达-2", "x"]), st.integers(0, 2**52), registers, st.integers(0, 2**15 - 1)),
    min_size=1,
    max_size=20,
)


@settings(deadline=None)  # other work may share the machine
@given(rows, st.sampled_from(["json", "cbor"]), st.sampled_from(list(Medium)), st.booleans())
def test_the_gateway_reads_what_was_encoded(
    given_rows: list[tuple[str, int, int, int]], encoding: Encoding, medium: Medium, whole_ms: bool
) -> None:
    serials, times, micro, status = (list(column) for column in zip(*given_rows, strict=True))
    observed_us = np.array(times, dtype=np.int64) // (1000 if whole_ms else 1) * (1000 if whole_ms else 1)
    sender = Sender("u", "g", medium, encoding)
    sent = encode_message(
        sender, serials, observed_us, np.array(micro, dtype=np.int64), np.array(status, dtype=np.int16)
    )
    decoded = decode(Message(sent.topic, sent.payload, 0), SOURCES)
    assert decoded.rejection is None
    assert decoded.digest == sent.digest
    assert decoded.rows is not None
    assert list(decoded.rows.meter) == serials
    assert observed_us_of(decoded.rows.observed_at)[0].tolist() == observed_us.tolist()
    assert status_of(decoded.rows.status)[0].tolist() == status
    assert _registers_of(decoded.rows) == micro


def _registers_of(decoded: Rows) -> list[int]:
    factor = micro_per_unit(decoded.unit, decoded.medium)
    everywhere = np.zeros(len(decoded.register), dtype=np.intp)
    micro, invalid, inexact = register_micro_of(decoded.register, [factor], everywhere)
    assert not (invalid | inexact).any()
    return list(micro.tolist())


def test_a_citys_registry_is_imported_whole_and_again_without_change(migrated_dsn: str, tmp_path: Path) -> None:
    city = City(TINY)
    zones, meters = write_registry(city, tmp_path)
    with psycopg.connect(migrated_dsn) as conn:
        for expected in (True, False):
            in_zones = import_zones(conn, read_table(zones), utility=TINY.utility, actor="test")
            in_meters = import_meters(conn, read_table(meters), utility=TINY.utility, time_zone="UTC", actor="test")
            assert in_zones.added == (2 if expected else 0)
            assert in_meters.added == (len(city.serials) if expected else 0)
            assert not in_meters.changed
            assert in_meters.ignored_columns == ()
        identities = load_identities(conn)
        assert {serial for _, serial in identities.meters} == set(city.serials)
        exchanged = conn.execute(
            "select upper(during), lead(lower(during)) over (order by lower(during)) from installation"
            " where service_point_id in (select service_point_id from installation group by 1 having count(*) > 1)"
        ).fetchall()
        assert len(exchanged) == 2
        ends, next_begins = exchanged[0]
        assert ends is not None
        assert ends == next_begins
