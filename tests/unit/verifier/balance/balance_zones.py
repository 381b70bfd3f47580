"""Small zones with known truth for the tests of the balance: loads of their own, registers, errors, faults."""

from dataclasses import dataclass, field, replace

import numpy as np

from metrology.quantities import Medium
from verifier.balance.assess import assess_days
from verifier.balance.types import (
    DAY_US,
    Comparison,
    Floats,
    MemberSeries,
    MeterAssessment,
    SideInformation,
    ZoneDay,
    ZoneFacts,
)
from verifier.balance_settings import BalanceSettings

START_US = 20_458 * DAY_US  # a Monday
INTERVAL_S = 1800
PER_DAY = 86_400 // INTERVAL_S
FACTS = ZoneFacts(Medium.ELECTRICITY, INTERVAL_S, 0.2)
SETTINGS = BalanceSettings(network_doubt=0.0)  # these zones' losses are spread evenly
NO_SIDE = SideInformation()
REFERENCE = 100  # its meter_id; the customers' are 0, 1, …


@dataclass(frozen=True)
class Made:
    """What a zone is made of. Meters are named by their meter_id; days count from the zone's first.

    `errors_pct` of single meters, from `begins_day` on and growing to full size over `grows_days`; others are drawn.
    `silent`: what flows is registered no more (stopped); `away`: nothing flows; `turned`: the register runs backward;
    `foreign`: the load does not flow through the reference. `theft` [kWh an interval] from `theft_day` on.
    """

    seed: int
    days: int = 21
    meters: int = 6
    resolution: float = 0.001
    errors_pct: dict[int, float] = field(default_factory=dict)
    begins_day: float = 0.0
    grows_days: float = 0.0
    silent: dict[int, float] = field(default_factory=dict)
    away: dict[int, float] = field(default_factory=dict)
    turned: dict[int, float] = field(default_factory=dict)
    foreign: tuple[int, ...] = ()
    theft: float = 0.0
    theft_day: float = 0.0
    loss_pct: float = 1.5
    clock_s: float = 0.0
    reference_gain_pct: float = 0.0
    noise_pct: float = 0.1


@dataclass(frozen=True)
class SmallZone:
    """The members, customers first, and the errors [%] of the customers at the end, (N,)."""

    members: list[MemberSeries]
    error_pct: Floats


def loads(rng: np.random.Generator, count: int, meters: int) -> Floats:
    """Loads [kWh an interval], (count, meters): a rhythm of each home, and appliances that come and go."""
    hour = np.arange(count) % PER_DAY * 24 / PER_DAY
    peaks = rng.uniform(6, 22, meters)
    rhythm = 0.4 + np.exp(np.cos((hour[:, None] - peaks) * 2 * np.pi / 24) * 1.5) / 3
    switched = rng.gamma(0.6, 1.0, (count, meters))
    return np.asarray(rng.lognormal(-1.4, 0.3, meters) * (0.25 + rhythm * switched), dtype=np.float64)


def make_zone(made: Made) -> SmallZone:
    """A zone by its recipe."""
    rng = np.random.default_rng(made.seed)
    count, n = made.days * PER_DAY, made.meters
    x = loads(rng, count, n)
    days = (np.arange(count) + 0.5) / PER_DAY
    error = np.tile(rng.normal(0, 0.4, n), (count, 1))
    for meter, size in made.errors_pct.items():
        grown = np.clip((days - made.begins_day) / made.grows_days, 0, 1) if made.grows_days else 1.0
        error[:, meter] += np.where(days > made.begins_day, (size - error[0, meter]) * grown, 0.0)
    for meter, day in made.away.items():
        x[days > day, meter] = 0.0
    shown = x * (1 + error / 100)
    for meter, day in made.silent.items():
        shown[days > day, meter] = 0.0
    for meter, day in made.turned.items():
        shown[days > day, meter] *= -1
    through = np.delete(x, made.foreign, axis=1).sum(axis=1)
    stolen = made.theft * rng.gamma(0.6, 1 / 0.6, count) * (days > made.theft_day)
    lost = made.loss_pct / 100 * (0.4 * through.mean() + 0.6 * through**2 / through.mean())
    reference = (through + lost) * (1 + rng.normal(0, made.noise_pct / 100, count)) + stolen
    reference *= 1 + made.reference_gain_pct / 100
    late = rng.normal(0, made.clock_s, n) / INTERVAL_S
    totals = _registers(np.column_stack([shown, reference]), np.append(late, 0.0), rng.uniform(0, 1, n + 1), made)
    at = START_US + np.arange(count + 1) * INTERVAL_S * 1_000_000
    members = [MemberSeries(i, False, 1, at, totals[:, i], made.resolution, 0.6, 2.0, phase=0) for i in range(n)]
    members.append(MemberSeries(REFERENCE, True, 1, at, totals[:, n], made.resolution, 0.6, None))
    return SmallZone(members, error[-1])


def _registers(quantities: Floats, late: Floats, begun: Floats, made: Made) -> Floats:
    """Registers at the instants, read late by a share of an interval, cut to the resolution."""
    exact = np.vstack([begun, begun + np.cumsum(quantities, axis=0)])
    places = np.arange(exact.shape[0])
    read = np.column_stack([np.interp(places + share, places, exact[:, i]) for i, share in enumerate(late)])
    return np.asarray(np.floor(read / made.resolution) * made.resolution, dtype=np.float64)


def without(members: list[MemberSeries], rng: np.random.Generator, share: float) -> list[MemberSeries]:
    """The members with a share of their readings lost."""
    out = []
    for member in members:
        kept = rng.uniform(size=member.total.size) >= share
        kept[[0, -1]] = True
        out.append(replace(member, observed_us=member.observed_us[kept], total=member.total[kept]))
    return out


def days_of(
    members: list[MemberSeries],
    ends: list[int],
    settings: BalanceSettings = SETTINGS,
    comparisons: tuple[Comparison, ...] = (),
    side: SideInformation = NO_SIDE,
    facts: ZoneFacts = FACTS,
) -> list[ZoneDay]:
    """The outcomes after so many days."""
    ends_us = [START_US + day * DAY_US for day in ends]
    return list(assess_days(facts, members, side, lambda _end_us: comparisons, ends_us, settings))


def by_meter(day: ZoneDay) -> dict[int, MeterAssessment]:
    """The assessments of a day by meter_id."""
    return {one.meter_id: one for one in day.assessments}


def codes(reasons: object) -> set[str]:
    """Codes of the reasons of an assessment or of a zone's report."""
    return {reason.code for reason in reasons.reasons}  # type: ignore[attr-defined]  # both have them
