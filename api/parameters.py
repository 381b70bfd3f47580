"""Parameters of requests: their types, their limits, and the cursors of pages."""

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.context import Context
from api.errors import UNKNOWN_PARAMETER, ParameterError
from api.texts import load_catalogue
from store.alert_decisions import MAX_ACTOR_LENGTH, MAX_REASON_LENGTH
from store.alerts import VERIFIER

MAX_ID = 2**63 - 1
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)")


def _parse_instant(value: object) -> datetime:
    text = str(value)
    if not _INSTANT.fullmatch(text):
        hint = " (write + as %2B in an address)" if re.search(r"\d \d\d:\d\d$", text) else ""
        raise ValueError(f"is no time with an offset{hint}; write RFC 3339, e.g. 2026-01-31T08:00:00Z")
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no time that exists; write RFC 3339, e.g. 2026-01-31T08:00:00Z") from None
    if not _EARLIEST <= instant < _LATEST:
        raise ValueError("lies outside of the years 1970 to 2199; give a time within them")
    return instant


def _plain(text: str) -> str:
    if any(ord(char) < 32 or 0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise ValueError("holds a control character; write plain text")
    return text


def _known_kind(kind: str) -> str:
    known = load_catalogue()["kind"]
    if kind not in known:
        raise ValueError(f"is no kind of finding; use one of {', '.join(known)}")
    return kind


def _person(name: str) -> str:
    name = _plain(name).strip()
    if not name or len(name) > MAX_ACTOR_LENGTH:
        raise ValueError(f"is no person's name; write 1 to {MAX_ACTOR_LENGTH} characters")
    if name.casefold() == VERIFIER:
        raise ValueError("is the software's own name; give a person's")
    return name


def _note(text: str) -> str:
    for line in text.splitlines():
        _plain(line.replace("\t", " "))
    return text.strip()


Instant = Annotated[
    datetime, BeforeValidator(_parse_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Text = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_plain)]
Person = Annotated[str, Field(max_length=1000), AfterValidator(_person)]
Note = Annotated[str, Field(max_length=MAX_REASON_LENGTH), AfterValidator(_note)]
KindName = Annotated[Text, AfterValidator(_known_kind), WithJsonSchema({"enum": list(load_catalogue()["kind"])})]
MediumName = Literal["electricity", "water", "gas"]
Severity = Literal["warning", "alarm"]
AlertState = Literal["open", "acknowledged", "dismissed", "confirmed", "withdrawn"]

_PLAIN_PATH = Path(max_length=128, pattern=r"^[^\x00-\x1f]+$")
UtilityPath = Annotated[str, _PLAIN_PATH]
SerialPath = Annotated[str, _PLAIN_PATH]
ZonePath = Annotated[str, _PLAIN_PATH]
IdPath = Annotated[int, Path(ge=1, le=MAX_ID)]


class Parameters(BaseModel):
    """Query parameters; an unknown one is an error, since a filter that does nothing would mislead."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def refuse_parameters(request: Request) -> None:
    """For an address that takes no query parameters. Raises ParameterError for any."""
    for name, value in request.query_params.items():
        raise ParameterError(f"query.{name}", value, UNKNOWN_PARAMETER)


class PageParameters(Parameters):
    """Which page of a list."""

    limit: int | None = Field(default=None, ge=1, description="Rows at most; the settings bound it.")
    cursor: str | None = Field(default=None, max_length=1024, description="`next` of the page before.")

    def rows(self, context: Context) -> int:
        """How many rows the page may have."""
        return bounded_limit(self.limit, context.settings.page_size, context.settings.page_size_max)


def bounded_limit(limit: int | None, default: int, at_most: int) -> int:
    """The limit to use. Raises ParameterError if it exceeds what the settings allow."""
    if limit is None:
        return min(default, at_most)
    if limit > at_most:
        raise ParameterError("query.limit", str(limit), f"exceeds {at_most}; ask for less and follow `next`")
    return limit


def encode_cursor(*key: Any) -> str:
    """An opaque text for the key of a page's last row; datetimes are kept to the microsecond."""
    plain = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *types: type) -> tuple[Any, ...] | None:
    """The key in a cursor, whose parts must be of the given types (int, str, datetime).

    Raises ParameterError for a text that `encode_cursor` didn't make for such a key.
    """
    if cursor is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(parts, list) or len(parts) != len(types):
            raise ValueError("another list's cursor")
        return tuple(_cursor_part(part, kind) for part, kind in zip(parts, types, strict=True))
    except (ValueError, binascii.Error, RecursionError):
        raise ParameterError(
            "query.cursor", cursor, "is no cursor of this list; take `next` of the page before, or leave it out"
        ) from None


def _cursor_part(part: object, kind: type) -> Any:
    if kind is datetime and isinstance(part, str):
        return _parse_instant(part)
    if kind is int and isinstance(part, int) and abs(part) <= MAX_ID:
        return part
    if kind is str and isinstance(part, str):
        return _plain(part)
    raise ValueError("not of the expected type")
