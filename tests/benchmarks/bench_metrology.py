"""Maximum permissible errors and conformity over 10 million meter-points, beside the plain numpy they contain.

Run by `make bench-metrology`; prints a table and writes docs/benchmarks/metrology.md. Points are made and judged in
blocks, so memory stays bounded; each block's results are compared before the times count.
"""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import special

from metrology.conformity import decide_many, probability_nonconforming
from metrology.mpe import Conditions, applicable_limits, mpe_pct
from metrology.regulation import get_regulation

Floats = NDArray[np.float64]
POINTS = 10_000_000
BLOCK = 1_000_000
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "metrology.md"
R46, R49, R137 = (get_regulation(name) for name in ("oiml-r46-2012", "oiml-r49-2013", "oiml-r137-2012"))
MARKS = {"i_st": 0.02, "i_min": 0.25, "i_tr": 0.5, "i_max": 60.0}
WATER_MARKS = {"q1": 0.025, "q2": 0.04, "q3": 2.5, "q4": 3.125}
GAS_MARKS = {"q_min": 0.025, "q_t": 0.4, "q_max": 4.0}


@dataclass
class Block:
    """Made-up points: loads over and slightly beyond the range, so that every branch is taken."""

    current: Floats
    power_factor: Floats
    scale: Floats
    water: Floats
    temperature: Floats
    gas: Floats
    error: Floats
    std: Floats

    @classmethod
    def make(cls, rng: np.random.Generator) -> "Block":
        """BLOCK points; loads are spread evenly over their logarithms, as loads are."""
        return cls(
            current=np.exp(rng.uniform(np.log(0.021), np.log(55.0), BLOCK)),
            power_factor=rng.choice([1.0, 0.9, 0.5], BLOCK),
            scale=rng.uniform(0.98, 1.02, BLOCK),
            water=np.exp(rng.uniform(np.log(0.026), np.log(3.1), BLOCK)),
            temperature=rng.uniform(5.0, 60.0, BLOCK),
            gas=np.exp(rng.uniform(np.log(0.026), np.log(3.9), BLOCK)),
            error=rng.normal(0.0, 1.0, BLOCK),
            std=rng.uniform(0.05, 0.6, BLOCK),
        )


def plain_r46(i: Floats, upper: float | Floats, middle: float | Floats, marks: dict[str, float | Floats]) -> Floats:
    """The table of R 46 as nested choices."""
    low = np.where(i >= marks["i_st"], middle * marks["i_min"] / i, np.nan)
    inside = np.where(i >= marks["i_tr"], upper, np.where(i >= marks["i_min"], middle, low))
    return np.where(i > marks["i_max"], np.nan, inside)


def plain_power_factor(b: Block) -> Floats:
    unity = b.power_factor == 1.0
    upper, middle = np.where(unity, 1.0, 1.5), np.where(unity, 1.5, 1.8)
    return np.where(b.power_factor >= 0.5, plain_r46(b.current, upper, middle, MARKS), np.nan)


def plain_water(b: Block) -> Floats:
    q, upper = b.water, np.where(b.temperature <= 30.0, 4.0, 6.0)
    inside = np.where(q >= 0.04, upper, np.where(q >= 0.025, 10.0, np.nan))
    return np.where((q > 3.125) | (b.temperature < 0.1) | (b.temperature > 180.0), np.nan, inside)


def plain_gas(b: Block) -> Floats:
    inside = np.where(b.gas >= 0.4, 1.5, np.where(b.gas >= 0.025, 3.0, np.nan))
    return np.where(b.gas > 4.0, np.nan, inside)


def plain_probability(error: Floats, std: Floats, mpe: float | Floats) -> Floats:
    return special.ndtr((-mpe - error) / std) + special.ndtr((error - mpe) / std)


def plain_codes(p: Floats) -> NDArray[np.int8]:
    return np.where(np.isnan(p), 3, np.where(p > 0.95, 1, np.where(p < 0.05, 0, 2))).astype(np.int8)


def each_meters_marks(b: Block) -> dict[str, float | Floats]:
    return {name: value * b.scale for name, value in MARKS.items()}


UNITY = Conditions(marks=MARKS, power_factor=1.0)


def of_power_factor(b: Block) -> Floats:
    return mpe_pct(R46, "initial", "B", b.current, Conditions(marks=MARKS, power_factor=b.power_factor))


def of_water(b: Block) -> Floats:
    return mpe_pct(R49, "in_service", "2", b.water, Conditions(marks=WATER_MARKS, temperature_degc=b.temperature))


@dataclass
class Case:
    """A piece of work done by the library and in plain numpy, with the seconds each took."""

    name: str
    library: Callable[[Block], NDArray[np.generic]]
    plain: Callable[[Block], NDArray[np.generic]]
    library_s: float = 0.0
    plain_s: float = 0.0
    blocks: list[float] = field(default_factory=list)

    def run(self, block: Block) -> None:
        """One block, the faster of two runs each, results compared."""
        library_s, found = timed(self.library, block)
        plain_s, expected = timed(self.plain, block)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)
        self.library_s += library_s
        self.plain_s += plain_s


def timed(work: Callable[[Block], NDArray[np.generic]], block: Block) -> tuple[float, NDArray[np.generic]]:
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        result = work(block)
        best = min(best, time.perf_counter() - start)
    return best, result


CASES = [
    Case(
        "`mpe_pct`, R 46, power factor 1",
        lambda b: mpe_pct(R46, "initial", "B", b.current, UNITY),
        lambda b: plain_r46(b.current, 1.0, 1.5, MARKS),
    ),
    Case("`mpe_pct`, R 46, power factor of each point", of_power_factor, plain_power_factor),
    Case(
        "`mpe_pct`, R 46, marks of each point",
        lambda b: mpe_pct(R46, "initial", "B", b.current, Conditions(marks=each_meters_marks(b), power_factor=1.0)),
        lambda b: plain_r46(b.current, 1.0, 1.5, each_meters_marks(b)),
    ),
    Case("`mpe_pct`, R 49 in service, temperature of each point", of_water, plain_water),
    Case(
        "`mpe_pct`, R 137",
        lambda b: mpe_pct(R137, "initial", "1.5", b.gas, Conditions(marks=GAS_MARKS)),
        plain_gas,
    ),
    Case(
        "`applicable_limits` (with the figure that applied), R 137",
        lambda b: applicable_limits(R137, "initial", "1.5", b.gas, Conditions(marks=GAS_MARKS))[0],
        plain_gas,
    ),
    Case(
        "`probability_nonconforming`, normal",
        lambda b: np.asarray(probability_nonconforming(b.error, b.std, 1.0)),
        lambda b: plain_probability(b.error, b.std, 1.0),
    ),
    Case(
        "`probability_nonconforming` and `decide_many`",
        lambda b: decide_many(probability_nonconforming(b.error, b.std, 1.0)),
        lambda b: plain_codes(plain_probability(b.error, b.std, 1.0)),
    ),
    Case(
        "limit, probability and decision together, R 46",
        lambda b: decide_many(probability_nonconforming(b.error, b.std, of_power_factor(b))),
        lambda b: plain_codes(plain_probability(b.error, b.std, plain_power_factor(b))),
    ),
]


def table() -> str:
    rows = [
        "| Work | library [s] | plain numpy [s] | ratio | million points/s |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for case in CASES:
        ratio, speed = case.library_s / case.plain_s, POINTS / case.library_s / 1e6
        rows.append(f"| {case.name} | {case.library_s:.2f} | {case.plain_s:.2f} | {ratio:.2f} | {speed:.0f} |")
    return "\n".join(rows)


def page() -> str:
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    return (
        "# Benchmark: limits and conformity\n\n"
        f"{POINTS:,} meter-points in blocks of {BLOCK:,}, one thread, {os.cpu_count()} processors, {versions}; peak"
        f" memory of the process {peak_mb:.0f} MB. Each time is the sum over the blocks of the faster of two runs."
        " *Plain numpy* is the same arithmetic written out by hand for the one table, without checks of the input; both"
        " results are compared at every point. The aim is a ratio of at most 3: ratios carry over to other machines"
        " within some tenths, times do not.\n\n"
        f"{table()}\n\nMeasured by `make bench-metrology`.\n"
    )


def main() -> int:
    rng = np.random.default_rng(20260101)
    for done in range(0, POINTS, BLOCK):
        block = Block.make(rng)
        for case in CASES:
            case.run(block)
        print(f"\r{done + BLOCK:,} points", end="", file=sys.stderr)
    print(file=sys.stderr)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(table())
    slow = [case.name for case in CASES if case.library_s > 3 * case.plain_s]
    if slow:
        print(f"above the aim of 3: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
