"""Draws. Oracle: the example in docs/sampling-draws.md, recomputed here with hashlib alone from what the page says."""

import hashlib
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrology.errors import InvalidInputError
from metrology.sampling.draw import (
    allocate,
    draw,
    draw_stratified,
    list_sha256,
    normalise_seed,
    normalise_serial,
    rank,
)

PAGE = (Path(__file__).parents[3] / "docs" / "sampling-draws.md").read_text(encoding="utf-8")
SERIALS = st.lists(st.text("ABC0123456789-/", min_size=1, max_size=12), min_size=1, max_size=40, unique=True)


def _page_example():
    written = re.search(r"between bars: `\|(.*)\|`", PAGE)[1].split("|")
    seed = re.search(r"\| seed \| `(.*)` \|", PAGE)[1]
    digest = re.search(r"\| list digest \| `(.*)` \|", PAGE)[1]
    rows = re.findall(r"^\| (\d+) \| `(.*?)` \| `([0-9a-f]{64})` \| ?(\w*) ?\|$", PAGE, re.MULTILINE)
    return written, seed, digest, rows


def test_the_page_recomputed_with_nothing_but_sha256():
    written, seed, digest, rows = _page_example()
    assert len(rows) == len(written) == 8
    listed = ["E-0001", "E-0002", "E-0003", "E-0004", "E-0005", "0006", "000006", "E-0010"]
    joined = b"".join(s.encode() + b"\x0a" for s in sorted(listed))
    assert hashlib.sha256(joined).hexdigest() == digest
    keys = {
        s: hashlib.sha256(b"meterproof-draw/1\x0a" + seed.encode() + b"\x0a" + s.encode()).hexdigest() for s in listed
    }
    assert [(s, keys[s]) for s in sorted(listed, key=keys.get)] == [(s, key) for _, s, key, _ in rows]


def test_the_code_draws_what_the_page_says():
    written, seed, digest, rows = _page_example()
    drawn = draw(written, f"  {seed}\n", 3, reserves=2)
    assert drawn.list_sha256 == digest
    assert (drawn.seed, drawn.list_size, drawn.algorithm) == (seed, 8, "meterproof-draw/1")
    assert drawn.selected == tuple(s for _, s, _, role in rows if role == "sample")
    assert drawn.reserves == tuple(s for _, s, _, role in rows if role == "reserve")


@given(serials=SERIALS, seed=st.text("0123456789 ", min_size=1).filter(str.strip), data=st.data())
def test_order_of_the_list_does_not_matter_and_larger_samples_contain_smaller(serials, seed, data):
    shuffled = data.draw(st.permutations(serials))
    n = data.draw(st.integers(1, len(serials)))
    small, whole = draw(shuffled, seed, n, reserves=99), draw(serials, seed, len(serials))
    assert small.selected == whole.selected[:n]
    assert small.selected + small.reserves == whole.selected
    assert small.list_sha256 == whole.list_sha256 == list_sha256(serials)
    assert sorted(whole.selected) == sorted(normalise_serial(s) for s in serials)


@given(serials=SERIALS, data=st.data())
def test_removing_a_serial_leaves_the_order_of_the_others(serials, data):
    gone = data.draw(st.sampled_from(serials))
    assert rank((s for s in serials if s != gone), "seed") == [s for s in rank(serials, "seed") if s != gone]


def test_every_unit_and_every_pair_has_the_same_chance():
    serials, runs, n = [f"M{i:02d}" for i in range(12)], 3000, 4
    counts = np.zeros((12, 12))
    for seed in range(runs):
        chosen = [int(s[1:]) for s in draw(serials, f"seed {seed}", n).selected]
        counts[np.ix_(chosen, chosen)] += 1
    assert stats.chisquare(counts.diagonal()).pvalue > 1e-3
    pairs = counts[np.triu_indices(12, 1)]
    assert stats.chisquare(pairs).pvalue > 1e-3


@given(st.text(max_size=20))
def test_normalising_twice_changes_nothing(text):
    try:
        once = normalise_serial(text)
    except InvalidInputError:
        return
    assert normalise_serial(once) == once
    assert unicodedata.is_normalized("NFKC", once)
    assert not any(c.isspace() or "a" <= c <= "z" for c in once)


@pytest.mark.parametrize(
    ("serials", "message"),
    [
        (["E-1", "e-1"], "twice"),
        (["E-1", "Ｅ－１"], "twice"),
        (["E-1", ""], "1 to 256"),
        (["E-1", "\u3000"], "1 to 256"),
        (["E-1", "A\u200bB"], "control character"),
        (["E-1", "A\x00B"], "control character"),
        (["E-1", "a \u030a"], "accent"),
        (["E-1", "9" * 257], "1 to 256"),
    ],
)
def test_lists_that_two_readers_could_read_differently_are_refused(serials, message):
    with pytest.raises(InvalidInputError, match=message):
        draw(serials, "seed", 1)


@pytest.mark.parametrize(
    ("seed", "n", "reserves"), [("", 1, 0), ("a\nb", 1, 0), ("s", 0, 0), ("s", 3, 0), ("s", 1, -1)]
)
def test_impossible_draws_are_refused(seed, n, reserves):
    with pytest.raises(InvalidInputError):
        draw(["A", "B"], seed, n, reserves)


def test_leading_zeros_and_seed_blanks_are_kept():
    assert normalise_serial(" 000 123 ") == "000123"
    assert normalise_seed(" 1  2 ") == "1  2"


@given(sizes=st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(0, 500), min_size=1), data=st.data())
def test_shares_are_proportional_and_exact(sizes, data):
    total = sum(sizes.values())
    if total == 0:
        return
    n = data.draw(st.integers(1, total))
    shares = allocate(sizes, n)
    assert sum(shares.values()) == n
    for name, size in sizes.items():
        assert n * size // total <= shares[name] <= min(size, -(-n * size // total))


def test_ties_between_strata_are_settled_by_size_then_name():
    assert allocate({"a": 5, "b": 15}, 2) == {"a": 0, "b": 2}  # equal remainders of a half
    assert allocate({"b": 10, "a": 10, "c": 20}, 2) == {"a": 1, "b": 0, "c": 1}
    assert allocate({"A": 600, "B": 300, "C": 101}, 10) == {"A": 6, "B": 3, "C": 1}


def test_stratified_draw_ranks_each_stratum_with_the_same_keys():
    strata = {"north": [f"N{i}" for i in range(30)], "south": [f"S{i}" for i in range(10)]}
    drawn = draw_stratified(strata, "seed", 8, reserves=1)
    assert {name: len(d.selected) for name, d in drawn.items()} == {"north": 6, "south": 2}
    for name, serials in strata.items():
        assert drawn[name] == draw(serials, "seed", len(drawn[name].selected), 1)
    own = draw_stratified(strata, "seed", {"north": 1, "south": 0})
    assert list(own) == ["north"]


def test_strata_that_overlap_or_do_not_exist_are_refused():
    with pytest.raises(InvalidInputError, match="twice"):
        draw_stratified({"a": ["M1"], "b": ["m1"]}, "seed", 1)
    with pytest.raises(InvalidInputError, match="no list"):
        draw_stratified({"a": ["M1"]}, "seed", {"b": 1})
    with pytest.raises(InvalidInputError, match="between 1"):
        draw_stratified({"a": ["M1"]}, "seed", 2)
