"""Findings on light load and low flow, from a meter's weekly digests. Pure.

What goes on stays as it was told and is completed when it ends. None of these is a verdict on the meter: each says
what its own course shows, with what else may have caused it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metrology.quantities import Medium
from store.findings import FindingDraft
from verifier.kinds import FindingKind, severity_of
from verifier.light_load import BANDS, DAY_US, MONDAY_US, WEEK_US, SmallLoads, WeekDigest
from verifier.light_load_settings import LightLoadSettings
from verifier.low_flow_loss import find_losses

_SHARE_WEEKS = 4


@dataclass(frozen=True, slots=True)
class LightLoadMeter:
    """Whose digests are looked at."""

    meter_id: int
    medium: Medium
    loads: SmallLoads


def light_load_findings(
    meter: LightLoadMeter, digests: Sequence[WeekDigest], settings: LightLoadSettings
) -> list[FindingDraft]:
    """All findings that a meter's digests give, in ascending order of weeks; a week without digest is not known.

    Their evidence is empty: `evidence_times` says which readings it is made of.
    """
    drafts = [*_low_flow_lost(meter, digests, settings), *_light_shares(meter, digests, settings)]
    if meter.medium is Medium.WATER:
        drafts += _continuous_flow(meter, digests, settings)
    if meter.medium is Medium.ELECTRICITY:
        drafts += _creep(meter, digests, settings)
    return drafts


def evidence_times(draft: FindingDraft, digests: Sequence[WeekDigest]) -> list[tuple[str, int]]:
    """The readings that bear a finding out, as (part, observed_us): about its weeks' beginning and end."""
    told_us = int(draft.detail["told_us"])
    times = []
    before = [one for one in digests if one.start_us + WEEK_US <= draft.starts_us]
    within = [one for one in digests if one.start_us + WEEK_US > draft.starts_us and one.start_us < told_us]
    if before:
        times.append(("before", before[0].first_us))
    if within:
        times += [("start", within[0].first_us), ("told", within[-1].last_us)]
    if not draft.detail["ongoing"]:
        last = [one for one in digests if one.start_us < draft.ends_us]
        times.append(("end", last[-1].last_us))
    return list(dict.fromkeys(times))


def _draft(
    meter: LightLoadMeter, kind: FindingKind, raised: bool, span: tuple[int, int, int], ended: bool, **figures: Any
) -> FindingDraft:
    """A finding over [start, end), told at `span[1]`; while it goes on its end is when it was told."""
    start_us, told_us, end_us = span
    detail = {**figures, "ongoing": not ended, "told_us": told_us}
    severity = severity_of(kind, raised)
    ends_us = end_us if ended else told_us
    return FindingDraft(kind.value, severity.value, meter.meter_id, None, start_us, ends_us, detail, [])


def _unit(meter: LightLoadMeter) -> str:
    return "kw" if meter.medium is Medium.ELECTRICITY else "m3ph"


def _low_flow_lost(
    meter: LightLoadMeter, digests: Sequence[WeekDigest], settings: LightLoadSettings
) -> list[FindingDraft]:
    drafts = []
    # Tried on water alone: of electricity and gas read by the hour nothing is concluded from a smaller fall.
    for loss in find_losses(digests, settings, over_weeks=meter.medium is Medium.WATER):
        start_us, end_us = digests[loss.first].start_us, digests[loss.last].start_us + WEEK_US
        told_us = digests[loss.told].start_us + WEEK_US
        figures = {
            "small_share_before_pct": round(100 * loss.evidence.share_before, 3),
            "small_share_now_pct": round(100 * loss.evidence.share_now, 3),
            "p_low_flow_lost": _rounded(loss.evidence.p_lost),
            "p_false_alarm": _rounded(loss.evidence.p_false_alarm),
            f"small_load_{_unit(meter)}": BANDS[loss.band] * meter.loads.small_rate,
            "never_stopped_before": loss.never_stopped,
            **loss.detail,
        }
        raised, span = not loss.never_stopped, (start_us, told_us, end_us)
        drafts.append(_draft(meter, FindingKind.LOW_FLOW_LOST, raised, span, loss.ended, **figures))
    return drafts


def _continuous_flow(
    meter: LightLoadMeter, digests: Sequence[WeekDigest], settings: LightLoadSettings
) -> list[FindingDraft]:
    """Runs of days on which water flowed in every stretch of a night's length; an unknown day ends none of them."""
    days = [
        (week.start_us + number * DAY_US, rate)
        for week in digests
        for number, rate in enumerate(week.least_rate)
        if rate is not None
    ]
    drafts = []
    for run, ended in _runs([(day_us, rate > 0) for day_us, rate in days], settings.night_days * DAY_US):
        if len(run) < settings.night_days:
            continue
        told = run[settings.night_days - 1] + DAY_US
        rates = [rate for day_us, rate in days if run[0] <= day_us < (run[-1] + DAY_US if ended else told)]
        figures = {"least_flow_m3ph": float(np.median(rates)), "days": len(rates), "window_s": settings.night_window_s}
        span = (run[0], told, run[-1] + DAY_US)
        drafts.append(_draft(meter, FindingKind.CONTINUOUS_FLOW, False, span, ended, **figures))
    return drafts


def _creep(meter: LightLoadMeter, digests: Sequence[WeekDigest], settings: LightLoadSettings) -> list[FindingDraft]:
    drafts = []
    weeks = [(week.start_us, week.steady_rate is not None) for week in digests]
    rates = {week.start_us: week.steady_rate for week in digests}
    for run, ended in _runs(weeks, 2 * WEEK_US):
        if len(run) < settings.creep_weeks:
            continue
        told = run[settings.creep_weeks - 1] + WEEK_US
        shown = [rates[start] or 0.0 for start in run if ended or start < told]
        figures = {"steady_load_w": 1000 * float(np.median(shown)), "start_load_w": 1000 * meter.loads.start_rate}
        span = (run[0], told, run[-1] + WEEK_US)
        drafts.append(_draft(meter, FindingKind.CREEP, False, span, ended, **figures))
    return drafts


def _light_shares(
    meter: LightLoadMeter, digests: Sequence[WeekDigest], settings: LightLoadSettings
) -> list[FindingDraft]:
    """Runs of periods of four weeks, counted from 1970-01-05, in which much of the quantity ran at small loads."""
    periods: dict[int, list[WeekDigest]] = {}
    for week in digests:
        if week.known_share >= settings.known_min:
            start = (week.start_us - MONDAY_US) // (_SHARE_WEEKS * WEEK_US) * (_SHARE_WEEKS * WEEK_US) + MONDAY_US
            periods.setdefault(start, []).append(week)
    whole = {start: weeks for start, weeks in periods.items() if len(weeks) == _SHARE_WEEKS}
    shares = {
        start: tuple(sum(parts) / quantity for parts in zip(*map(_light_quantities, weeks), strict=True))
        for start, weeks in whole.items()
        if (quantity := sum(week.quantity for week in weeks)) > 0
    }
    judged = 1 if meter.medium is Medium.ELECTRICITY else 0
    flags = [(start, share[judged] > settings.light_share_min) for start, share in shares.items()]
    drafts = []
    for run, ended in _runs(flags, 2 * _SHARE_WEEKS * WEEK_US):
        told = run[0] + _SHARE_WEEKS * WEEK_US
        least, most = np.mean([shares[start] for start in run if ended or start < told], axis=0)
        figures = {
            "light_share_least_pct": round(100 * float(least), 3),
            "light_share_most_pct": round(100 * float(most), 3),
            f"small_load_{_unit(meter)}": meter.loads.small_rate,
        }
        span = (run[0], told, run[-1] + _SHARE_WEEKS * WEEK_US)
        drafts.append(_draft(meter, FindingKind.LIGHT_LOAD, False, span, ended, **figures))
    return drafts


def _light_quantities(week: WeekDigest) -> tuple[float, float]:
    return week.light_quantity_least, week.light_quantity_most


def _runs(flags: Sequence[tuple[int, bool]], longest_step_us: int) -> list[tuple[list[int], bool]]:
    """Runs of flagged times, each with whether something ended it: an unflagged time, or too long nothing known."""
    runs: list[tuple[list[int], bool]] = []
    current: list[int] = []
    for time_us, flagged in flags:
        if current and (not flagged or time_us - current[-1] > longest_step_us):
            runs.append((current, True))
            current = []
        if flagged:
            current.append(time_us)
    return [*runs, (current, False)] if current else runs


def _rounded(p: float) -> float:
    """Four significant digits: what lies beyond depends on the machine."""
    return float(f"{p:.4g}")
