"""Two clients of one id throw each other out for ever; MQTT 3.1.1 does not tell them why. Here it is inferred."""

import random

from gateway.backoff import Backoff

CLOSED_MAX = 5
_FIRST_YIELD_S, _LONGEST_YIELD_S = 60.0, 600.0


class SessionContest:
    """Counts connections that were accepted and closed at once, which a restarting broker or a bad line rarely does.

    Who has counted `CLOSED_MAX` first yields for a minute, so that the other works undisturbed; every further time it
    yields longer, to ten minutes. Data are not lost meanwhile: the other client reads the same session.
    """

    def __init__(self, steady_s: float, rng: random.Random) -> None:
        self._steady_s = steady_s
        self._pauses = Backoff(_FIRST_YIELD_S, _LONGEST_YIELD_S, rng)
        self._closed = 0

    def pause_s(self, was_reached: bool, was_accepted: bool, lasted_s: float) -> float:
        """How long to yield [s] after a connection has ended; 0 where nothing hints at another client.

        `was_reached`: something listened there; `was_accepted`: it accepted the session, which then lasted so long [s].
        One that is closed before is no hint (a load balancer without a broker behind it), and no sign of peace either:
        nats-server does so with clients that come back within a second.
        """
        if was_accepted and lasted_s < self._steady_s:
            self._closed += 1
            return self._pauses.next_pause_s() if self._closed >= CLOSED_MAX else 0.0
        if was_accepted or not was_reached:
            self._closed = 0
        if was_accepted:
            self._pauses.reset()
        return 0.0
