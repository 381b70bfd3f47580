"""Settings of what the gateway says over MQTT: feedback to senders, and its own status."""

from pydantic import BaseModel, ConfigDict, Field


class FeedbackSettings(BaseModel):
    """What senders hear of quarantined messages on `…/rejected`, and the gateway's own retained status."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tell_senders: bool = Field(True, description="Publish what was quarantined to its sender's `…/rejected`.")
    per_sender_per_minute: float = Field(
        30.0, gt=0, le=60_000, description="Messages that one sender is told of, in the long run [1/min]."
    )
    per_sender_at_once: int = Field(20, ge=1, le=10_000, description="Messages that one sender is told of at once.")
    overall_per_second: float = Field(
        200.0, gt=0, le=100_000, description="Messages that all senders together are told of [1/s]."
    )
    publish_status: bool = Field(
        True, description="Keep `mp/v1/_gateway/{client_id}/status` (retained, with a last will) at the broker."
    )
    waiting_max: int = Field(
        10_000, ge=1, le=1_000_000, description="Messages that wait for the broker; further ones are dropped."
    )
