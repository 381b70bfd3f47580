"""How far a follower has come in the batches; moved in the transaction that holds what it made of them."""

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


def lock_cursor(connection: Connection, follower: str) -> int:
    """The commit_seq up to which `follower` is done, 0 at first; held against others until the transaction ends."""
    query = "select commit_seq from follower_cursor where follower = %s for update"
    row = connection.execute(query, (follower,)).fetchone()
    if row is None:
        connection.execute(
            "insert into follower_cursor (follower, commit_seq) values (%s, 0) on conflict do nothing", (follower,)
        )
        row = connection.execute(query, (follower,)).fetchone()
        assert row is not None
    return int(row[0])


def move_cursor(connection: Connection, follower: str, commit_seq: int) -> None:
    """Notes that `follower` is done with the batches up to `commit_seq`."""
    connection.execute(
        "update follower_cursor set commit_seq = %s, updated_at = clock_timestamp() where follower = %s",
        (commit_seq, follower),
    )


def batches_waiting(connection: Connection, follower: str) -> int:
    """How many committed batches `follower` has not taken yet; locks nothing."""
    row = connection.execute(
        "select b.commit_seq - coalesce((select commit_seq from follower_cursor where follower = %s), 0)"
        " from batch_counter b",
        (follower,),
    ).fetchone()
    return 0 if row is None else int(row[0])
