"""Frames of DL/T 645-2007: what is sent on the line, to addresses, control codes and data (clause 5.2).

68 A0..A5 68 C L DATA CS 16, the data with 33 added to each byte, everything with the lowest byte first.
"""

from dataclasses import dataclass

from gateway.codec.framing import END, START, checksum, skip_preamble
from gateway.reasons import Reason

_OVERHEAD = 12  # bytes beside the data: 68, six of address, 68, C, L, CS, 16
_OFFSET = bytes((byte - 0x33) & 0xFF for byte in range(256))
FROM_METER = 0x80
REFUSED = 0x40
FOLLOWED = 0x20
READ, READ_ON = 0x11, 0x12


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, its data without the added 33; or the `fault` of what stands in its place."""

    address: bytes = b""
    control: int = 0
    data: bytes = b""
    fault: tuple[Reason, str] | None = None

    @property
    def function(self) -> int:
        """What is asked for or answered (5.2.4, bits D4 to D0)."""
        return self.control & 0x1F


def split_frames(line: bytes) -> list[Frame]:
    """The frames in order; where the structure breaks off, one with a fault stands for the rest.

    Frames are not looked for within what can't be read: a piece of a broken frame might pass for another meter's.
    """
    frames: list[Frame] = []
    position = skip_preamble(line, 0)
    while position < len(line):
        end = _end_of(line, position)
        if end is None:
            found = f"byte {position}: {line[position : position + 16].hex(' ').upper()} … is no frame 68 … 68 C L … 16"
            frames.append(Frame(fault=(Reason.FRAME_INVALID, found)))
            break
        frames.append(_frame(line[position:end], position))
        position = skip_preamble(line, end)
    return frames


def _end_of(line: bytes, position: int) -> int | None:
    """The place behind the frame that begins here; None where none does."""
    if position + _OVERHEAD > len(line) or line[position] != START or line[position + 7] != START:
        return None
    end = position + _OVERHEAD + line[position + 9]
    return end if end <= len(line) and line[end - 1] == END else None


def _frame(frame: bytes, position: int) -> Frame:
    computed = checksum(frame[:-2])
    if frame[-2] != computed:
        found = f"byte {position}: checksum {frame[-2]:02X}, but the frame's is {computed:02X}"
        return Frame(fault=(Reason.CHECKSUM_WRONG, found))
    return Frame(frame[1:7], frame[8], frame[10:-2].translate(_OFFSET))
