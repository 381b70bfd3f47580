import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.quantities import Medium
from simulators.accounting import HELD_ROW, Fate, Held, account, row_fates
from simulators.payload import Sender
from simulators.replay import ROW, ReplayPlan
from simulators.tabular import Reject

Reading = tuple[int, int, int, int]  # meter, time, register, status
reading = st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 2), st.integers(0, 1))
readings = st.lists(reading, max_size=12)


def plan_of(rows: list[Reading], rejects: int = 0, size: int = 3) -> ReplayPlan:
    array = np.zeros(len(rows), dtype=ROW)
    for i, (meter, time, register, status) in enumerate(rows):
        array[i] = (time, register, i + 2, meter, status)
    reject = tuple(Reject(100 + i, "", "", "bad") for i in range(rejects))
    return ReplayPlan("f", Sender("u", "g", Medium.WATER), ("A", "B"), array, reject, size)


def held_rows(rows: list[Reading]) -> np.ndarray:
    return np.array([(t, r, m, s) for m, t, r, s in rows], dtype=HELD_ROW)


def brute_force(rows: list[Reading], stored: list[Reading], conflicting: list[Reading], pending: list[Reading],
                quarantined: set[int]) -> list[Fate]:  # fmt: skip
    fates = []
    for i, row in enumerate(rows):
        if row in stored or row in conflicting or row in pending:
            if row in rows[:i]:
                fates.append(Fate.EXACT_DUPLICATE)
            else:
                fates.append(Fate.STORED if row in stored else Fate.CONFLICTING if row in conflicting else Fate.PENDING)
        else:
            fates.append(Fate.QUARANTINED if i in quarantined else Fate.MISSING)
    return fates


@settings(deadline=None)  # other work may share the machine
@given(readings, readings, readings, readings, st.sets(st.integers(0, 11)), st.integers(0, 3))
def test_agrees_with_looking_up_line_by_line(
    rows: list[Reading], stored: list[Reading], conflicting: list[Reading], pending: list[Reading],
    quarantined: set[int], rejects: int,
) -> None:  # fmt: skip
    plan = plan_of(rows, rejects)
    digests = plan.digests()
    # Two messages with the same content are one and the same message: what befell one befell the other.
    quarantined = {
        i for i in range(len(rows))
        if any(q < len(rows) and digests[q // 3] == digests[i // 3] and q % 3 == i % 3 for q in quarantined)
    }  # fmt: skip
    entries = tuple((digests[i // 3], (i % 3,)) for i in sorted(quarantined))
    held = Held(held_rows(stored), held_rows(conflicting), held_rows(pending), entries)
    expected = brute_force(rows, stored, conflicting, pending, quarantined)
    assert [Fate(f) for f in row_fates(plan, held)] == expected
    summary = account(plan, held)
    assert summary.lines == len(rows) + rejects
    assert summary.lines == (summary.stored + summary.exact_duplicates + summary.conflicting + summary.rejected
                             + summary.pending + summary.missing)  # fmt: skip
    assert summary.as_dict()["complete"] == (Fate.MISSING not in expected and Fate.PENDING not in expected)


def test_a_whole_message_in_quarantine_and_one_of_another_sender() -> None:
    plan = plan_of([(0, t, t, 0) for t in range(5)])
    held = Held(held_rows([(0, 0, 0, 0)]), quarantined=((plan.digests()[1], None), (b"x" * 16, None)))
    assert row_fates(plan, held).tolist() == [
        Fate.STORED,
        Fate.MISSING,
        Fate.MISSING,
        Fate.QUARANTINED,
        Fate.QUARANTINED,
    ]


def test_a_reading_held_with_another_value_or_status_is_missing() -> None:
    plan = plan_of([(0, 0, 5, 0)])
    assert account(plan, Held(held_rows([(0, 0, 6, 0), (0, 0, 5, 1), (1, 0, 5, 0)]))).missing == 1
