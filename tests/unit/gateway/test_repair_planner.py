"""What is asked for covers exactly what is missing, within the budget: against brute force."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.repair.missing import collection_rate, expected_counts, missing_points
from gateway.repair.planner import plan_reads, standing_of, whole_until
from store.commands import ASKED
from store.concentrators import SPAN

MINUTE_US = 60_000_000
BASE_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
NOW_US = BASE_US + 10_000 * MINUTE_US
INTERVALS_S = (300, 900, 1800)


@st.composite
def cases(draw):
    """Spans (disjoint by meter), readings on and off the grid, and ranges that were asked for before."""
    rows = []
    for meter in range(1, draw(st.integers(1, 4)) + 1):
        edges = sorted(draw(st.lists(st.integers(0, 200), min_size=2, max_size=4, unique=True)))
        for start, end in zip(edges[::2], edges[1::2], strict=False):
            interval_s = draw(st.sampled_from(INTERVALS_S))
            rows.append(
                (meter, interval_s, BASE_US + start * MINUTE_US, BASE_US + end * MINUTE_US, draw(st.booleans()))
            )
    spans = np.array(rows, dtype=SPAN)
    reading = st.tuples(st.integers(1, 4), st.integers(-20, 220), st.integers(-90, 90))
    readings = draw(st.lists(reading, max_size=60))
    meter = np.array([m for m, _, _ in readings], dtype=np.int32)
    time_us = np.array([BASE_US + t * MINUTE_US + s * 1_000_000 for _, t, s in readings], dtype=np.int64)
    asked = np.array(
        [
            (m, attempt, given_up, BASE_US + a * MINUTE_US, BASE_US + (a + n) * MINUTE_US, NOW_US + later)
            for m, attempt, given_up, a, n, later in draw(
                st.lists(
                    st.tuples(
                        st.integers(1, 5),
                        st.integers(0, 4),
                        st.booleans(),
                        st.integers(-30, 200),
                        st.integers(1, 100),
                        st.sampled_from([-1, 0, 1]),
                    ),
                    max_size=6,
                )
            )
        ],
        dtype=ASKED,
    )
    return spans, meter, time_us, asked


def missing_by_hand(spans, meter, time_us):
    """(span, time) of the grid points without a reading nearer to them than to their neighbours."""
    out = []
    for number, span in enumerate(spans):
        step = int(span["interval_s"]) * 1_000_000
        t = -(-int(span["from_us"]) // step) * step
        while t < span["until_us"]:
            own = time_us[meter == span["meter_id"]]
            if not ((own >= t - step // 2) & (own < t + step // 2)).any():
                out.append((number, t))
            t += step
    return out


@given(cases())
def test_missing_are_the_grid_points_that_no_reading_covers(case):
    spans, meter, time_us, _ = case
    points = missing_points(spans, meter, time_us)
    assert points.tolist() == missing_by_hand(spans, meter, time_us)
    expected = int(expected_counts(spans).sum())
    assert collection_rate(spans, points) == (1 - len(points) / expected if expected else 1)


def standing_by_hand(spans, points, asked):
    out = []
    for number, t in points.tolist():
        mine = asked[asked["meter_id"] == spans["meter_id"][number]]
        over = mine[(mine["from_us"] <= t) & (mine["until_us"] > t)]
        out.append((max(over["attempt"], default=0), max(over["retry_us"], default=0), bool(over["is_given_up"].any())))
    return out


@given(cases(), st.integers(0, 60))
def test_reads_cover_exactly_what_may_be_asked_for_within_the_budget(case, budget):
    spans, meter, time_us, asked = case
    points = missing_points(spans, meter, time_us)
    standing = standing_of(spans, points, asked)
    by_hand = standing_by_hand(spans, points, asked)
    ready = {
        (int(spans["meter_id"][number]), t): attempt
        for (number, t), (attempt, retry_us, given_up) in zip(points.tolist(), by_hand, strict=True)
        if not given_up and retry_us <= NOW_US
    }

    def covered(points_max):
        out = []
        for read in plan_reads(spans, points, standing, NOW_US, points_max):
            step = int(read["interval_s"]) * 1_000_000
            times = [t for t in range(int(read["from_us"]), int(read["until_us"]), step) if t % step == 0]
            assert len(times) == read["points"] > 0
            out += [((int(read["meter_id"]), t), int(read["attempt"]) - 1) for t in times]
        return out

    everything = covered(10**6)
    assert len(everything) == len(ready)
    assert dict(everything) == ready
    part = covered(budget)
    assert len(part) == min(budget, len(ready))
    assert dict(part).items() <= ready.items()
    if part:  # what was tried least comes first
        assert sorted(attempt for _, attempt in part) == sorted(ready.values())[: len(part)]


@given(cases())
def test_a_meter_is_whole_until_its_first_reading_that_is_awaited(case):
    spans, meter, time_us, asked = case
    points = missing_points(spans, meter, time_us)
    standing = standing_of(spans, points, asked)
    meters = np.array([4, 1, 3, 2])
    until_us = BASE_US + 150 * MINUTE_US
    awaited = [
        (int(spans["meter_id"][number]), t)
        for (number, t), one in zip(points.tolist(), standing, strict=True)
        if not one["is_given_up"]
    ]
    by_hand = [min([t for m, t in awaited if m == meter_id] + [until_us]) for meter_id in meters]
    assert whole_until(meters, spans, points, standing, until_us).tolist() == by_hand


def test_the_oldest_and_references_come_first_within_an_attempt():
    spans = np.array(
        [(1, 900, BASE_US, BASE_US + 60 * MINUTE_US, False), (2, 900, BASE_US, BASE_US + 60 * MINUTE_US, True)], SPAN
    )
    points = missing_points(spans, np.array([1], np.int32), np.array([BASE_US]))
    standing = standing_of(spans, points, np.zeros(0, ASKED))
    reads = plan_reads(spans, points, standing, NOW_US, 5)
    assert reads["meter_id"].tolist() == [2, 1]
    assert reads["points"].tolist() == [4, 1]
    assert reads["from_us"].tolist() == [BASE_US, BASE_US + 15 * MINUTE_US]
    assert reads["until_us"].tolist() == [BASE_US + 60 * MINUTE_US, BASE_US + 30 * MINUTE_US]
