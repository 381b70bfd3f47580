"""Which days of which zones are to be assessed, given what is new of their meters. Pure, but for the zones' index."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg

from store.assessments import balanced_meters
from store.findings import FindingDraft
from store.meter_facts import registry_version
from verifier.arrays import FOREVER_US, Structured
from verifier.balance.types import DAY_US
from verifier.balance_settings import BalanceSettings

NEWS: Final = np.dtype([("meter_id", "<i4"), ("first_us", "<i8"), ("last_us", "<i8"), ("reach_us", "<i8")])
# What the checks on steps conclude of a reading may rest on those of up to a day before it (their return horizon).
MARGIN_US: Final = DAY_US
# How far before a history's beginning a reading may matter: to the course at the beginning, and to the checks of that.
REACH_US: Final = DAY_US + MARGIN_US


class News(NamedTuple):
    """What is new in a zone [us since 1970]: its earliest reading, its latest, and up to when it may change a day."""

    first_us: int
    last_us: int
    reach_us: int


def news_of_meters(rows: Structured, findings: Sequence[FindingDraft], history_us: int) -> Structured:
    """What is new by meter (NEWS, ascending): new readings (READING) and the spoiling findings that came or went.

    A reading matters to the histories that hold it, which are at most `history_us` long; a finding from its start on,
    for what goes on may be completed.
    """
    ids = np.unique(rows["meter_id"])
    news = np.empty(len(ids), dtype=NEWS)
    news["meter_id"], news["first_us"], news["last_us"] = ids, FOREVER_US, 0
    of_row = np.searchsorted(ids, rows["meter_id"])
    np.minimum.at(news["first_us"], of_row, rows["observed_us"])
    np.maximum.at(news["last_us"], of_row, rows["observed_us"])
    news["reach_us"] = news["last_us"] + history_us + REACH_US
    for finding in findings:
        at = int(np.searchsorted(ids, finding.meter_id or 0))
        if at < len(ids) and ids[at] == finding.meter_id:
            news["first_us"][at] = min(news["first_us"][at], finding.starts_us)
            news["reach_us"][at] = FOREVER_US
    return news


def due_ends(first_us: int, news: News, through_us: int | None, settings: BalanceSettings) -> range:
    """The ends of the days of a zone that are to be assessed now [us since 1970].

    `first_us`: the zone's first reading; `through_us`: the end of the last day assessed. A day is complete when a
    reading came from `late_member_s` past its end: its glitches are then told from its course, and late members had
    time. What is earlier than that after an assessed day's end sets the zone back to that day.
    """
    late_us = int(settings.late_member_s * 1e6)
    first_end = (-(-first_us // DAY_US) + settings.first_days) * DAY_US
    complete = complete_end(news, settings)
    if through_us is None:
        return range(first_end, complete + 1, DAY_US)
    touched = ((news.first_us - late_us) // DAY_US + 1) * DAY_US
    # Days that the news can't reach stay as they are, unless later ones are due anyway.
    last = complete if complete > through_us else min(through_us, news.reach_us)
    return range(max(first_end, min(touched, through_us + DAY_US)), last + 1, DAY_US)


def complete_end(news: News, settings: BalanceSettings) -> int:
    """The end of the last day that is complete by the latest reading [us since 1970]."""
    return (news.last_us - int(settings.late_member_s * 1e6)) // DAY_US * DAY_US


class ZoneIndex:
    """In which zones' balances each meter takes part, kept in memory while the registry does not change."""

    def __init__(self) -> None:
        self._version = -1
        self._pairs = np.zeros(0, dtype=np.dtype([("meter_id", "<i4"), ("zone_id", "<i4")]))

    def news_of_zones(self, connection: psycopg.Connection[Any], news: Structured) -> dict[int, News]:
        """The meters' news (NEWS) joined by zone, zones ascending; zones without a reference meter are left out."""
        version = registry_version(connection)
        if version != self._version:
            self._version, self._pairs = version, balanced_meters(connection)
        if not len(news):
            return {}
        at = np.minimum(np.searchsorted(news["meter_id"], self._pairs["meter_id"]), len(news) - 1)
        hit = news["meter_id"][at] == self._pairs["meter_id"]
        zones, of_pair = np.unique(self._pairs["zone_id"][hit], return_inverse=True)
        first, last, reach = (
            np.full(len(zones), FOREVER_US),
            np.zeros(len(zones), np.int64),
            np.zeros(len(zones), np.int64),
        )
        np.minimum.at(first, of_pair, news["first_us"][at[hit]])
        np.maximum.at(last, of_pair, news["last_us"][at[hit]])
        np.maximum.at(reach, of_pair, news["reach_us"][at[hit]])
        figures = zip(first.tolist(), last.tolist(), reach.tolist(), strict=True)
        return {zone_id: News(*three) for zone_id, three in zip(zones.tolist(), figures, strict=True)}
