"""What is in force depends on the set of readings only: any order of arrival, in any portions, ends the same."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from step_cases import HOUR, START, MemoryFollower, check, meter, place

from store.readings import READING
from verifier.arrays import Structured
from verifier.settings import FollowerSettings, StepSettings, VerifierSettings, WaterLimits

# Small limits, so that short sequences meet all of them.
SETTINGS = VerifierSettings(
    water=WaterLimits(max_rate_m3ph=0.1, large_step_m3=0.05, stopped_s=4 * 3600.0),
    steps=StepSettings(reversed_s=3 * 3600.0, reversed_steps=2, reversed_resolutions=3),
    follower=FollowerSettings(checkpoint_s=2 * 3600.0),
)
MODULUS = 1_000_000

_elapsed = st.sampled_from([1, 2, 60, 1800, 3600, 3600, 3600, 3600, 7201, 4 * 3600, 30 * 3600])
_steps = st.one_of(
    st.sampled_from([0, 0, 0, 1, 10, 20, 50]),
    st.sampled_from([-1, -2, -3, -10, -30, -200]),
    st.sampled_from([500, 900, -500, -900]),
)
_values = st.sampled_from([0, 3, 5, 250, 700, 990, 999])


@st.composite
def _rows(draw: st.DrawFn) -> Structured:
    """Readings [litres at seconds] that creep, jump, fall, come back, and may hold several values for a time."""
    count = draw(st.integers(2, 24))
    register, at_s = draw(st.integers(0, 999)), 0
    rows = []
    for _ in range(count):
        at_s += draw(_elapsed)
        choice = draw(st.integers(0, 9))
        if choice == 0:
            rows.append((at_s, draw(_values)))  # the level stays, this value alone is foreign
            continue
        register = draw(_values) if choice == 1 else max(0, register + draw(_steps)) % 1000
        rows.append((at_s, register))
        if choice == 2:
            rows.append((at_s, draw(_values)))
    array = np.zeros(len(rows), dtype=READING)
    array["observed_us"] = [START + at_s * 1_000_000 for at_s, _ in rows]
    array["register_micro"] = [value * 1_000 for _, value in rows]
    array["meter_id"] = 1
    array["batch_id"] = 1
    return np.unique(array)


RECORDS = st.sampled_from(
    [
        meter(),
        meter(register_modulus_micro=MODULUS),
        meter(
            installations=[
                place(end_us=START + 5 * HOUR, end_register_micro=400_000),
                place(
                    start_us=START + 9 * HOUR,
                    multiplier=2.5,
                    start_register_micro=400_000,
                    service_point="P2",
                    end_us=START + 40 * HOUR,
                ),
            ]
        ),
    ]
)


@settings(max_examples=400, deadline=None)
@given(_rows(), RECORDS, st.randoms(use_true_random=False), st.booleans(), st.lists(st.integers(1, 6), max_size=30))
def test_every_order_and_portion_ends_the_same(rows, record, random, shuffled, portions):
    whole = check(rows, [record], SETTINGS)
    order = list(range(len(rows)))
    if shuffled:
        random.shuffle(order)
    follower = MemoryFollower(record, SETTINGS)
    while order:
        portion = portions.pop() if portions else 1
        follower.deliver(rows[order[:portion]])
        order = order[portion:]
    assert sorted(follower.in_force.values(), key=lambda f: f.key) == sorted(whole.findings, key=lambda f: f.key)
    assert follower.total_micro == int(whole.checked.states["total_micro"][0])
    state, expected = follower.states[-1], whole.checked.states[0]
    for name in ("anchor", "prev", "run", "stopped", "peak", "reversed", "down_steps", "uncounted_steps", "last_us"):
        assert state[name] == expected[name], name


@settings(max_examples=100, deadline=None)
@given(_rows(), _rows())
def test_meters_do_not_touch_each_other(first, second):
    second = second.copy()
    second["meter_id"] = 2
    both = check(np.concatenate([second, first]), [meter(1), meter(2)], SETTINGS)
    alone = check(first, [meter(1)], SETTINGS).findings + check(second, [meter(2)], SETTINGS).findings
    assert sorted(both.findings, key=lambda f: f.key) == sorted(alone, key=lambda f: f.key)
