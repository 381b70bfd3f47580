"""Findings about how readings came, not what they say: sent again, or dated in the future. Pure.

They rest on deliveries, so unlike those on register steps they are made once, when the delivery is followed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from store.findings import FindingDraft
from verifier.arrays import Ints, Mask, Structured
from verifier.kinds import FindingKind, severity_of
from verifier.settings import StepSettings
from verifier.step_findings import reading_evidence, time_text


def ahead_us(readings: Structured, received_us: Mapping[int, int]) -> Ints:
    """How much later than its batch's receipt each reading is dated [us], READING in, shape (n,)."""
    batches, inverse = np.unique(readings["batch_id"], return_inverse=True)
    received = np.array([received_us[int(batch_id)] for batch_id in batches], dtype=np.int64)
    result: Ints = readings["observed_us"] - received[inverse] if len(batches) else np.zeros(0, dtype=np.int64)
    return result


def placeable(readings: Structured, received_us: Mapping[int, int], settings: StepSettings) -> Mask:
    """Which readings have a time that can be believed enough to put them in order."""
    return ahead_us(readings, received_us) <= settings.clock_excluded_s * 1e6


def future_findings(readings: Structured, received_us: Mapping[int, int], settings: StepSettings) -> list[FindingDraft]:
    """One finding for each meter and batch with readings dated later than the batch was received."""
    ahead = ahead_us(readings, received_us)
    rows = np.flatnonzero(ahead > settings.clock_ahead_s * 1e6)
    rows = rows[np.lexsort((readings["observed_us"][rows], readings["batch_id"][rows], readings["meter_id"][rows]))]
    if not len(rows):
        return []
    keys = readings[["meter_id", "batch_id"]][rows]
    groups = np.split(rows, np.flatnonzero(keys[1:] != keys[:-1]) + 1)
    return [_future_finding(readings[group], ahead[group], received_us, settings) for group in groups]


def _future_finding(
    rows: Structured, ahead: Ints, received_us: Mapping[int, int], settings: StepSettings
) -> FindingDraft:
    kind = FindingKind.CLOCK_IN_FUTURE
    worst = int(np.argmax(ahead))
    detail: dict[str, Any] = {
        "readings": len(rows),
        "ahead_s": int(ahead[worst]) / 1e6,
        "received_at": time_text(received_us[int(rows["batch_id"][0])]),
        "left_out": int((ahead > settings.clock_excluded_s * 1e6).sum()),
    }
    evidence = [reading_evidence("first", rows[0])]
    if worst:
        evidence.append(reading_evidence("furthest", rows[worst]))
    return FindingDraft(
        kind.value,
        severity_of(kind).value,
        int(rows["meter_id"][0]),
        None,
        int(rows["observed_us"][0]),
        int(rows["observed_us"][-1]),
        detail,
        evidence,
    )


def duplicate_findings(repeats: Structured, in_force: Sequence[FindingDraft]) -> list[FindingDraft]:
    """One finding for each meter and first time of repeated readings (REPEAT); those in force are added to."""
    merged = {(draft.meter_id, draft.starts_us): draft for draft in in_force}
    changed: dict[tuple[int | None, int], FindingDraft] = {}
    for repeat in repeats:
        key = (int(repeat["meter_id"]), int(repeat["first_us"]))
        merged[key] = changed[key] = _joined(merged.get(key), repeat)
    return list(changed.values())


def _joined(known: FindingDraft | None, repeat: np.void) -> FindingDraft:
    kind = FindingKind.DUPLICATE
    detail = known.detail if known else {"messages": 0, "readings": 0}
    message = {
        "part": "repetition",
        "batch_id": int(repeat["batch_id"]),
        "message_digest": repeat["message_digest"].tobytes().hex(),
    }
    return FindingDraft(
        kind.value,
        severity_of(kind).value,
        int(repeat["meter_id"]),
        None,
        int(repeat["first_us"]),
        max(int(repeat["last_us"]), known.ends_us if known else int(repeat["last_us"])),
        {"messages": detail["messages"] + 1, "readings": detail["readings"] + int(repeat["readings"])},
        [*(known.evidence if known else []), message],
    )
