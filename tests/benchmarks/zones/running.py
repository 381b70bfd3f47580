"""One zone run: made, assessed, given to the peers, scored. What a worker process does."""

import time
import warnings
from dataclasses import dataclass

import numpy as np

from verifier.settings import VerifierSettings
from zones.assessed import assess_days_of
from zones.case import ZoneCase
from zones.classes import CLASSES
from zones.intervals import complete_intervals
from zones.peers import PEERS
from zones.scoring import PeerScore, ZoneScore, score_peer, score_zone

CHECKPOINTS = (7, 14, 28, 60, 90)  # days at which the fall of errors is looked at
CHANGING_WINDOW_DAYS = 28  # what the peers get where errors change: they take them for constant


@dataclass(frozen=True)
class ZoneRun:
    """Scores of the method and of its peers on one zone; peers' by number of days where errors are constant."""

    zone: ZoneScore
    peers: tuple[PeerScore, ...]
    peers_by_day: dict[int, tuple[PeerScore, ...]]
    meter_intervals: int
    made_of: str
    made_s: float


def run_zone(zone_class: str, seed: int, every_days: int) -> ZoneRun:
    """The whole of one zone; assessed at every `every_days`-th day's end, at the checkpoints and on the last days."""
    warnings.simplefilter("ignore")  # of the peers: fits that do not converge are theirs to report, not the page's
    begun = time.perf_counter()
    case = CLASSES[zone_class](seed)
    made_s = time.perf_counter() - begun
    settings = VerifierSettings().balance
    told = assess_days_of(case, settings, end_days(case.days, every_days))
    zone = score_zone(case, told, settings.persistence_days if every_days == 1 else 1)
    changing = any(fault.kind in ("step", "drift", "stopped", "reversed", "swapped") for fault in case.truth.faults)
    first = case.days - CHANGING_WINDOW_DAYS if changing else 0
    by_day = {}
    if not case.truth.faults and not case.truth.unmetered_loads:
        by_day = {day: _peers(case, 0, day) for day in CHECKPOINTS if day < case.days}
    steps = case.days * 86_400 // case.interval_s
    return ZoneRun(
        zone, _peers(case, first, case.days), by_day, steps * len(case.customers), case.made_of, made_s
    )  # fmt: skip


def end_days(days: int, every: int) -> list[int]:
    """From the fourth day on."""
    return sorted({*range(days, 3, -every), *(day for day in CHECKPOINTS if day <= days)})


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
