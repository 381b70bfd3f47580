"""What is wrong in a zone: errors of meters, faults, clocks, gaps, and loads that no meter shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zones.case import DAY_US, START_US, FaultTruth, ZoneTruth
from zones.course import Course, Floats

DAY_S = 86_400.0


@dataclass(frozen=True)
class Injection:
    """What to inject. Shares are of readings; `clock_max_s` bounds offsets drawn evenly to both sides.

    Faults' sizes [%] are drawn evenly from their span, to either side; they begin in the middle half of the case
    (drifts in the first half), or at `fault_at` (share of the case) where it is given.
    """

    healthy_sd_pct: float = 0.4
    mpe_pct: float = 1.75
    steps: int = 0
    drifts: int = 0
    stopped: int = 0
    reversed: int = 0
    swapped: int = 0  # pairs of meters whose readings are exchanged
    foreign: int = 0  # listed meters that another zone feeds
    from_the_start: int = 0  # meters that were beyond the limit before the case began
    size_pct: tuple[float, float] = (2.5, 10.0)
    fault_at: float | None = None
    resolution: float = 0.001
    reference_resolution: float = 0.001
    reference_multiplier: float = 1.0
    reference_sd_pct: float = 0.3
    reference_noise_pct: float = 0.03  # of each interval by itself
    reference_wander_pct: float = 0.05  # of an error that forgets within a day: temperature, load
    clock_max_s: float = 5.0
    reference_clock_max_s: float = 0.0
    missing_share: float = 0.0
    outages: int = 0
    outage_h: float = 6.0
    thefts: int = 0
    unlisted: int = 0


# Perfect meters, clocks and dials: what is left is the physics.
EXACT = Injection(
    healthy_sd_pct=0.0,
    reference_sd_pct=0.0,
    reference_noise_pct=0.0,
    reference_wander_pct=0.0,
    clock_max_s=0.0,
    resolution=1e-6,
    reference_resolution=1e-6,
)


@dataclass(frozen=True)
class MeterErrors:
    """The error of one customer's meter as a function of time: constant, then a fault from `begin_s` on."""

    healthy_pct: float
    fault: str = ""
    begin_s: float = 0.0
    end_s: float = 0.0
    size_pct: float = 0.0  # added by a step, or by a drift until `end_s`

    def error_pct(self, middle_s: Floats) -> Floats:
        """The error [%] at times [s since the case's start]."""
        late = middle_s >= self.begin_s
        if self.fault == "step":
            return self.healthy_pct + self.size_pct * late
        if self.fault == "drift":
            return self.healthy_pct + self.size_pct * np.clip(
                (middle_s - self.begin_s) / (self.end_s - self.begin_s), 0.0, 1.0
            )
        if self.fault in ("stopped", "reversed"):
            return np.where(late, -100.0 if self.fault == "stopped" else -200.0 - self.healthy_pct, self.healthy_pct)
        return np.full(middle_s.shape, self.healthy_pct)

    def registered(self, use: Course) -> Course:
        """What the meter counts of the use."""
        knots = [self.begin_s, *np.arange(self.begin_s, self.end_s, DAY_S / 4)] if self.fault == "drift" else []
        if self.fault in ("step", "stopped", "reversed"):
            knots = [self.begin_s]
        return use.with_knots(knots).times(lambda middle, _: 1.0 + self.error_pct(middle) / 100.0)

    def leaves_limit_s(self, mpe_pct: float) -> float | None:
        """When the error first passes the limit, if it does."""
        if abs(self.healthy_pct) > mpe_pct:
            return 0.0
        if self.fault in ("stopped", "reversed"):
            return self.begin_s
        last = self.healthy_pct + self.size_pct
        if self.fault not in ("step", "drift") or abs(last) <= mpe_pct:
            return None
        if self.fault == "step":
            return self.begin_s
        way = (np.sign(self.size_pct) * mpe_pct - self.healthy_pct) / self.size_pct
        return float(self.begin_s + way * (self.end_s - self.begin_s))


def draw_errors(count: int, plan: Injection, days: int, rng: np.random.Generator) -> list[MeterErrors]:
    """The errors of `count` customers' meters: healthy ones, then faults on meters drawn at random."""
    healthy = rng.normal(0.0, plan.healthy_sd_pct, count)
    errors = [MeterErrors(float(e)) for e in healthy]
    kinds = (
        ["step"] * plan.steps + ["drift"] * plan.drifts + ["stopped"] * plan.stopped + ["reversed"] * plan.reversed
        + ["constant"] * plan.from_the_start
    )  # fmt: skip
    if len(kinds) > count:
        raise ValueError(f"{len(kinds)} faults for {count} meters: ask for fewer faults")
    for place, kind in zip(rng.permutation(count), kinds, strict=False):
        size = rng.uniform(*plan.size_pct) * rng.choice([-1.0, 1.0])
        share = plan.fault_at if plan.fault_at is not None else rng.uniform(0.1 if kind == "drift" else 0.25, 0.6)
        begin = round(share * days * 24) * 3600.0
        if kind == "constant":
            errors[place] = MeterErrors(float(size))
        else:
            # The size is where the error ends: a healthy error on the other side must not take it back within limits.
            added = float(size - healthy[place])
            errors[place] = MeterErrors(float(healthy[place]), kind, begin, days * DAY_S, added)
    return errors


def fault_truths(serials: Sequence[str], errors: Sequence[MeterErrors], mpe_pct: float) -> list[FaultTruth]:
    """The faults in words: also those that stay within the limit, and errors beyond it from the start."""
    out = []
    for serial, one in zip(serials, errors, strict=True):
        leaves = one.leaves_limit_s(mpe_pct)
        if one.fault or leaves is not None:
            left = None if leaves is None else START_US + round(leaves * 1e6)
            end_pct = float(one.error_pct(np.array([one.end_s]))[0])
            begins = START_US + round(one.begin_s * 1e6)
            out.append(FaultTruth(serial, one.fault or "constant", begins, left, end_pct))
    return out


def faults_by_days(
    serials: Sequence[str], errors: Sequence[MeterErrors], mpe_pct: float, truth: ZoneTruth
) -> list[FaultTruth]:
    """As `fault_truths` where the error hangs on more than the fault: by its mean over a week from each day on."""
    out = []
    for i, (serial, one) in enumerate(zip(serials, errors, strict=True)):
        week = np.ones(7)
        use, wrong = truth.true_use[i], truth.true_use[i] * truth.error_pct[i]
        mean = np.convolve(wrong, week)[6:] / np.maximum(
            np.convolve(use, week)[6:], 1e-9
        )  # of the days left at the end
        begins = START_US + round(one.begin_s * 1e6)
        beyond = truth.days_us[(np.abs(mean) > mpe_pct) & (truth.days_us + DAY_US > begins)]
        lasting = beyond.size > 0.5 * max(int(np.sum(truth.days_us >= begins)), 1)
        if one.fault or lasting:
            left = max(int(beyond[0]), begins) if beyond.size else None
            out.append(FaultTruth(serial, one.fault or "constant", begins, left, float(mean[-min(7, mean.size)])))
    return out


def missing_mask(
    meters: int, readings: int, interval_s: int, plan: Injection, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which readings never came, shape (meters, readings): the first row is the reference.

    Half of the missing share are single readings, half are runs of eight on average; an outage of the concentrator
    takes all customers at once and leaves the reference.
    """
    mask = np.zeros((meters, readings), dtype=np.bool_)
    if plan.missing_share:
        mask |= rng.random((meters, readings)) < plan.missing_share / 2
        begins = rng.random((meters, readings)) < plan.missing_share / 2 / 8
        for meter, first in zip(*np.nonzero(begins), strict=True):
            mask[meter, first : first + rng.geometric(1 / 8)] = True
    per_outage = round(plan.outage_h * 3600 / interval_s)
    for _ in range(plan.outages):
        first = rng.integers(0, max(readings - per_outage, 1))
        mask[1:, first : first + per_outage] = True
    return mask


def daily(total: Course, days: int) -> Floats:
    """Quantity [base unit] of each day, shape (days,)."""
    return np.diff(total.at(DAY_S * np.arange(days + 1)))


def day_starts_us(days: int) -> NDArray[np.int64]:
    """When the days begin [us since 1970]."""
    return START_US + DAY_US * np.arange(days, dtype=np.int64)
