"""From missing readings to what is asked for: ranges by meter within a budget, none of them twice at a time; pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.repair.missing import SECOND_US

Structured = NDArray[np.void]
Ints = NDArray[np.int64]

# What to ask of a meter: the `points` readings of the grid in [from_us, until_us), for the `attempt`-th time.
READ: Final = np.dtype(
    [
        ("meter_id", "<i4"),
        ("interval_s", "<i4"),
        ("from_us", "<i8"),
        ("until_us", "<i8"),
        ("points", "<i4"),
        ("attempt", "<i2"),
    ]
)
# How far each missing reading is: attempts so far, before when it is not asked for, whether it was given up.
STANDING: Final = np.dtype([("attempt", "<i2"), ("retry_us", "<i8"), ("is_given_up", "?")])
_METER_BITS: Final = 32


def standing_of(spans: Structured, points: Structured, asked: Structured) -> Structured:
    """What was tried already for each missing point, STANDING, shape (P,).

    `points`: POINT of `spans` (ascending by meter and start, so that the points ascend by meter and time); `asked`:
    the ranges that were asked for (fields meter_id, attempt, is_given_up, from_us, until_us, retry_us), in any order.
    """
    standing = np.zeros(len(points), dtype=STANDING)
    standing["retry_us"] = np.iinfo(np.int64).min
    if not len(points) or not len(asked):
        return standing
    base_us = int(points["time_us"].min())
    key = _key(spans["meter_id"][points["span"]], points["time_us"], base_us)
    first = np.searchsorted(key, _key(asked["meter_id"], asked["from_us"], base_us))
    counts = np.maximum(np.searchsorted(key, _key(asked["meter_id"], asked["until_us"], base_us)) - first, 0)
    of = np.repeat(np.arange(len(asked)), counts)
    point = first[of] + np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    np.maximum.at(standing["attempt"], point, asked["attempt"][of])
    np.maximum.at(standing["retry_us"], point, asked["retry_us"][of])
    np.logical_or.at(standing["is_given_up"], point, asked["is_given_up"][of])
    return standing


def plan_reads(spans: Structured, points: Structured, standing: Structured, now_us: int, points_max: int) -> Structured:
    """What to ask for now, READ: together at most `points_max` readings, each of them a missing one.

    Successive points of a meter that were tried equally often become one range. First comes what was tried least, then
    reference meters, which their whole zone needs, then the oldest, which leaves the meters' memory first; the last
    range is cut to the budget.
    """
    ready = ~standing["is_given_up"] & (standing["retry_us"] <= now_us)
    points, attempt = points[ready], standing["attempt"][ready]
    if not len(points) or points_max <= 0:
        return np.zeros(0, dtype=READ)
    of_span = spans[points["span"]]
    step_us = of_span["interval_s"].astype(np.int64) * SECOND_US
    begins = np.ones(len(points), dtype=np.bool_)
    begins[1:] = (np.diff(points["span"]) != 0) | (np.diff(attempt) != 0) | (np.diff(points["time_us"]) != step_us[1:])
    start = np.flatnonzero(begins)
    length = np.diff(np.append(start, len(points)))
    order = np.lexsort((points["time_us"][start], ~of_span["is_reference"][start], attempt[start]))
    start, length = start[order], length[order]
    room = points_max - (np.cumsum(length) - length)
    start, length = start[room > 0], np.minimum(length, room)[room > 0]
    reads = np.zeros(len(start), dtype=READ)
    reads["meter_id"], reads["interval_s"] = of_span["meter_id"][start], of_span["interval_s"][start]
    reads["from_us"] = points["time_us"][start]
    reads["until_us"] = points["time_us"][start] + length * step_us[start]
    reads["points"], reads["attempt"] = length, attempt[start] + 1
    return reads


def whole_until(meter_ids: Ints, spans: Structured, points: Structured, standing: Structured, until_us: int) -> Ints:
    """Until when each meter's readings are all there or given up [us since 1970], at most `until_us`, shape (M,)."""
    whole_us = np.full(len(meter_ids), until_us, dtype=np.int64)
    awaited = points[~standing["is_given_up"]]
    order = np.argsort(meter_ids)
    pos = order[np.searchsorted(meter_ids[order], spans["meter_id"][awaited["span"]])]
    np.minimum.at(whole_us, pos, awaited["time_us"])
    return whole_us


def _key(meter_id: NDArray[np.int32], time_us: Ints, base_us: int) -> Ints:
    """Ascends with meter and time; grid times are whole seconds, 2**32 of them are 136 years."""
    seconds = np.clip(-(-(time_us - base_us) // SECOND_US), 0, 2**_METER_BITS - 1)
    key: Ints = (meter_id.astype(np.int64) << _METER_BITS) | seconds
    return key
