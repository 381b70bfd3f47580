"""The zone balance beside its peers on zones of independent physics: make bench-balance [ARGS="--quick"].

Rounds over all classes of zones, one reported seed after another, in two processes. A round is begun only where the one
before lets expect that it ends in time, and is then finished, so that every class has as many zones. Writes
docs/benchmarks/zone-balance.md unless classes or seeds are chosen.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes share the cores, not the threads of each
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

from zones.classes import CLASSES, FIRST_REPORTED_SEED, cost
from zones.metrics import figures
from zones.page import page
from zones.running import ZoneRun, prepare_zone, run_zone

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "zone-balance.md"
TUNING_SEED = 7
QUICK = ("homes 20", "homes 50, changes", "gas 30, changes", "water 40, changes")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="no round is begun that would end after this time")
    parser.add_argument("--rounds", type=int, default=10, help="most zones (seeds) of each class")
    parser.add_argument("--first", type=int, default=FIRST_REPORTED_SEED, metavar="SEED")
    parser.add_argument("--only", default="", metavar="TEXT", help="classes whose names hold this; nothing is written")
    parser.add_argument("--quick", action="store_true", help="a few classes, one tuning seed; nothing is written")
    parser.add_argument("--every", type=int, default=1, metavar="DAYS", help="assess at every so many days' ends")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--prepare", action="store_true", help="only make the zones and run the peers, into .cache")
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    if given.quick:
        given.first, given.rounds = TUNING_SEED, 1
    return given


def in_rounds(given: argparse.Namespace, names: Sequence[str], work: Callable[..., Any], *more: int) -> Iterator[Any]:
    """What `work` gave for every class and seed, after each of the rounds that the time allows."""
    out: list[Any] = []
    begun = time.monotonic()
    with ProcessPoolExecutor(given.processes) as pool:
        for seed in range(given.first, given.first + given.rounds):
            at = time.monotonic()
            going = {pool.submit(work, name, seed, *more): name for name in sorted(names, key=cost)}
            for future in as_completed(going):
                out.append(future.result())
                tell(going[future], seed, len(out), out[-1], time.monotonic() - begun)
            yield list(out)
            now = time.monotonic()
            if (now - begun) + (now - at) > 60 * given.minutes:
                break


def tell(name: str, seed: int, count: int, result: object, seconds: float) -> None:
    line = f"{seconds:6.0f} s  {count:3d}  {name}, seed {seed}"
    if isinstance(result, ZoneRun):
        zone, one = result.zone, figures([result])
        line += (
            f": RMSE {zone.rmse_pct:.3f} of {zone.prior_rmse_pct:.3f} %, gate {'open' if zone.is_open else 'shut'},"
            f" {one.told} of {one.bad} bad told ({one.decidable} decidable), {one.false_alerts} false,"
            f" {one.other_alerts} other, assessed in {zone.seconds:.0f} s"
        )
    print(line, flush=True)


def main() -> int:
    given = arguments()
    names = [name for name in CLASSES if given.only in name and (not given.quick or given.only or name in QUICK)]
    if given.prepare:
        for _ in in_rounds(given, names, prepare_zone):
            pass
        return 0
    begun = time.monotonic()
    for runs in in_rounds(given, names, run_zone, given.every):
        tell_page(given, names, runs, (time.monotonic() - begun) / 60)
    return 0


def tell_page(given: argparse.Namespace, names: Sequence[str], runs: list[ZoneRun], minutes: float) -> None:
    """The page of the rounds so far, written where all classes are reported on."""
    runs.sort(key=lambda run: run.zone.seed)
    done = {name: held for name in names if (held := [run for run in runs if run.zone.zone_class == name])}
    last = given.first + len(runs) // len(names) - 1
    text = page(done, f"{given.first} to {last}", given.every, minutes)
    print(text, flush=True)
    if not given.only and given.first == FIRST_REPORTED_SEED:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
