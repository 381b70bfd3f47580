"""The zone balance held against simulated zones whose every error is known: coverage, verdicts, false alarms.

Run by `make bench-balance-simulated`; prints the page and writes docs/benchmarks/zone-balance-simulated.md. The zones
come from the simulator, their totals through the same checks as in the verifier; no database is involved. The seeds are
used for nothing else: what was tuned was tuned on others.
"""

import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metrology.conformity import Outcome
from metrology.quantities import MICRO, Medium
from simulators.city import City
from simulators.fleet import Fault, Fleet, errors_pct
from simulators.scenario import Defects, Faults, MediumScenario, Scenario
from store.meter_facts import InstallationFacts, MeterRecord
from store.readings import READING
from verifier.accepted import accepted_totals
from verifier.balance.assess import assess_days
from verifier.balance.types import DAY_US, MemberSeries, MeterAssessment, SideInformation, ZoneFacts
from verifier.persistence import persistent_runs
from verifier.settings import VerifierSettings

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 28
FIRST_REPORTED_SEED = 900_000
SEEDS = 24
SETTINGS = VerifierSettings()
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "zone-balance-simulated.md"
KINDS = ("healthy", "drifting", "stepped", "lost load", "one line")
# Where a customer hangs on the line matters to electricity alone: water and gas have no such losses.
SIMULATED = {(m, k) for m in Medium for k in KINDS if k != "one line" or m is Medium.ELECTRICITY}
OUTCOMES = (Outcome.CONFORMING, Outcome.INCONCLUSIVE, Outcome.WITHHELD, Outcome.NONCONFORMING)


@dataclass(frozen=True)
class Judged:
    """A meter's assessment at a day's end beside the truth: the error then, and its mean over the window [%]."""

    kind: str  # of the zone
    medium: str
    seed: int
    assessment: MeterAssessment
    at_end_pct: float
    in_window_pct: float
    prior_sd_pct: float


def scenario(seed: int, medium: Medium, kind: str) -> Scenario:
    """One zone of one medium with the faults of its kind."""
    faults = {
        "healthy": Faults(),
        "drifting": Faults(drifting=1),
        "stepped": Faults(stepped=1),
        "one line": Faults(stepped=1),
        "lost load": Faults(stopped=1) if seed % 2 else Faults(reversed=1),
    }[kind]
    common = {"zones": 1, "faults": faults, "defects": Defects(missing_share=0.0005, gaps=1)}
    plan = {
        Medium.ELECTRICITY: MediumScenario(
            customers_per_zone=(8, 40), interval_s=900, resolution=Decimal("0.001"), accuracy_class="A", mpe_pct=3.5,
            healthy_sd_pct=0.6, reference_sd_pct=0.3, fault_pct=(1.75, 14.0), clock_ahead_s=5.0, **common,
        ),
        Medium.WATER: MediumScenario(
            customers_per_zone=(8, 30), interval_s=1800, resolution=Decimal("0.0001"), register_digits=5,
            accuracy_class="2", mpe_pct=4.0, healthy_mean_pct=-0.3, healthy_sd_pct=1.5, reference_sd_pct=0.3,
            fault_pct=(2.0, 15.0), clock_ahead_s=20.0, **common,
        ),
        Medium.GAS: MediumScenario(
            customers_per_zone=(8, 20), interval_s=3600, resolution=Decimal("0.001"), register_digits=5,
            accuracy_class="1.5", mpe_pct=3.0, healthy_sd_pct=1.0, reference_sd_pct=0.3, fault_pct=(1.5, 12.0),
            clock_ahead_s=30.0, **common,
        ),
    }[medium]  # fmt: skip
    return Scenario(name="bench", utility="u", seed=seed, start=START, days=DAYS, **{str(medium): plan})


def along_one_line(city: City) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The reference's times and register if all customers hang on one line at places drawn at random.

    Two customers share the line as far as the nearer one, so the losses are c·Σ_ij min(s_i, s_j)·x_i·x_j, here 2.5 %
    of the load, and a customer at the far end causes several times those of one at the near end.
    """
    fleet, (ends, use) = city.fleets[0], _weights(city)
    place = np.random.default_rng(city.scenario.seed).random((use.shape[1], 1))
    shared = np.minimum(place, place.T)
    loss = np.sum((use @ shared) * use, axis=1)
    inflow = use.sum(axis=1) + loss * (0.025 * use.sum() / loss.sum()) + 0.01 * use.sum() / len(use)
    error = next(device.error_pct for device in fleet.devices if device.fault is Fault.REFERENCE)
    resolution = float(fleet.plan.resolution)
    total = np.floor(np.cumsum(np.concatenate([[0.0], inflow * (1 + error / 100)])) / resolution) * resolution
    return np.concatenate([[round(START.timestamp()) * MICRO], ends]), total


def members_of(city: City, one_line: bool = False) -> list[MemberSeries]:
    """The zone's meters with totals from the verifier's own checks; what is wrong with them is not known."""
    fleet, plan = city.fleets[0], city.fleets[0].plan
    raw = city.readings(city.scenario.start, city.scenario.end + timedelta(seconds=1))
    rows = np.zeros(len(raw), dtype=READING)
    rows["observed_us"], rows["register_micro"], rows["meter_id"] = (
        raw["observed_us"],
        raw["register_micro"],
        raw["meter"],
    )
    resolution = float(plan.resolution)
    records = [
        MeterRecord(i, "u", d.serial, str(fleet.medium), "", round(resolution * MICRO),
                    10 ** (plan.register_digits + (2 if d.fault is Fault.REFERENCE else 0)) * MICRO,
                    (InstallationFacts(d.service_point, d.role, 1.0, None, None, None, None, None, None),))
        for i, d in enumerate(fleet.devices)
    ]  # fmt: skip
    series = dict(accepted_totals(rows, records, SETTINGS))
    if one_line:
        series |= {i: along_one_line(city) for i, d in enumerate(fleet.devices) if d.fault is Fault.REFERENCE}
    return [
        MemberSeries(i, d.fault is Fault.REFERENCE, 1, *series[i], resolution, plan.healthy_sd_pct,
                     None if d.fault is Fault.REFERENCE else plan.mpe_pct)
        for i, d in enumerate(fleet.devices)
    ]  # fmt: skip


def judge_zone(seed: int, medium: Medium, kind: str, first_day: int = 4) -> Iterator[Judged]:
    """Every meter of one zone on every day's end, until a meter that lost its load would be told by itself."""
    city = City(scenario(seed, medium, kind))
    fleet, members = city.fleets[0], members_of(city, kind == "one line")
    zone = ZoneFacts(medium, fleet.plan.interval_s, fleet.plan.reference_sd_pct)
    start_us = round(START.timestamp()) * MICRO
    times, weights = _weights(city)
    errors = errors_pct(fleet, times)
    told_us = _told_us(fleet)
    last_us = min(start_us + DAYS * DAY_US, told_us)
    ends = range(start_us + first_day * DAY_US, last_us + 1, DAY_US)
    for day in assess_days(zone, members, SideInformation(), lambda _end_us: (), ends, SETTINGS.balance):
        end_us = day.end_us
        for one in day.assessments:
            inside = (times > one.start_us) & (times <= one.end_us)
            at = np.searchsorted(times, end_us)
            use = weights[inside, one.meter_id]
            mean = float(errors[inside, one.meter_id] @ use / use.sum())
            yield Judged(kind, str(medium), seed, one, float(errors[at, one.meter_id]), mean, fleet.plan.healthy_sd_pct)


def _weights(city: City) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ends of all intervals and what truly flowed through each customer's meter in them."""
    registers, days = city.registers[0], range(city.registers[0].first_day, city.registers[0].first_day + DAYS)
    step_us = city.fleets[0].plan.interval_s * MICRO
    ends = np.concatenate([day * DAY_US + step_us * np.arange(1, DAY_US // step_us + 1) for day in days])
    return ends, np.concatenate([registers.true_day(day).customers for day in days])


def _told_us(fleet: Fleet) -> int:
    waits = {Fault.STOPPED: getattr(SETTINGS, str(fleet.medium)).stopped_s, Fault.REVERSED: SETTINGS.steps.reversed_s}
    told = [d.begins_us + round(waits[d.fault] * 1e6) for d in fleet.devices if d.fault in waits]
    return min(told, default=2**62)


def run(seeds: range) -> list[Judged]:
    """All zones of these seeds."""
    zones = [(seed, medium, kind) for seed in seeds for medium in Medium for kind in KINDS]
    return [one for zone in zones if zone[1:] in SIMULATED for one in judge_zone(*zone)]


def false_alerts(judged: list[Judged]) -> tuple[int, int, float]:
    """Runs that would have raised error_beyond_mpe: rightly, wrongly; and the meter-months looked at."""
    by_meter: dict[tuple[str, str, int, int], list[Judged]] = {}
    for one in judged:
        by_meter.setdefault((one.kind, one.medium, one.seed, one.assessment.meter_id), []).append(one)
    right = wrong = 0
    for days in by_meter.values():
        bad = [one for one in days if one.assessment.outcome is Outcome.NONCONFORMING]
        ends = [datetime.fromtimestamp(one.assessment.end_us / 1e6, UTC) for one in bad]
        for told in persistent_runs(ends, bad, SETTINGS.balance.persistence_days):
            limit = told[-1].assessment.mpe_pct or 0.0
            is_right = max(abs(told[-1].at_end_pct), abs(told[-1].in_window_pct)) > limit
            right, wrong = right + is_right, wrong + (not is_right)
    return right, wrong, len(judged) / 30.4


def coverage_rows(judged: list[Judged]) -> list[str]:
    """By medium and kind of zone: coverage of 95 % intervals for the window's mean, and RMSE beside the prior's."""
    rows = []
    for medium in Medium:
        for kind in KINDS:
            given = [o for o in judged if o.assessment.outcome is not Outcome.WITHHELD]
            mine = [o for o in given if (o.medium, o.kind) == (str(medium), kind)]
            if not mine:
                continue
            error = np.array([o.assessment.error_pct for o in mine], dtype=np.float64)
            std = np.array([o.assessment.std_pct for o in mine], dtype=np.float64)
            truth = np.array([o.in_window_pct for o in mine])
            covered = np.abs(error - truth) <= 1.96 * std
            rmse, alone = np.sqrt(np.mean((error - truth) ** 2)), np.sqrt(np.mean(truth**2))
            rows.append(
                f"| {medium} | {kind} | {len(mine):,} | {100 * covered.mean():.1f} % | {rmse:.2f} | {alone:.2f} |"
                f" {np.mean(std):.2f} |"
            )
    return rows


def verdict_rows(judged: list[Judged], name: str) -> list[str]:
    """Outcomes against the truth `name` (at_end_pct or in_window_pct), by kind of zone."""
    rows = []
    for kind in KINDS:
        for beyond in (False, True):
            mine = [
                o for o in judged if o.kind == kind and (abs(getattr(o, name)) > (o.assessment.mpe_pct or 0)) == beyond
            ]
            if mine:
                counts = [sum(o.assessment.outcome is outcome for o in mine) for outcome in OUTCOMES]
                rows.append(
                    f"| {kind} | {'beyond' if beyond else 'within'} | " + " | ".join(f"{c:,}" for c in counts) + " |"
                )
    return rows


def wrong_shares(judged: list[Judged], name: str) -> tuple[float, float]:
    """Share [%] of conforming verdicts on meters beyond the limit, and of nonconforming ones on meters within."""

    def share(outcome: Outcome, wrong_beyond: bool) -> float:
        mine = [abs(getattr(o, name)) > (o.assessment.mpe_pct or 0) for o in judged if o.assessment.outcome is outcome]
        return 100 * float(np.mean([beyond == wrong_beyond for beyond in mine])) if mine else 0.0

    return share(Outcome.CONFORMING, True), share(Outcome.NONCONFORMING, False)


def page(judged: list[Judged], seconds: float) -> str:
    """The page."""
    right, wrong, months = false_alerts(judged)
    lines = [
        "# Benchmark: the zone balance on zones of the simulator",
        "",
        f"{len(SIMULATED)} kinds of zone with {len({o.seed for o in judged})} seeds each, {DAYS} days, every meter"
        f" judged at every day's end:"
        f" {len(judged):,} assessments, {seconds:.0f} s on one of 2 processors, Python {platform.python_version()}."
        " Electricity 8 to 40 meters at 15 min, water 8 to 30 at 30 min, gas 8 to 20 at 60 min; clocks up to 5, 20 and"
        " 30 s ahead, 0.05 % of readings missing and a gap of 9 h. Faults of a step or drift reach from half the limit"
        " to four times it. *Lost load*: a meter stopped or runs in reverse and has not been told yet."
        " *One line*: as stepped, but all customers hang on one line, so that their losses differ with their places,"
        " which the balance does not know. No setting was chosen on these seeds. The simulator is milder than the world"
        " (no theft, no clock jumps, references within their stated uncertainty): a real zone gives less.",
        "",
        "## Estimates of the window's mean error (withheld ones left out)",
        "",
        "| Medium | Zone | estimates | within 95 % interval | RMSE [%] | RMSE of the prior alone [%] | mean std [%] |",
        "|---|---|--:|--:|--:|--:|--:|",
        *coverage_rows(judged),
    ]
    for name, what in (("in_window_pct", "mean over the window"), ("at_end_pct", "at the window's end")):
        bad_clear, bad_alarm = wrong_shares(judged, name)
        lines += [
            "",
            f"## Verdicts against the true error {what}",
            "",
            "| Zone | true error | conforming | inconclusive | withheld | nonconforming |",
            "|---|---|--:|--:|--:|--:|",
            *verdict_rows(judged, name),
            "",
            f"Wrong among the conforming: {bad_clear:.2f} %; wrong among the nonconforming: {bad_alarm:.2f} %.",
        ]
    lines += [
        "",
        "## Alerts (three nonconforming days on end)",
        "",
        f"{right} right, {wrong} wrong in {months:,.0f} meter-months: {1000 * wrong / months:.1f} wrong ones per 1,000"
        " meter-months. Right: beyond the limit at the window's end or over it.",
        "",
        "Measured by `make bench-balance-simulated`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Runs the reported seeds, or those given as FIRST COUNT (then nothing is written)."""
    given = [int(word) for word in sys.argv[1:]]
    first, count = given if given else (FIRST_REPORTED_SEED, SEEDS)
    begun = time.perf_counter()
    judged = run(range(first, first + count))
    text = page(judged, time.perf_counter() - begun)
    print(text)
    if not given:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
