"""Many decoded messages to what is stored of them: readings, pending and quarantine rows. Pure: no IO, no clock."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from gateway.codec.rows import MessageRejected
from gateway.columns import NO_REASON, REASONS, Columns, columns_of
from gateway.convert import Mask
from gateway.decode import Decoded
from gateway.identity import MEDIA, UNKNOWN, IdentityMap
from gateway.reasons import Reason
from gateway.rejects import message_row, rejected_rows
from gateway.settings import GatewaySettings
from store.cells import is_reserved_name
from store.pending import PendingRow
from store.quarantine import QuarantineRow
from store.readings import READING

SERIAL_LENGTH_MAX = 128
MeterIds = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a batch's messages come to: `readings_in` is the sum of `readings`, `pending` and `rejected`."""

    readings: NDArray[np.void]
    pending: list[PendingRow]
    quarantine: list[QuarantineRow]
    readings_in: int
    rejected: int


def assemble(
    messages: Sequence[Decoded], identities: IdentityMap, settings: GatewaySettings, batch_id: int
) -> Assembly:
    """Resolve, convert and check the rows of all messages; a message's place in `messages` is its `message_no`."""
    return resolve(messages, columns_of(messages), identities, settings, batch_id)


def resolve(
    messages: Sequence[Decoded], columns: Columns, identities: IdentityMap, settings: GatewaySettings, batch_id: int
) -> Assembly:
    """The same, the messages' columns given; they stay as they are."""
    columns = dataclasses.replace(columns, reason=columns.reason.copy())
    meter_id = _meter_ids(messages, columns, identities)
    _check(columns, meter_id, identities, settings)
    quarantine, refused = _refused_messages(messages, identities, batch_id)
    taken = ~refused[columns.message_no]
    good = taken & (columns.reason == NO_REASON)
    readings = _readings(columns, meter_id, good & (meter_id != UNKNOWN), batch_id)
    pending = _pending(columns, good & (meter_id == UNKNOWN), messages, identities, batch_id)
    bad = np.flatnonzero(taken & ~good)
    bad_rows = zip(columns.message_no[bad], columns.row_no[bad], columns.reason[bad], strict=True)
    quarantine += rejected_rows(messages, ((int(no), int(row), REASONS[code]) for no, row, code in bad_rows), batch_id)
    readings_in = sum([decoded.readings for decoded in messages])
    return Assembly(readings, pending, quarantine, readings_in, readings_in - len(readings) - len(pending))


def _refused_messages(
    messages: Sequence[Decoded], identities: IdentityMap, batch_id: int
) -> tuple[list[QuarantineRow], Mask]:
    """The quarantine rows of whole messages, and which of all messages these are, (messages,)."""
    quarantine: list[QuarantineRow] = []
    refused = np.zeros(len(messages), dtype=np.bool_)
    for message_no, decoded in enumerate(messages):
        rejection = decoded.rejection
        if rejection is None and decoded.utility not in identities.utilities:
            rejection = MessageRejected(Reason.UTILITY_UNKNOWN, f"utility {decoded.utility!r}", decoded.readings)
        if rejection is not None:
            quarantine.append(message_row(decoded, rejection.reason, rejection.found, batch_id))
            refused[message_no] = True
    return quarantine, refused


def _meter_ids(messages: Sequence[Decoded], columns: Columns, identities: IdentityMap) -> MeterIds:
    """The registry's number of each row's meter, (n,); UNKNOWN where it has none."""
    n = len(columns.meter)
    utilities = {decoded.utility for decoded in messages}
    meters = {utility: identities.meters.get(utility, {}) for utility in utilities}
    if len(utilities) == 1:
        (known,) = meters.values()
        return np.fromiter(map(known.get, columns.meter, repeat(UNKNOWN)), dtype=np.int64, count=n)
    utility_of = [messages[no].utility for no in columns.message_no.tolist()]
    ids = [meters[utility].get(meter, UNKNOWN) for utility, meter in zip(utility_of, columns.meter, strict=True)]
    return np.array(ids, dtype=np.int64)


def _check(columns: Columns, meter_id: MeterIds, identities: IdentityMap, settings: GatewaySettings) -> None:
    """Reject rows whose values can't be true; each limit is a setting."""
    columns.reject(columns.observed_us < settings.earliest_us, Reason.OBSERVED_AT_TOO_EARLY)
    latest_us = columns.received_us + settings.observed_at_future_s * 1_000_000
    columns.reject(columns.observed_us > latest_us, Reason.OBSERVED_AT_IN_FUTURE)
    register_min, register_max = settings.register_limits_micro
    columns.reject(
        (columns.register_micro < register_min) | (columns.register_micro > register_max), Reason.REGISTER_OUT_OF_RANGE
    )
    unknown = meter_id == UNKNOWN
    columns.reject(~unknown & (identities.medium_of[meter_id] != columns.medium), Reason.MEDIUM_MISMATCH)
    bad_serial = np.zeros(len(unknown), dtype=np.bool_)
    for i in np.flatnonzero(unknown):  # serials of registered meters are good as they are
        bad_serial[i] = not is_serial(columns.meter[i])
    columns.reject(bad_serial, Reason.METER_INVALID)


def is_serial(text: str) -> bool:
    """True for what the registry could hold as a serial: 1 to 128 printable characters."""
    # Blanks around it are not taken off: the registry's serials have none, so such a reading would wait for ever.
    plain = 0 < len(text) <= SERIAL_LENGTH_MAX and text.isprintable() and text == text.strip()
    return plain and not is_reserved_name(text)


def _readings(columns: Columns, meter_id: MeterIds, chosen: Mask, batch_id: int) -> NDArray[np.void]:
    readings = np.empty(int(chosen.sum()), dtype=READING)
    readings["observed_us"] = columns.observed_us[chosen]
    readings["register_micro"] = columns.register_micro[chosen]
    readings["batch_id"] = batch_id
    readings["meter_id"] = meter_id[chosen]
    readings["status"] = columns.status[chosen]
    readings["message_no"] = columns.message_no[chosen]
    return readings


def _pending(
    columns: Columns, chosen: Mask, messages: Sequence[Decoded], identities: IdentityMap, batch_id: int
) -> list[PendingRow]:
    rows = np.flatnonzero(chosen)
    values = (columns.observed_us, columns.register_micro, columns.status, columns.message_no, columns.medium)
    return [
        PendingRow(
            identities.utilities[messages[message_no].utility],
            columns.meter[row],
            MEDIA[medium],
            observed_us,
            register_micro,
            status,
            batch_id,
            message_no,
        )
        for row, observed_us, register_micro, status, message_no, medium in zip(
            rows.tolist(), *(column[rows].tolist() for column in values), strict=True
        )
    ]
