"""Findings: the list, and one with its evidence and settings."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.context import ContextDep
from api.models import Finding, FindingSummary, Page
from api.parameters import (
    IdPath,
    Instant,
    KindName,
    MediumName,
    PageParameters,
    Text,
    decode_cursor,
    encode_cursor,
    refuse_parameters,
)
from metrology.errors import NotFoundError
from store.listings import FindingFilter, find_finding, list_findings

router = APIRouter(prefix="/v1/findings", tags=["findings"])


class FindingParameters(PageParameters):
    """Filters of the list of findings."""

    kind: KindName | None = None
    severity: Literal["info", "warning", "alarm"] | None = None
    utility: Text | None = None
    medium: MediumName | None = None
    serial: Text | None = None
    zone: Text | None = Field(default=None, description="Code of a zone, for findings about the zone itself.")
    start: Instant | None = Field(default=None, alias="from", description="Findings that end at or after this time.")
    end: Instant | None = Field(default=None, alias="to", description="Findings that start before this time.")
    in_force: Literal["true", "false", "any"] = Field(
        default="true", description="`true`: those that later data did not supersede."
    )


@router.get("")
def get_findings(query: Annotated[FindingParameters, Query()], context: ContextDep) -> Page[FindingSummary]:
    """Findings, the newest first."""
    limit = query.rows(context)
    after = decode_cursor(query.cursor, int)
    wanted = FindingFilter(
        kind=query.kind,
        severity=query.severity,
        utility=query.utility,
        medium=query.medium,
        serial=query.serial,
        zone=query.zone,
        start=query.start,
        end=query.end,
        in_force=None if query.in_force == "any" else query.in_force == "true",
    )
    with context.reading() as conn:
        rows = list_findings(conn, wanted, after[0] if after else None, limit + 1)
    following = encode_cursor(rows[limit - 1]["finding_id"]) if len(rows) > limit else None
    return Page[FindingSummary](items=[FindingSummary.model_validate(row) for row in rows[:limit]], next=following)


@router.get("/{finding_id}", dependencies=[Depends(refuse_parameters)])
def get_finding(finding_id: IdPath, context: ContextDep) -> Finding:
    """One finding with its evidence, and the settings that it was made with."""
    with context.reading() as conn:
        row = find_finding(conn, finding_id)
    if row is None:
        raise NotFoundError(f"finding {finding_id} does not exist; /v1/findings lists the findings")
    return Finding.model_validate(row)
