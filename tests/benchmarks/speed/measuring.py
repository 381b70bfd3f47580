"""Times and memory of one zone's streaming day, and of a sample of zones at once."""

import multiprocessing
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

import numpy as np
from threadpoolctl import threadpool_limits
from zones.case import START_US, ZoneCase
from zones.classes import CLEAN
from zones.electricity import homes_zone
from zones.keeping import kept
from zones.members import members_of

from verifier.balance.estimates import Figures, estimates
from verifier.balance.gate import understanding
from verifier.balance.history import known_after
from verifier.balance.sequence import advance, believing
from verifier.balance.verdict import judge
from verifier.balance.walk import Known, ZoneInput, ZoneWalk, change_beliefs
from verifier.balance_settings import BalanceSettings

INTERVAL_S, STEPS = 900, 96
FIRST_SEED = 100  # a tuning seed: no figure of accuracy is told here


@dataclass(frozen=True)
class Size:
    """`meters` a zone, `days` behind the one measured, `repeats` of each time (medians count), `zones` sampled."""

    meters: int
    days: int
    repeats: int
    zones: int


@dataclass(frozen=True)
class ZoneCost:
    """Seconds of one zone: the day taken in, an epoch from the readings on, the verdicts; megabytes.

    `readings_mb` of the readings of the days held, `state_mb` of rows, blocks and sums while a zone is walked.
    """

    columns: int
    advance_s: float
    epoch_s: float
    verdict_s: float
    state_mb: float
    readings_mb: float


@dataclass(frozen=True)
class Prepared:
    """A zone just before the day that is measured: what was known at an epoch some days ago, walked up to there."""

    given: ZoneInput
    settings: BalanceSettings
    known: Known

    def day(self) -> Known:
        """What is known a day later."""
        assert self.known.state is not None
        customers = self.given.customers
        late_us = int(self.settings.late_member_s * 1e6)
        past = known_after(self.known.past, self.known.past.days + 1, customers, (), late_us)
        return Known(*advance(past, self.known.state, change_beliefs(self.settings, len(customers))))

    def verdicts(self, known: Known) -> None:
        """Gate, estimates and outcomes."""
        assert known.state is not None
        customers, state, settings = self.given.customers, known.state, self.settings
        past = believing(known.past, state.prior_sd)
        seen = understanding(self.given.zone, past, state, customers, settings)
        figures = Figures(state.days, tuple(estimates(past, state, customers, settings)))
        judge(past, state, customers, seen.reasons, figures, settings)


def settings_of(clocks: bool) -> BalanceSettings:
    """With clocks as usual, or known to be right: then the model has no columns for them."""
    return BalanceSettings() if clocks else BalanceSettings(clock_sd_electricity_s=0.0)


def made(size: Size, seed: int) -> ZoneCase:
    """A zone of homes, one day longer than the days behind."""
    name = f"speed {size.meters} {size.days}"

    def make() -> ZoneCase:
        return homes_zone(name, seed, size.meters, CLEAN, interval_s=INTERVAL_S, days=size.days + 1)

    return kept("case", name, seed, make)


def walk_of(size: Size, seed: int, clocks: bool) -> ZoneWalk:
    """The zone's history from its beginning on."""
    zone, members, side = members_of(made(size, seed))
    given = ZoneInput(zone, tuple(members), side, lambda _end_us: ())
    return ZoneWalk(given, START_US, settings_of(clocks))


def prepared(size: Size, seed: int, clocks: bool) -> Prepared:
    """What is known after the days behind, an epoch just begun."""
    walk = walk_of(size, seed, clocks)
    assert walk.epochs.last(size.days + 1) != size.days + 1, "the day measured would be an epoch: choose other days"
    known = walk.after(size.days)
    assert isinstance(known, Known)
    return Prepared(walk.given, walk.settings, known)


def zone_day(size: Size, clocks: bool) -> ZoneCost:
    """One zone measured."""
    with threadpool_limits(limits=1):
        ready = prepared(size, FIRST_SEED, clocks)
        after = ready.day()
        begun = time.perf_counter()
        walk_of(size, FIRST_SEED, clocks).at_epoch(size.days)
        epoch_s = time.perf_counter() - begun
        members = ready.given.members
        return ZoneCost(
            ready.known.past.terms.sd.size,
            median_s(ready.day, size.repeats),
            epoch_s,
            median_s(lambda: ready.verdicts(after), size.repeats),
            len(pickle.dumps(after, protocol=pickle.HIGHEST_PROTOCOL)) / 1e6,
            sum(member.observed_us.nbytes + member.total.nbytes for member in members) / 1e6,
        )


def median_s(work: Callable[[], object], repeats: int) -> float:
    """The median time of some repeats [s]."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


_READY: list[Prepared] = []  # of a worker process, made once in each


def _make_ready(size: Size, clocks: bool, together: Barrier) -> None:
    """Another zone in every process; all begin when the last is ready."""
    threadpool_limits(limits=1)
    _READY.append(prepared(size, FIRST_SEED + together.wait(), clocks))
    together.wait()


def _one_zone(_: int) -> float:
    begun = time.perf_counter()
    _READY[0].verdicts(_READY[0].day())
    return time.perf_counter() - begun


@dataclass(frozen=True)
class Sample:
    """`zones` that took in a day and were judged, by all processes at once, and how long that took [s]."""

    zones: int
    wall_s: float
    of_processes_s: float


def sampled_zones(size: Size, clocks: bool, processes: int) -> Sample:
    """Readings and states are there; the day's block, sums, changes, gate and verdicts are made."""
    context = multiprocessing.get_context("forkserver")
    given = (size, clocks, context.Barrier(processes))
    with ProcessPoolExecutor(processes, context, _make_ready, given) as pool:
        list(pool.map(_one_zone, range(processes)))  # the states are made before the first
        begun = time.perf_counter()
        spent = list(pool.map(_one_zone, range(size.zones)))
        return Sample(size.zones, time.perf_counter() - begun, float(sum(spent)))
