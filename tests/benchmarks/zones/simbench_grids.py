"""Low-voltage grids of SimBench as trees of lines; read once and kept below .cache/.

SimBench (Meinecke et al., Energies 13, 2020) gives cables, lengths and where customers are; its own loads are not used,
for they share few shapes. Losses are those below the transformer's low-voltage busbar, where the reference measures.
"""

from pathlib import Path

import numpy as np

from zones.power_flow import RadialGrid

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "zones"
CODES = {
    "rural1": "1-LV-rural1--0-no_sw",
    "rural2": "1-LV-rural2--0-no_sw",
    "rural3": "1-LV-rural3--0-no_sw",
    "semiurb4": "1-LV-semiurb4--0-no_sw",
    "semiurb5": "1-LV-semiurb5--0-no_sw",
    "urban6": "1-LV-urban6--0-no_sw",
}


def simbench_grid(name: str) -> RadialGrid:
    """The grid of that name, as in CODES."""
    path = CACHE / f"grid-{name}.npz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        grid = _read(name)
        np.savez(path, above=grid.above, below=grid.below, z_ohm=grid.z_ohm, load_nodes=grid.load_nodes)
    with np.load(path) as held:
        return RadialGrid(name, held["above"], held["below"], held["z_ohm"], held["load_nodes"])


def _read(name: str) -> RadialGrid:
    # Only here: whoever has the cached grids needs no SimBench.
    import networkx  # noqa: PLC0415
    import simbench  # noqa: PLC0415
    from pandapower.topology import create_nxgraph  # noqa: PLC0415

    net = simbench.get_simbench_net(CODES[name])
    graph = create_nxgraph(net, multi=False)
    if not networkx.is_forest(graph):
        raise ValueError(f"{CODES[name]} has meshes: take another grid")
    root = int(net.trafo.lv_bus.iloc[0])
    graph.remove_node(int(net.trafo.hv_bus.iloc[0]))
    order = list(networkx.bfs_edges(graph, root))
    number = {root: 0} | {int(bus): i + 1 for i, (_, bus) in enumerate(order)}
    z_ohm = {}
    for line in net.line.itertuples():
        z = complex(line.r_ohm_per_km, line.x_ohm_per_km) * line.length_km / line.parallel
        z_ohm[frozenset((line.from_bus, line.to_bus))] = z
    return RadialGrid(
        name,
        np.array([number[int(a)] for a, _ in order]),
        np.array([number[int(b)] for _, b in order]),
        np.array([z_ohm[frozenset(edge)] for edge in order]),
        np.unique([number[int(bus)] for bus in net.load.bus if int(bus) in number]),
    )
