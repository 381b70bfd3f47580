"""Coarse registers: rounding in the columns draws estimates off; what is taken back leaves none of it on average."""

from dataclasses import replace

import numpy as np
import pytest
from balance_zones import Made, make_zone
from test_sequence import past_of

from verifier.balance.days import calibrate, day_block
from verifier.balance.information import solve, sums_of
from verifier.balance.types import Floats

SEEDS = range(200, 206)
DAYS = 14


def mean_deviations(resolution: float) -> Floats:
    """Deviations from the truth [%], each seed's mean over its meters, without and with what is taken back, (seeds, 2).

    Hardly anything is believed of the meters (6 %), lest the prior hide it; there are no losses that it would draw off.
    """
    out = []
    for seed in SEEDS:
        made = Made(seed, days=DAYS, meters=5, resolution=resolution, noise_pct=0.5, loss_pct=0.0)
        past = past_of(made)
        past = replace(past, terms=replace(past.terms, sd=np.concatenate([np.full(5, 0.06), past.terms.sd[5:]])))
        shape, _, _ = calibrate(past, rounds=2)
        blocks = [day_block(past, day, shape) for day in range(DAYS)]
        truth, size = make_zone(made).error_pct, past.terms.sd.size
        both = ([replace(block, bias=np.zeros(size)) for block in blocks], blocks)
        means = [solve(sums_of(some, size), past.terms.prior).mean[:5] for some in both]
        out.append([float(np.mean(100 * (1 / (1 + mean) - 1) - truth)) for mean in means])
    return np.array(out)


@pytest.mark.parametrize("resolution", [0.01, 0.1])
def test_registers_of_10_and_100_watt_hours_bias_nothing(resolution: float) -> None:
    """Without the correction +1 % at 0.1 kWh against loads of 0.2 kWh an interval."""
    uncorrected, corrected = mean_deviations(resolution).T
    assert abs(corrected.mean()) < max(3 * corrected.std() / np.sqrt(len(SEEDS)), 0.1)
    if resolution == 0.1:
        assert abs(corrected.mean()) < 0.5 * uncorrected.mean()
        assert uncorrected.mean() > 5 * uncorrected.std() / np.sqrt(len(SEEDS))
