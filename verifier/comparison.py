"""A meter compared with a standard in series with it: the error of indication with its full uncertainty budget.

Both registers are cumulative, so that over a long span the error is a ratio of two totals and nothing but the two ends
of the span adds random error. The days within tell whether the error was constant. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy import special

from metrology.acceptance import FITNESS_RATIO
from metrology.outcomes import Reason
from metrology.uncertainty import Budget, Component
from verifier.balance.types import Comparison
from verifier.comparison_budget import (
    ComparisonFacts,
    CumulativeSeries,
    Standard,
    Steps,
    end_lines,
    register_steps,
    systematic_lines,
)
from verifier.comparison_settings import ComparisonSettings

DAY_US = 86_400_000_000
_SURE_STDS = 3.0  # so many standard uncertainties of its ends a check meter must have counted beside a still register
_SIGNIFICANT = 0.05  # of the days' scatter beyond the budget


@dataclass(frozen=True)
class SeriesComparison:
    """What came of it: a measurement with its budget, or the reasons why there is none.

    `day_error_pct`, `day_std_pct` [%], shape (D,): each day's error and what resolution and clocks let it scatter;
    `p_consistent`: probability of a larger scatter than the days show, were the error constant.
    """

    comparison: Comparison | None
    budget: Budget | None
    reasons: tuple[Reason, ...]
    day_error_pct: NDArray[np.float64]
    day_std_pct: NDArray[np.float64]
    p_consistent: float


def standard_reasons(standard: Standard | None, on: date, mpe_pct: float | None) -> tuple[Reason, ...]:
    """Why a standard must not be measured with on that day; empty where it may.

    Unfit is one whose expanded uncertainty, brought to k = 2, exceeds a third of the maximum permissible error.
    """
    if standard is None:
        return (Reason("no_certificate", "no certificate of the standard is known; import it: import standards"),)
    if not standard.valid_from <= on <= standard.valid_until:
        span = f"{standard.valid_from} to {standard.valid_until}"
        text = f"certificate {standard.certificate} holds from {span}, not on {on}"
        return (Reason("standard_expired", text, {"valid_until": standard.valid_until.isoformat()}),)
    expanded_pct = 2.0 * standard.expanded_uncertainty_pct / standard.coverage_factor
    if mpe_pct is not None and expanded_pct > mpe_pct / FITNESS_RATIO * (1 + 1e-9):
        text = f"U (k = 2) = {expanded_pct:g} % of {standard.certificate} exceeds a third of the MPE, {mpe_pct:g} %"
        return (Reason("standard_unfit", text, {"expanded_uncertainty_pct": expanded_pct, "mpe_pct": mpe_pct}),)
    return ()


def compare_series(
    facts: ComparisonFacts,
    meter: CumulativeSeries,
    reference: CumulativeSeries,
    standard: Standard | None,
    settings: ComparisonSettings,
) -> SeriesComparison:
    """The meter's error of indication against a check meter in series, e = 100 (Q_meter / Q_standard − 1) [%].

    Over the longest common span within [start_us, end_us), from the first to the last instant at which both are known.
    The days' errors e_d are consistent if χ² = Σ (e_d − e)²/u_d² does not exceed its (1 − p) quantile for D − 1 degrees
    of freedom. A significant scatter beyond u_d is a Type A component (GUM 4.2), so that nothing
    counts twice (GUM 4.3.10).
    """
    reasons, span = _standing(facts, meter, reference, standard)
    if reasons or span is None or standard is None:
        return _without(reasons)
    whole = register_steps(meter, reference, np.array(span), facts.clock_sd_s)
    edges = _day_edges(*span)
    days = register_steps(meter, reference, edges, facts.clock_sd_s)
    if min(whole.standard[0], whole.meter[0]) <= 0:
        return _without((Reason("no_consumption", "nothing flowed through meter and check meter"),))
    used = days.standard > 0
    if int(used.sum()) < settings.days_min:
        found = {"days": int(used.sum()), "needed": settings.days_min}
        return _without((Reason("too_few_days", "too few days with consumption to compare", found),))
    day_error = 100.0 * (days.meter[used] - days.standard[used]) / days.standard[used]
    day_std = 100.0 * days.std[used] / days.standard[used]
    error_pct = 100.0 * (whole.meter[0] / whole.standard[0] - 1.0)
    weight = days.standard[used] / days.standard[used].sum()
    p_value, excess_pct = _scatter(day_error, day_std, error_pct, weight)
    repeats = Component(
        "repeats", 0.0, excess_pct, unit="%", degrees_of_freedom=float(max(day_error.size - 1, 1)),
        source=f"scatter of {day_error.size} days beyond resolution and clocks (GUM 4.2.3, 4.3.10)",
    )  # fmt: skip
    lines = (*_lines(facts, meter, reference, whole, span, standard, settings), repeats)
    return _measured(facts, span, error_pct, lines, (day_error, day_std), p_value)


def compare_still(
    facts: ComparisonFacts,
    meter: CumulativeSeries,
    reference: CumulativeSeries,
    standard: Standard | None,
    settings: ComparisonSettings,
) -> SeriesComparison:
    """The error of a register that stands still while the check meter in series goes on: -100 %, if anything flowed.

    No number of days has to agree, for every one with consumption shows the same. The budget is that of any other
    comparison and so states rather too much: to the standard's own error the ratio 0 / Q_s is not sensitive. Where the
    register moved, or the check meter counted no more than chance may, there is no measurement but `no_consumption`.
    """
    reasons, span = _standing(facts, meter, reference, standard)
    if reasons or span is None or standard is None:
        return _without(reasons)
    whole = register_steps(meter, reference, np.array(span), facts.clock_sd_s)
    if whole.meter[0] != 0 or whole.standard[0] <= _SURE_STDS * whole.std[0]:
        return _without((Reason("no_consumption", "nothing flowed through the check meter, or the register moved"),))
    lines = _lines(facts, meter, reference, whole, span, standard, settings)
    nothing = np.empty(0)
    return _measured(facts, span, -100.0, lines, (nothing, nothing), 1.0)


def _lines(
    facts: ComparisonFacts,
    meter: CumulativeSeries,
    reference: CumulativeSeries,
    whole: Steps,
    span: tuple[int, int],
    standard: Standard,
    settings: ComparisonSettings,
) -> tuple[Component, ...]:
    """The budget's lines but for the days' scatter."""
    return (
        *systematic_lines(facts, whole, span, standard, settings),
        *end_lines(facts, meter, reference, span, whole),
    )


def compare_longest(
    facts: ComparisonFacts,
    meter: CumulativeSeries,
    reference: CumulativeSeries,
    standard: Standard | None,
    settings: ComparisonSettings,
) -> SeriesComparison:
    """`compare_series` over the longest of `windows_days` before `end_us` whose days agree; never before `start_us`.

    Where not even the shortest one's days agree, there is no measurement but the reason `days_inconsistent`.
    """
    last = _without(())
    for days in settings.windows_days:
        start_us = max(facts.start_us, facts.end_us - days * DAY_US)
        at = replace(facts, start_us=start_us)
        found = compare_series(at, meter, reference, standard, settings)
        if found.comparison is None:
            return last if last.reasons else found
        if found.p_consistent >= settings.consistency_probability:
            return found
        data = {"p_consistent": found.p_consistent, "days": int(found.day_error_pct.size)}
        why = Reason("days_inconsistent", "the error was not constant over the days that were compared", data)
        last = replace(found, comparison=None, reasons=(why,))
    return last


def common_span(
    meter: CumulativeSeries, reference: CumulativeSeries, start_us: int, end_us: int
) -> tuple[int, int] | None:
    """The first and last instant in [start_us, end_us] at which both registers are known; None without two.

    Instants at which both were read are preferred: between readings a register is known only to what it counted there.
    """
    both = np.intersect1d(meter.observed_us, reference.observed_us)
    both = both[(both >= start_us) & (both <= end_us)]
    if both.size >= 2:
        return int(both[0]), int(both[-1])
    if not (meter.observed_us.size and reference.observed_us.size):
        return None
    first = max(start_us, int(meter.observed_us[0]), int(reference.observed_us[0]))
    last = min(end_us, int(meter.observed_us[-1]), int(reference.observed_us[-1]))
    return (first, last) if first < last else None


def _standing(
    facts: ComparisonFacts, meter: CumulativeSeries, reference: CumulativeSeries, standard: Standard | None
) -> tuple[tuple[Reason, ...], tuple[int, int] | None]:
    """The common span, and why nothing may be measured over it."""
    last_day = np.datetime64(facts.end_us - 1, "us").astype("datetime64[D]").item()
    reasons = standard_reasons(standard, last_day, facts.mpe_pct)
    span = common_span(meter, reference, facts.start_us, facts.end_us)
    if span is None:
        reasons = (*reasons, Reason("no_common_span", "meter and check meter were not read over a common time"))
    return reasons, span


def _measured(
    facts: ComparisonFacts,
    span: tuple[int, int],
    error_pct: float,
    lines: Sequence[Component],
    days: tuple[NDArray[np.float64], NDArray[np.float64]],
    p_consistent: float,
) -> SeriesComparison:
    budget = Budget("error of indication", "%", error_pct, tuple(lines))
    std_pct = budget.combined_std_uncertainty
    comparison = Comparison(facts.meter_id, *span, error_pct, std_pct, "check_meter")
    return SeriesComparison(comparison, budget, (), *days, p_consistent)


def _without(reasons: tuple[Reason, ...]) -> SeriesComparison:
    nothing = np.empty(0)
    return SeriesComparison(None, None, reasons, nothing, nothing, float("nan"))


def _day_edges(start_us: int, end_us: int) -> NDArray[np.int64]:
    """Instants a day apart from the span's start; the rest shorter than a day belongs to the last."""
    days = max((end_us - start_us) // DAY_US, 1)
    edges = start_us + np.arange(days + 1, dtype=np.int64) * DAY_US
    edges[-1] = end_us
    return edges


def _scatter(
    error: NDArray[np.float64], std: NDArray[np.float64], mean_pct: float, weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Probability of a larger χ² were the error constant, and the mean's standard uncertainty from what is beyond it.

    With weights w the mean's variance is Σ w² s²; s² is the days' variance less what their own budgets explain. It is
    taken where the scatter is significant: a coarse register scatters the days by far more than it does the whole
    span, of which only the two ends count, and chance would be added to every result.
    """
    freedom = error.size - 1
    if freedom < 1:
        return 1.0, 0.0
    residual = error - mean_pct
    chi2 = float(np.sum((residual / np.maximum(std, 1e-12)) ** 2))
    p_value = float(special.chdtrc(freedom, chi2))
    if p_value > _SIGNIFICANT:
        return p_value, 0.0
    beyond = float(np.sum(weight * residual**2) * error.size / freedom - np.sum(weight * std**2))
    return p_value, float(np.sqrt(max(beyond, 0.0) * np.sum(weight**2)))
