"""What could not become readings: the list, with counts by reason; to act on it is the command line's."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from api.context import Context, ContextDep
from api.models import Count, QuarantineEntry, QuarantinePage, QuarantineReason
from api.parameters import Instant, PageParameters, Text, decode_cursor, encode_cursor
from store.quarantine import State
from store.quarantine_listing import QuarantineFilter, ReasonCount, count_by_reason, list_quarantine

router = APIRouter(prefix="/v1/quarantine", tags=["quarantine"])


class QuarantineParameters(PageParameters):
    """Filters of the quarantine."""

    state: Literal["open", "released", "discarded", "any"] = "open"
    reason: Text | None = Field(default=None, description="Code of a reason.")
    utility: Text | None = None
    topic: str | None = Field(default=None, min_length=1, max_length=1024, description="MQTT topic filter.")
    start: Instant | None = Field(default=None, alias="from", description="Received at or after this time.")

    def to_filter(self, *, with_reason: bool = True) -> QuarantineFilter:
        """The filter that the store knows."""
        state: State | None = None if self.state == "any" else self.state
        reason = self.reason if with_reason else None
        return QuarantineFilter(state=state, reason=reason, utility=self.utility, topic=self.topic, since=self.start)


@router.get("")
def get_quarantine(query: Annotated[QuarantineParameters, Query()], context: ContextDep) -> QuarantinePage:
    """Entries, the newest first, and how many of all that match have which reason."""
    return load_quarantine(context, query, query.to_filter())


def load_quarantine(context: Context, query: QuarantineParameters, counted: QuarantineFilter) -> QuarantinePage:
    """One page of the list; the reasons are counted among the entries of `counted`."""
    limit, bound = query.rows(context), context.settings.count_max
    after = decode_cursor(query.cursor, int)
    with context.reading() as conn:
        entries = list_quarantine(conn, query.to_filter(), after[0] if after else None, limit + 1)
        counts = count_by_reason(conn, counted, bound)
    following = encode_cursor(entries[limit - 1].quarantine_id) if len(entries) > limit else None
    items = [QuarantineEntry.model_validate(entry) for entry in entries[:limit]]
    return QuarantinePage(items=items, next=following, reasons=[_reason(count) for count in counts])


def _reason(count: ReasonCount) -> QuarantineReason:
    return QuarantineReason(reason=count.reason, entries=Count(count=count.entries, at_least=count.at_least))
