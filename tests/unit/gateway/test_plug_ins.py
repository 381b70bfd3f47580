"""Codecs of other packages: the documented example, installed by its entry point, and one that hangs."""

import sys
import time
from pathlib import Path

import pytest

from gateway.codec import registry
from gateway.codec.isolated import IsolatedCodec
from gateway.codec.rows import CodecContext, MessageRejected
from gateway.decode import Message, decode
from gateway.errors import GatewayError
from gateway.reasons import Reason
from gateway.settings import GatewaySettings
from gateway.sources import Sources
from metrology.quantities import Medium

EXAMPLE = Path(__file__).parents[3] / "docs/examples/weighed-water"
NOW_US = 1_767_226_500_000_000
HOSTILE = """
import os, time
from gateway.codec.registry import CodecKind, NoOptions
from gateway.codec.rows import Rows
from metrology.quantities import Medium

class Hostile:
    def __init__(self, options, context): pass
    def decode(self, topic, payload, received_us):
        print("printed on standard output")
        if payload == b"hang":
            while True: pass
        if payload == b"die":
            os._exit(3)
        if payload == b"raise":
            raise RuntimeError("a fault")
        if payload == b"lie":
            return Rows(Medium.WATER, "m3", ["a", "b"], [0], ["1"], [0])
        if payload == b"wrong unit":
            return Rows(Medium.WATER, "kWh", ["a"], [0], ["1"], [0])
        return Rows(Medium.WATER, "m3", ["a"], [1767226500000], ["1"], [0])

HOSTILE = CodecKind("hangs", NoOptions, Hostile)
NO_KIND = 5
"""


def install(folder: Path, name: str, source: str, entry_points: str) -> None:
    """Put a package into a folder as an installer would: its module and its metadata."""
    (folder / f"{name}.py").write_text(source)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{entry_points}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.plug_ins.cache_clear()
    yield tmp_path
    registry.plug_ins.cache_clear()
    for name in ("weighed_water", "hostile"):
        sys.modules.pop(name, None)


@pytest.fixture
def hostile(site):
    install(site, "hostile", HOSTILE, "hostile = hostile:HOSTILE\nno_kind = hostile:NO_KIND\nlost = hostile:NOTHING")
    codec = IsolatedCodec("hostile", {}, CodecContext(), timeout_s=0.5)
    yield codec
    codec.close()


def rejection(codec: IsolatedCodec, payload: bytes) -> tuple[Reason, str]:
    with pytest.raises(MessageRejected) as caught:
        codec.decode("t", payload, NOW_US)
    return caught.value.reason, caught.value.found


def test_the_documented_example_reads_its_lines_in_a_process_of_its_own(site):
    project = (EXAMPLE / "pyproject.toml").read_text()
    entry = next(line for line in project.splitlines() if line.startswith("weighed_water ="))
    install(site, "weighed_water", (EXAMPLE / "weighed_water.py").read_text(), entry.replace('"', ""))
    source = {"name": "rig", "topic_filter": "rig/+", "codec": "weighed_water", "utility": "lab"}
    sources = Sources(GatewaySettings(sources=[source]))
    try:
        payload = b"W-0007;1250.5;1767225600\nW-0008;7;soon\n"
        decoded = decode(Message("rig/1", payload, NOW_US), sources)
        assert decoded.rows is not None
        assert decoded.rows.meter == ["W-0007", "W-0008"]
        assert decoded.rows.register == ["1250.5", "7"]
        assert decoded.rows.observed_at == [1_767_225_600_000, 0]
        assert decoded.rows.medium == [Medium.WATER] * 2
        assert [reject.row for reject in decoded.rows.rejects] == [1]
        assert any("process of its own" in line for line in sources.sources[0].accepts())
        refused = decode(Message("rig/1", b"\xff", NOW_US), sources)
        assert refused.rejection is not None
        assert refused.rejection.reason is Reason.UNDECODABLE
    finally:
        sources.close()
    wrong = source | {"options": {"separator": "::"}}
    with pytest.raises(GatewayError, match=r"gateway\.sources\.rig\.options\.separator = '::'"):
        Sources(GatewaySettings(sources=[wrong]))


def test_a_decoder_that_hangs_is_ended_and_the_next_message_is_read(hostile):
    assert hostile.decode("t", b"", NOW_US).meter == ["a"]
    started = time.monotonic()
    assert rejection(hostile, b"hang")[0] is Reason.DECODER_TIMED_OUT
    assert time.monotonic() - started < 3
    assert hostile.decode("t", b"", NOW_US).meter == ["a"]


def test_faults_of_a_decoder_are_told_and_spoil_one_message_each(hostile):
    reason, found = rejection(hostile, b"die")
    assert reason is Reason.UNDECODABLE
    assert "the decoder's process ended" in found
    assert "a fault" in rejection(hostile, b"raise")[1]
    assert "observed_at has 1 values, meter has 2" in rejection(hostile, b"lie")[1]
    assert "does not measure water" in rejection(hostile, b"wrong unit")[1]
    assert hostile.decode("t", b"", NOW_US).register == ["1"]


def test_after_several_failures_in_a_row_messages_are_not_tried_for_a_while(hostile):
    for _ in range(3):
        rejection(hostile, b"die")
    started = time.monotonic()
    assert rejection(hostile, b"") == (Reason.DECODER_TIMED_OUT, "3 messages in a row; not tried")
    assert time.monotonic() - started < 0.1


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("no_kind", "is of type int, not CodecKind"), ("lost", "can't be loaded"), ("x", "is unknown")],
)
@pytest.mark.usefixtures("hostile")
def test_entry_points_that_lead_to_no_codec_are_told(name, complaint):
    with pytest.raises(GatewayError, match=complaint):
        registry.find_codec(name)


@pytest.mark.usefixtures("hostile")
def test_plug_ins_are_listed_behind_the_gateways_own_and_can_not_take_their_names(site):
    install(site, "weighed_water", "", "native = weighed_water:X")
    registry.plug_ins.cache_clear()
    names = registry.codec_names()
    assert names[0] == "native"
    assert names.count("native") == 1
    assert names[-3:] == ["hostile", "lost", "no_kind"]
    assert registry.find_codec("native").summary.startswith("Meterproof's own")
