"""Settings of the evidence on light load and low flow: which loads are small, how much history, how sure."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class LightLoadSettings(BaseModel):
    """What a meter's own course says of small loads, which no balance sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    electricity_i_tr_a: Positive = Field(
        default=0.5,
        description="Current from which the limits of electricity meters hold, I_tr, where the model is not listed in"
        " small_rate_by_model: 5(60) A, directly connected [A].",
    )
    electricity_voltage_v: Positive = Field(default=220.0, description="Voltage that makes a load of it [V].")
    electricity_i_st_a: Positive = Field(
        default=0.02, description="Starting current, I_st: what is registered at less may be creep [A]."
    )
    water_q3_m3ph: Positive = Field(
        default=2.5, description="Permanent flow rate Q3 of water meters whose model is not listed [m3/h]."
    )
    water_ratio_r: Annotated[float, Field(gt=1)] = Field(
        default=80.0, description="Their R = Q3/Q1: with it Q2, from which the narrower limits hold."
    )
    gas_q_min_m3ph: Positive = Field(
        default=0.04, description="Least flow rate Q_min of gas meters whose model is not listed [m3/h]."
    )
    small_rate_by_model: dict[str, Positive] = Field(
        default_factory=dict,
        description="Load below which a meter's limits are wider or none, by model, instead of the medium's [kW or"
        " m3/h].",
    )
    block_s: Annotated[int, Field(ge=900, le=86_400)] = Field(
        default=900,
        description="A meter's course is parted into blocks of at least this length, longer where it is read less often"
        " or its register is coarse [s].",
    )
    known_min: Share = Field(
        default=0.8, description="A week counts if at least this share of its blocks was read at both ends."
    )
    history_weeks: Annotated[int, Field(ge=4)] = Field(
        default=8, description="So many weeks of a meter must be known before its small loads are judged [weeks]."
    )
    window_weeks: Annotated[int, Field(ge=1, le=8)] = Field(
        default=2, description="They are judged over so many successive weeks [weeks]."
    )
    small_share_min: Share = Field(
        default=0.2,
        description="Only meters of which formerly at least this share of the blocks without a larger load showed a"
        " small one are judged.",
    )
    lost_share: Share = Field(
        default=0.5, description="Lost are small loads whose share fell below this part of what it was."
    )
    coarse_block_s: Annotated[int, Field(ge=900, le=86_400)] = Field(
        default=3600,
        description="From blocks of this length on a slow draw of water can't be told from a short one: fewer small"
        " loads are looked for over more weeks [s].",
    )
    coarse_window_weeks: Annotated[int, Field(ge=2, le=13)] = Field(
        default=6, description="... over so many successive weeks [weeks]."
    )
    coarse_history_weeks: Annotated[int, Field(ge=8)] = Field(
        default=12, description="... after so many weeks of history [weeks]."
    )
    coarse_lost_share: Share = Field(
        default=0.8, description="... and lost are those whose share fell below this part of what it was."
    )
    large_blocks_min: Annotated[float, Field(ge=1)] = Field(
        default=7.0, description="Formerly at least so many blocks a week must have had a larger load."
    )
    large_share_min: Share = Field(
        default=0.5,
        description="Larger loads must go on in at least this part of as many blocks as before; else nobody may be in.",
    )
    lost_prior: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.001, description="Probability, before the data, that a meter loses its small loads in given weeks."
    )
    lost_probability: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="Probability above which lost small loads are told."
    )
    false_alarm_probability: Annotated[float, Field(gt=0, lt=0.1)] = Field(
        default=1e-5,
        description="... if a meter that goes on as before shows so few with at most this probability, at each look.",
    )
    night_window_s: Annotated[int, Field(ge=3600, le=4 * 3600)] = Field(
        default=3 * 3600,
        description="Water that flows in every stretch of this length of a day may be a leak behind the meter [s].",
    )
    night_days: Annotated[int, Field(ge=2)] = Field(
        default=7, description="... if it does so on so many successive days [d]."
    )
    light_share_min: Share = Field(
        default=0.3,
        description="A larger share of the quantity at small loads, over four weeks, is told: of electricity by mean"
        " loads, of water and gas only what flowed all day long, for there a mean over an hour is no flow rate.",
    )
    creep_weeks: Annotated[int, Field(ge=1)] = Field(
        default=2, description="So many successive weeks at one constant small rate may be creep [weeks]."
    )
    creep_steps_min: Annotated[int, Field(ge=3)] = Field(
        default=12, description="... with at least so many steps of the register a week."
    )

    @model_validator(mode="after")
    def _starts_below(self) -> Self:
        if self.electricity_i_st_a >= self.electricity_i_tr_a:
            raise ValueError(
                f"electricity_i_st_a = {self.electricity_i_st_a:g} must be below"
                f" electricity_i_tr_a = {self.electricity_i_tr_a:g}"
            )
        return self
