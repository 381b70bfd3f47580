"""Follows the batches: by which concentrator each meter's readings come, when they arrive, which commands they answer.

Beside the gateway, not in it: nothing here is on the way of a reading into the store. One group of batches, what it
shows and the cursor are one transaction.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from gateway.clocks import CLOCK, ClockModel, add_arrivals, new_clocks, newest_arrivals
from gateway.repair.messages import answered_command
from gateway.topics import parse_topic
from metrology.status import ReadingStatus, has_flag
from store.archive import RawMessage
from store.batches import MAX_MESSAGES, batches_after, readings_of_batches
from store.clock_offsets import load_clocks, save_clocks
from store.command_results import note_answers
from store.concentrators import note_concentrators, note_routes
from store.cursor import lock_cursor, move_cursor
from store.message_origins import messages_of_batches
from store.times import to_micros

Connection = psycopg.Connection[Any]
Structured = NDArray[np.void]
Ints = NDArray[np.int64]
FOLLOWER: Final = "repair"
_NO_WAY: Final = -1


@dataclass(frozen=True, slots=True)
class Followed:
    """What one group of batches brought."""

    commit_seq: int
    readings: int
    routes: int
    answers: int


@dataclass(frozen=True, slots=True)
class _Messages:
    """The messages of a group of batches: where each lies, its way (index into `ways`), its receipt, what it answers.

    A last one, without a way, stands for messages that are not kept.
    """

    batch_id: list[int]
    message_no: list[int]
    ways: list[tuple[str, str]]
    way: Ints
    received_us: Ints
    answers: dict[int, str]


def follow(connection: Connection, readings_max: int, model: ClockModel) -> Followed | None:
    """Takes the next group of batches, None if there is none. The caller commits, or rolls back on an error."""
    heads = batches_after(connection, lock_cursor(connection, FOLLOWER), readings_max)
    if not heads:
        return None
    batch_ids = [head.batch_id for head in heads]
    readings = readings_of_batches(connection, batch_ids)
    messages = _messages(messages_of_batches(connection, batch_ids))
    number = _numbers(readings, messages)
    come = messages.way[number] != _NO_WAY
    readings, number = readings[come], number[come]
    routes = _note_routes(connection, readings, number, messages)
    _note_arrivals(connection, readings, number, messages, model)
    answers = _note_answers(connection, number, messages)
    move_cursor(connection, FOLLOWER, heads[-1].commit_seq)
    return Followed(heads[-1].commit_seq, len(readings), routes, answers)


def _messages(held: dict[int, list[RawMessage | None]]) -> _Messages:
    ways: dict[tuple[str, str], int] = {}
    batch_ids: list[int] = []
    numbers: list[int] = []
    way: list[int] = []
    received_us: list[int] = []
    answers: dict[int, str] = {}
    for batch_id in sorted(held):
        for number, message in enumerate(held[batch_id]):
            topic = parse_topic(message.topic) if message else None
            if message is None or topic is None:
                continue
            command_id = answered_command(message.payload)
            if command_id:
                answers[len(way)] = command_id
            batch_ids.append(batch_id)
            numbers.append(number)
            way.append(ways.setdefault((topic.utility, topic.gateway), len(ways)))
            received_us.append(to_micros(message.received_at))
    return _Messages(
        batch_ids, numbers, list(ways), np.array([*way, _NO_WAY]), np.array([*received_us, 0], np.int64), answers
    )


def _numbers(readings: Structured, messages: _Messages) -> Ints:
    """The number of each reading's message; the last one, which has no way, where it is not kept."""
    key = np.array(messages.batch_id, dtype=np.int64) * MAX_MESSAGES + np.array(messages.message_no, dtype=np.int64)
    wanted = readings["batch_id"] * MAX_MESSAGES + readings["message_no"]
    place = np.searchsorted(key, wanted)
    found = np.append(key, -1)[place] == wanted
    numbers: Ints = np.where(found, place, len(key))
    return numbers


def _note_routes(connection: Connection, readings: Structured, number: Ints, messages: _Messages) -> int:
    """The way of each meter's last message, and how far each concentrator has come."""
    if not len(readings):
        return 0
    way = messages.way[number]
    # A time from the future would make all that is not there yet look missing.
    believed_us = np.minimum(readings["observed_us"], messages.received_us[number])
    latest_us = np.full(len(messages.ways), np.iinfo(np.int64).min)
    np.maximum.at(latest_us, way, believed_us)
    seen = [(*messages.ways[i], int(latest_us[i])) for i in np.unique(way).tolist()]
    ids = note_concentrators(connection, seen)
    id_of_way = np.array([ids.get(name, 0) for name in messages.ways])
    order = np.lexsort((number, readings["meter_id"]))
    meters, first = np.unique(readings["meter_id"][order], return_index=True)
    last = np.append(first[1:], len(order)) - 1
    first_us = np.minimum.reduceat(believed_us[order], first)
    concentrators = id_of_way[way[order[last]]]
    known = concentrators > 0
    return note_routes(connection, meters[known], concentrators[known], first_us[known])


def _note_arrivals(
    connection: Connection, readings: Structured, number: Ints, messages: _Messages, model: ClockModel
) -> None:
    """The envelope of each device's arrivals; times of receipt say nothing about a clock, answers come late anyway."""
    own = ~has_flag(readings["status"], ReadingStatus.TIME_OF_RECEIPT)
    own &= ~np.isin(number, np.array(list(messages.answers), dtype=np.int64))
    readings, number = readings[own], number[own]
    received_us = messages.received_us[number]
    near = np.abs(received_us - readings["observed_us"]) <= model.lag_max_s * 1e6
    if not near.any():
        return
    arrivals = newest_arrivals(
        readings["meter_id"][near], number[near], received_us[near], readings["observed_us"][near]
    )
    meters = np.unique(arrivals["meter_id"])
    clocks = new_clocks(meters)
    stored = load_clocks(connection, meters, CLOCK)
    clocks[np.searchsorted(meters, stored["meter_id"])] = stored
    save_clocks(connection, add_arrivals(clocks, arrivals, model))


def _note_answers(connection: Connection, number: Ints, messages: _Messages) -> int:
    """The messages that answer commands, with the readings of theirs that were stored: the provenance."""
    stored = np.bincount(number, minlength=len(messages.way))
    answers = [
        (command_id, messages.batch_id[place], messages.message_no[place], int(stored[place]))
        for place, command_id in messages.answers.items()
    ]
    senders = ["/".join(messages.ways[int(messages.way[place])]) for place in messages.answers]
    return note_answers(connection, answers, senders)
