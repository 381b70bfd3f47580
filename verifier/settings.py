"""Settings of the verifier: every threshold of the checks on register steps, with its default and its reason."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from verifier.balance_settings import BalanceSettings
from verifier.comparison_settings import ComparisonSettings
from verifier.light_load_settings import LightLoadSettings

Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=10 * 366 * 86_400)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ElectricityLimits(_Section):
    """What is plausible for electricity meters, in quantities of the network (after CT and PT multipliers)."""

    max_rate_kw: Positive = Field(
        default=100.0, description="Highest plausible mean power of a customer's or check meter [kW]."
    )
    max_rate_reference_kw: Positive = Field(
        default=10_000.0, description="Highest plausible mean power of a zone's reference meter [kW]."
    )
    large_step_kwh: Positive = Field(
        default=10.0,
        description="Unexplained steps and glitches above this are a warning, others are noted only [kWh].",
    )
    stopped_s: Seconds = Field(
        default=3 * 86_400.0,
        description="An installed meter whose register does not move for this time is told as stopped [s]."
        " An occupied dwelling's standby load moves it within hours.",
    )


class WaterLimits(_Section):
    """What is plausible for water meters."""

    max_rate_m3ph: Positive = Field(
        default=20.0, description="Highest plausible mean flow of a customer's or check meter [m3/h] (Q4 of a DN 40)."
    )
    max_rate_reference_m3ph: Positive = Field(
        default=2_000.0, description="Highest plausible mean flow of a zone's reference meter [m3/h]."
    )
    large_step_m3: Positive = Field(
        default=1.0, description="Unexplained steps and glitches above this are a warning, others are noted only [m3]."
    )
    stopped_s: Seconds = Field(
        default=14 * 86_400.0,
        description="An installed meter whose register does not move for this time is told as stopped [s]."
        " Two weeks are a usual absence from home.",
    )


class GasLimits(_Section):
    """What is plausible for gas meters, at operating conditions."""

    max_rate_m3ph: Positive = Field(
        default=40.0, description="Highest plausible mean flow of a customer's or check meter [m3/h] (Qmax of a G25)."
    )
    max_rate_reference_m3ph: Positive = Field(
        default=5_000.0, description="Highest plausible mean flow of a zone's reference meter [m3/h]."
    )
    large_step_m3: Positive = Field(
        default=1.0, description="Unexplained steps and glitches above this are a warning, others are noted only [m3]."
    )
    stopped_s: Seconds = Field(
        default=30 * 86_400.0,
        description="An installed meter whose register does not move for this time is told as stopped [s]."
        " Heating-only customers use none for long; in summer this setting wants raising.",
    )


class StepSettings(_Section):
    """Thresholds that hold for every medium."""

    noise_resolutions: Annotated[float, Field(ge=0)] = Field(
        default=2.0,
        description="Backward steps of up to this many resolutions are quantisation noise: noted, never an alert.",
    )
    return_horizon_s: Seconds = Field(
        default=6 * 3600.0, description="A value that left the level and returns within this time is a glitch [s]."
    )
    return_readings: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="... or within this many further readings, for meters that are read rarely."
    )
    return_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25,
        description="A value counts as returned if it lies above the old level by at most this share of the excursion.",
    )
    reset_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25,
        description="A drop to at most this share of the register is told as a reset, not a backward step.",
    )
    rate_time_slack_s: Annotated[float, Field(ge=0)] = Field(
        default=60.0, description="Added to the time between two readings before a rate is judged: clocks jitter [s]."
    )
    uncounted_rate_factor: Annotated[float, Field(ge=1)] = Field(
        default=5.0, description="An implausible rise above this many times the highest rate is left out of the total."
    )
    gap_s: Seconds = Field(default=7200.0, description="More time than this between two readings is a gap [s].")
    reversed_s: Seconds = Field(
        default=86_400.0,
        description="A register that stays below its peak for this time may be running backwards: alarm [s].",
    )
    reversed_steps: Annotated[int, Field(ge=2)] = Field(
        default=6, description="... if it also went back in at least this many separate steps."
    )
    reversed_resolutions: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="... by more than this many resolutions in all."
    )
    clock_ahead_s: Annotated[float, Field(ge=0)] = Field(
        default=180.0, description="A time later than the batch's receipt by more than this is a finding [s]."
    )
    clock_excluded_s: Annotated[float, Field(ge=0)] = Field(
        default=3600.0,
        description="Readings further in the future than this are kept out of the checks: their place is unknown [s].",
    )


class FollowerSettings(_Section):
    """How the verifier follows the batches."""

    max_readings: Annotated[int, Field(ge=1, le=5_000_000)] = Field(
        default=400_000, description="Batches are taken together up to this many readings (at least one batch)."
    )
    poll_s: Positive = Field(default=0.25, description="Pause between looks for new batches [s].")
    checkpoint_s: Seconds = Field(
        default=86_400.0, description="A meter's state is kept once per this time, so that late data are cheap [s]."
    )
    retry_first_s: Positive = Field(default=0.2, description="First pause after a transient database fault [s].")
    retry_longest_s: Positive = Field(default=30.0, description="Longest pause after transient database faults [s].")


class VerifierSettings(_Section):
    """Everything that a conclusion on register steps depends on; its digest stands with every finding."""

    electricity: ElectricityLimits = Field(default=ElectricityLimits(), description="Limits of electricity meters.")
    water: WaterLimits = Field(default=WaterLimits(), description="Limits of water meters.")
    gas: GasLimits = Field(default=GasLimits(), description="Limits of gas meters.")
    max_rate_by_model: dict[str, Positive] = Field(
        default_factory=dict,
        description="Highest plausible rate by meter model, instead of the medium's [kW or m3/h].",
    )
    max_rate_by_meter: dict[str, Positive] = Field(
        default_factory=dict,
        description='Highest plausible rate by meter, written "utility/serial", before all others [kW or m3/h].',
    )
    steps: StepSettings = Field(default=StepSettings(), description="Thresholds common to all media.")
    balance: BalanceSettings = Field(default=BalanceSettings(), description="How zones are balanced and meters judged.")
    comparison: ComparisonSettings = Field(
        default=ComparisonSettings(), description="How meters are compared with check meters and tested on site."
    )
    light_load: LightLoadSettings = Field(
        default=LightLoadSettings(), description="What a meter's own course says of small loads, which no balance sees."
    )
    follower: FollowerSettings = Field(default=FollowerSettings(), description="How batches are followed.")

    @model_validator(mode="after")
    def _days_are_settled(self) -> Self:
        late_s, horizon_s = self.balance.late_member_s, self.steps.return_horizon_s
        if late_s <= horizon_s:
            raise ValueError(f"balance.late_member_s = {late_s:g} must exceed steps.return_horizon_s = {horizon_s:g}")
        return self
