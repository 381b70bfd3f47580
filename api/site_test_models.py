"""What the interface takes and answers of tests on site."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from api.models import Answer, Time
from api.parameters import MAX_ID, Instant, Note, Person, Text
from store.site_tests import MAX_POINTS


class SiteTestPoint(BaseModel):
    """The error of indication found at a load."""

    model_config = ConfigDict(extra="forbid")

    load: float = Field(
        gt=0, le=1e9, allow_inf_nan=False, description="Active power or flow rate at the meter [kW or m3/h]."
    )
    error_pct: float = Field(
        ge=-100, le=1000, allow_inf_nan=False, description="(indication - reference) / reference [%]."
    )
    expanded_uncertainty_pct: float = Field(
        gt=0, le=100, allow_inf_nan=False, description="Of this error, with the standard's own in it [%]."
    )
    coverage_factor: float = Field(default=2.0, ge=1, le=20, allow_inf_nan=False)


class SiteTestBody(BaseModel):
    """A test of a meter where it is installed."""

    model_config = ConfigDict(extra="forbid")

    tested_at: Instant
    standard: Text = Field(description="Code of the reference standard that was used.")
    tested_by: Person = Field(description="The person who made the test.")
    note: Note = ""
    points: list[SiteTestPoint] = Field(min_length=1, max_length=MAX_POINTS)
    alert_id: int | None = Field(default=None, ge=1, le=MAX_ID, description="The alert that led to the test.")
    corrects: int | None = Field(
        default=None, ge=1, le=MAX_ID, description="The test in force that this one takes the place of."
    )


class SiteTest(Answer):
    """A recorded test, with the standard as its certificate stated it at the time of recording."""

    site_test_id: int
    tested_at: Time
    standard: str = Field(description="Code of the reference standard.")
    certificate: str
    standard_expanded_uncertainty_pct: float
    standard_coverage_factor: float
    standard_valid_from: date
    standard_valid_until: date
    points: list[SiteTestPoint] = Field(description="By ascending load.")
    tested_by: str
    note: str
    alert_id: int | None
    recorded_by: str
    recorded_at: Time
    supersedes_id: int | None = Field(description="The test that this one corrects.")
    superseded_at: Time | None = Field(description="Since when a correction has taken its place.")
