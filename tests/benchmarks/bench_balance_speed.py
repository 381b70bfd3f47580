"""What a day of the zone balance costs beside its peers on the same data: make bench-balance-speed [ARGS=--quick].

A zone of 200 homes at 15 min with 28 days behind it takes in one more day. Then the same by both processors for a
sample of zones, and what a day of 10,000 zones takes by that. Writes docs/benchmarks/zone-balance-speed.md.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes share the cores, not the threads of each
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

from speed.measuring import Size, sampled_zones, zone_day
from speed.page import page
from speed.peers_day import peers_day

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "zone-balance-speed.md"
FULL, QUICK = Size(meters=200, days=28, repeats=5, zones=40), Size(meters=40, days=14, repeats=2, zones=8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40 meters, 14 days; nothing is written")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    costs = []
    for clocks in (False, True):
        costs.append(zone_day(size, clocks))
        print(f"a zone {'with' if clocks else 'without'} clock columns: {costs[-1]}", flush=True)
    peers = peers_day(size)
    print(f"peers: {peers}", flush=True)
    samples = [sampled_zones(size, clocks, given.processes) for clocks in (False, True)]
    text = page(size, costs, peers, samples, given.processes)
    print(text)
    if not given.quick:
        given.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
