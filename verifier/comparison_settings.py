"""Settings of direct comparisons: what is believed of standards, loads and conditions, beyond what is measured."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from metrology.quantities import Medium

Percent = Annotated[float, Field(ge=0, le=100)]


class ComparisonSettings(BaseModel):
    """How a meter is compared with a standard in series with it, and what a test on site says of its running error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows_days: tuple[int, ...] = Field(
        default=(28, 14, 7),
        min_length=1,
        description="Spans of time tried for a check meter, longest first [d]: the longest whose days agree is used.",
    )
    days_min: Annotated[int, Field(ge=2)] = Field(
        default=5, description="Least number of days on which meter and check meter both were read [d]."
    )
    consistency_probability: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.001,
        description="The days' errors disagree if their scatter would be exceeded with less than this probability.",
    )
    drift_pct_per_year: Percent = Field(
        default=0.1, description="A standard has drifted by at most this since its certificate, a year [%]."
    )
    own_consumption_w: Annotated[float, Field(ge=0)] = Field(
        default=1.0,
        description="Electricity: the meter upstream may register what the other one itself takes, at most [W].",
    )
    temperature_electricity_pct: Percent = Field(
        default=0.05, description="Standard uncertainty for unequal temperatures of meter and standard [%]."
    )
    temperature_water_pct: Percent = Field(default=0.05, description="The same for water meters [%].")
    temperature_gas_pct: Percent = Field(
        default=0.34, description="The same for gas meters: 1 K between them is 0.34 % of volume [%]."
    )
    uncovered_electricity_pct: Percent = Field(
        default=0.5,
        description="Standard deviation of how the error at a load beyond the tested ones differs from that at the"
        " nearest tested load [%].",
    )
    uncovered_water_pct: Percent = Field(default=3.0, description="The same for water meters [%].")
    uncovered_gas_pct: Percent = Field(default=1.5, description="The same for gas meters [%].")
    profile_days: Annotated[int, Field(ge=1, le=366)] = Field(
        default=28, description="A site test's points are weighted by the loads of so many days before it [d]."
    )
    site_test_days: Annotated[int, Field(ge=1)] = Field(
        default=180, description="A site test speaks for the meter's error for so long after it [d]."
    )

    def temperature_pct(self, medium: Medium) -> float:
        """The standard uncertainty for unequal temperatures [%]."""
        return {
            Medium.ELECTRICITY: self.temperature_electricity_pct,
            Medium.WATER: self.temperature_water_pct,
            Medium.GAS: self.temperature_gas_pct,
        }[medium]

    def uncovered_pct(self, medium: Medium) -> float:
        """The standard deviation of the error where no load was tested, about the nearest tested one [%]."""
        return {
            Medium.ELECTRICITY: self.uncovered_electricity_pct,
            Medium.WATER: self.uncovered_water_pct,
            Medium.GAS: self.uncovered_gas_pct,
        }[medium]
