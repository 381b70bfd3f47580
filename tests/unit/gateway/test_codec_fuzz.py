"""Every built-in codec with arbitrary bytes and with changed payloads: no crash, no hang, no wrong reading."""

import time

import pytest
from codec_targets import Target, built_in_names, check, repaired, targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TARGETS = targets()
BY_CODEC = {name: [target for target in TARGETS if target.name == name] for name in built_in_names()}


@st.composite
def changed_payloads(draw, seeds):
    """A seed with a few bytes overwritten, cut out, repeated or cut off."""
    topic, payload = draw(st.sampled_from(seeds))
    data = bytearray(payload)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        action = draw(st.sampled_from(["overwrite", "cut out", "repeat", "cut off"]))
        if action == "cut off":
            del data[start:]
        elif action == "repeat":
            data[start:start] = data[start:end] * draw(st.integers(1, 3))
        else:
            data[start:end] = draw(st.binary(max_size=12)) if action == "overwrite" else b""
    return topic, bytes(data)


@pytest.mark.parametrize("name", built_in_names())
def test_every_built_in_codec_has_seeds(name):
    assert BY_CODEC[name]


@pytest.mark.parametrize("name", built_in_names())
@settings(max_examples=60, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_changed_payloads(name, data):
    target: Target = data.draw(st.sampled_from(BY_CODEC[name]))
    topic, payload = data.draw(changed_payloads(target.seeds))
    codec = target.make()
    check(name, codec, topic, payload)
    check(name, codec, topic, repaired(name, payload))


@pytest.mark.parametrize("name", built_in_names())
@settings(max_examples=30, deadline=2000)
@given(st.binary(max_size=300))
def test_arbitrary_bytes(name, payload):
    target = BY_CODEC[name][0]
    check(name, target.make(), target.seeds[0][0], payload)


@pytest.mark.parametrize("name", built_in_names())
@pytest.mark.parametrize(
    "pattern",
    [
        b"/",
        b"!",
        b"(",
        b"/!",
        b"\r\n(",
        b"0-0:1.0.0(",
        b"\x68",
        b"\xfe",
        b"6",
        b"A",
        b"\x0a\x00",
        b"\xff",
        b"[",
        b'{"a":',
    ],
)
def test_a_megabyte_of_one_pattern_takes_little_time(name, pattern):
    target = BY_CODEC[name][0]
    payload = pattern * (2**20 // len(pattern))
    started = time.process_time()
    check(name, target.make(), target.seeds[0][0], payload)
    assert time.process_time() - started < 4.0
