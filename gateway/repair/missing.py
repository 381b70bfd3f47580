"""Which readings are missing: the grid of a zone's interval against what is stored; pure.

A grid point is there if a reading lies nearer to it than to its neighbours: meters that stamp their own interval hit
it, and those that are read at the receiver's time come near it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Structured = NDArray[np.void]
Ints = NDArray[np.int64]

SECOND_US: Final = 1_000_000
# A missing reading: the number of its span, and its time.
POINT: Final = np.dtype([("span", "<i4"), ("time_us", "<i8")])
_SLOT_BITS: Final = 32  # slots of a second since 1970 stay below 2**32 until 2106


def expected_counts(spans: Structured) -> Ints:
    """How many readings are expected in each span (fields interval_s, from_us, until_us: half-open), shape (S,)."""
    step_us = spans["interval_s"].astype(np.int64) * SECOND_US
    counts: Ints = np.maximum(-(-spans["until_us"] // step_us) + (-spans["from_us"] // step_us), 0)
    return counts


def missing_points(spans: Structured, meter_id: NDArray[Any], observed_us: Ints) -> Structured:
    """The grid points of the spans that no reading covers, POINT, in the spans' order and by time.

    `spans`: fields meter_id, interval_s, from_us, until_us; `meter_id`, `observed_us`: the readings, shape (n,), also
    those up to half an interval outside of the spans, in any order.
    """
    counts = expected_counts(spans)
    span = np.repeat(np.arange(len(spans)), counts)
    step_us = spans["interval_s"].astype(np.int64) * SECOND_US
    first = -(-spans["from_us"] // step_us)
    slot = first[span] + np.arange(len(span)) - np.repeat(np.cumsum(counts) - counts, counts)
    key = (spans["meter_id"].astype(np.int64)[span] << _SLOT_BITS) | slot
    there = np.zeros(len(span), dtype=np.bool_)
    interval_s = spans["interval_s"][span]
    for interval in np.unique(interval_s).tolist():
        mine = interval_s == interval
        step = interval * SECOND_US
        held = (meter_id.astype(np.int64) << _SLOT_BITS) | ((observed_us + step // 2) // step)
        there[mine] = np.isin(key[mine], held)
    points = np.zeros(int((~there).sum()), dtype=POINT)
    points["span"] = span[~there]
    points["time_us"] = (slot * step_us[span])[~there]
    return points


def collection_rate(spans: Structured, points: Structured) -> float:
    """The share of the expected readings of the spans that are there, 0 to 1; 1 where none are expected."""
    expected = int(expected_counts(spans).sum())
    return 1.0 if expected == 0 else 1.0 - len(points) / expected
