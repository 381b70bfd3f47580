"""Line losses of a low-voltage network: by the phases that customers are on, and by the paths that they share.

With a_i (3,) the shares of customer i's load on the phases and t_p = exp(j·φ_p), φ = 0, −120°, +120°, loads at unity
power factor put on the phases S_p = Σ_i a_ip·x_i and on the neutral S_n = Σ_p S_p·t_p (Fortescue, AIEE Transactions
37 (1918) 1027), so that |S_n|² = S_1² + S_2² + S_3² − S_1·S_2 − S_2·S_3 − S_3·S_1. Even phases leave nothing in it.
"""

from collections.abc import Sequence

import numpy as np

from verifier.balance.types import Floats

LINE_VOLTAGE_V = 400.0  # IEC 60038:2009, table 1: 230/400 V
_SINGLE = (1, 2, 3)
_COSINES = np.array([[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]])  # cos(φ_p − φ_q)


def phase_shares(phases: Sequence[int]) -> Floats:
    """How customers' loads are spread over the phases, (N, 3): evenly but for those known to be on 1, 2 or 3."""
    out = np.full((len(phases), 3), 1.0 / 3.0)
    for i, phase in enumerate(phases):
        if phase in _SINGLE:
            out[i] = np.eye(3)[phase - 1]
    return out


def any_phase_known(phases: Sequence[int]) -> bool:
    """Whether any customer is known to be on a single phase."""
    return any(phase in _SINGLE for phase in phases)


def met_on_phases(shares: Floats, x: Floats) -> Floats:
    """The load that each customer meets on its own phases, 3·Σ_j (a_i·a_j)·x_j, as `x` (N,) or (T, N).

    Three times, so that under even phases it is the whole load; Σ_i x_i·(…)_i = 3·Σ_p S_p² then is S².
    """
    out: Floats = 3.0 * (x @ shares) @ shares.T
    return out


def met_in_neutral(shares: Floats, x: Floats) -> Floats:
    """The same of the neutral, 3·Σ_j (a_i·C·a_j)·x_j, C_pq = cos(φ_p − φ_q): Σ_i x_i·(…)_i = 3·|S_n|²."""
    out: Floats = 3.0 * (x @ shares) @ _COSINES @ shares.T
    return out


def path_losses(
    resistance_ohm: Floats, phases: Sequence[int], x: Floats, hours: float, neutral_ratio: float = 1.0
) -> Floats:
    """What each customer's current causes in line losses, shape (T, N) [kWh an interval].

    With r_ij the resistance of the path that customers i and j share, of a phase conductor, `neutral_ratio` k that of
    the neutral beside it over it, and mean powers P, U between lines, the losses of conductors and neutral are

        Σ_ij r_ij·(3·a_i·a_j + k·3·a_i·C·a_j)·P_i·P_j/U²

    (R·I² of four wires, currents a_ip·P_i·√3/U; Ciric, Feltrin and Ochoa, IEEE Transactions on Power Systems 18 (2003)
    1283): 1 for two three-phase customers, 3·(1 + k) for two on one phase, −3·k/2 for two on different phases. A
    customer's part may be negative, where its current relieves the neutral; their sum never is. A customer of all
    phases (123, or 0: not known) meets a third of each, and puts nothing in the neutral. `x` (T, N) [kWh an interval of
    `hours`].
    """
    power_kw, shares = x / hours, phase_shares(phases)
    each = np.eye(len(shares))
    factor = (met_on_phases(shares, each) + neutral_ratio * met_in_neutral(shares, each)) / LINE_VOLTAGE_V**2
    # W = r·(1000·P)²/U²; in kW that is a factor of 1000; times hours the energy of the interval.
    losses: Floats = power_kw * (power_kw @ (resistance_ohm * factor)) * 1000 * hours
    return losses
