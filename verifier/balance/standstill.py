"""Meters that stopped or run backward, by their own registers and what is missing from the zone's sum."""

from collections.abc import Sequence

import numpy as np

from metrology.outcomes import Reason
from verifier.balance.history import History
from verifier.balance.sequence import ZoneState, level
from verifier.balance.silence import LEAST_H, is_missing
from verifier.balance.types import MemberSeries
from verifier.balance_settings import BalanceSettings

_REVERSED_SHARE = 0.5  # of a usual day


def stopped(past: History, state: ZoneState, settings: BalanceSettings) -> dict[int, Reason]:
    """The meters whose silence at the end is no absence: their usual load is missing from the zone's sum."""
    end = past.edges[state.days]
    share, covariance = level(past, state, "silent")
    out = {}
    for silence, value, sd in zip(past.silences, share.tolist(), np.sqrt(np.diag(covariance)).tolist(), strict=True):
        silent_h = (end - silence.first) * past.timeline.hours
        if silent_h < LEAST_H or end > silence.last:
            continue  # it is over
        if not is_missing(value, sd, settings.stopped_share_min):
            continue
        since_us = int(past.timeline.instants_us[silence.first])
        text = "the meter stands still while its usual load goes on: it is missing from the zone's sum"
        data = {"missing_share": value, "std": sd, "since_us": since_us, "silent_h": silent_h}
        out[silence.meter] = Reason("stopped", text, data)
    return out


def reversed_running(past: History, state: ZoneState, customers: Sequence[MemberSeries]) -> dict[int, Reason]:
    """The meters whose register ran backward over the last day, by at least half of what is usual for them."""
    x = past.timeline.customers[: past.edges[state.days]]
    last = x[past.edges[state.days - 1] :].sum(axis=0)
    usual = np.abs(x).sum(axis=0) / state.days
    out = {}
    for i, member in enumerate(customers):
        if member.sign > 0 and last[i] < -max(_REVERSED_SHARE * usual[i], 3 * member.resolution):
            data = {"quantity": float(last[i]), "usual": float(usual[i])}
            out[i] = Reason("reversed_running", "the register ran backward over the last day", data)
    return out
