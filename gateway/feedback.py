"""Feedback to the sender of a native message about what was quarantined of it, on its own `…/rejected`.

A courtesy, told at most once per message and reason: after the commit that holds the entry, and not again when the
message is redelivered. The truth is in the quarantine.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from gateway.codec import lenient
from gateway.codec.rows import MessageRejected
from gateway.feedback_settings import FeedbackSettings
from gateway.reasons import ADVICE, Reason
from gateway.topics import rejected_topic
from store.quarantine import QuarantineRow

ROWS_MAX = 1000
_SENDERS_MAX = 10_000
_ID_MAX = 256
_NESTING_MAX = 32


class RejectedMessage(msgspec.Struct, frozen=True):
    """What of a message was quarantined and why. `rows` counts from 0, its first 1,000; null: the whole message.

    `digest` is blake2b-128 of topic, NUL, payload in hexadecimal; `id` is the message's own, where it could be read.
    `suppressed`: of how many messages this sender was not told since the last feedback, by the limits of the rate.
    """

    id: str | int | None
    digest: str
    reason: str
    detail: str
    remedy: str
    rows: list[int] | None
    rows_total: int | None
    received_at: datetime
    suppressed: int = 0
    v: int = 1


class _Named(msgspec.Struct):
    id: str | int | None = None


class TokenBucket:
    """A rate limit: `at_once` tokens at first, refilled at `per_s`; time is an argument [s]."""

    __slots__ = ("_at_once", "_per_s", "_since_s", "_tokens")

    def __init__(self, per_s: float, at_once: float, now_s: float) -> None:
        self._per_s, self._at_once = per_s, at_once
        self._tokens, self._since_s = at_once, now_s

    def take(self, now_s: float) -> bool:
        """Take a token if there is one."""
        self._tokens = min(self._at_once, self._tokens + max(0.0, now_s - self._since_s) * self._per_s)
        self._since_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Feedback:
    """Tells senders what of theirs was quarantined; used by one thread. `publish` says whether it took the message."""

    def __init__(
        self,
        settings: FeedbackSettings,
        publish: Callable[[str, bytes], bool],
        clock_s: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._publish = publish
        self._clock_s = clock_s
        self._count = count
        overall = settings.overall_per_second
        self._overall = TokenBucket(overall, max(1.0, overall), clock_s())
        self._senders: OrderedDict[str, TokenBucket] = OrderedDict()
        self._suppressed: OrderedDict[str, int] = OrderedDict()

    def tell(self, rows: Iterable[QuarantineRow]) -> None:
        """Tell the senders of these new entries, which are committed; counts `told`, `limited` and `dropped`."""
        if not self._settings.tell_senders:
            return
        for row in rows:
            topic = rejected_topic(row.topic)
            if topic is not None:
                self._count(self._tell(topic, row))

    def _tell(self, topic: str, row: QuarantineRow) -> str:
        now_s = self._clock_s()
        if not (self._bucket(topic, now_s).take(now_s) and self._overall.take(now_s)):
            self._suppressed[topic] = self._suppressed.pop(topic, 0) + 1
            _bound(self._suppressed)
            return "limited"
        message = rejected_message(row, self._suppressed.pop(topic, 0))
        return "told" if self._publish(topic, msgspec.json.encode(message)) else "dropped"

    def _bucket(self, topic: str, now_s: float) -> TokenBucket:
        bucket = self._senders.pop(topic, None)
        if bucket is None:
            settings = self._settings
            bucket = TokenBucket(settings.per_sender_per_minute / 60, settings.per_sender_at_once, now_s)
        self._senders[topic] = bucket  # the last used stands last
        _bound(self._senders)
        return bucket


def _bound(entries: OrderedDict[str, TokenBucket] | OrderedDict[str, int]) -> None:
    while len(entries) > _SENDERS_MAX:
        entries.popitem(last=False)


def rejected_message(row: QuarantineRow, suppressed: int = 0) -> RejectedMessage:
    """What the sender is told of an entry."""
    return RejectedMessage(
        id=None if row.reason == Reason.PAYLOAD_TOO_LARGE else message_id(row.payload),
        digest=row.message_digest.hex(),
        reason=row.reason,
        # What stands in the payload may be no text that UTF-8 can carry.
        detail=row.detail.encode("utf-8", "replace").decode("utf-8"),
        remedy=ADVICE[Reason(row.reason)].remedy,
        rows=None if row.rows is None else list(row.rows[:ROWS_MAX]),
        rows_total=None if row.rows is None else len(row.rows),
        received_at=row.received_at,
        suppressed=suppressed,
    )


def message_id(payload: bytes) -> str | int | None:
    """The `id` of a native payload; None where it has none, or none that can be read."""
    try:
        if payload.lstrip()[:1] == b"{":
            found: object = msgspec.json.decode(payload, type=_Named).id
        else:
            found = lenient.load_cbor(payload, _NESTING_MAX).get("id")
    except (ValueError, RecursionError, MessageRejected):  # of msgspec, or of text that is no UTF-8
        return None
    if isinstance(found, str):
        return found.encode("utf-8", "replace").decode("utf-8")[:_ID_MAX]
    return found if isinstance(found, int) and not isinstance(found, bool) and found.bit_length() <= 64 else None
