"""Asking a database that may be away for a while, and waiting for its figures to move."""

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from store.database import Connection, DatabaseSettings, connect, is_transient

T = TypeVar("T")
_PAUSE_S = 0.2


class PatientConnection:
    """A connection that is made anew after a transient fault, for as long as `patience_s`."""

    def __init__(self, settings: DatabaseSettings, patience_s: float) -> None:
        self._settings, self._patience_s = settings, patience_s
        self._connection: Connection | None = None

    def ask(self, question: Callable[[Connection], T]) -> T:
        """What the question returns; it is asked again after a transient fault. Raises the fault when patience ends."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = connect(self._settings)
                    self._connection.autocommit = True
                return question(self._connection)
            except psycopg.Error as error:
                self.close()
                if not is_transient(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def wait_for(current: Callable[[], int], target: int, timeout_s: float) -> bool:
    """Wait until the figure reaches the target; False when it did not move for the time."""
    figure, moved_at = current(), time.monotonic()
    while figure < target:
        time.sleep(_PAUSE_S)
        newer = current()
        if newer != figure:
            figure, moved_at = newer, time.monotonic()
        elif time.monotonic() - moved_at > timeout_s:
            return False
    return True
