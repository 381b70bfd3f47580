"""Where the readings of batches came from: each batch's raw messages, those of released readings followed back."""

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from store.archive import Frame, MessageReference, RawMessage, unpack

Connection = psycopg.Connection[Any]
_MAX_HOPS: Final = 8  # as in store/archive.py


def messages_of_batches(connection: Connection, batch_ids: Sequence[int]) -> dict[int, list[RawMessage | None]]:
    """By batch its messages, in the order of `message_no`; None for one that is no longer kept."""
    archives = _archives(connection, batch_ids)
    frames: dict[int, list[Frame | None]] = {batch_id: list(archives.get(batch_id, [])) for batch_id in batch_ids}
    for _ in range(_MAX_HOPS):
        missing = {f.batch_id for own in frames.values() for f in own if isinstance(f, MessageReference)}
        if not missing:
            break
        archives |= _archives(connection, sorted(missing - archives.keys()))
        frames = {batch_id: [_followed(frame, archives) for frame in own] for batch_id, own in frames.items()}
    return {batch_id: [f if isinstance(f, RawMessage) else None for f in own] for batch_id, own in frames.items()}


def _archives(connection: Connection, batch_ids: Sequence[int]) -> dict[int, list[Frame]]:
    if not batch_ids:
        return {}
    rows = connection.execute(
        "select batch_id, archive from batch where batch_id = any(%s) and archive is not null",
        (list(batch_ids),),
        binary=True,
    )
    return {batch_id: unpack(archive) for batch_id, archive in rows}


def _followed(frame: Frame | None, archives: dict[int, list[Frame]]) -> Frame | None:
    if not isinstance(frame, MessageReference):
        return frame
    own = archives.get(frame.batch_id, [])
    return own[frame.message_no] if 0 <= frame.message_no < len(own) else None
