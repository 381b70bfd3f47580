"""What a meter usually registers at each time of day, as far as its readings tell it from chance."""

import numpy as np
from numpy.typing import NDArray

from verifier.balance.types import DAY_US, Floats, Instants


def time_of_day(instants_us: Instants) -> tuple[NDArray[np.int64], int]:
    """The place in the day of each interval between successive instants, (T,), and how many places there are."""
    step = int(instants_us[1] - instants_us[0])
    slots = max(DAY_US // step, 1)
    return (instants_us[:-1] // step) % slots, slots


def usual_course(quantity: Floats, slot: NDArray[np.int64], slots: int) -> Floats:
    """The mean quantity at each time of day, drawn towards that of all, shape (slots,). `quantity`, `slot` (R,).

    With m days the mean of a time of day varies by chance with σ²/m, σ² the variance within a time of day, beside
    what the times of day differ by, τ². Its deviation from the mean of all counts by τ²/(τ² + σ²/m), with τ² what the
    means' variance exceeds chance by (Efron and Morris, Journal of the American Statistical Association 70 (1975) 311).
    """
    if quantity.size == 0:
        return np.zeros(slots)
    count = np.bincount(slot, minlength=slots)
    total = np.bincount(slot, weights=quantity, minlength=slots)
    mean = float(quantity.mean())
    means = np.where(count > 0, total / np.maximum(count, 1), mean)
    freedom = quantity.size - int(np.count_nonzero(count))
    if freedom < 1:
        return np.full(slots, mean)
    within = float(np.sum((quantity - means[slot]) ** 2)) / freedom
    chance = within / np.maximum(count, 1)
    seen = count > 0
    between = max(float(np.mean((means[seen] - mean) ** 2 - chance[seen])), 0.0)
    share = between / np.maximum(between + chance, 1e-300)
    return np.asarray(mean + np.where(seen, share, 0.0) * (means - mean), dtype=np.float64)
