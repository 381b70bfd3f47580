"""The sweep against pandapower's power flow, which stays the oracle. Run by `make test-benchmarks`."""

import warnings

import numpy as np
import pandapower as pp
import pytest
from pandapower.pf.runpp_3ph import runpp_3ph
from zones.power_flow import RadialGrid, line_losses_w, phase_shares
from zones.simbench_grids import simbench_grid

PHASES = "abc"


def pandapower_net(grid: RadialGrid) -> tuple[pp.pandapowerNet, list[int]]:
    """The same grid: a neutral like the phases gives a line z0 = z1 + 3·z_neutral = 4·z1."""
    net = pp.create_empty_network()
    buses = [pp.create_bus(net, 0.4) for _ in range(grid.below.max() + 1)]
    stiff = {"s_sc_max_mva": 1e9, "s_sc_min_mva": 1e9, "rx_max": 0.1, "rx_min": 0.1, "r0x0_max": 0.1, "x0x_max": 1.0}
    pp.create_ext_grid(net, buses[0], **stiff)
    for above, below, z in zip(grid.above, grid.below, grid.z_ohm, strict=True):
        line = {"r_ohm_per_km": z.real, "x_ohm_per_km": z.imag, "c_nf_per_km": 0.0, "max_i_ka": 1.0,
                "r0_ohm_per_km": 4 * z.real, "x0_ohm_per_km": 4 * z.imag, "c0_nf_per_km": 0.0}  # fmt: skip
        pp.create_line_from_parameters(net, buses[above], buses[below], 1.0, **line)
    return net, buses


def unbalanced_losses_w(grid: RadialGrid, nodes, shares, power_w, q_per_p) -> float:
    net, buses = pandapower_net(grid)
    for node, share, power, q in zip(nodes, shares, power_w, q_per_p, strict=True):
        parts = {f"p_{k}_mw": power * s / 1e6 for k, s in zip(PHASES, share, strict=True)}
        parts |= {f"q_{k}_mvar": power * q * s / 1e6 for k, s in zip(PHASES, share, strict=True)}
        pp.create_asymmetric_load(net, buses[node], type="wye", **parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpp_3ph(net, tolerance_mva=1e-11, max_iteration=200)
    delivered_mw = sum(float(net.res_ext_grid_3ph[f"p_{k}_mw"].iloc[0]) for k in PHASES)
    return delivered_mw * 1e6 - float(np.sum(power_w))


def balanced_losses_w(grid: RadialGrid, nodes, power_w, q_per_p) -> float:
    net, buses = pandapower_net(grid)
    for node, power, q in zip(nodes, power_w, q_per_p, strict=True):
        pp.create_load(net, buses[node], power / 1e6, power * q / 1e6)
    pp.runpp(net, tolerance_mva=1e-10, numba=False)
    return float(net.res_line.pl_mw.sum()) * 1e6


@pytest.mark.parametrize("name", ["rural1", "rural3", "urban6"])
@pytest.mark.parametrize("single_phase_share", [0.0, 0.8])
def check_losses_equal_pandapowers_at_random_instants(name: str, single_phase_share: float) -> None:
    rng = np.random.default_rng(12)
    grid = simbench_grid(name)
    nodes = rng.choice(grid.load_nodes, min(40, grid.load_nodes.size), replace=False)
    phases = [str(rng.integers(1, 4)) if rng.random() < single_phase_share else "123" for _ in nodes]
    shares, q_per_p = phase_shares(phases), rng.uniform(0.1, 0.4, nodes.size)
    power_w = rng.exponential(1500.0, (nodes.size, 4))
    mine = line_losses_w(grid.common_path_ohm(nodes), shares, power_w, q_per_p)
    assert mine.min() > 1.0
    for step in range(power_w.shape[1]):
        if single_phase_share:
            # Its unbalanced power flow stops at a mismatch of 0.03 W a bus, whatever it is asked for.
            theirs = unbalanced_losses_w(grid, nodes, shares, power_w[:, step], q_per_p)
            assert mine[step] == pytest.approx(theirs, rel=1e-6, abs=3e-3)
        else:
            theirs = balanced_losses_w(grid, nodes, power_w[:, step], q_per_p)
            assert mine[step] == pytest.approx(theirs, rel=1e-6)
