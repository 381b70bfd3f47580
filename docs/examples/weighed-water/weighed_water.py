"""A codec of another package: lines of `serial;litres;seconds since 1970`, many meters a message.

W-0007;1250.5;1767225600
"""

from pydantic import BaseModel, ConfigDict, Field

from gateway.codec.registry import CodecKind
from gateway.codec.rows import CodecContext, MessageRejected, RowReject, Rows
from gateway.reasons import Reason
from metrology.quantities import Medium


class Options(BaseModel):
    """What a source may set for this codec."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    separator: str = Field(";", min_length=1, max_length=1, description="Between the parts of a line.")


class WeighedWater:
    """See gateway.codec.rows.Codec."""

    def __init__(self, options: Options, context: CodecContext) -> None:
        self._separator = options.separator
        self._readings_max = context.readings_max

    def decode(self, _topic: str, payload: bytes, _received_us: int | None) -> Rows:
        """The lines of a payload. Raises MessageRejected and nothing else."""
        try:
            lines = payload.decode("ascii").splitlines()
        except UnicodeDecodeError as error:
            raise MessageRejected(Reason.UNDECODABLE, f"byte {error.start} is no ASCII") from None
        if not lines or len(lines) > self._readings_max:
            reason = Reason.TOO_MANY_READINGS if lines else Reason.UNDECODABLE
            raise MessageRejected(reason, f"{len(lines)} lines, 1 to {self._readings_max} are allowed", len(lines))
        rows = Rows(Medium.WATER, "L", [], [], [], [])
        for number, line in enumerate(lines):
            meter, litres, seconds = [*line.split(self._separator), "", ""][:3]
            is_time = seconds.isdigit() and len(seconds) <= 10
            if not is_time:
                rows.rejects.append(RowReject(number, Reason.OBSERVED_AT_INVALID, repr(seconds[:80])))
            rows.meter.append(meter)
            rows.register.append(litres)  # as sent: the gateway reads decimal texts exactly, or rejects the row
            rows.observed_at.append(int(seconds) * 1000 if is_time else 0)
            rows.status.append(0)
        return rows


WEIGHED_WATER = CodecKind(
    summary="lines of serial, litres and seconds since 1970",
    options=Options,
    build=WeighedWater,
    accepts=lambda options: [f"one line a reading: serial{options.separator}litres{options.separator}seconds"],
)
