"""Layouts of the arrays that the checks on register steps work with: one row a meter, a reading, or a stretch of time.

Times are int64 microseconds since 1970, registers int64 millionths of a kWh or m3 as indicated, before multipliers;
quantities (`total_micro`) are after multipliers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Structured = NDArray[np.void]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

NEVER_US: Final = int(np.iinfo(np.int64).min)  # no such time; also the start of the first stretch
FOREVER_US: Final = int(np.iinfo(np.int64).max)

# A reading as evidence: what was indicated when, and the message that carried it.
POINT: Final = np.dtype([("observed_us", "<i8"), ("register_micro", "<i8"), ("batch_id", "<i8"), ("message_no", "<i4")])

# Where the checks of a meter go on. The table meter_state and its checkpoints hold these bytes: a change of this
# layout needs a migration that empties both, after which the states are made anew from the readings.
STATE: Final = np.dtype(
    [
        ("meter_id", "<i4"),
        ("down_steps", "<i4"),  # backward steps since the peak
        ("uncounted_steps", "<i4"),  # steps whose quantity is unknown and left out of the total
        ("anchor", POINT),  # the last settled reading; NEVER_US: there is none yet
        ("prev", POINT),  # the accepted reading before it, if of the same installation
        ("run", POINT),  # since when the register has not moved
        ("stopped", POINT),  # where it was found to have stopped
        ("peak", POINT),  # the highest point, while the total lies below it
        ("reversed", POINT),  # where it was found to run backwards
        ("total_micro", "<i8"),  # accepted quantity up to the anchor
        ("peak_total_micro", "<i8"),
        ("reach_us", "<i8"),  # decisions up to the anchor rest on readings up to this time
        ("last_us", "<i8"),  # the latest reading seen; after the anchor while an excursion is open
        ("facts_digest", "<i8"),  # of the registry's facts and the settings behind this state
    ]
)

# What holds for a meter throughout.
METER: Final = np.dtype(
    [
        ("meter_id", "<i4"),
        ("resolution_micro", "<i8"),
        ("modulus_micro", "<i8"),  # 0: unknown
        ("noise_micro", "<i8"),
        ("stopped_us", "<i8"),
        ("facts_digest", "<i8"),
    ]
)

# What holds for a meter in a stretch of time [start, end); the stretches of a meter cover all time.
STRETCH: Final = np.dtype(
    [
        ("start_us", "<i8"),
        ("end_us", "<i8"),
        ("installed", "?"),
        ("multiplier", "<f8"),
        ("max_rate", "<f8"),  # highest plausible rate of the register [millionths per us]
        ("large_step_micro", "<i8"),  # of the register
        ("has_start_register", "?"),
        ("has_end_register", "?"),
        ("follows", "?"),  # another installation of this meter or at this service point came before
        ("start_register_micro", "<i8"),
        ("end_register_micro", "<i8"),
    ]
)


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """What registry and settings say of M meters: METER, shape (M,), and their STRETCH rows one meter after another.

    Meter i has the stretches `first_stretch[i]` up to `first_stretch[i + 1]`; `notes` names for each stretch what a
    finding about it should tell (service point, meter before).
    """

    meters: Structured
    stretches: Structured
    first_stretch: Rows
    notes: Sequence[Mapping[str, Any]]
    media: Sequence[str]


def new_states(meter_ids: Ints) -> Structured:
    """States of meters without any reading so far, STATE, shape (M,)."""
    states = np.zeros(len(meter_ids), dtype=STATE)
    states["meter_id"] = meter_ids
    for name in ("anchor", "prev", "run", "stopped", "peak", "reversed"):
        states[name]["observed_us"] = NEVER_US
    states["reach_us"] = states["last_us"] = NEVER_US
    return states
