"""The alert inbox: the summary strip, the filters and the list."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, field_validator

from api.console.formatting import Formatter
from api.context import Context
from api.models import AlertSummary, Count, Summary
from api.parameters import KindName, MediumName, Parameters, Severity, Text, decode_cursor, encode_cursor
from api.texts import Texts, load_catalogue
from store.alert_listings import AlertFilter, AlertKey, count_alerts, list_alerts, list_utilities
from store.query import Row

TODO = ("open", "acknowledged")
TABS: dict[str, tuple[str, ...] | None] = {
    "todo": TODO,
    "open": ("open",),
    "acknowledged": ("acknowledged",),
    "confirmed": ("confirmed",),
    "dismissed": ("dismissed",),
    "withdrawn": ("withdrawn",),
    "all": None,
}
_MAX_UTILITIES = 200


class InboxParameters(Parameters):
    """What the inbox shows; a form sends its empty fields as well, they are no filter."""

    state: Literal["todo", "open", "acknowledged", "confirmed", "dismissed", "withdrawn", "all"] = "todo"
    kind: KindName | None = None
    severity: Severity | None = None
    medium: MediumName | None = None
    utility: Text | None = None
    cursor: str | None = Field(default=None, max_length=1024)
    lang: str | None = Field(default=None, max_length=20)

    @field_validator("kind", "severity", "medium", "utility", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    def to_filter(self, states: tuple[str, ...] | None) -> AlertFilter:
        """The filter that the store knows, for some states."""
        return AlertFilter(
            states=states, kind=self.kind, severity=self.severity, medium=self.medium, utility=self.utility
        )

    def filters(self) -> dict[str, str | None]:
        """Those filters that aren't the state."""
        return {"kind": self.kind, "severity": self.severity, "medium": self.medium, "utility": self.utility}


def inbox_values(context: Context, query: InboxParameters, texts: Texts) -> dict[str, Any]:
    """What the inbox's template needs, but for the summary."""
    limit = context.settings.page_size
    after = decode_cursor(query.cursor, str, datetime, int)
    with context.reading() as conn:
        rows = list_alerts(conn, query.to_filter(TABS[query.state]), AlertKey(*after) if after else None, limit + 1)
        counts = count_alerts(conn, query.to_filter(None))
        utilities = list_utilities(conn, _MAX_UTILITIES)
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "query": query,
        "alerts": [AlertSummary.model_validate(row) for row in rows[:limit]],
        "next": encode_cursor(last["severity"], last["opened_at"], last["alert_id"]) if last else None,
        "tabs": [(name, _tab_title(texts, name), _sum(counts, states)) for name, states in TABS.items()],
        "kinds": [(kind, texts.of("kind", kind)) for kind in load_catalogue()["kind"]],
        "utilities": utilities,
    }


def _tab_title(texts: Texts, name: str) -> str:
    return texts(f"filter_{name}") if name in ("todo", "all") else texts.of("state", name)


def _sum(counts: list[Row], states: tuple[str, ...] | None) -> int:
    return sum(row["alerts"] for row in counts if states is None or row["state"] in states)


def summary_cards(summary: Summary, texts: Texts, fmt: Formatter) -> list[dict[str, str]]:
    """The strip at the top: title, figure, note and tone of each card."""

    def bounded(count: Count) -> str:
        return ("≥ " if count.at_least else "") + fmt.count(count.count)

    def card(name: str, figure: str, note: str, tone: str = "", page: str = "") -> dict[str, str]:
        return {"name": name, "title": texts(name), "figure": figure, "note": note, "tone": tone, "page": page}

    open_note = texts("open_alerts_note", acknowledged=bounded(summary.acknowledged_alerts))
    return [
        card("open_alerts", bounded(summary.open_alerts), open_note, "accent" if summary.open_alerts.count else ""),
        card("stored", fmt.count(summary.readings_stored), texts("stored_note", batches=fmt.count(summary.batches))),
        card(
            "quarantined",
            bounded(summary.quarantined),
            texts("quarantined_note"),
            "warn" if summary.quarantined.count else "",
            "quarantine",
        ),
        card("pending", bounded(summary.pending), texts("pending_note"), "warn" if summary.pending.count else ""),
        _lag_card(summary, texts, fmt),
    ]


def _lag_card(summary: Summary, texts: Texts, fmt: Formatter) -> dict[str, str]:
    base = {"name": "lag", "title": texts("lag"), "tone": "", "page": ""}
    if not summary.followers:
        return base | {"figure": texts("lag_unknown"), "note": texts("lag_unknown_note")}
    slowest = max(summary.followers, key=lambda follower: follower.lag_s)
    if slowest.lag_batches <= 0:
        return base | {"figure": "0", "note": texts("lag_none")}
    note = texts("lag_batches", batches=fmt.count(slowest.lag_batches))
    return base | {"figure": fmt.duration(slowest.lag_s), "note": note, "tone": "warn" if slowest.lag_s > 300 else ""}
