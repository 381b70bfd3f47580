"""Puts together the `where` of a listing from those filters that were given, and fetches rows by column name."""

from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Row = dict[str, Any]


class Conditions:
    """Conditions joined by `and`, with their parameters; a filter whose value is None is left out."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._parts: list[sql.Composable] = []

    def add(self, condition: LiteralString, **params: Any) -> None:
        """Adds an SQL condition with named placeholders, unless one of its parameters is None."""
        if any(value is None for value in params.values()):
            return
        self._parts.append(sql.SQL(condition))
        self.params.update(params)

    def where(self) -> sql.Composable:
        """`where …`, or nothing where no condition was added."""
        if not self._parts:
            return sql.SQL("")
        return sql.SQL("where ") + sql.SQL(" and ").join(self._parts)


def fetch_rows(conn: psycopg.Connection[Any], query: sql.SQL | sql.Composed, params: dict[str, Any]) -> list[Row]:
    """All rows of a query as dictionaries by column name."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, params).fetchall()
