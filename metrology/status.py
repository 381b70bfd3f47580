"""What a meter says about its own reading: a bit set beside every register.

The flags follow the common ground of the EN 13757-3 status byte, the ANSI C12.19 end device status and the interval
status of DLMS/COSEM profiles; each codec maps its dialect's bits onto these. A flag is never dropped silently, and
none of them changes the register.
"""

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


class ReadingStatus(IntFlag):
    """Flags of a reading; 0 is a reading about which nothing is reported. Bits 0 to 14, so that a set fits an int16."""

    OK = 0
    TAMPER = 1 << 0  # cover opened, magnet, reverse mounting reported by the meter
    BATTERY = 1 << 1  # battery low
    HARDWARE_FAULT = 1 << 2  # the meter reports a permanent error of its own
    TEMPORARY_FAULT = 1 << 3  # the meter reports an error that may pass (e.g. air in the pipe)
    CLOCK_INVALID = 1 << 4  # the meter doubts its clock
    CLOCK_ADJUSTED = 1 << 5  # the clock was set in the interval that ends here
    TIME_OF_RECEIPT = 1 << 6  # the time is the receiver's: the payload had none
    TIME_AMBIGUOUS = 1 << 7  # local time in the hour that occurs twice; the earlier or later was chosen by rule
    ESTIMATED = 1 << 8  # not read: substituted or interpolated by the sender
    OVERFLOW = 1 << 9  # pulses or digits lost
    REVERSED = 1 << 10  # flow or energy against the registered direction
    POWER_FAILURE = 1 << 11  # supply lost in the interval that ends here
    LEAK = 1 << 12  # continuous flow or burst reported by the meter
    TEST_MODE = 1 << 13  # the meter was under test
    MANUAL = 1 << 14  # read or typed by a person


TITLES: dict[ReadingStatus, str] = {
    ReadingStatus.TAMPER: "tampering reported",
    ReadingStatus.BATTERY: "battery low",
    ReadingStatus.HARDWARE_FAULT: "permanent hardware fault",
    ReadingStatus.TEMPORARY_FAULT: "temporary fault",
    ReadingStatus.CLOCK_INVALID: "clock invalid",
    ReadingStatus.CLOCK_ADJUSTED: "clock adjusted",
    ReadingStatus.TIME_OF_RECEIPT: "time of receipt, the meter sent none",
    ReadingStatus.TIME_AMBIGUOUS: "local time ambiguous (hour that occurs twice)",
    ReadingStatus.ESTIMATED: "estimated",
    ReadingStatus.OVERFLOW: "overflow, pulses or digits lost",
    ReadingStatus.REVERSED: "reversed flow",
    ReadingStatus.POWER_FAILURE: "power failure",
    ReadingStatus.LEAK: "leak or burst",
    ReadingStatus.TEST_MODE: "test mode",
    ReadingStatus.MANUAL: "read manually",
}
KNOWN_BITS = sum(TITLES)  # 0x7FFF: every non-negative int16 is a valid set


def flag_names(status: int) -> list[str]:
    """Names of the flags in a set in lower case, lowest bit first, e.g. 3 -> ['tamper', 'battery']; 0 -> []."""
    return [str(flag.name).lower() for flag in TITLES if status & flag]


def flag_titles(status: int) -> list[str]:
    """Titles for people of the flags in a set, lowest bit first."""
    return [title for flag, title in TITLES.items() if status & flag]


def parse_flags(text: str) -> ReadingStatus:
    """The set of the flags named in `text`, parted by blanks, commas or bars. Raises ValueError with the valid ones."""
    result = ReadingStatus.OK
    for name in text.replace(",", " ").replace("|", " ").split():
        try:
            result |= ReadingStatus[name.upper()]
        except KeyError:
            valid = ", ".join(str(flag.name).lower() for flag in TITLES)
            raise ValueError(f"status flag {name!r} is unknown; use {valid}") from None
    return result


def has_flag(status: NDArray[np.int16], flag: ReadingStatus) -> NDArray[np.bool_]:
    """Which readings of a status array, shape (n,), carry any of the flags of `flag`."""
    flagged: NDArray[np.bool_] = np.bitwise_and(status, np.int16(int(flag))) != 0
    return flagged
