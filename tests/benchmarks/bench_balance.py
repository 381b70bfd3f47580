"""The zone balance beside its peers on zones of independent physics: make bench-balance [ARGS="--minutes 5"].

Rounds over all classes of zones with one reported seed after another, in two processes, until the time is up or the
seeds are; writes docs/benchmarks/zone-balance.md unless classes or seeds are chosen.
"""

import argparse
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes share the cores, not the threads of each
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

from zones.classes import CLASSES, FIRST_REPORTED_SEED
from zones.page import page
from zones.running import ZoneRun, run_zone

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "zone-balance.md"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="no zone is begun after this time")
    parser.add_argument("--zones", type=int, default=10, help="most zones (seeds) of each class")
    parser.add_argument("--first", type=int, default=FIRST_REPORTED_SEED, metavar="SEED")
    parser.add_argument("--only", default="", metavar="TEXT", help="classes whose names hold this; nothing is written")
    parser.add_argument("--every", type=int, default=1, metavar="DAYS", help="assess at every so many days' ends")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=PAGE)
    return parser.parse_args()


def run(given: argparse.Namespace) -> dict[str, list[ZoneRun]]:
    """All zones that the time allows, by class."""
    names = [name for name in CLASSES if given.only in name]
    jobs = [(name, seed) for seed in range(given.first, given.first + given.zones) for name in names]
    done: dict[str, list[ZoneRun]] = {name: [] for name in names}
    begun, going = time.monotonic(), {}
    with ProcessPoolExecutor(given.processes) as pool:
        while jobs or going:
            late = time.monotonic() - begun > 60 * given.minutes
            while jobs and not late and len(going) < given.processes:
                job = jobs.pop(0)
                going[pool.submit(run_zone, *job, given.every)] = job
            if not going:
                break
            finished, _ = wait(going, return_when=FIRST_COMPLETED)
            for future in finished:
                tell(future, going.pop(future), done, time.monotonic() - begun)
    return {name: sorted(held, key=lambda one: one.zone.seed) for name, held in done.items() if held}


def tell(future: Future[ZoneRun], job: tuple[str, int], done: dict[str, list[ZoneRun]], seconds: float) -> None:
    name, seed = job
    one = future.result()
    done[name].append(one)
    zone = one.zone
    print(
        f"{seconds:6.0f} s  {name} {seed}: RMSE {zone.rmse_pct:.3f} of {zone.prior_rmse_pct:.3f} %,"
        f" {sum(a.right for a in zone.alerts)} right and {sum(not a.right for a in zone.alerts)} wrong alerts,"
        f" made in {one.made_s:.1f} s, assessed in {zone.seconds:.1f} s",
        flush=True,
    )


def main() -> int:
    given = arguments()
    begun = time.monotonic()
    done = run(given)
    seeds = f"from {given.first}"
    text = page(done, seeds, given.every, (time.monotonic() - begun) / 60)
    print(text)
    if not given.only and given.first == FIRST_REPORTED_SEED:
        given.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
