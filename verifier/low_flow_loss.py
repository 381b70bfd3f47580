"""Small loads that a meter registered and registers no more, found week by week. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.light_load import BANDS, WEEK_US, WeekDigest
from verifier.light_load_settings import LightLoadSettings
from verifier.low_flow import SmallFlowEvidence, fewer_small_loads, small_flow_evidence

_CONTINUOUS_SHARE = 0.8  # of the days before
_AT_HOME = 0.25  # of the usual larger loads, in every week of a long window
_Weekly = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Loss:
    """Small loads missing in the digests `first` to `last`, seen at `told`; `ended` where they came back after `last`.

    `band`: the highest of BANDS in which they miss. `never_stopped`: formerly the load never stopped for long, which a
    leak does, or a device that is always on.
    """

    first: int
    told: int
    last: int
    ended: bool
    band: int
    evidence: SmallFlowEvidence
    detail: Mapping[str, Any]
    never_stopped: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """How losses are looked for: weeks of the window and of history, and the part that is left of what was lost."""

    window_weeks: int
    history_weeks: int
    lost_share: float
    is_coarse: bool


def _look(digests: Sequence[WeekDigest], settings: LightLoadSettings, over_weeks: bool) -> _Look:
    longest_s = max((week.block_s for week in digests), default=0)
    if over_weeks and longest_s >= settings.coarse_block_s:
        return _Look(
            settings.coarse_window_weeks, settings.coarse_history_weeks, settings.coarse_lost_share, True
        )  # fmt: skip
    return _Look(settings.window_weeks, settings.history_weeks, settings.lost_share, False)


def find_losses(digests: Sequence[WeekDigest], settings: LightLoadSettings, over_weeks: bool = False) -> list[Loss]:
    """Goes through the weeks in order: history grows by every week in which nothing is lost.

    `over_weeks`: from blocks of `coarse_block_s` on a smaller fall is looked for over more weeks. A meter whose blocks
    differ over time is looked at by the longest of them.
    """
    losses: list[Loss] = []
    history: list[int] = []
    open_loss: Loss | None = None
    pending: list[int] = []  # the latest weeks, not yet history: they may be the first of a loss
    look = _look(digests, settings, over_weeks)
    for i, week in enumerate(digests):
        if week.known_share < settings.known_min:
            continue
        if open_loss is not None:
            small, quiet = _counts([week], open_loss.band)
            # One week is no mean of many: a smaller fall ends with a week as before.
            back = open_loss.evidence.share_before * (1.0 if look.is_coarse else look.lost_share)
            if quiet[0] and small[0] / quiet[0] > back:
                losses.append(replace(open_loss, ended=True))
                open_loss, pending = None, [i]
            else:
                open_loss = replace(open_loss, last=i)
            continue
        pending.append(i)
        if len(pending) < look.window_weeks:
            continue
        open_loss = _judge(digests, history, pending, settings, look)
        if open_loss is None:
            history.append(pending.pop(0))
        else:
            pending = []
    return losses if open_loss is None else [*losses, open_loss]


def _judge(
    digests: Sequence[WeekDigest],
    history: Sequence[int],
    recent: Sequence[int],
    settings: LightLoadSettings,
    look: _Look,
) -> Loss | None:
    now = [digests[i] for i in recent]
    past = [digests[i] for i in history if digests[i].block_s == now[-1].block_s]
    if any(week.block_s != now[-1].block_s for week in now) or now[-1].start_us - now[0].start_us > _reach(now):
        return None
    usual = float(np.median([week.large for week in past])) if past else 0.0
    # Weeks in which hardly anyone was at home are no measure of what is usual.
    past = [week for week in past if week.large >= settings.large_share_min * usual]
    if len(past) < look.history_weeks or usual < settings.large_blocks_min:
        return None
    if look.is_coarse and min(week.large for week in now) < _AT_HOME * usual:
        return None
    large_before = sum(week.large for week in past) / sum(week.known for week in past)
    large_now = sum(week.large for week in now) / sum(week.known for week in now)
    if large_now < settings.large_share_min * large_before:
        return None
    found = _strongest(past, now, settings, look)
    if found is None:
        return None
    band, evidence = found
    small_now, quiet_now = _counts(now, band)
    detail = {
        "history_weeks": len(past),
        "window_weeks": len(now),
        "blocks_now": int(quiet_now.sum()),
        "small_blocks_now": int(small_now.sum()),
        "large_share_before_pct": round(100 * large_before, 3),
        "large_share_now_pct": round(100 * large_now, 3),
        "block_s": now[-1].block_s,
    }
    days = [rate for week in past for rate in week.least_rate if rate is not None]
    steady = bool(days) and float(np.mean([rate > 0 for rate in days])) > _CONTINUOUS_SHARE
    return Loss(recent[0], recent[-1], recent[-1], False, band, evidence, detail, steady)


def _strongest(
    past: Sequence[WeekDigest], now: Sequence[WeekDigest], settings: LightLoadSettings, look: _Look
) -> tuple[int, SmallFlowEvidence] | None:
    """The band up to which the loss is surest, if it is sure enough.

    A starting flow that rose takes away the loads below it and leaves those above, so each band is looked at with all
    below it. The probability of a false alarm is that of any of them, at most their number times the least.
    """
    found: list[tuple[int, SmallFlowEvidence]] = []
    for band in range(len(BANDS)):
        evidence = _evidence(_counts(past, band), _counts(now, band), settings, look)
        if evidence is not None:
            found.append((band, replace(evidence, p_false_alarm=min(1.0, len(BANDS) * evidence.p_false_alarm))))
    sure = [
        one
        for one in found
        if one[1].p_lost >= settings.lost_probability and one[1].p_false_alarm <= settings.false_alarm_probability
    ]
    return min(sure, key=lambda one: (one[1].p_false_alarm, -one[0]), default=None)


def _evidence(past: _Weekly, now: _Weekly, settings: LightLoadSettings, look: _Look) -> SmallFlowEvidence | None:
    """What one band's counts say; None where there were few small loads before, or not enough of them are missing."""
    (small, quiet), (small_now, quiet_now) = past, now
    before = small.sum() / max(quiet.sum(), 1)
    if before < settings.small_share_min or small_now.sum() > look.lost_share * before * quiet_now.sum():
        return None
    if look.is_coarse:
        return fewer_small_loads(
            small / np.maximum(quiet, 1), quiet, small_now / np.maximum(quiet_now, 1),
            lost_share=look.lost_share, lost_prior=settings.lost_prior,
        )  # fmt: skip
    return small_flow_evidence(
        small, quiet, int(small_now.sum()), int(quiet_now.sum()),
        lost_share=look.lost_share, lost_prior=settings.lost_prior,
    )  # fmt: skip


def _counts(weeks: Sequence[WeekDigest], band: int) -> _Weekly:
    """By week: blocks with a load up to a band, and those together with the idle ones."""
    small = np.array([sum(week.small[: band + 1]) for week in weeks], dtype=np.int64)
    return small, small + np.array([week.idle for week in weeks], dtype=np.int64)


def _reach(now: Sequence[WeekDigest]) -> int:
    """How far the window's first and last week may be apart: as many unknown weeks between as known ones."""
    return (2 * len(now) - 1) * WEEK_US
