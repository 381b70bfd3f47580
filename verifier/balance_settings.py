"""Settings of the zone balance: history, sufficiency, what is believed before the data, and when an alarm is raised."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from metrology.errors import MeterproofError
from metrology.quantities import Medium
from metrology.regulation import get_regulation

Percent = Annotated[float, Field(gt=0, le=100)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class BalanceSettings(BaseModel):
    """How zones are balanced and how their meters are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_days: Annotated[int, Field(ge=7, le=366)] = Field(
        default=112, description="Days of readings that an estimate rests on at most [d]."
    )
    history_step_days: Annotated[int, Field(ge=1, le=92)] = Field(
        default=28, description="The history's beginning moves on by so many days at a time [d]."
    )
    first_days: Annotated[int, Field(ge=2, le=60)] = Field(
        default=4, description="Days of readings before a zone is balanced for the first time [d]."
    )
    epoch_days: Annotated[int, Field(ge=1, le=28)] = Field(
        default=7, description="The noise is calibrated and all changes are weighed anew every so many days [d]."
    )
    initial_fault_share: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.02, description="Share of meters believed to be far from their like before any data."
    )
    change_rate_per_year: Annotated[float, Field(gt=0, lt=10)] = Field(
        default=0.1, description="How often the error of a meter is believed to change, by a step or a drift [1/a]."
    )
    meters_per_change: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="At most one change for so many meters of a zone is taken up (ten in small zones)."
    )
    noise_customer_max: Annotated[float, Field(gt=0)] = Field(
        default=0.12,
        description="Unexplained noise of an interval, against what a usual customer's load varies by, above which the"
        " zone is not understood.",
    )
    noise_customer_max_water: Annotated[float, Field(gt=0)] = Field(
        default=0.2, description="The same for water, whose leakage is never quite still."
    )
    noise_customer_max_gas: Annotated[float, Field(gt=0)] = Field(
        default=0.2, description="The same for gas: the temperature at the customers is never quite known."
    )
    unmetered_max_pct: Percent = Field(
        default=1.0, description="A load past the meters above this share of the zone's withholds its verdicts [%]."
    )
    unmetered_max_water_pct: Percent = Field(
        default=10.0, description="The same for water: leakage comes and goes, and its course is a plain one [%]."
    )
    stopped_share_min: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2,
        description="A silent meter has stopped if more than this share of its usual load is surely missing.",
    )
    network_doubt: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.6,
        description="Without the resistances of a network, the share of its line losses that stays in the uncertainty"
        " of every meter: where a customer hangs in it is known only roughly from the loads.",
    )
    regulation_electricity: str = Field(
        default="jjf-hebei-174-2020", description="Regulation that states the limits in service of electricity meters."
    )
    regulation_water: str = Field(default="oiml-r49-2013", description="The same for water meters.")
    regulation_gas: str = Field(default="oiml-r137-2012", description="The same for gas meters.")
    sufficiency: str = Field(
        default="jjf-yunnan-21-2022",
        description="Regulation that states how much data a verdict needs, for every medium.",
    )
    refusal: str = Field(
        default="jjf-jiangxi-017-2020", description="Regulation that states which zones are refused, for every medium."
    )
    prior_sd_electricity_pct: Percent = Field(
        default=0.6,
        description="Spread of healthy electricity meters' errors, where a meter has no own prior_sd_pct [%].",
    )
    prior_sd_water_pct: Percent = Field(default=1.5, description="The same for water meters [%].")
    prior_sd_gas_pct: Percent = Field(default=1.0, description="The same for gas meters [%].")
    pool_meters_min: Annotated[int, Field(ge=2)] = Field(
        default=20, description="Meters of a type in other zones from which a pooled prior is taken, at the least."
    )
    pool_zones_min: Annotated[int, Field(ge=2)] = Field(
        default=3, description="Zones in which these are, at the least: a zone's reference errs for all of its meters."
    )
    pool_told_min: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2,
        description="A meter counts as one of these if the data took away this share of its prior variance.",
    )
    pool_sd_least_pct: Percent = Field(
        default=0.1, description="Least standard deviation of a meter's pooled prior about its group's mean [%]."
    )
    pool_common_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5,
        description="Share of a zone's uncertainty about the error of all its meters together (its reference, its"
        " losses) that is believed to be the same in all zones, and so does not average out in a pooled mean.",
    )
    pool_age_spread_years: Annotated[float, Field(gt=0)] = Field(
        default=2.0, description="Standard deviation of a type's ages from which a trend with age is estimated [a]."
    )
    reference_uncertainty_pct: Annotated[float, Field(ge=0, le=100)] = Field(
        default=0.3,
        description="Standard uncertainty of a reference's constant error in `assess`, for zones whose file states"
        " none; registered zones have their own [%].",
    )
    std_floor_pct: Percent = Field(
        default=0.05,
        description="Least standard uncertainty, for what the model leaves out (own load's losses, load dependence,"
        " temperature) [%].",
    )
    interpolation_reach_intervals: Annotated[float, Field(ge=1, le=10)] = Field(
        default=1.5,
        description="Readings further apart than this many intervals of the zone leave the course between open.",
    )
    clock_sd_electricity_s: Seconds = Field(
        default=5.0, description="Standard deviation of electricity meters' clocks about the reference's [s]."
    )
    clock_sd_water_s: Seconds = Field(default=10.0, description="The same for water meters [s].")
    clock_sd_gas_s: Seconds = Field(default=15.0, description="The same for gas meters [s].")
    loss_spread: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.5,
        description="How much the line losses that a customer causes may differ from the zone's mean by its place in"
        " the network: standard deviation as a share of that of the zone's quadratic losses. 0: not at all.",
    )
    last_day_share_min: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1,
        description="A meter that registered less in the last day than this share of its mean is not said to conform:"
        " it may have stopped.",
    )
    information_min: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5,
        description="Least share of a meter's prior variance that the data must take away for a verdict; below it would"
        " be a verdict on what was believed before.",
    )
    alarm_probability: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="Probability of nonconformity above which a meter counts as nonconforming."
    )
    clear_probability: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05, description="Probability of nonconformity below which a meter counts as conforming."
    )
    persistence_days: Annotated[int, Field(ge=1, le=60)] = Field(
        default=3, description="Nonconforming on this many successive days before an alert is raised [d]."
    )
    late_member_s: Annotated[float, Field(ge=0)] = Field(
        default=7 * 3600.0,
        description="A day is assessed when a member has read this long past its end: late members have so much time,"
        " and it must exceed steps.return_horizon_s, so that a glitch at the day's end is known as one [s].",
    )

    @field_validator("regulation_electricity", "regulation_water", "regulation_gas", "sufficiency", "refusal")
    @classmethod
    def _known_regulation(cls, name: str) -> str:
        try:
            get_regulation(name)
        except MeterproofError as error:
            raise ValueError(str(error)) from None
        return name

    def regulation(self, medium: Medium) -> str:
        """The regulation whose limits in service hold for the medium."""
        return {
            Medium.ELECTRICITY: self.regulation_electricity,
            Medium.WATER: self.regulation_water,
            Medium.GAS: self.regulation_gas,
        }[medium]

    def noise_max(self, medium: Medium) -> float:
        """Unexplained noise against a customer's variation above which a zone of the medium is not understood."""
        return {
            Medium.ELECTRICITY: self.noise_customer_max,
            Medium.WATER: self.noise_customer_max_water,
            Medium.GAS: self.noise_customer_max_gas,
        }[medium]

    def prior_sd_pct(self, medium: Medium) -> float:
        """The spread of healthy meters' errors [%]."""
        return {
            Medium.ELECTRICITY: self.prior_sd_electricity_pct,
            Medium.WATER: self.prior_sd_water_pct,
            Medium.GAS: self.prior_sd_gas_pct,
        }[medium]

    def clock_sd_s(self, medium: Medium) -> float:
        """The standard deviation of meters' clocks [s]."""
        return {
            Medium.ELECTRICITY: self.clock_sd_electricity_s,
            Medium.WATER: self.clock_sd_water_s,
            Medium.GAS: self.clock_sd_gas_s,
        }[medium]
