"""Line losses of a low-voltage network from the resistances of the paths that customers share."""

from collections.abc import Sequence

import numpy as np

from verifier.balance.types import Floats

LINE_VOLTAGE_V = 400.0  # IEC 60038:2009, table 1: 230/400 V
PHASE_VOLTAGE_V = 230.0
_ALL_PHASES = 123


def path_losses(resistance_ohm: Floats, phases: Sequence[int], x: Floats, hours: float) -> Floats:
    """What each customer's current causes in line losses, shape (T, N) [kWh an interval].

    With r_ij the resistance of the path that customers i and j share, of one conductor, and their mean powers P, three
    phases under even load lose Σ_ij r_ij·P_i·P_j/U² with U the voltage between lines (P = √3·U·I, losses 3·r·I²); on
    one phase the current is P/U with U to the neutral, and customers on different phases share no conductor but the
    neutral, which is not counted. A customer of all phases (123, or 0: not known) next to one of a single phase meets a
    third of its current there. `x` (T, N) [kWh an interval of `hours`].
    """
    power_kw = x / hours
    single = np.array([phase if phase in (1, 2, 3) else 0 for phase in phases])
    voltage_v = np.where(single > 0, PHASE_VOLTAGE_V, LINE_VOLTAGE_V)
    both_single = (single[:, None] > 0) & (single[None, :] > 0)
    meets = np.where(both_single, single[:, None] == single[None, :], True).astype(np.float64)
    mixed = (single[:, None] > 0) != (single[None, :] > 0)
    # P_i/U_phase on one conductor with P_j/(√3·U_line) on it.
    factor = np.where(
        mixed,
        1.0 / (PHASE_VOLTAGE_V * np.sqrt(3) * LINE_VOLTAGE_V),
        meets / (voltage_v[:, None] * voltage_v[None, :]),
    )
    # W = r·(1000·P)²/U²; in kW that is a factor of 1000; times hours the energy of the interval.
    losses: Floats = power_kw * (power_kw @ (resistance_ohm * factor)) * 1000 * hours
    return losses
