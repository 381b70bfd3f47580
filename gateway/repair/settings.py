"""Settings of the repair of gaps and clocks."""

from pydantic import BaseModel, ConfigDict, Field

from gateway.clocks import ClockModel


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClockSettings(_Section):
    """How device clocks are judged, and when the time is offered to them."""

    synchronise: bool = Field(True, description="Send commands that set clocks; false: offsets are only estimated.")
    limit_s: float = Field(
        10.0,
        gt=0,
        le=86_400,
        description="A clock certainly further off than this is to be set [s]; 10 s keep a zone's balance at half an "
        "hour nearly free of bias.",
    )
    least_delay_max_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="The quickest of a device's deliveries takes at most this [s]. A clock behind can't be told from a "
        "slower way: raise it where concentrators collect before they send.",
    )
    window_s: float = Field(86_400.0, ge=60, le=30 * 86_400, description="Arrivals of one to two such spans count [s].")
    lag_max_s: float = Field(
        21_600.0, gt=0, le=30 * 86_400, description="Arrivals later than this say nothing about a clock [s]."
    )
    samples_min: int = Field(12, ge=6, le=10_000, description="Arrivals that an estimate needs.")
    confidence: float = Field(0.99, gt=0.5, lt=1, description="Confidence of the offset's bounds.")
    peers_min: int = Field(
        5, ge=2, le=10_000, description="Devices of a concentrator from which on their common delay is estimated."
    )
    again_s: float = Field(86_400.0, ge=60, description="A clock is set at most once in this time [s].")
    devices_max: int = Field(500, ge=1, le=10_000, description="Clocks in one command.")

    @property
    def model(self) -> ClockModel:
        """What the estimate assumes."""
        return ClockModel(
            window_s=self.window_s,
            lag_max_s=self.lag_max_s,
            samples_min=self.samples_min,
            least_delay_max_s=self.least_delay_max_s,
            confidence=self.confidence,
            peers_min=self.peers_min,
        )


class RepairSettings(_Section):
    """What is missing, how often and how much of it is asked for, and when it is given up."""

    enabled: bool = Field(True, description="Ask for missing readings and set clocks; false: the role does nothing.")
    poll_s: float = Field(0.5, gt=0, le=60, description="Pause between looks for new batches and acknowledgements [s].")
    look_every_s: float = Field(
        3_600.0,
        gt=0,
        le=86_400,
        description="How often each concentrator's meters are looked at for gaps [s]; what came up meanwhile goes into "
        "one command.",
    )
    meters_per_look: int = Field(5_000, ge=1, le=100_000, description="Meters of a concentrator looked at in one go.")
    patience_s: float = Field(
        1_800.0,
        ge=0,
        le=30 * 86_400,
        description="A reading is missing, not late, when its concentrator has carried later ones for this long [s].",
    )
    memory_s: float = Field(
        30 * 86_400.0, gt=0, le=3_660 * 86_400, description="How far back meters keep their load profile [s]."
    )
    commands_per_hour: int = Field(6, ge=0, le=3_600, description="Most commands to a concentrator in an hour.")
    points_per_command: int = Field(2_000, ge=1, le=50_000, description="Most readings asked for in one command.")
    expires_s: float = Field(
        3_600.0, ge=1, le=30 * 86_400, description="A command is carried out within this time [s]."
    )
    settle_s: float = Field(
        120.0,
        ge=0,
        le=86_400,
        description="Time for answers to be stored after a concentrator's 'done' [s].",
    )
    attempts_max: int = Field(5, ge=1, le=1_000, description="A gap that was asked for this often is given up.")
    retry_first_s: float = Field(900.0, ge=0, description="Pause before a second attempt [s]; then 4 times it.")
    retry_longest_s: float = Field(86_400.0, ge=0, description="Longest such pause [s].")
    follow_readings_max: int = Field(
        200_000, ge=1, le=5_000_000, description="Batches are followed together up to this many readings."
    )
    reconnect_pause_max_s: float = Field(30.0, gt=0, le=3_600, description="Longest pause after a passing fault [s].")
    clock: ClockSettings = Field(ClockSettings(), description="Device clocks.")

    def retry_pause_s(self, attempt: int) -> float:
        """The pause after the `attempt`-th attempt, from 1 [s]."""
        return float(min(self.retry_first_s * 4.0 ** min(attempt - 1, 50), self.retry_longest_s))
