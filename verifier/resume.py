"""From which state each meter's checks go on when new readings have come, and which readings to look at again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from store.meter_states import (
    batch_receipts,
    count_after,
    drop_checkpoints,
    load_checkpoints,
    load_states,
    read_after,
)
from verifier.arrays import FOREVER_US, NEVER_US, STATE, Ints, Mask, Structured, new_states
from verifier.deliveries import placeable
from verifier.settings import StepSettings

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Resumed:
    """States of M meters to go on from, STATE, and the meters that don't simply go on from their last reading.

    `until_us`: the latest reading that has been or is to be looked at.
    """

    states: Structured
    reread: Mask
    until_us: int


def resume(connection: Connection, rows: Structured, meters: Structured) -> Resumed:
    """From where the checks go on with `rows`, new readings and conflicting values (READING) of `meters` (METER).

    `meters` ascend by id. Checkpoints that the new readings make invalid are dropped.
    """
    states = new_states(meters["meter_id"])
    stored = load_states(connection, meters["meter_id"], STATE)
    states[np.searchsorted(meters["meter_id"], stored["meter_id"])] = stored
    last_us = states["last_us"].copy()
    known = states["anchor"]["observed_us"] != NEVER_US
    is_open = known & (last_us > states["anchor"]["observed_us"])

    earliest_us = np.full(len(meters), FOREVER_US)
    np.minimum.at(earliest_us, np.searchsorted(meters["meter_id"], rows["meter_id"]), rows["observed_us"])
    # Other facts or settings than the state was made with: everything anew.
    earliest_us[known & (states["facts_digest"] != meters["facts_digest"])] = NEVER_US
    late = known & (earliest_us <= np.maximum(states["anchor"]["observed_us"], states["reach_us"]))
    if late.any():
        _step_back(connection, states, late, earliest_us)
    states["last_us"] = np.maximum(states["last_us"], last_us)
    until_us = max(int(rows["observed_us"].max()), int(last_us.max()))
    return Resumed(states, ~known | late | is_open, until_us)  # one without a state may have had one: see meter_state


def portions(connection: Connection, states: Structured, until_us: int, max_readings: int) -> list[Structured]:
    """The states parted so that not much more than `max_readings` are read again at once.

    A whole fleet with its history would not fit into memory; it comes here when a setting is changed.
    """
    counts = count_after(connection, states["meter_id"], states["anchor"]["observed_us"], until_us)
    before = np.cumsum(counts) - counts
    return np.split(states, np.flatnonzero(np.diff(before // max_readings)) + 1)


def read_again(
    connection: Connection, states: Structured, until_us: int, last_seq: int, settings: StepSettings
) -> Structured:
    """All rows held after the states' anchors, with conflicting values, READING.

    Those of batches after `last_seq` are left alone: they will be followed in their turn.
    """
    ids, after_us = states["meter_id"], states["anchor"]["observed_us"]
    held = np.concatenate(
        [read_after(connection, table, ids, after_us, until_us) for table in ("reading", "reading_conflict")]
    )
    return followed_and_placeable(connection, held, last_seq, settings)


def followed_and_placeable(
    connection: Connection, held: Structured, last_seq: int, settings: StepSettings
) -> Structured:
    """Of these rows (READING) those of batches up to `last_seq` whose time can be believed."""
    receipts = batch_receipts(connection, np.unique(held["batch_id"]))
    followed = [batch_id for batch_id, (commit_seq, _) in receipts.items() if commit_seq <= last_seq]
    held = held[np.isin(held["batch_id"], followed)]
    return held[placeable(held, {batch_id: receipts[batch_id][1] for batch_id in followed}, settings)]


def _step_back(connection: Connection, states: Structured, late: Mask, earliest_us: Ints) -> None:
    """Puts the late meters' states back to a checkpoint before their earliest new reading, or to the beginning."""
    ids = states["meter_id"][late]
    drop_checkpoints(connection, ids, earliest_us[late])
    checkpoints = load_checkpoints(connection, ids, earliest_us[late], STATE)
    states[late] = new_states(ids)
    states[np.searchsorted(states["meter_id"], checkpoints["meter_id"])] = checkpoints
