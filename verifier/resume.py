"""From which state each meter's checks go on when new readings have come, and which readings to look at again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from store.meter_states import batch_receipts, drop_checkpoints, load_checkpoints, load_states, read_after
from verifier.arrays import FOREVER_US, NEVER_US, STATE, Ints, Mask, Structured, new_states
from verifier.deliveries import placeable
from verifier.settings import StepSettings

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Resumed:
    """States of M meters to go on from, STATE, and all rows after their anchors (READING, any order).

    `reread`: the meters that don't simply go on from their last reading.
    """

    states: Structured
    rows: Structured
    reread: Mask


def resume(
    connection: Connection, rows: Structured, meters: Structured, last_seq: int, settings: StepSettings
) -> Resumed:
    """Prepares the checks of `rows`, new readings and conflicting values (READING) of `meters` (METER, ids ascending).

    Readings of batches after `last_seq` are left alone: they will be followed in their turn.
    """
    states = new_states(meters["meter_id"])
    stored = load_states(connection, meters["meter_id"], STATE)
    states[np.searchsorted(meters["meter_id"], stored["meter_id"])] = stored
    last_us = states["last_us"].copy()
    is_open = (last_us > states["anchor"]["observed_us"]) & (states["anchor"]["observed_us"] != NEVER_US)

    pos = np.searchsorted(meters["meter_id"], rows["meter_id"])
    earliest_us = np.full(len(meters), FOREVER_US)
    np.minimum.at(earliest_us, pos, rows["observed_us"])
    known = states["anchor"]["observed_us"] != NEVER_US
    # Other facts or settings than the state was made with: everything anew.
    stale = known & (states["facts_digest"] != meters["facts_digest"])
    earliest_us[stale] = NEVER_US
    late = known & (earliest_us <= np.maximum(states["anchor"]["observed_us"], states["reach_us"]))
    if late.any():
        _step_back(connection, states, late, earliest_us)
    reread = ~known | late | is_open  # one without a state may have had one: states can be dropped at any time
    if reread.any():
        rows = _read_again(connection, states, rows, pos, reread, last_us, last_seq, settings)
    states["last_us"] = np.maximum(states["last_us"], last_us)
    return Resumed(states, rows, reread)


def _step_back(connection: Connection, states: Structured, late: Mask, earliest_us: Ints) -> None:
    """Puts the late meters' states back to a checkpoint before their earliest new reading, or to the beginning."""
    ids = states["meter_id"][late]
    drop_checkpoints(connection, ids, earliest_us[late])
    checkpoints = load_checkpoints(connection, ids, earliest_us[late], STATE)
    states[late] = new_states(ids)
    states[np.searchsorted(states["meter_id"], checkpoints["meter_id"])] = checkpoints


def _read_again(
    connection: Connection,
    states: Structured,
    rows: Structured,
    pos: Ints,
    reread: Mask,
    last_us: Ints,
    last_seq: int,
    settings: StepSettings,
) -> Structured:
    """All rows after the anchors: the new ones of meters that simply go on, those held of the others."""
    chosen = states[reread]
    ids, after_us = chosen["meter_id"], chosen["anchor"]["observed_us"]
    until_us = max(int(last_us[reread].max()), int(rows["observed_us"][reread[pos]].max()))
    held = np.concatenate(
        [read_after(connection, table, ids, after_us, until_us) for table in ("reading", "reading_conflict")]
    )
    receipts = batch_receipts(connection, np.unique(held["batch_id"]))
    followed = [batch_id for batch_id, (commit_seq, _) in receipts.items() if commit_seq <= last_seq]
    held = held[np.isin(held["batch_id"], followed)]
    held = held[placeable(held, {batch_id: receipts[batch_id][1] for batch_id in followed}, settings)]
    return np.concatenate([rows[~reread[pos]], held])
