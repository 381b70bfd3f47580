"""One zone run: made, assessed, given to the peers, scored. What a worker process does."""

import time
import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from verifier.settings import VerifierSettings
from zones.assessed import assess_days_of
from zones.case import ZoneCase
from zones.classes import CLASSES
from zones.intervals import complete_intervals
from zones.keeping import kept
from zones.peers import PEERS
from zones.scoring import CHECKPOINTS, PeerScore, ZoneScore, score_peer, score_zone

CHANGING_WINDOW_DAYS = 28  # what the peers get where errors change: they take them for constant
PeersByDay = dict[int, tuple[PeerScore, ...]]


@dataclass(frozen=True)
class ZoneRun:
    """Scores of the method and of its peers on one zone; peers' by number of days where errors are constant."""

    zone: ZoneScore
    peers: tuple[PeerScore, ...]
    peers_by_day: PeersByDay
    made_of: str


def prepare_zone(zone_class: str, seed: int) -> tuple[ZoneCase, PeersByDay]:
    """The zone and its peers' scores by the day at whose end they were made, both kept."""
    warnings.simplefilter("ignore")  # of the peers: fits that do not converge are theirs to report, not the page's
    with threadpool_limits(limits=1):
        case = kept("case", zone_class, seed, lambda: CLASSES[zone_class](seed))
        return case, kept("peers", zone_class, seed, lambda: _all_peers(case))


def run_zone(zone_class: str, seed: int, every_days: int) -> ZoneRun:
    """The whole of one zone; assessed at every `every_days`-th day's end and at the checkpoints."""
    case, by_day = prepare_zone(zone_class, seed)
    settings = VerifierSettings().balance
    with threadpool_limits(limits=1):
        told = assess_days_of(case, settings, end_days(case.days, every_days))
    zone = score_zone(case, told, settings.persistence_days if every_days == 1 else 1)
    at_end = by_day.pop(case.days)
    return ZoneRun(zone, at_end, by_day, case.made_of)


def end_days(days: int, every: int) -> list[int]:
    """From the fourth day on."""
    return sorted({*range(days, 3, -every), *(day for day in CHECKPOINTS if day <= days)})


def _all_peers(case: ZoneCase) -> PeersByDay:
    changing = any(fault.kind in ("step", "drift", "stopped", "reversed", "swapped") for fault in case.truth.faults)
    out = {case.days: _peers(case, case.days - CHANGING_WINDOW_DAYS if changing else 0, case.days)}
    if not case.truth.faults and not case.truth.unmetered_loads:
        out |= {day: _peers(case, 0, day) for day in CHECKPOINTS if day < case.days}
    return out


def _peers(case: ZoneCase, first_day: int, last_day: int) -> tuple[PeerScore, ...]:
    data = complete_intervals(case, first_day, last_day)
    if data.reference.size < 10:
        return ()
    prior = np.array([case.meters[place].prior_sd_pct for place in case.customers])
    out = []
    for name, peer in PEERS.items():
        begun = time.perf_counter()
        result = peer(data, prior)
        if result is not None:
            out.append(score_peer(case, name, result, (first_day, last_day), time.perf_counter() - begun))
    return tuple(out)
