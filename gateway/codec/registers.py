"""Which registers of an electricity meter become readings, and under which serial: an option of several codecs.

The store holds one register a meter, so that a further one (export, a tariff) needs a serial of its own.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

_CODE = re.compile(r"(?:1|2)\.8\.\d{1,2}", re.ASCII)


def _checked(registers: dict[str, str]) -> dict[str, str]:
    for code, pattern in registers.items():
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no register; use 1.8.t (import) or 2.8.t (export), t = 0 for the total")
        if "{id}" not in pattern:
            raise ValueError(
                f"{pattern!r} of register {code} must hold {{id}}, which stands for the meter's own serial"
            )
    if not registers:
        raise ValueError('name one register at least, e.g. {"1.8.0" = "{id}"}')
    if len(set(registers.values())) < len(registers):
        raise ValueError("two registers can't be stored under one serial; give each its own, e.g. {id}-2.8.0")
    return registers


RegisterNames = Annotated[dict[str, str], AfterValidator(_checked)]


def serial_of(pattern: str, meter_id: str) -> str:
    """The serial under which a register is stored."""
    return pattern.replace("{id}", meter_id)
