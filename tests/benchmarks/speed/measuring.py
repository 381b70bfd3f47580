"""Times and memory of one zone's streaming day, of its peers on the same data, and of a sample of zones at once."""

import multiprocessing
import pickle
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Barrier

import numpy as np
from threadpoolctl import threadpool_limits
from zones.case import DAY_US, START_US, ZoneCase
from zones.classes import CLEAN
from zones.course import Floats
from zones.electricity import homes_zone
from zones.intervals import Intervals, complete_intervals
from zones.keeping import kept
from zones.members import members_of
from zones.peers import ordinary, ridge

from verifier.balance.assess import beliefs, change_beliefs
from verifier.balance.averaging import ChangeBeliefs
from verifier.balance.days import History, history
from verifier.balance.gate import understanding
from verifier.balance.sequence import Epochs, ZoneState, advance, begin, believing
from verifier.balance.timeline import zone_timeline
from verifier.balance.types import MemberSeries, ZoneFacts
from verifier.balance.verdict import judge
from verifier.balance_settings import BalanceSettings

INTERVAL_S, STEPS = 900, 96
FIRST_SEED = 100  # a tuning seed: no figure of accuracy is told here
RECURSIVE_STEPS = 288  # statsmodels keeps a covariance of every step; the cost of a step is the same for all


@dataclass(frozen=True)
class Size:
    """`meters` a zone, `days` behind the one measured, `repeats` of each time (medians count), `zones` sampled."""

    meters: int
    days: int
    repeats: int
    zones: int


@dataclass(frozen=True)
class ZoneCost:
    """Seconds of one zone: the day taken in, an epoch, the columns made from the readings, the verdicts; megabytes.

    `readings_mb` of the readings of the days held, `state_mb` of what a state holds beyond.
    """

    columns: int
    advance_s: float
    epoch_s: float
    columns_s: float
    verdict_s: float
    state_mb: float
    readings_mb: float


@dataclass(frozen=True)
class Prepared:
    """A zone just before the day that is measured."""

    zone: ZoneFacts
    customers: list[MemberSeries]
    past: History
    state: ZoneState
    epochs: Epochs
    changing: ChangeBeliefs
    settings: BalanceSettings

    def day(self) -> ZoneState:
        """The state a day later."""
        return advance(self.past, self.state, self.epochs, self.changing)

    def verdicts(self, state: ZoneState) -> None:
        """Gate and outcomes of a state."""
        past = believing(self.past, state.prior_sd)
        seen = understanding(self.zone, past, state, self.customers, self.settings)
        judge(past, state, self.customers, seen.reasons, self.settings)


def settings_of(clocks: bool) -> BalanceSettings:
    """With clocks as usual, or known to be right: then the model has no columns for them."""
    return BalanceSettings() if clocks else BalanceSettings(clock_sd_electricity_s=0.0)


def made(size: Size, seed: int) -> ZoneCase:
    """A zone of homes, one day longer than the days behind."""
    name = f"speed {size.meters} {size.days}"

    def make() -> ZoneCase:
        return homes_zone(name, seed, size.meters, CLEAN, interval_s=INTERVAL_S, days=size.days + 1)

    return kept("case", name, seed, make)


def prepared(size: Size, seed: int, clocks: bool) -> Prepared:
    """A state after the days behind, an epoch just begun, and the columns of one more day."""
    case, settings = made(size, seed), settings_of(clocks)
    zone, members, _ = members_of(case)
    customers = [member for member in members if not member.is_reference]
    past = _history(case, settings)
    epochs = Epochs(settings.first_days, settings.epoch_days)
    changing = change_beliefs(settings, len(customers))
    assert epochs.last(size.days + 1) != size.days + 1, "the day measured would be an epoch: choose other days"
    return Prepared(zone, customers, past, begin(past, size.days, changing), epochs, changing, settings)


def zone_day(size: Size, clocks: bool) -> ZoneCost:
    """One zone measured."""
    with threadpool_limits(limits=1):
        ready = prepared(size, FIRST_SEED, clocks)
        case, settings = made(size, FIRST_SEED), ready.settings
        after = ready.day()
        _, members, _ = members_of(case)
        return ZoneCost(
            ready.past.terms.sd.size,
            _median_s(ready.day, size.repeats),
            _median_s(partial(begin, ready.past, size.days, ready.changing), 1),
            _median_s(partial(_history, case, settings), size.repeats),
            _median_s(partial(ready.verdicts, after), size.repeats),
            len(pickle.dumps(after, protocol=pickle.HIGHEST_PROTOCOL)) / 1e6,
            sum(member.observed_us.nbytes + member.total.nbytes for member in members) / 1e6,
        )


def peers_day(size: Size) -> dict[str, float]:
    """Seconds of the peers for one more day of the same zone: the steps of a day, or the fit of all days anew."""
    warnings.simplefilter("ignore")
    data = complete_intervals(made(size, FIRST_SEED))
    prior_pct = np.full(size.meters, CLEAN.healthy_sd_pct)
    with threadpool_limits(limits=1):
        return {
            "RLS (statsmodels)": _recursive_day_s(data),
            "Kalman (filterpy)": _kalman_day_s(data, prior_pct, size.repeats),
            "OLS, all days anew": _median_s(lambda: ordinary(data, prior_pct), size.repeats),
            "ridge (scikit-learn), all days anew": _median_s(lambda: ridge(data, prior_pct), 1),
        }


def _history(case: ZoneCase, settings: BalanceSettings) -> History:
    zone, members, side = members_of(case)
    customers = [member for member in members if not member.is_reference]
    references = [member for member in members if member.is_reference]
    reach = settings.interpolation_reach_intervals
    end_us = START_US + case.days * DAY_US
    line = zone_timeline(customers, references, START_US, end_us, case.interval_s * 1_000_000, reach)
    return history(zone, customers, side, beliefs(zone.medium, side, settings), line)


def _median_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


def _recursive_day_s(data: Intervals) -> float:
    from statsmodels.regression.recursive_ls import RecursiveLS  # noqa: PLC0415

    design = np.column_stack([data.customers, np.ones(data.reference.size)])[-RECURSIVE_STEPS:]
    target = (data.reference - data.customers.sum(axis=1))[-RECURSIVE_STEPS:]
    model = RecursiveLS(target, design)
    return _median_s(model.filter, 1) * STEPS / target.size


def _kalman_day_s(data: Intervals, prior_pct: Floats, repeats: int) -> float:
    from filterpy.kalman import KalmanFilter  # noqa: PLC0415

    count = prior_pct.size
    target = data.reference - data.customers.sum(axis=1)
    rows: Floats = np.column_stack([data.customers, np.ones(target.size)])
    filt = KalmanFilter(dim_x=count + 1, dim_z=1)
    filt.x = np.zeros((count + 1, 1))
    filt.P = np.diag(np.append((prior_pct / 100.0) ** 2, (0.02 * float(np.mean(data.reference))) ** 2))
    filt.F, filt.R = np.eye(count + 1), np.array([[float(np.var(target)) * 0.01]])

    def day() -> None:
        for row, value in zip(rows[-STEPS:], target[-STEPS:], strict=True):
            filt.update(value, H=row[None, :])

    return _median_s(day, repeats)


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
