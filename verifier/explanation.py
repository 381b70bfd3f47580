"""Why a meter's balance gives what it gives: its readings, its zone, the budget of its uncertainty, what would help.

Pure. The budget is the estimator's own: with the posterior covariance C = (P⁻¹ + G/s)⁻¹ the variance is
C = C·(G/s)·C + C·P⁻¹·C, what the noise of the data leaves, and for each group of unknowns what not knowing it
beforehand leaves. With what the model leaves out and what changes may have come they add up to the whole (GUM, 5.1.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from verifier.balance.types import MemberSeries, MeterAssessment, Remedy, ZoneReport

_NAMES: Final = {
    "noise": "noise of the intervals",
    "meters": "errors of this meter and the others: what is believed before the data",
    "constant": "constant losses",
    "rhythm": "daily course of the losses",
    "quadratic": "losses with the square of the load",
    "unbalance": "losses in the neutral, by unbalanced phases",
    "own_quadratic": "losses beside the zone inside",
    "places": "places in the network",
    "network": "losses by the network's resistances",
    "network_places": "errors of the network's resistances",
    "gains": "gain of the reference",
    "clocks": "clocks",
    "reference_clock": "clock of the reference",
    "leakage": "leakage by pressure",
    "low_flow": "low flow",
    "pressure": "conversion of gas by pressure",
    "temperature": "conversion of gas by temperature",
    "exposures": "temperature at each meter",
    "silent": "meters that stood still",
    "left_out": "floor for what the model leaves out",
    "changes": "changes that may have come",
}


@dataclass(frozen=True)
class Component:
    """A part of the standard uncertainty [%]; the squares of all add up to the square of the whole."""

    name: str
    std_pct: float


@dataclass(frozen=True)
class Explanation:
    """What a meter's estimate at a day's end rests on.

    `readings` counts the meter's own in the history, from `first_us` to `last_us`; `report` tells of the zone.
    `change_us` is when the error left its former level, if it is believed to have.
    """

    readings: int
    first_us: int
    last_us: int
    prior_mean_pct: float
    prior_sd_pct: float
    prior_common_pct: float | None
    prior_source: str
    change_us: int | None
    decidable: bool
    budget: tuple[Component, ...]
    report: ZoneReport

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What would make more of the zone decidable, the best first."""
        return self.report.remedies


def explain_assessment(members: Sequence[MemberSeries], one: MeterAssessment, report: ZoneReport) -> Explanation | None:
    """The explanation of an assessment, from the same members; None where there is no estimate."""
    member = next((m for m in reversed(members) if m.meter_id == one.meter_id and not m.is_reference), None)
    if member is None or one.std_pct is None:
        return None
    low, high = np.searchsorted(member.observed_us, [one.start_us, one.end_us + 1])
    times = member.observed_us[low:high]
    parts = [Component(_NAMES.get(name, name), float(std)) for name, std in one.contributions_pct.items() if std > 0]
    return Explanation(
        readings=int(times.size),
        first_us=int(times[0]) if times.size else one.start_us,
        last_us=int(times[-1]) if times.size else one.end_us,
        prior_mean_pct=member.prior_mean_pct,
        prior_sd_pct=member.prior_sd_pct,
        prior_common_pct=member.prior_common_pct,
        prior_source=member.prior_source,
        change_us=one.change_us,
        decidable=bool(one.decidable),
        budget=tuple(sorted(parts, key=lambda part: -part.std_pct)),
        report=report,
    )
