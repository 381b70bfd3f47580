"""Losses of a radial four-wire low-voltage grid by backward-forward sweeps, many instants at once.

Held against pandapower's three-phase power flow in checks/check_power_flow.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zones.course import Floats

Complexes = NDArray[np.complex128]
NOMINAL_V = 400.0 / np.sqrt(3.0)
TURN = np.exp(-2j * np.pi * np.arange(3) / 3.0)  # phases 1, 2, 3


@dataclass(frozen=True)
class RadialGrid:
    """A tree of lines below a busbar: of each line the node above and below (the busbar is 0) and its impedance [ohm].

    `z_ohm` is that of a phase conductor, and the neutral's is the same. `load_nodes` are where customers may be.
    """

    name: str
    above: NDArray[np.int64]
    below: NDArray[np.int64]
    z_ohm: Complexes
    load_nodes: NDArray[np.int64]

    def paths(self, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """1 where a line lies between the busbar and a node, shape (nodes, lines)."""
        feeding = {int(node): line for line, node in enumerate(self.below)}
        out = np.zeros((nodes.size, self.below.size))
        for row, start in enumerate(nodes):
            node = int(start)
            while node in feeding:
                out[row, feeding[node]] = 1.0
                node = int(self.above[feeding[node]])
        return out

    def common_path_ohm(self, nodes: NDArray[np.int64], z_ohm: Complexes | Floats | None = None) -> Complexes:
        """Impedance of a conductor on the path that two customers share, shape (nodes, nodes)."""
        paths = self.paths(nodes)
        return (paths * (self.z_ohm if z_ohm is None else z_ohm)) @ paths.T


def phase_shares(phases: list[str]) -> Floats:
    """How a customer's power is spread over the phases, shape (customers, 3): "1", "2", "3" or "123"."""
    return np.array([[str(k) in phase for k in (1, 2, 3)] for phase in phases]) / np.array([[len(p)] for p in phases])


def line_losses_w(common_ohm: Complexes, shares: Floats, power_w: Floats, q_per_p: Floats) -> Floats:
    """Losses in lines and neutral [W] at each instant, shape (T,), for powers [W] of shape (customers, T).

    Constant powers with reactive part `q_per_p`, each between its phase and the neutral. Voltage at a customer: that of
    the busbar less the drop of its phase's currents and of their sum, which returns through the neutral, over the
    paths shared; iterated until it changes by less than 1e-9 of the nominal voltage (Shirmohammadi et al., IEEE
    Transactions on Power Systems 3, 1988, in the space of customers; four wires: Ciric et al., 18, 2003).
    Raises ValueError where it does not converge: the grid can't carry the load.
    """
    apparent = (power_w * (1 + 1j * q_per_p[:, None]))[:, None, :] * shares[:, :, None]
    source = NOMINAL_V * TURN[None, :, None]
    voltage = np.broadcast_to(source, apparent.shape)
    for _ in range(40):
        current = np.conj(apparent / voltage)
        seen = current + current.sum(axis=1, keepdims=True)
        drop = (common_ohm @ seen.reshape(len(common_ohm), -1)).reshape(seen.shape)
        change = np.abs(source - drop - voltage).max()
        voltage = source - drop
        if change < 1e-9 * NOMINAL_V:
            delivered = np.sum(source * np.conj(current), axis=(0, 1)).real
            return delivered - power_w.sum(axis=0)
    raise ValueError("the power flow does not converge: fewer customers, or shorter lines")
