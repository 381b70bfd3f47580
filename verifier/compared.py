"""Meters that a comparison with a standard decides where no balance could be made. Pure."""

import math
from collections.abc import Sequence
from dataclasses import replace

from metrology.conformity import Outcome, Reason, decide
from verifier.balance.types import DAY_US, Comparison, MemberSeries, MeterAssessment, ZoneDay
from verifier.settings import VerifierSettings


def decided_by_comparison(
    day: ZoneDay, members: Sequence[MemberSeries], comparisons: Sequence[Comparison], settings: VerifierSettings
) -> ZoneDay:
    """The day with verdicts for meters of which the balance has no estimate but a comparison is at hand.

    The comparisons that ended within the time that one takes at most before the day's end are joined with the prior
    N(μ, s²), what the meter's like may err together within s, by their precisions w = 1/u²: the mean is Σ w e / Σ w and
    the variance 1 / Σ w (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.5). Where there is an estimate, it
    holds the comparisons already.
    """
    by_id = {member.meter_id: member for member in members}
    start_us = day.end_us - settings.comparison.windows_days[0] * DAY_US
    recent = [one for one in comparisons if start_us <= one.end_us <= day.end_us]
    assessments = [
        _decided(one, [c for c in recent if c.meter_id == one.meter_id], by_id[one.meter_id], settings)
        for one in day.assessments
    ]
    return replace(day, assessments=assessments)


def _decided(
    one: MeterAssessment, compared: Sequence[Comparison], member: MemberSeries, settings: VerifierSettings
) -> MeterAssessment:
    if not compared or one.mpe_pct is None or one.std_pct is not None or one.outcome is not Outcome.WITHHELD:
        return one  # one that stands still or runs backward needs no figure to be nonconforming
    prior_sd_pct = math.hypot(member.prior_sd_pct, member.prior_common_pct or 0.0)
    parts = [(member.prior_mean_pct, prior_sd_pct), *((c.error_pct, c.std_pct) for c in compared)]
    weights = [1 / std**2 for _, std in parts]
    error_pct = sum(w * e for w, (e, _) in zip(weights, parts, strict=True)) / sum(weights)
    std_pct = sum(weights) ** -0.5
    balance = settings.balance
    decision = decide(
        error_pct, std_pct, one.mpe_pct, alarm=balance.alarm_probability, clear=balance.clear_probability, withheld=()
    )
    if decision.outcome is Outcome.WITHHELD:
        return one
    kinds = ", ".join(sorted({c.kind for c in compared}))
    told = Reason("compared", f"rests on {len(compared)} comparison(s) alone: {kinds}", {"comparisons": len(compared)})
    return replace(
        one,
        error_pct=error_pct,
        std_pct=std_pct,
        p_nonconforming=decision.p_nonconforming,
        outcome=decision.outcome,
        reasons=(*decision.reasons, told),
    )
