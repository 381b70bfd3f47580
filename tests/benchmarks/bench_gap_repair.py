"""What gap repair and clocks bring: the same simulated days with and without them, on a real database.

    .venv/bin/python tests/benchmarks/bench_gap_repair.py [DSN]

Without DSN an embedded server is started. Everything is the real thing but the broker and the clock. Prints a table and
writes it to docs/benchmarks/gap-repair.md.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration" / "gateway"))

from simulated_days import SimulatedDays, simulated_days  # noqa: E402  # its folder was just added

from gateway.repair.settings import RepairSettings  # noqa: E402
from meterproof.embedded.postgres import EmbeddedPostgres  # noqa: E402
from simulators.concentrator import Behaviour  # noqa: E402
from simulators.scenario import Scenario  # noqa: E402
from store.migrate import migrate  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks" / "gap-repair.md"
TICK = timedelta(minutes=30)
SCENARIO = Scenario.model_validate(
    {
        "name": "gap-repair",
        "utility": "gaptown",
        "seed": 11,
        "start": "2026-03-02T00:00:00Z",
        "days": 7,
        "electricity": {
            "zones": 2,
            "customers_per_zone": [60, 60],
            "interval_s": 1800,
            "resolution": "0.001",
            "accuracy_class": "A",
            "mpe_pct": 2.0,
            "healthy_sd_pct": 0.4,
            "reference_sd_pct": 0.2,
            "fault_pct": [6.0, 9.0],
            "clock_ahead_s": 300.0,
            "defects": {"missing_share": 0.02, "gaps": 12, "gap_hours": 12.0},
        },
    }
)
WAYS = {
    "no repair": None,
    "repair, all meters answer": Behaviour(lost_share=0.0, unreachable_share=0.0),
    "repair, 2 % lost their memory, 5 % out of reach at a time": Behaviour(),
    "repair, 10 % lost their memory, 30 % out of reach at a time": Behaviour(lost_share=0.1, unreachable_share=0.3),
}


@dataclass
class Figures:
    """What a run measured; shares in percent, offsets in seconds."""

    collected_pct: float
    zone_instants_pct: float
    clock_rms_s: float
    clock_worst_s: float
    estimate_rms_s: float
    reads: int
    syncs: int
    asked: int
    arrived: int
    given_up: int
    before_first: int
    seconds: float


@contextmanager
def database(dsn: str | None) -> Iterator[str]:
    """The DSN of a fresh database with the schema, dropped afterwards."""
    if dsn is None:
        with tempfile.TemporaryDirectory() as folder:
            server = EmbeddedPostgres(Path(folder) / "bench")
            server.start()
            try:
                with database(server.dsn()) as made:
                    yield made
            finally:
                server.stop()
        return
    name = f"mp_bench_{os.getpid()}"
    with psycopg.connect(dsn, autocommit=True) as maintenance:
        maintenance.execute(f"create database {name}".encode())
        try:
            made = psycopg.conninfo.make_conninfo(dsn, dbname=name)
            with psycopg.connect(made) as connection:
                migrate(connection)
            yield made
        finally:
            maintenance.execute(f"drop database {name} with (force)".encode())


def run(dsn: str, behaviour: Behaviour | None) -> Figures:
    """The scenario's days, and one more for what is missing at their end."""
    begun = time.perf_counter()
    with simulated_days(dsn, SCENARIO, RepairSettings(), behaviour or Behaviour()) as days:
        days.pass_time(SCENARIO.start, SCENARIO.end + timedelta(days=1), TICK, repair=behaviour is not None)
        [(reads, syncs, asked, arrived)] = days.query(
            "select count(*) filter (where kind = 'read_profile')::int,"
            " count(*) filter (where kind = 'sync_clock')::int, coalesce(sum(points), 0)::int,"
            " coalesce(sum(arrived), 0)::int from command"
        )
        [(given_up,)] = days.query(
            "select coalesce(sum(points - arrived), 0)::int from command_target where outcome = 'given_up'"
        )
        clocks = days.concentrators.clock_ahead_s
        return Figures(
            100 * days.collection_rate(SCENARIO.start, SCENARIO.end),
            100 * zone_instants(days),
            float(np.sqrt(np.mean(clocks**2))),
            float(np.abs(clocks).max()),
            estimate_rms_s(days),
            int(str(reads)),
            int(str(syncs)),
            int(str(asked)),
            int(str(arrived)),
            int(str(given_up)),
            before_first(days),
            time.perf_counter() - begun,
        )


def zone_instants(days: SimulatedDays) -> float:
    """The share of a zone's instants at which every one of its meters was read: what a balance can use as it is."""
    held = days.query(
        "select count(*) filter (where there = all_of_them), count(*) from (select m.zone_id, r.observed_at,"
        " count(*) as there, (select count(*) from zone_membership a where a.zone_id = m.zone_id) as all_of_them"
        " from reading r join installation i using (meter_id) join zone_membership m using (service_point_id)"
        f" where r.observed_at < '{SCENARIO.end}' group by 1, 2) t"
    )
    whole, instants = (int(str(figure)) for figure in held[0])
    return whole / instants


def before_first(days: SimulatedDays) -> int:
    """How many readings lie before the first one that came of their meter: nobody knows that they were to come."""
    truth = days.city.profile(SCENARIO.start, SCENARIO.end)
    first = days.query(
        "select serial, (extract(epoch from min(observed_at)) * 1000000)::bigint"
        " from reading join meter using (meter_id) group by 1"
    )
    first_us = {str(serial): int(str(at_us)) for serial, at_us in first}
    serials = days.city.serials
    return sum(at_us < first_us[serials[meter]] for at_us, _, meter in truth.tolist())


def estimate_rms_s(days: SimulatedDays) -> float:
    """How far the estimated offsets are from the truth; NaN where none were made."""
    rows = days.query(
        "select serial, offset_s from clock_offset join meter using (meter_id) where offset_s is not null"
    )
    truth = dict(zip(days.city.serials, days.concentrators.clock_ahead_s.tolist(), strict=True))
    errors = [float(str(offset_s)) - truth[str(serial)] for serial, offset_s in rows]
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan")


def page(results: dict[str, Figures]) -> str:
    """The results as docs/benchmarks/gap-repair.md."""
    head = (
        f"# Benchmark: gap repair and clocks\n\n122 electricity meters in two zones, half-hourly, {SCENARIO.days} days"
        " in simulated time: 2 % of single readings never arrive, 12 meters are silent for 12 hours each, clocks of"
        " customers' meters run ahead by 0 to 300 s, 3 % of deliveries are up to an hour late. Default settings; one"
        " further day passes before the count. The batches are written by the gateway's own code, the commands are made"
        " by the repair's and obeyed by simulated concentrators.\n\n"
        "| Run | readings collected | instants with every meter of the zone | clock offsets, rms | worst | error of the"
        " estimate, rms | commands to read | to set clocks | readings asked for | arrived | given up |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    lines = [
        f"| {name} | {f.collected_pct:.3f} % | {f.zone_instants_pct:.1f} % | {f.clock_rms_s:.1f} s |"
        f" {f.clock_worst_s:.1f} s | {'–' if np.isnan(f.estimate_rms_s) else f'{f.estimate_rms_s:.2f} s'} |"
        f" {f.reads} | {f.syncs} | {f.asked} | {f.arrived} | {f.given_up} |"
        for name, f in results.items()
    ]
    tail = (
        f"{max(f.before_first for f in results.values())} of the missing readings lie before their meter's first one:"
        " nobody knows that they were to come, so they aren't asked for. Clocks within 10 s are left alone."
    )
    return head + "\n".join(lines) + f"\n\n{tail}\n\nMeasured by `make bench-repair`.\n"


def main() -> None:
    """Measures, prints and writes."""
    results = {}
    for name, behaviour in WAYS.items():
        with database(sys.argv[1] if len(sys.argv) > 1 else None) as dsn:
            results[name] = run(dsn, behaviour)
        print(f"{name}: {results[name]}")
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"\n{page(results)}")


if __name__ == "__main__":
    main()
