"""The checks on register steps of many meters at once, from each meter's state onward. Pure: no clock, no database.

What is concluded depends on the set of readings alone. Going on from a state gives what the whole history gives,
because a state is taken only at a reading behind which nothing is open, and notes up to which time readings have
entered its decisions (`reach_us`); a reading that comes later for an earlier time needs an earlier state.

The total of a meter is the quantity between its readings, after multipliers:
- glitches are left out, rollovers added;
- backward steps that the meter could have made count as they are (net);
- what happened across a reset, a backward step too fast for the meter, or a rise far beyond its highest rate, is not
  known and counts nothing (`uncounted_steps`);
- across an installation's boundary only what start and end registers show is counted;
- outside of every installation nothing is counted.
"""

from dataclasses import dataclass

import numpy as np

from verifier.arrays import Ints, Mask, MeterFacts, Rows, Structured
from verifier.excursions import Excursion, MeterRows, scan
from verifier.quantities import Counted, Placed, count_steps
from verifier.runs import Accepted, Spell, find_reversed, find_stopped
from verifier.sequences import Sequence, build_sequence, stretch_of_rows
from verifier.settings import StepSettings
from verifier.states import History, anchor_rows, checkpoint_rows, states_at


@dataclass(frozen=True, slots=True)
class Checked:
    """What came out for M meters with N rows (sorted by meter and time, each meter's anchor in front).

    `states`: where to go on, STATE, shape (M,); `checkpoints`: earlier such states. `usable`: the rows that belong to
    the meter's course, shape (N,): accepted, and not seen to be a glitch by looking back. `total_micro`: the running
    total, shape (N,), at rows left out that of the last accepted one. `rows`: numbers of the accepted rows, shape
    (K,); `counted` is over these. Excursions come with their meter's first row, to which their rows are relative;
    spells number accepted rows.
    """

    states: Structured
    checkpoints: Structured
    placed: Placed
    usable: Mask
    rows: Rows
    counted: Counted
    total_micro: Ints
    excursions: list[tuple[int, Excursion]]
    stopped: list[Spell]
    reversed: list[Spell]

    @property
    def sequence(self) -> Sequence:
        """The rows."""
        return self.placed.sequence


def check_steps(
    states: Structured, readings: Structured, pos: Rows, facts: MeterFacts, settings: StepSettings, checkpoint_us: int
) -> Checked:
    """Checks the readings of M meters (READING, sorted by meter and time, one value a time) from their states onward.

    `states`: STATE, shape (M,); `pos`: the meter of each reading, shape (R,); every meter has an anchor or a reading.
    `checkpoint_us`: a state is kept at the first settled reading in each such span of time.
    """
    placed = _place(build_sequence(states, readings, pos), facts)
    excursions = _excursions(placed, states, settings)
    accepted = np.ones(len(placed.stretch), dtype=np.bool_)
    looked_back: list[int] = []
    for start, excursion in excursions:
        accepted[start + excursion.first : start + excursion.stop] = False
        if excursion.looked_back:
            looked_back.append(start + excursion.before)
    usable = accepted.copy()
    usable[looked_back] = False
    rows = np.flatnonzero(accepted)
    counted = count_steps(placed, rows, excursions, settings)
    total = _running(counted.counted_micro, placed.sequence, rows, states["total_micro"])
    kept = _kept(placed, rows, counted, total)
    stopped, runs = find_stopped(kept, states, facts.meters["stopped_us"])
    backwards, peaks = find_reversed(kept, states, settings)
    uncounted = _running(counted.uncounted.astype(np.int64), placed.sequence, rows, states["uncounted_steps"])
    history = History(placed, rows, states, total, uncounted, runs, peaks, excursions)
    anchors = anchor_rows(placed, rows, excursions)
    return Checked(
        states=states_at(history, anchors),
        checkpoints=states_at(history, checkpoint_rows(placed, rows, anchors, checkpoint_us)),
        placed=placed,
        usable=usable,
        rows=rows,
        counted=counted,
        total_micro=total[np.cumsum(accepted) - 1],
        excursions=excursions,
        stopped=stopped,
        reversed=backwards,
    )


def _place(sequence: Sequence, facts: MeterFacts) -> Placed:
    times = sequence.points["observed_us"]
    stretch = stretch_of_rows(times, sequence.pos, facts.stretches["start_us"], facts.first_stretch)
    boundary = np.zeros(len(times), dtype=np.bool_)
    boundary[1:] = sequence.inner[1:] & (stretch[1:] != stretch[:-1])
    return Placed(sequence, stretch, boundary, facts)


def _suspects(placed: Placed, settings: StepSettings) -> Rows:
    """Rows whose step from the row before is a drop beyond the noise or faster than the meter can run."""
    sequence, meters = placed.sequence, placed.facts.meters
    points, pos = sequence.points, sequence.pos[1:]
    step = np.diff(points["register_micro"])
    elapsed_us = np.diff(points["observed_us"]) + settings.rate_time_slack_s * 1e6
    most = placed.facts.stretches["max_rate"][placed.stretch[1:]] * elapsed_us + meters["resolution_micro"][pos]
    odd = (step < -meters["noise_micro"][pos]) | (step > most)
    return np.flatnonzero(odd & sequence.inner[1:] & ~placed.boundary[1:]) + 1


def _excursions(placed: Placed, states: Structured, settings: StepSettings) -> list[tuple[int, Excursion]]:
    sequence, facts = placed.sequence, placed.facts
    suspects = _suspects(placed, settings)
    found: list[tuple[int, Excursion]] = []
    if not len(suspects):
        return found
    rates = facts.stretches["max_rate"]
    edges = np.flatnonzero(np.diff(sequence.pos[suspects])) + 1
    for rows in np.split(suspects, edges):
        meter = int(sequence.pos[rows[0]])
        start = int(sequence.first[meter])
        own = slice(start, int(sequence.last[meter]) + 1)
        prev = states["prev"][meter]
        one = MeterRows(
            observed_us=sequence.points["observed_us"][own],
            register_micro=sequence.points["register_micro"][own],
            max_rate=rates[placed.stretch[own]],
            boundary=placed.boundary[own],
            resolution_micro=int(facts.meters["resolution_micro"][meter]),
            noise_micro=int(facts.meters["noise_micro"][meter]),
            modulus_micro=int(facts.meters["modulus_micro"][meter]),
            prev_us=int(prev["observed_us"]),
            prev_micro=int(prev["register_micro"]),
        )
        found += [(start, excursion) for excursion in scan(one, rows - start, settings)]
    return found


def _running(steps: Ints, sequence: Sequence, rows: Rows, carried: Ints) -> Ints:
    """Running sums over each meter's accepted rows, from the carried value; an anchor adds nothing."""
    sums = np.cumsum(np.where(sequence.is_head[rows], 0, steps))
    firsts = np.searchsorted(rows, sequence.first)
    base = carried - np.where(firsts > 0, sums[firsts - 1], 0)
    result: Ints = sums + base[sequence.pos[rows]]
    return result


def _kept(placed: Placed, rows: Rows, counted: Counted, total_micro: Ints) -> Accepted:
    sequence = placed.sequence
    pos = sequence.pos[rows]
    multiplier = placed.of_stretch("multiplier", rows)
    new_run = (counted.moved_micro != 0) | placed.boundary[rows] | ~sequence.inner[rows]
    return Accepted(
        observed_us=sequence.points["observed_us"][rows],
        pos=pos,
        counted_micro=np.where(sequence.is_head[rows], 0, counted.counted_micro),
        total_micro=total_micro,
        new_run=new_run,
        is_head=sequence.is_head[rows],
        installed=placed.of_stretch("installed", rows).astype(np.bool_),
        resolution_micro=np.rint(placed.facts.meters["resolution_micro"][pos] * multiplier).astype(np.int64),
    )
