"""A small zone whose every error is known, as the balance takes it."""

import numpy as np

from metrology.quantities import Medium
from verifier.balance.types import MemberSeries, ZoneFacts
from verifier.balance_settings import BalanceSettings

QUARTER_US = 900_000_000
ZONE = ZoneFacts(Medium.ELECTRICITY, 900, 0.3)
# These zones' losses are spread evenly, whoever causes them.
SETTINGS = BalanceSettings(loss_spread=0.0, network_doubt=0.0)


def make_members(
    seed: int, days: int, errors: dict[int, float], meters: int = 10, step_day: float = 0
) -> list[MemberSeries]:
    """Customers 1..N with the given errors from `step_day` on, and the reference 0; cumulative kWh in steps of 1 Wh."""
    rng = np.random.default_rng(seed)
    count = days * 96
    x = rng.lognormal(-1.5, 0.5, meters) * (0.3 + np.exp(rng.normal(0, 0.9, (count, meters))))
    error = np.tile(rng.normal(0, 0.004, meters), (count, 1))
    for meter, value in errors.items():
        error[int(step_day * 96) :, meter - 1] = value
    total = x.sum(axis=1)
    reference = (total + 0.02 * total.mean() + 0.01 * total**2 / total.mean()) * (1 + rng.normal(0, 0.001, count))
    columns = np.column_stack([reference, x * (1 + error)])
    registers = np.floor(np.vstack([np.zeros(meters + 1), np.cumsum(columns, axis=0)]) * 1000) / 1000
    at = np.arange(count + 1) * QUARTER_US
    return [
        MemberSeries(i, i == 0, 1, at, registers[:, i], 0.001, 0.6, None if i == 0 else 2.0) for i in range(meters + 1)
    ]
