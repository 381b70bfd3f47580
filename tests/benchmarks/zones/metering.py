"""From what truly flowed to what the meters said: errors, clocks, resolution, gaps, and the truth to score against."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from metrology.quantities import MICRO, Medium
from zones.case import START_US, BenchMeter, FaultTruth, Side, UnmeteredTruth, ZoneCase, ZoneTruth
from zones.course import Course, Floats
from zones.injection import (
    DAY_S,
    Injection,
    MeterErrors,
    daily,
    day_starts_us,
    fault_truths,
    faults_by_days,
    missing_mask,
)


@dataclass(frozen=True)
class Flows:
    """What truly flowed: through each customer's meter, into loads without a meter, and as losses [base unit].

    `foreign` are meters on the list that another zone feeds. Where a medium's meters err by flow or by temperature,
    `registered` replaces use × error, and `at_meter` is what a perfect meter would have counted there (without it: the
    use). `phases` of the customers.
    """

    use: Sequence[Course]
    losses: Course | None = None
    unmetered: Sequence[tuple[UnmeteredTruth, Course]] = ()
    foreign: Sequence[Course] = ()
    registered: Sequence[Course] | None = None
    at_meter: Sequence[Course] | None = None
    phases: Sequence[str] = ()
    side: Side = field(default_factory=Side)
    made_of: str = ""


@dataclass(frozen=True)
class ZonePlan:
    """What is common to a zone: its name and class, medium, interval, length and what is wrong in it."""

    name: str
    zone_class: str
    medium: Medium
    interval_s: int
    days: int
    injection: Injection


def metered(plan: ZonePlan, flows: Flows, errors: Sequence[MeterErrors], rng: np.random.Generator) -> ZoneCase:
    """The zone as its meters tell it. Foreign meters follow the customers and are healthy."""
    wrong, count = plan.injection, len(flows.use)
    meters = _meters(plan, flows)
    nominal_s = np.arange(0.0, plan.days * DAY_S + 1, plan.interval_s)
    clock_s = rng.uniform(-1.0, 1.0, len(meters)) * wrong.clock_max_s
    clock_s[0] = rng.uniform(-1.0, 1.0) * wrong.reference_clock_max_s
    gain_pct = float(rng.normal(0.0, wrong.reference_sd_pct))
    foreign_errors = [MeterErrors(float(e)) for e in rng.normal(0.0, wrong.healthy_sd_pct, len(flows.foreign))]
    counted = list(flows.registered or [e.registered(u) for e, u in zip(errors, flows.use, strict=True)])
    counted += [e.registered(u) for e, u in zip(foreign_errors, flows.foreign, strict=True)]
    # A clock that is ahead reads the register early: its reading is stamped later than it was.
    totals = [_through_reference(plan, flows, nominal_s - clock_s[0], gain_pct, rng)]
    totals += [course.at(nominal_s - ahead) for course, ahead in zip(counted, clock_s[1:], strict=True)]
    swapped, swaps = _swapped(plan, totals, count, [i for i, e in enumerate(errors) if not e.fault], rng)
    mask = missing_mask(len(meters), nominal_s.size, plan.interval_s, wrong, rng)
    times_us = START_US + np.round(nominal_s * 1e6).astype(np.int64)
    serials = [meter.serial for meter in meters]
    truth = _truth(plan, flows, counted, gain_pct, clock_s)
    if flows.registered is None:
        faults = fault_truths(serials[1 : count + 1], errors, wrong.mpe_pct)
    else:
        faults = faults_by_days(serials[1 : count + 1], errors, wrong.mpe_pct, truth)
    faults += swaps(serials)
    faults += [FaultTruth(serial, "foreign", START_US, None, 0.0) for serial in serials[count + 1 :]]
    return ZoneCase(
        plan.name, plan.zone_class, plan.medium, plan.interval_s, wrong.reference_sd_pct or 0.01, tuple(meters),
        tuple(times_us[~missing] for missing in mask),
        tuple(_dial(total, m, rng)[~missing] for total, m, missing in zip(swapped, meters, mask, strict=True)),
        replace(truth, faults=tuple(faults)), flows.side, flows.made_of,
    )  # fmt: skip


def _meters(plan: ZonePlan, flows: Flows) -> list[BenchMeter]:
    wrong = plan.injection
    reference = BenchMeter("R-0", "reference", wrong.reference_resolution, 0.2, None, wrong.reference_multiplier)
    phases = list(flows.phases) or ["123"] * len(flows.use)
    customers = [
        BenchMeter(f"C-{i:03d}", "customer", wrong.resolution, wrong.healthy_sd_pct, wrong.mpe_pct, phase=phase)
        for i, phase in enumerate([*phases, *["123"] * len(flows.foreign)])
    ]
    return [reference, *customers]


def _through_reference(
    plan: ZonePlan, flows: Flows, times_s: Floats, gain_pct: float, rng: np.random.Generator
) -> Floats:
    """The reference's total: all that flows into the zone, with its constant and its random error."""
    parts = [*flows.use, *(course for _, course in flows.unmetered), *([flows.losses] if flows.losses else [])]
    inflow = np.sum([part.at(times_s) for part in parts], axis=0)
    noise_pct = rng.normal(0.0, plan.injection.reference_noise_pct, inflow.size - 1)
    keep = np.exp(-plan.interval_s / DAY_S)
    pushed = rng.normal(0.0, plan.injection.reference_wander_pct * np.sqrt(1 - keep**2), inflow.size - 1)
    wander_pct = lfilter([1.0], [1.0, -keep], pushed)
    return np.concatenate([[0.0], np.cumsum(np.diff(inflow) * (1.0 + (gain_pct + noise_pct + wander_pct) / 100.0))])


def _dial(total: Floats, meter: BenchMeter, rng: np.random.Generator) -> NDArray[np.int64]:
    """The register [millionths] as the dial shows it: from a start drawn at random, floored to its resolution."""
    step = round(meter.resolution * MICRO)
    start = rng.integers(10**8, 10**9) * 1000
    micro = start + np.round(total / meter.multiplier * MICRO).astype(np.int64)
    return micro // step * step


def _swapped(plan: ZonePlan, totals: list[Floats], count: int, healthy: list[int], rng: np.random.Generator):
    """Pairs of healthy meters whose totals are exchanged from a date on; returns the totals and a maker of truths."""
    out, pairs = list(totals), []
    chosen = rng.permutation(healthy)[: 2 * plan.injection.swapped].reshape(-1, 2)
    for a, b in chosen:
        begin = round(rng.uniform(0.25, 0.6) * plan.days) * int(DAY_S) // plan.interval_s
        # Each series goes on from where it stood, as after checks that bridge the step of the register.
        for one, other in ((a + 1, b + 1), (b + 1, a + 1)):
            late = totals[one][begin] + totals[other][begin:] - totals[other][begin]
            out[one] = np.concatenate([totals[one][:begin], late])
            pairs.append((one, START_US + begin * plan.interval_s * 1_000_000))

    def truths(serials: Sequence[str]) -> list[FaultTruth]:
        return [FaultTruth(serials[place], "swapped", begins, None, 0.0) for place, begins in pairs]

    return out, truths


def _truth(plan: ZonePlan, flows: Flows, counted: Sequence[Course], gain_pct: float, clock_s: Floats) -> ZoneTruth:
    days = plan.days
    use = np.array([daily(course, days) for course in (*flows.use, *flows.foreign)])
    perfect = np.array([daily(course, days) for course in (*(flows.at_meter or flows.use), *flows.foreign)])
    shown = np.array([daily(course, days) for course in counted])
    whole = np.sum(shown, axis=1, keepdims=True) / np.maximum(np.sum(perfect, axis=1, keepdims=True), 1e-12)
    some = perfect > 1e-9
    ratio = np.where(some, shown / np.where(some, perfect, 1.0), whole)  # a day without use: the whole's mean
    loss = daily(flows.losses, days) if flows.losses else np.zeros(days)
    unmetered = (
        np.sum([daily(course, days) for _, course in flows.unmetered], axis=0) if flows.unmetered else 0.0 * loss
    )
    inflow = np.sum(use[: len(flows.use)], axis=0) + loss + unmetered
    loads = tuple(truth for truth, _ in flows.unmetered)
    return ZoneTruth(
        day_starts_us(days), 100.0 * (ratio - 1.0), use, loss, unmetered, inflow, gain_pct, clock_s, (), loads
    )
