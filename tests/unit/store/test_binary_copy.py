"""The binary COPY codec against a plain reading of PostgreSQL's format, and back."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from metrology.errors import InvalidInputError
from store.binary_copy import column_name, decode_rows, encode_rows, wire_dtype
from store.errors import StoreError

HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
ROW = np.dtype([("a", "<i2"), ("b", "<i4"), ("c", "<i8"), ("d", "<f4"), ("e", "<f8"), ("f", "?"), ("g", "V16")])
FORMATS = {"a": ">h", "b": ">i", "c": ">q", "d": ">f", "e": ">d", "f": ">?", "g": "16s"}


def encode_plainly(array: np.ndarray[Any, Any], nulls: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """The stream by struct, a row at a time, as the documentation of COPY describes it."""
    stream = b""
    for number, row in enumerate(array):
        stream += struct.pack(">h", len(FORMATS))
        for name, form in FORMATS.items():
            if name in nulls and nulls[name][number]:
                stream += struct.pack(">i", -1)
            else:
                value = struct.pack(form, bytes(row[name]) if name == "g" else row[name].item())
                stream += struct.pack(">i", len(value)) + value
    return stream


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    array = np.zeros(draw(st.integers(0, 6)), ROW)
    for name in ROW.names or ():
        kind = ROW[name]
        if name == "g":
            array[name] = [np.void(draw(st.binary(min_size=16, max_size=16))) for _ in array]
        else:
            elements = hnp.from_dtype(kind, allow_nan=False) if kind.kind == "f" else hnp.from_dtype(kind)
            array[name] = draw(hnp.arrays(kind, len(array), elements=elements))
    return array


@given(arrays(), st.data())
def test_the_stream_is_what_the_format_says(array: np.ndarray[Any, Any], data: st.DataObject) -> None:
    masked = data.draw(st.lists(st.sampled_from(list(FORMATS)), unique=True))
    nulls = {name: data.draw(hnp.arrays(np.bool_, len(array))) for name in masked}
    assert bytes(encode_rows(array, list(FORMATS), nulls)) == encode_plainly(array, nulls)


@given(arrays())
def test_decoding_gives_the_rows_back(array: np.ndarray[Any, Any]) -> None:
    stream = HEADER + encode_plainly(array, {}) + TRAILER
    assert decode_rows(stream, ROW).tobytes() == array.tobytes()


@given(st.lists(st.integers(-(2**62), 2**62)))
def test_times_count_from_2000_on_the_wire(times_us: list[int]) -> None:
    array = np.array([(time,) for time in times_us], np.dtype([("observed_us", "<i8")]))
    stream = bytes(encode_rows(array, ["observed_us"]))
    values = [struct.unpack_from(">hiq", stream, 14 * i)[2] for i in range(len(array))]
    assert values == [time - 946_684_800_000_000 for time in times_us]  # seconds from 1970 to 2000, by definition
    assert decode_rows(HEADER + stream + TRAILER, array.dtype)["observed_us"].tolist() == times_us


def test_only_the_fields_asked_for_are_copied_in_their_order() -> None:
    array = np.array([(1, 2, 3)], np.dtype([("a", "<i2"), ("b", "<i4"), ("c", "<i2")]))
    assert bytes(encode_rows(array, ["c", "a"])) == struct.pack(">hihih", 2, 2, 3, 2, 1)


def test_names_of_times_end_in_at() -> None:
    assert (column_name("observed_us"), column_name("status")) == ("observed_at", "status")


def test_a_time_that_postgresql_can_not_hold_is_refused() -> None:
    array = np.array([(-(2**63),)], np.dtype([("observed_us", "<i8")]))
    with pytest.raises(InvalidInputError, match="observed_us = -9223372036854775808"):
        encode_rows(array, ["observed_us"])


@pytest.mark.parametrize("kind", ["U5", "i1", "u4", "O", "c16", "(2,)i4"])
def test_types_without_fixed_counterpart_are_refused(kind: str) -> None:
    with pytest.raises(TypeError, match="'a'"):
        wire_dtype(np.dtype([("a", kind)]), ["a"])


@pytest.mark.parametrize(
    "row",
    [
        struct.pack(">hii", 1, -1, 0),  # NULL, the same number of bytes as a value
        struct.pack(">hi", 1, -1),
        struct.pack(">hiq", 1, 8, 5),
        struct.pack(">hih", 1, 2, 5),
        struct.pack(">hihih", 2, 2, 5, 2, 5),
    ],
    ids=["null", "null alone", "wider", "narrower", "more columns"],
)
def test_rows_that_do_not_fit_the_dtype_are_refused(row: bytes) -> None:
    with pytest.raises(StoreError, match="does not fit"):
        decode_rows(HEADER + row + TRAILER, np.dtype([("a", "<i4")]))
