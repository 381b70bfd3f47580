"""How far each device's clock is off, from when its readings arrive; pure.

A reading bears the device's time; it can't arrive before it was taken. With `offset` the device's clock minus the true
time, the lag of each arrival is

    lag = received_at - observed_at = delay - offset,    delay >= 0,

so that the lags of a device have a sharp lower edge at its least delay minus its offset, whatever the tail of late
arrivals. The edge is estimated from the lowest lags alone: near its minimum a delay is taken as exponential, for which
the normalised spacings of the order statistics are independent and exponential, and (lowest lag - edge) * n / scale
follows an F distribution with 2 and 2(k - 1) degrees of freedom (Epstein and Sobel, Annals of Mathematical
Statistics 25 (1954) 373-381: the two-parameter exponential law, censored).

What the lowest lag alone shows holds without any such assumption: a device is ahead by at least `-lag`. That it is
behind can be told from a slow way only by knowing how long the quickest delivery takes at most.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Structured = NDArray[np.void]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LOWEST: Final = 16  # lags kept of each window
_NONE_US: Final = np.iinfo(np.int64).max
_OUTLIER_P: Final = 1e-4  # a lowest lag further off than this likely is a wrong time, not an arrival
_FEWEST: Final = 5  # lags that an estimate of the scale needs
_MICRO: Final = 1e6

# Two windows of receipt, the current one and the one before: their counts and lowest lags, ascending.
CLOCK: Final = np.dtype(
    [
        ("meter_id", "<i4"),
        ("since_us", "<i8"),
        ("window_no", "<i8"),
        ("samples", "<i4", (2,)),
        ("lag_us", "<i8", (2, LOWEST)),
    ]
)
# One arrival: when the message came, and its newest time of this meter.
ARRIVAL: Final = np.dtype([("meter_id", "<i4"), ("received_us", "<i8"), ("observed_us", "<i8")])
# `low_s`, `high_s`: bounds of the offset [s]; NaN where there are too few arrivals.
OFFSET: Final = np.dtype(
    [("meter_id", "<i4"), ("samples", "<i4"), ("offset_s", "<f8"), ("low_s", "<f8"), ("high_s", "<f8")]
)


@dataclass(frozen=True, slots=True)
class ClockModel:
    """What an estimate assumes: see the settings of the same names."""

    window_s: float = 86_400.0
    lag_max_s: float = 21_600.0
    samples_min: int = 12
    least_delay_max_s: float = 60.0
    resolution_s: float = 1.0
    confidence: float = 0.99
    peers_min: int = 5


def new_clocks(meter_ids: NDArray[Any]) -> Structured:
    """Clocks of which nothing is known, CLOCK, shape (M,)."""
    clocks = np.zeros(len(meter_ids), dtype=CLOCK)
    clocks["meter_id"] = meter_ids
    clocks["lag_us"] = _NONE_US
    return clocks


def newest_arrivals(meter_id: NDArray[Any], message: Ints, received_us: Ints, observed_us: Ints) -> Structured:
    """Of each message the newest reading of each meter, ARRIVAL: the older ones of a message say nothing more.

    All arguments have the shape (n,); `message` tells the messages apart.
    """
    order = np.lexsort((observed_us, message, meter_id))
    meter, number = meter_id[order], message[order]
    last = np.append((np.diff(meter) != 0) | (np.diff(number) != 0), True)[: len(order)]
    chosen = order[last]
    arrivals = np.zeros(len(chosen), dtype=ARRIVAL)
    arrivals["meter_id"], arrivals["received_us"] = meter_id[chosen], received_us[chosen]
    arrivals["observed_us"] = observed_us[chosen]
    return arrivals


def add_arrivals(clocks: Structured, arrivals: Structured, model: ClockModel) -> Structured:
    """The clocks (CLOCK, ascending by meter) with further arrivals (ARRIVAL) of these meters.

    Arrivals from before `since_us`, of a window that is over, or with a lag beyond the model's are left out.
    """
    clocks = clocks.copy()
    lag_us = arrivals["received_us"] - arrivals["observed_us"]
    pos = np.searchsorted(clocks["meter_id"], arrivals["meter_id"])
    good = np.abs(lag_us) <= model.lag_max_s * _MICRO
    good &= np.minimum(arrivals["received_us"], arrivals["observed_us"]) >= clocks["since_us"][pos]
    window = arrivals["received_us"] // round(model.window_s * _MICRO)
    for number in np.unique(window[good]):
        mine = good & (window == number) & (clocks["window_no"][pos] <= number)
        there = np.unique(pos[mine])
        _turn(clocks, there, int(number))
        _merge(clocks, pos[mine], lag_us[mine])
    return clocks


def forget(clocks: Structured, since_us: Ints) -> Structured:
    """The same clocks (CLOCK) after they were set at `since_us`, shape (M,): what came before says nothing now."""
    fresh = new_clocks(clocks["meter_id"])
    fresh["since_us"] = since_us
    return fresh


def estimate_offsets(clocks: Structured, model: ClockModel) -> Structured:
    """The offsets of clocks whose readings come by one way, OFFSET, shape (M,).

    Their common least delay is the median edge, where there are enough of them: most clocks are nearly right, so what
    all have in common is the way's. It is never taken below 0: a delay can't be. The bounds don't rest on it but to
    widen: ahead by `low_s` at least, whatever the delays; at most `high_s` if the quickest delivery took no longer
    than `least_delay_max_s`, or than is common here.
    """
    lags_s, samples = _lowest(clocks)
    edge_s, edge_low_s, lowest_s = _edges(lags_s, samples, model)
    known = np.isfinite(edge_s)
    common_s = max(0.0, float(np.median(edge_s[known]))) if known.sum() >= model.peers_min else 0.0
    offsets = np.zeros(len(clocks), dtype=OFFSET)
    offsets["meter_id"], offsets["samples"] = clocks["meter_id"], samples
    offsets["offset_s"] = common_s - edge_s
    offsets["low_s"] = -lowest_s - model.resolution_s
    offsets["high_s"] = max(model.least_delay_max_s, common_s) - edge_low_s + model.resolution_s
    return offsets


def certainly_off(offsets: Structured, limit_s: float) -> Mask:
    """Which of the offsets (OFFSET) lie beyond the limit with their whole interval."""
    off: Mask = (offsets["low_s"] > limit_s) | (offsets["high_s"] < -limit_s)
    return off


def _turn(clocks: Structured, there: NDArray[np.intp], number: int) -> None:
    """Begin the window `number` at the clocks of these positions; the current one becomes the one before."""
    turning = there[clocks["window_no"][there] < number]
    next_one = clocks["window_no"][turning] == number - 1
    for name, nothing in (("samples", 0), ("lag_us", _NONE_US)):
        values = clocks[name]
        shape = (-1,) + (1,) * (values.ndim - 2)
        values[turning, 1] = np.where(next_one.reshape(shape), values[turning, 0], nothing)
        values[turning, 0] = nothing
    clocks["window_no"][turning] = number


def _merge(clocks: Structured, pos: NDArray[np.intp], lag_us: Ints) -> None:
    """Adds lags to the current windows of the clocks at `pos`, keeping the lowest."""
    there, counts = np.unique(pos, return_counts=True)
    clocks["samples"][there, 0] += counts.astype(np.int32)
    owner = np.concatenate([np.repeat(there, LOWEST), pos])
    values = np.concatenate([clocks["lag_us"][there, 0].ravel(), lag_us])
    order = np.lexsort((values, owner))
    owner, values = owner[order], values[order]
    first = np.searchsorted(owner, owner)
    rank = np.arange(len(owner)) - first
    kept = rank < LOWEST
    clocks["lag_us"][owner[kept], 0, rank[kept]] = values[kept]


def _lowest(clocks: Structured) -> tuple[Floats, NDArray[np.int64]]:
    """The lowest lags of both windows [s], ascending, shape (M, LOWEST), infinite where there are fewer; the counts."""
    lags = np.sort(clocks["lag_us"].reshape(len(clocks), 2 * LOWEST), axis=1)[:, :LOWEST]
    return np.where(lags == _NONE_US, np.inf, lags / _MICRO), clocks["samples"].sum(axis=1).astype(np.int64)


def _edges(lags_s: Floats, samples: Ints, model: ClockModel) -> tuple[Floats, Floats, Floats]:
    """Estimate and lower bound of each lower edge, and the lowest lag that is believed [s]; NaN with too few lags."""
    meters = len(lags_s)
    used = np.minimum(LOWEST, np.maximum(_FEWEST + 1, -(-samples // 3)))
    enough = samples >= max(model.samples_min, _FEWEST + 1)
    # The i-th spacing times the number of lags above it (i from 1) is exponential with the delay's scale.
    above = np.maximum(samples[:, None] - np.arange(1, LOWEST), 0)
    with np.errstate(invalid="ignore"):
        spacings = np.diff(lags_s, axis=1) * above
    column = np.arange(1, LOWEST)
    inner = column[None, :] < used[:, None]
    spacings = np.where(inner & np.isfinite(spacings), spacings, 0.0)
    rest = spacings[:, 1:].sum(axis=1) / np.maximum(used - 2, 1)
    wrong = enough & (
        spacings[:, 0] > rest * _f_quantile(1.0 - _OUTLIER_P, used - 2) + model.resolution_s * above[:, 0]
    )
    spacings[wrong, 0] = 0.0
    degrees = np.where(wrong, used - 2, used - 1)
    scale_s = spacings.sum(axis=1) / degrees
    believed = samples - wrong
    lowest_s = np.where(enough, lags_s[np.arange(meters), wrong.astype(np.intp)], np.nan)
    share_s = scale_s / np.maximum(believed, 1)
    return lowest_s - share_s, lowest_s - share_s * _f_quantile(model.confidence, degrees), lowest_s


def _f_quantile(p: float, degrees: Ints) -> Floats:
    """The quantile of the F distribution with 2 and 2 `degrees` degrees of freedom, in closed form."""
    m = np.maximum(degrees, 1).astype(np.float64)
    quantile: Floats = m * ((1.0 - p) ** (-1.0 / m) - 1.0)
    return quantile
