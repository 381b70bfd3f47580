"""OBIS codes, the names of registers in meters' data (IEC 62056-6-1): read, write, and what they mean."""

import re
from dataclasses import dataclass

from metrology.errors import InvalidInputError
from metrology.quantities import Medium

_TEXT = re.compile(
    r"(?:(?P<a>\d{1,3})-(?P<b>\d{1,3}):)?(?P<c>\d{1,3})\.(?P<d>\d{1,3})(?:\.(?P<e>\d{1,3}))?(?:[*&.](?P<f>\d{1,3}))?",
    re.ASCII,
)
_HEX = re.compile(r"[0-9A-Fa-f]{12}")
_NOT_USED = 255  # value group F where no billing period is meant (IEC 62056-6-1, value group F)
_MEDIUM_OF_A = {1: Medium.ELECTRICITY, 7: Medium.GAS, 8: Medium.WATER, 9: Medium.WATER}


@dataclass(frozen=True, order=True)
class ObisCode:
    """The six value groups: A medium, B channel, C quantity, D processing, E tariff, F billing period."""

    a: int
    b: int
    c: int
    d: int
    e: int = 0
    f: int = _NOT_USED

    def __post_init__(self) -> None:
        groups = (self.a, self.b, self.c, self.d, self.e, self.f)
        if any(not 0 <= group <= 255 for group in groups):
            raise InvalidInputError(f"OBIS value groups {groups} must be from 0 to 255")

    def __str__(self) -> str:
        tail = "" if self.f == _NOT_USED else f"*{self.f}"
        return f"{self.a}-{self.b}:{self.c}.{self.d}.{self.e}{tail}"

    @property
    def hex(self) -> str:
        """The code as 12 hexadecimal digits, as in DLMS logical names."""
        return bytes((self.a, self.b, self.c, self.d, self.e, self.f)).hex().upper()


@dataclass(frozen=True)
class ObisMeaning:
    """What a register holds. `unit` is a UCUM name, empty for texts; `tariff` 0 is the total."""

    text: str
    quantity: str
    unit: str
    medium: Medium | None
    direction: str
    tariff: int


# (A, C, D) -> text, quantity, UCUM unit, direction; A 8 is cold water, 9 hot water.
_MEANINGS: dict[tuple[int, int, int], tuple[str, str, str, str]] = {
    (1, 1, 8): ("active energy, import", "energy", "kW.h", "import"),
    (1, 2, 8): ("active energy, export", "energy", "kW.h", "export"),
    (1, 1, 7): ("active power, import", "power", "kW", "import"),
    (1, 2, 7): ("active power, export", "power", "kW", "export"),
    (1, 16, 7): ("active power, import less export", "power", "kW", "net"),
    (7, 3, 0): ("gas volume at operating conditions", "volume", "m3", "import"),
    (7, 13, 2): ("gas volume converted to base conditions", "volume", "m3", "import"),
    (8, 1, 0): ("cold water volume", "volume", "m3", "import"),
    (9, 1, 0): ("hot water volume", "volume", "m3", "import"),
    (0, 96, 1): ("serial number of the meter", "text", "", ""),
}


def parse_obis(text: str, medium: Medium | None = None) -> ObisCode:
    """The code written as "1-0:1.8.0", "1-0:1.8.0*255", "1.0.1.8.0.255", 12 hexadecimal digits, or short, as "1.8.0".

    Raises InvalidInputError with the accepted forms; a short form without A and B needs the medium it is from.
    """
    stripped = str(text).strip()
    if _HEX.fullmatch(stripped):
        return ObisCode(*bytes.fromhex(stripped))
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){5}", stripped):
        return ObisCode(*(int(part) for part in stripped.split(".")))
    match = _TEXT.fullmatch(stripped)
    if match is None:
        raise InvalidInputError(f"OBIS code {text!r} is not understood; write it as 1-0:1.8.0 or 0100010800FF")
    groups = {name: int(value) for name, value in match.groupdict().items() if value is not None}
    if "a" not in groups:
        a = next((number for number, of in _MEDIUM_OF_A.items() if of is medium), None)
        if a is None:
            raise InvalidInputError(f"OBIS code {text!r} does not say its medium; write it in full, as 1-0:{stripped}")
        groups |= {"a": a, "b": 0}
    return ObisCode(**groups)


def obis_meaning(code: ObisCode) -> ObisMeaning:
    """What the code stands for. Raises InvalidInputError with the codes that are known."""
    entry = _MEANINGS.get((code.a, code.c, code.d))
    if entry is None:
        known = ", ".join(str(ObisCode(a, 0, c, d)) for a, c, d in _MEANINGS)
        raise InvalidInputError(f"OBIS code {code} is not known here; known (any channel and tariff): {known}")
    text, quantity, unit, direction = entry
    tariff = code.e if quantity == "energy" else 0
    return ObisMeaning(text, quantity, unit, _MEDIUM_OF_A.get(code.a), direction, tariff)
