"""What a meter's readings can't say of its small loads, and why: so that silence is not taken for an answer. Pure."""

from collections.abc import Sequence

import numpy as np

from metrology.outcomes import Reason
from metrology.quantities import Medium
from verifier.comparison_budget import CumulativeSeries
from verifier.light_load import BANDS, WEEK_US, SmallLoads, WeekDigest, digest_week, week_start
from verifier.light_load_settings import LightLoadSettings


def whole_weeks(series: CumulativeSeries, loads: SmallLoads, settings: LightLoadSettings) -> list[WeekDigest]:
    """The digests of all whole weeks of a series."""
    if not series.observed_us.size:
        return []
    first, last = week_start(int(series.observed_us[0])), int(series.observed_us[-1])
    found = (digest_week(series, loads, start, settings) for start in range(first, last - WEEK_US + 1, WEEK_US))
    return [week for week in found if week is not None]


def low_flow_unknown(
    medium: Medium, loads: SmallLoads, digests: Sequence[WeekDigest], settings: LightLoadSettings
) -> tuple[Reason, ...]:
    """Why lost small loads, or some of them, can't be known at the end of these weeks; empty where all can.

    `coarse_readings`, `short_history`, `rarely_used`, `few_small_loads`: none can. `long_blocks`: the smaller ones
    hardly, for within such a block a slow draw looks like a short one unless it never stops.
    """
    if not digests:
        text = "within a day a small load can't move the register twice, or no week was read"
        return (Reason("coarse_readings", text, {"small_load": loads.small_rate}),)
    block_s = max(week.block_s for week in digests)
    is_long = block_s >= settings.coarse_block_s
    over_weeks = is_long and medium is Medium.WATER
    needed = (
        settings.coarse_history_weeks + settings.coarse_window_weeks
        if over_weeks
        else settings.history_weeks + settings.window_weeks
    )
    known = [week for week in digests if week.known_share >= settings.known_min]
    if len(known) < needed:
        text = f"whole weeks that are known: {len(known)}; needed: {needed}"
        return (Reason("short_history", text, {"weeks": len(known), "needed": needed}),)
    usual = float(np.median([week.large for week in known]))
    if usual < settings.large_blocks_min:
        text = f"larger loads ran in {usual:g} blocks a week, {settings.large_blocks_min:g} are needed to see use go on"
        return (Reason("rarely_used", text, {"large_blocks": usual}),)
    small = sum(sum(week.small) for week in known)
    share = small / max(small + sum(week.idle for week in known), 1)
    if share < settings.small_share_min:
        text = f"only {100 * share:.3g} % of the blocks without a larger load show a small one: too few to miss them"
        return (Reason("few_small_loads", text, {"small_share_pct": 100 * share}),)
    if not is_long:
        return ()
    limit = BANDS[1] * loads.small_rate
    unit = "kW" if medium is Medium.ELECTRICITY else "m3/h"
    text = f"within {block_s} s a slow draw looks like a short one: a loss below {limit:.3g} {unit} is hardly known"
    if not over_weeks:
        text += ", a larger one only if it halves the blocks with small loads"
    return (Reason("long_blocks", text, {"block_s": block_s, "loss_below": limit}),)
