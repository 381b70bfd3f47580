import json
from datetime import UTC, datetime, timedelta

import numpy as np

from gateway.batch import assemble
from gateway.codec.rows import Rows
from gateway.decode import Decoded, Message, decode, message_digest
from gateway.identity import MEDIUM_CODE, IdentityCache, IdentityMap
from gateway.settings import GatewaySettings
from gateway.sources import Sources
from metrology.quantities import Medium
from store.registry import Identities, MeterIdentity

SETTINGS = GatewaySettings(observed_at_future_s=60)
NOW_US = 1_767_226_500_000_000  # 2026-01-01T00:15:00Z
IDENTITIES = IdentityMap.of(
    Identities(
        version=3,
        meters={
            ("north", "0042"): MeterIdentity(5, 1, "water", "m3"),
            ("south", "0042"): MeterIdentity(9, 2, "gas", "m3"),
            ("south", "42"): MeterIdentity(7, 2, "electricity", "kWh"),
        },
        utilities={"north": 1, "south": 2},
    )
)


def message(utility: str, **changes: object) -> Message:
    fields = {"v": 1, "medium": "water", "unit": "m3", "observed_at": NOW_US // 1000, "meter": "0042", "register": 1}
    return Message(f"mp/v1/{utility}/g/readings", json.dumps(fields | changes).encode(), NOW_US)


def assembled(*messages: Message, settings: GatewaySettings = SETTINGS):
    return assemble([decode(m, Sources(settings)) for m in messages], IDENTITIES, settings, batch_id=11)


def reasons(result) -> dict[str, tuple[int, ...] | None]:
    return {row.reason: row.rows for row in result.quarantine}


def test_the_same_serial_at_two_utilities_is_two_meters_and_zeros_count():
    result = assembled(
        message("north"),
        message("south", medium="gas", unit="L"),
        message("south", medium="electricity", unit="MWh", meter=["42", "0042", "042"], register=[1, 2, 3]),
    )
    assert result.readings.tolist() == [
        (NOW_US, 1_000_000, 11, 5, 0, 0),
        (NOW_US, 1_000, 11, 9, 0, 1),
        (NOW_US, 1_000_000_000, 11, 7, 0, 2),
    ]
    assert [(row.utility_id, row.serial, row.medium, row.message_no) for row in result.pending] == [
        (2, "042", "electricity", 2)
    ]
    assert reasons(result) == {"medium_mismatch": (1,)}
    assert (result.readings_in, result.rejected) == (5, 1)


def test_one_message_may_hold_meters_of_several_media():
    rows = Rows(
        medium=[Medium.GAS, Medium.ELECTRICITY, Medium.WATER],
        unit=["m3", "Wh", "L"],
        meter=["0042", "42", "42"],
        observed_at=[NOW_US // 1000] * 3,
        register=["1.5", "2000", "3"],
        status=[0, 0, 0],
    )
    several = Decoded(message("south"), b"d" * 16, "south", rows)
    result = assemble([several, decode(message("north"), Sources(SETTINGS))], IDENTITIES, SETTINGS, batch_id=11)
    assert result.readings.tolist() == [
        (NOW_US, 1_500_000, 11, 9, 0, 0),
        (NOW_US, 2_000_000, 11, 7, 0, 0),
        (NOW_US, 1_000_000, 11, 5, 0, 1),
    ]
    assert reasons(result) == {"medium_mismatch": (2,)}
    assert "sent as water" in result.quarantine[0].detail


def test_message_numbers_count_messages_without_readings_too():
    broken = Message("mp/v1/north/g/readings", b"nonsense", NOW_US)
    result = assembled(broken, message("north", meter=[], register=[], observed_at=[]), broken, message("north"))
    assert result.readings["message_no"].tolist() == [3]
    assert [row.rows for row in result.quarantine] == [None, None]
    assert result.readings_in == 1


def test_unknown_utility_and_foreign_topic_count_their_rows_where_known():
    foreign = Message("elsewhere/readings", message("north").payload, NOW_US)
    result = assembled(message("west", meter=["a", "b"], register=[1, 2]), foreign)
    assert reasons(result) == {"utility_unknown": None, "topic_unexpected": None}
    assert (result.readings_in, result.rejected) == (2, 2)
    assert result.quarantine[0].utility == "west"


def test_limits_of_time_and_register_are_inclusive():
    ms = NOW_US // 1000
    times = [SETTINGS.earliest_us // 1000, SETTINGS.earliest_us // 1000 - 1, ms + 60_000, ms + 60_001]
    result = assembled(message("north", observed_at=times))
    assert result.readings["observed_us"].tolist() == [times[0] * 1000, times[2] * 1000]
    assert reasons(result) == {"observed_at_too_early": (1,), "observed_at_in_future": (3,)}
    limits = GatewaySettings(register_min="-1", register_max="2")
    result = assembled(message("north", register=[-1, -1.000001, 2, 2.000001]), settings=limits)
    assert result.readings["register_micro"].tolist() == [-1_000_000, 2_000_000]
    assert reasons(result) == {"register_out_of_range": (1, 3)}


def test_a_row_has_one_reason_the_first_that_applies():
    result = assembled(message("north", meter=["0042"] * 2, register=["x", -5], observed_at=["never", "never"]))
    assert reasons(result) == {"observed_at_invalid": (0, 1)}
    assert result.rejected == 2


def test_serials_that_no_registry_could_hold_are_refused():
    serials = ["", " ", "a\u0000", "a\nb", "x" * 129, "x" * 128, "表-1"]
    result = assembled(message("north", meter=serials))
    assert [row.serial for row in result.pending] == ["x" * 128, "表-1"]
    assert reasons(result) == {"meter_invalid": (0, 1, 2, 3, 4)}
    assert "row 0: meter ''" in result.quarantine[0].detail
    assert " and 2 more: " in result.quarantine[0].detail


def test_identity_map_lays_out_media_by_meter():
    assert IDENTITIES.medium_of.tolist() == [
        *[-1] * 5,
        MEDIUM_CODE[Medium.WATER],
        -1,
        MEDIUM_CODE[Medium.ELECTRICITY],
        -1,
        MEDIUM_CODE[Medium.GAS],
    ]
    assert IDENTITIES.medium_of.dtype == np.int8


def test_identities_are_loaded_again_only_when_the_registry_changed(monkeypatch):
    loads = []

    def load(conn):
        loads.append(conn)
        return Identities(version=len(loads), meters={}, utilities={})

    monkeypatch.setattr("gateway.identity.load_identities", load)
    cache = IdentityCache()
    assert cache.at("conn", 1) is cache.at("conn", 1)
    assert cache.at("conn", 2).version == 2
    assert len(loads) == 2


def test_digest_tells_topics_and_payloads_apart():
    digests = {message_digest(t, p) for t, p in [("a", b"bc"), ("ab", b"c"), ("a", b"b"), ("b", b"bc")]}
    assert len(digests) == 4
    assert all(len(digest) == 16 for digest in digests)


def test_received_at_is_exact():
    received = Message("t", b"", NOW_US + 1).received_at
    assert received == datetime(2026, 1, 1, 0, 15, tzinfo=UTC) + timedelta(microseconds=1)
