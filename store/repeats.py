"""Repetitions: a reading that is held already and comes again in another message."""

from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from store.binary_copy import copy_in, copy_out

Connection = psycopg.Connection[Any]

# One meter's readings in one message that other messages had brought before.
REPEAT: Final = np.dtype(
    [
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("batch_id", "<i8"),
        ("meter_id", "<i4"),
        ("readings", "<i4"),
        ("message_digest", "V16"),
    ]
)
_DIGEST: Final = np.dtype([("row_no", "<i4"), ("digest", "V16")])


def note_repeats(
    connection: Connection,
    rows: NDArray[np.void],
    variant_of: NDArray[np.intp],
    held: NDArray[np.void],
    own_digests: NDArray[np.void],
) -> None:
    """Notes in `reading_repeat`, by meter and message, the rows of a batch that were sent before.

    Before means in another message, or earlier in the same one. A redelivery of a message leaves nothing new.

    `variant_of` gives each row's place in `held`, what is held for each variant with `batch_id` and `message_no`;
    `own_digests` is the digest of each of the batch's messages, V16.
    """
    digests = own_digests[rows["message_no"]]
    repeated = _words(digests) != _words(_held_digests(connection, held, rows["batch_id"][0], own_digests)[variant_of])
    again = np.flatnonzero(repeated.any(axis=1) | _twice_in_message(rows["message_no"], variant_of))
    if not len(again):
        return
    high, low = _words(digests[again]).T
    # A message that came twice in this batch counts once.
    order = np.lexsort((variant_of[again], low, high, rows["meter_id"][again]))
    again, high, low = again[order], high[order], low[order]
    changed = np.ones(len(again), dtype=np.bool_)
    changed[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1]) | (np.diff(rows["meter_id"][again]) != 0)
    distinct = changed.copy()
    distinct[1:] |= np.diff(variant_of[again]) != 0
    again, starts = again[distinct], np.flatnonzero(changed[distinct])
    repeats = np.empty(len(starts), dtype=REPEAT)
    repeats["first_us"] = np.minimum.reduceat(rows["observed_us"][again], starts)
    repeats["last_us"] = np.maximum.reduceat(rows["observed_us"][again], starts)
    repeats["readings"] = np.diff(starts, append=len(again))
    repeats["batch_id"] = rows["batch_id"][0]
    repeats["meter_id"] = rows["meter_id"][again[starts]]
    repeats["message_digest"] = digests[again[starts]]
    _insert_repeats(connection, repeats)


def _twice_in_message(message_no: NDArray[np.int16], variant_of: NDArray[np.intp]) -> NDArray[np.bool_]:
    """True for a row whose variant stands in the same message before it."""
    order = np.lexsort((np.arange(len(variant_of)), variant_of, message_no))
    same = (np.diff(message_no[order]) == 0) & (np.diff(variant_of[order]) == 0)
    twice = np.zeros(len(order), dtype=np.bool_)
    twice[order[1:][same]] = True
    return twice


def _insert_repeats(connection: Connection, repeats: NDArray[np.void]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "create temporary table if not exists repeat_staging (like reading_repeat) on commit delete rows"
        )
        cursor.execute("truncate repeat_staging")
        copy_in(cursor, "repeat_staging", repeats)
        cursor.execute(
            "insert into reading_repeat (meter_id, message_digest, readings, first_at, last_at, batch_id)"
            " select meter_id, message_digest, readings, first_at, last_at, batch_id from repeat_staging"
            " order by meter_id, message_digest"
            " on conflict do nothing"
        )


def _held_digests(
    connection: Connection, held: NDArray[np.void], own_batch_id: int, own_digests: NDArray[np.void]
) -> NDArray[np.void]:
    """The digest of the message that each held row came in, shape (n,), V16."""
    digests = np.zeros(len(held), dtype="V16")
    own = held["batch_id"] == own_batch_id
    digests[own] = own_digests[held["message_no"][own]]
    others = np.flatnonzero(~own)
    if len(others):
        messages, inverse = np.unique(held[["batch_id", "message_no"]][others], return_inverse=True)
        with connection.cursor() as cursor:
            found = copy_out(
                cursor,
                "select (n - 1)::integer, substring(message_digests from message_no * 16 + 1 for 16)"
                " from unnest(%s::bigint[], %s::integer[]) with ordinality as m (batch_id, message_no, n)"
                " join batch using (batch_id)",
                (messages["batch_id"].tolist(), messages["message_no"].tolist()),
                _DIGEST,
            )
        by_message = np.zeros(len(messages), dtype="V16")
        by_message[found["row_no"]] = found["digest"]
        digests[others] = by_message[inverse]
    return digests


def _words(digests: NDArray[np.void]) -> NDArray[np.uint64]:
    """Digests as two words each, shape (n, 2): comparable and sortable."""
    return np.ascontiguousarray(digests).view("<u8").reshape(-1, 2)
