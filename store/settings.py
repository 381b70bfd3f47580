"""Settings of the database connection."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DatabaseSettings(BaseModel):
    """How PostgreSQL is reached and how long a statement may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # A plain text that is left out of every repr: it may hold a password.
    dsn: str = Field(
        default="",
        repr=False,
        description="Connection string or URL of PostgreSQL, e.g. postgresql://user@host/meterproof."
        " Empty: the embedded server.",
    )
    pool_min: int = Field(default=1, ge=0, le=1000, description="Connections kept open.")
    pool_max: int = Field(default=8, ge=1, le=1000, description="Connections at most, per process.")
    pool_timeout_s: float = Field(default=30.0, gt=0, description="How long to wait for a free connection [s].")
    connect_timeout_s: int = Field(default=10, ge=1, description="How long to wait for the server to answer [s].")
    statement_timeout_s: float = Field(
        default=300.0, ge=0, description="The server cancels a statement that takes longer [s]; 0: no limit."
    )
    lock_timeout_s: float = Field(
        default=60.0, ge=0, description="The server cancels a statement that waits longer for a lock [s]; 0: no limit."
    )
    idle_in_transaction_timeout_s: float = Field(
        default=600.0,
        ge=0,
        description="The server ends a session that leaves a transaction idle longer [s]; 0: never.",
    )
    application_name: str = Field(
        default="meterproof", max_length=63, description="Name that the server's activity view shows."
    )

    @model_validator(mode="after")
    def _pool_in_order(self) -> "DatabaseSettings":
        if self.pool_min > self.pool_max:
            raise ValueError(
                f"pool_min = {self.pool_min} exceeds pool_max = {self.pool_max}; lower the one or raise the other"
            )
        return self
