"""Pauses between attempts: growing, to leave a server in trouble alone, and jittered, so that not all come at once."""

import random


class Backoff:
    """Pauses that double from `first_s` to `longest_s`, each drawn from its upper half."""

    def __init__(self, first_s: float, longest_s: float, rng: random.Random) -> None:
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s
        self._rng = rng
        self._pause_s = self._first_s

    def next_pause_s(self) -> float:
        """The pause before the next attempt [s]."""
        pause_s = self._pause_s * self._rng.uniform(0.5, 1.0)
        self._pause_s = min(self._pause_s * 2, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Start over after a success."""
        self._pause_s = self._first_s
