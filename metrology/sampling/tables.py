"""The master tables of ISO 2859-1 as data, checked when they are loaded.

The figures are in `data/iso_2859_1.toml`, each table with its clause and the confidence in it. This module turns them
into look-ups and follows the arrows; what a plan means is in `plans`.
"""

import tomllib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

from metrology.errors import InvalidInputError

_ARROWS: Final = {"v": 1, "^": -1}


class Severity(StrEnum):
    """How strictly lots are inspected (ISO 2859-1, 3.1.17 to 3.1.19)."""

    NORMAL = "normal"
    TIGHTENED = "tightened"
    REDUCED = "reduced"


class InspectionLevel(StrEnum):
    """How the size of a sample relates to that of its lot (ISO 2859-1, 10.1): II unless specified otherwise."""

    S1 = "S-1"
    S2 = "S-2"
    S3 = "S-3"
    S4 = "S-4"
    I = "I"  # noqa: E741 - the standard's own name of the level
    II = "II"
    III = "III"


@dataclass(frozen=True, slots=True)
class Cell:
    """A plan of a master table: where its arrows end, with that row's sample size."""

    code_letter: str
    sample_size: int
    acceptance_number: int
    confidence: str


@dataclass(frozen=True, slots=True)
class MasterTable:
    """One of Tables 2-A, 2-B, 2-C: plans by code letter and AQL [%, or nonconformities per 100 units]."""

    severity: Severity
    clause: str
    confidence: str
    source: str
    aql_pct: tuple[float, ...]
    sample_size: Mapping[str, int]
    cells: Mapping[str, tuple[str, ...]]
    doubtful: Mapping[str, Any]

    def column(self, aql_pct: float) -> int:
        """The column of an AQL; refuses one that the series doesn't hold, with the choices."""
        if aql_pct not in self.aql_pct:
            choices = ", ".join(f"{value:g}" for value in self.aql_pct)
            raise InvalidInputError(
                f"AQL {aql_pct:g} is not in the {self.severity} master table; choose one of {choices}"
            )
        return self.aql_pct.index(aql_pct)

    def resolve(self, code_letter: str, aql_pct: float) -> Cell:
        """Follow the arrows from (code letter, AQL) to the plan at their end (ISO 2859-1, 10.3)."""
        if code_letter not in self.cells:
            raise InvalidInputError(
                f"code letter {code_letter!r} does not exist; choose one of {', '.join(self.cells)}"
            )
        column, letters = self.column(aql_pct), list(self.cells)
        row = letters.index(code_letter)
        while (token := self.cells[letters[row]][column]) in _ARROWS:
            row += _ARROWS[token]
        letter = letters[row]
        return Cell(letter, self.sample_size[letter], int(token), self._confidence(code_letter, aql_pct))

    def _confidence(self, code_letter: str, aql_pct: float) -> str:
        doubtful = code_letter in self.doubtful.get("letters", ()) and aql_pct in self.doubtful.get("aql_pct", ())
        return str(self.doubtful["confidence"]) if doubtful else self.confidence


@dataclass(frozen=True, slots=True)
class Iso2859Tables:
    """Table 1 (code letters) and the three master tables."""

    standard: str
    national_adoption: str
    lot_size_max: tuple[int, ...]
    letters_by_level: Mapping[InspectionLevel, tuple[str, ...]]
    master: Mapping[Severity, MasterTable]

    def code_letter(self, lot_size: int, level: InspectionLevel) -> str:
        """The code letter of Table 1 for a lot of at least 2 units."""
        return self.letters_by_level[level][bisect_left(self.lot_size_max, lot_size)]


@cache
def iso_2859_tables() -> Iso2859Tables:
    """The tables as shipped, read once. Raises InvalidInputError where the data file is broken."""
    text = resources.files("metrology.sampling").joinpath("data/iso_2859_1.toml").read_text(encoding="utf-8")
    return parse_tables(text)


def parse_tables(text: str) -> Iso2859Tables:
    """Parse and check a data file; every fault is named with its table and row."""
    try:
        data = tomllib.loads(text)
        letters = data["code_letters"]
        tables = Iso2859Tables(
            standard=data["standard"],
            national_adoption=data["national_adoption"],
            lot_size_max=tuple(letters["lot_size_max"]),
            letters_by_level={level: tuple(letters[level.value].split()) for level in InspectionLevel},
            master={severity: _master_table(severity, data[severity.value]) for severity in Severity},
        )
    except (tomllib.TOMLDecodeError, KeyError, ValueError, AttributeError) as error:
        raise InvalidInputError(f"sampling tables: {error!r}; restore the file from the distribution") from error
    for level, row in tables.letters_by_level.items():
        if len(row) != len(tables.lot_size_max) + 1:
            raise InvalidInputError(f"sampling tables: level {level} has {len(row)} letters, not one a lot size range")
    return tables


def _master_table(severity: Severity, data: Mapping[str, Any]) -> MasterTable:
    table = MasterTable(
        severity=severity,
        clause=data["clause"],
        confidence=data["confidence"],
        source=data["source"],
        aql_pct=tuple(float(value) for value in data["aql_pct"]),
        sample_size=dict(data["sample_size"]),
        cells={letter: tuple(row.split()) for letter, row in data["cells"].items()},
        doubtful=data.get("doubtful", {}),
    )
    if list(table.cells) != list(table.sample_size):
        raise InvalidInputError(f"sampling tables: {severity}: the letters of cells and sample_size differ")
    for letter, row in table.cells.items():
        if len(row) != len(table.aql_pct) or not all(token in _ARROWS or token.isdecimal() for token in row):
            raise InvalidInputError(
                f"sampling tables: {severity}: row {letter} needs {len(table.aql_pct)} cells (number, v, ^)"
            )
    for column in range(len(table.aql_pct)):
        _check_arrows(table, column)
    return table


def _check_arrows(table: MasterTable, column: int) -> None:
    """Arrows must end at a plan: none points out of the table, no two point at each other."""
    path = "".join(row[column] if row[column] in _ARROWS else "." for row in table.cells.values())
    if path[0] == "^" or path[-1] == "v" or "v^" in path:
        raise InvalidInputError(
            f"sampling tables: {table.severity}: the arrows at AQL {table.aql_pct[column]:g} lead nowhere"
        )
