"""A zone's history as rows of the model, as it was known at the end of each of its days.

What is learned of the zone before its rows are made (mean load, usual courses, shares) is learned at an epoch and then
held; what comes later only adds rows. So an outcome depends on the readings up to its day alone, and days that are
judged together come out as each by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from verifier.balance.model import Beliefs, Group, Intervals, Terms, terms
from verifier.balance.silence import Silence, long_silences
from verifier.balance.timeline import Timeline
from verifier.balance.types import DAY_US, Comparison, Floats, MemberSeries, SideInformation, ZoneFacts


@dataclass(frozen=True)
class History:
    """A zone's timeline with the model's columns over it: `terms` and `target` reference − Σ x, (T,).

    `timeline` as it was known after `days` days; `whole` with what came later. `load`: the mean load [base unit an
    interval], `shares` (N,) of the customers in it. `edges` (D + 1,): the first interval of each day. `silences` are
    those of the columns `silent`, `missing` the shares of their usual load that go on, `compared` the direct
    comparisons: day, meter's column, coefficient d and its std.
    """

    whole: Timeline
    timeline: Timeline
    terms: Terms
    target: Floats
    load: float
    shares: Floats
    edges: tuple[int, ...]
    days: int
    silences: tuple[Silence, ...]
    missing: tuple[float, ...]
    compared: tuple[tuple[int, int, float, float], ...]

    def rows(self, day: int) -> tuple[Floats, Floats]:
        """A day's used rows, `design` (U, p) and `target` (U,).

        What a late clock shows of a neighbouring interval is left out where that is not known, as after the last one.
        """
        first, last = self.edges[day], self.edges[day + 1]
        usable = np.pad(self.timeline.usable, 1)  # with an unknown one at either end
        before, used, after = (usable[first + shift : last + shift] for shift in (0, 1, 2))
        design = self.terms.design[first:last][used]
        for name in ("clocks", "reference_clock"):
            taps = self.terms.columns(name)
            middle = (taps.start + taps.stop) // 2
            design[~after[used], taps.start : middle] = 0.0
            design[~before[used], middle : taps.stop] = 0.0
        return design, self.target[first:last][used]


def history(
    zone: ZoneFacts,
    customers: Sequence[MemberSeries],
    side: SideInformation,
    beliefs: Beliefs,
    timeline: Timeline,
    learned_days: int | None = None,
) -> History:
    """The model over a timeline of whole days, learned from its first `learned_days` days (None: all of them).

    Raises ValueError if nothing flowed in them.
    """
    x = timeline.customers
    starts = timeline.instants_us[:-1]
    day = starts // DAY_US
    edges = (*(int(edge) for edge in np.flatnonzero(np.diff(day, prepend=day[0] - 1))), starts.size)
    days = len(edges) - 1 if learned_days is None else learned_days
    learned = edges[days]
    then = timeline.until(learned, 0)
    total = x.sum(axis=1)
    load = float(np.mean(np.abs(total[then.usable]))) if then.usable.any() else 0.0
    if load <= 0:
        raise ValueError("nothing was consumed in the window: a balance tells nothing")
    data = Intervals(
        x=x,
        x_before=np.vstack([x[:1], x[:-1]]),
        x_after=np.vstack([x[1:], x[-1:]]),
        references=timeline.references,
        middle_us=(starts + timeline.instants_us[1:]) // 2,
        hours=timeline.hours,
        load=load,
        learned=then.customers[:learned],
    )
    columns = terms(zone, customers, side, beliefs, data)
    target = timeline.references.sum(axis=1) - total
    shares = then.customers[:learned].mean(axis=0) / load
    return History(timeline, then, columns, target, load, shares, edges, days, (), (), ())


def known_after(
    past: History,
    days: int,
    customers: Sequence[MemberSeries],
    comparisons: Sequence[Comparison] = (),
    late_us: int = 0,
) -> History:
    """The history as it was known after `days` days, by readings taken until `late_us` past them and `comparisons`.

    Meters that have fallen silent by then get columns of their own; those of `past` stay.
    """
    place = past.edges[days]
    line = past.whole.until(place, late_us)
    seen = {(silence.meter, silence.first) for silence in past.silences}
    new = [
        silence
        for silence in long_silences(line.customers, line.instants_us, place)
        if (silence.meter, silence.first) not in seen and _is_there(customers[silence.meter], silence, line, place)
    ]
    silences = (*past.silences, *new)
    compared = tuple(_compared(customers, comparisons, silences, line, days))
    missing = (*past.missing, *(1.0 for _ in new))  # until it is told what they are
    out = replace(past, timeline=line, days=days, silences=silences, missing=missing, compared=compared)
    return replace(out, terms=_with_silent(past.terms, new)) if new else out


def _is_there(customer: MemberSeries, silence: Silence, line: Timeline, place: int) -> bool:
    """A meter that was taken away is no silent one: another counts its load."""
    return customer.removed_us is None or int(line.instants_us[min(silence.last, place)]) <= customer.removed_us


def _with_silent(columns: Terms, silences: Sequence[Silence]) -> Terms:
    """The model with a column for each silence more, at its end: the share of the usual load that goes on."""
    size, count = columns.sd.size, len(silences)
    before = [group for group in columns.groups if group.name != "silent"]
    silent = columns.columns("silent")
    first = silent.start if silent.stop > silent.start else size
    return replace(
        columns,
        design=np.column_stack([columns.design, *(silence.course for silence in silences)]),
        mean=np.append(columns.mean, np.zeros(count)),
        sd=np.append(columns.sd, np.ones(count)),
        groups=(*before, Group("silent", first, size + count)),
    )


def _compared(
    customers: Sequence[MemberSeries],
    comparisons: Sequence[Comparison],
    silences: Sequence[Silence],
    line: Timeline,
    days: int,
) -> Iterator[tuple[int, int, float, float]]:
    """Comparisons as measurements of d = 1/(1 + e) − 1 on the day on which they ended, at the earliest the first.

    The mean over a span in which the meter fell silent is that of two conditions and measures neither.
    """
    columns = {member.meter_id: i for i, member in enumerate(customers)}
    first_day = int(line.instants_us[0]) // DAY_US
    for one in comparisons:
        day = max((one.end_us - 1) // DAY_US - first_day, 0)
        if one.meter_id not in columns or day >= days or one.error_pct <= -100:
            continue
        column = columns[one.meter_id]
        if any(silence.meter == column and _overlap(one, silence, line) for silence in silences):
            continue
        ratio = 1 / (1 + one.error_pct / 100)
        yield day, column, ratio - 1, one.std_pct / 100 * ratio**2


def _overlap(one: Comparison, silence: Silence, line: Timeline) -> bool:
    first_us, last_us = line.instants_us[[silence.first, silence.last]]
    return one.start_us < int(last_us) and one.end_us > int(first_us)
