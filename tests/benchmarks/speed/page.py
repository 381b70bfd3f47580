"""The page of the speed benchmark."""

import platform
from collections.abc import Mapping, Sequence

from speed.measuring import STEPS, Sample, Size, ZoneCost

ZONES, METERS = 10_000, 200
EPOCH_DAYS = 7


def page(
    size: Size, costs: Sequence[ZoneCost], peers: Mapping[str, float], samples: Sequence[Sample], processes: int
) -> str:
    """`costs` and `samples` without and with clock columns."""
    parts = [
        "# Benchmark: what a day of the zone balance costs",
        f"A zone of {size.meters} meters at {STEPS} intervals a day with {size.days} days behind it takes in one more"
        f" day; one thread, Python {platform.python_version()}, medians of {size.repeats}. Real homes where they are at"
        " hand, see [zones](zone-balance-zones.md). Measured by `make bench-balance-speed`. *Good clocks*: the setting"
        " of their spread is 0, so that the model has no columns for them.",
        "## One zone, beside the peers on the same data\n\n"
        "By day, by meter and interval of that day, and as a ratio to the balance with good clocks. RLS and the Kalman"
        " filter take the day's steps one by one; OLS and ridge fit all days anew. None of them dates changes, knows of"
        " clocks, gaps or losses, or judges.\n\n"
        "| Estimator | columns | a day [ms] | meter-interval [us] | ratio |\n|---|--:|--:|--:|--:|\n"
        + "\n".join(_rows(size, costs, peers)),
        "## The balance's parts\n\n"
        "*Day*: its block, sums, and the changes weighed. *Epoch*: every seventh day all is weighed anew, the model's"
        " columns made from the readings. *At work*: rows, blocks and sums of a zone while it is walked; they are made"
        " again from the readings, which alone are kept.\n\n"
        "| Clocks | columns | day [ms] | epoch [s] | verdicts [ms] | day with a seventh of an epoch [ms]"
        " | at work [MB] | readings [MB] |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
        + "\n".join(_parts(name, cost) for name, cost in zip(("good", "with columns"), costs, strict=True)),
        f"## {ZONES:,} zones of {METERS} meters\n\n"
        f"A sample of zones on {processes} processors at once takes in the day and is judged, readings and states at"
        " hand (IO apart); the rest by proportion. *Each day*: with a seventh of the zones at their epoch.\n\n"
        "| Clocks | sample | wall time [s] | zones a second | 10,000 zones, a day between epochs [min] |"
        " 10,000 zones, each day [min] |\n|---|--:|--:|--:|--:|--:|\n"
        + "\n".join(
            _sample(name, size, cost, sample, processes)
            for name, cost, sample in zip(("good", "with columns"), costs, samples, strict=True)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _rows(size: Size, costs: Sequence[ZoneCost], peers: Mapping[str, float]) -> list[str]:
    balance = {"zone balance, good clocks": costs[0], "zone balance, clock columns": costs[1]}
    base = costs[0].advance_s
    out = [_row(name, size, str(cost.columns), cost.advance_s, base) for name, cost in balance.items()]
    return out + [_row(name, size, str(size.meters + 1), seconds, base) for name, seconds in peers.items()]


def _row(name: str, size: Size, columns: str, seconds: float, base: float) -> str:
    by_interval_us = 1e6 * seconds / (size.meters * STEPS)
    return f"| {name} | {columns} | {1e3 * seconds:.1f} | {by_interval_us:.3f} | {seconds / base:.2f} |"


def _mean_day_s(cost: ZoneCost) -> float:
    return (cost.advance_s * (EPOCH_DAYS - 1) + cost.epoch_s) / EPOCH_DAYS + cost.verdict_s


def _parts(name: str, cost: ZoneCost) -> str:
    return (
        f"| {name} | {cost.columns} | {1e3 * cost.advance_s:.1f} | {cost.epoch_s:.2f} |"
        f" {1e3 * cost.verdict_s:.1f} | {1e3 * _mean_day_s(cost):.1f} | {cost.state_mb:.1f} | {cost.readings_mb:.1f} |"
    )


def _sample(name: str, size: Size, cost: ZoneCost, sample: Sample, processes: int) -> str:
    scale = METERS / size.meters
    between_min = ZONES * scale * sample.wall_s / sample.zones / 60
    slower = sample.of_processes_s / sample.zones / (cost.advance_s + cost.verdict_s)  # both at work at once
    each_min = ZONES * scale * _mean_day_s(cost) * slower / processes / 60
    return (
        f"| {name} | {sample.zones} | {sample.wall_s:.1f} | {sample.zones / sample.wall_s:.2f} | {between_min:.0f} |"
        f" {each_min:.0f} |"
    )
