import csv
import gzip
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from simulators.mapping import FileFormat
from simulators.tabular import Reject, read_blocks

CSV = b"id;t;v\nA;1;10\nB;2\nC;3;30;x\n\nD;4;40\n"


def read(path: Path, form: FileFormat, wanted: list[str], block_bytes: int = 1 << 20) -> tuple[dict, list[Reject]]:
    """Line -> the wanted values, and the rejects."""
    rows, rejects = {}, []
    for block in read_blocks(path, form, wanted, block_bytes):
        columns = [block.columns[name].to_pylist() for name in wanted]
        rows |= dict(zip(block.lines.tolist(), zip(*columns, strict=True), strict=True))
        rejects += block.rejects
    return rows, rejects


def written(tmp_path: Path, content: bytes, name: str = "r.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("block_bytes", [1, 7, 20, 1 << 20])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_bad_lines_are_named_and_the_others_read(tmp_path: Path, block_bytes: int, line_end: bytes) -> None:
    path = written(tmp_path, CSV.replace(b"\n", line_end))
    rows, rejects = read(path, FileFormat(separator=";"), ["v", "id"], block_bytes)
    assert rows == {2: ("10", "A"), 6: ("40", "D")}
    assert [(r.line, r.reason) for r in rejects] == [
        (3, "has 2 columns instead of 3"),
        (4, "has 4 columns instead of 3"),
        (5, "the line is empty"),
    ]


def test_plain_gz_zip_and_a_last_line_without_its_end_are_alike(tmp_path: Path) -> None:
    content = CSV.removesuffix(b"\n")
    form = FileFormat(separator=";")
    expected = read(written(tmp_path, CSV), form, ["id", "t"])
    with gzip.open(tmp_path / "r.csv.gz", "wb") as stream:
        stream.write(content)
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("folder/r.csv", content)
        archive.writestr("readme.txt", "no readings")
    assert read(written(tmp_path, b"\xef\xbb\xbf" + content, "bom.csv"), form, ["id", "t"]) == expected
    assert read(tmp_path / "r.csv.gz", form, ["id", "t"]) == expected
    with pytest.raises(InvalidInputError, match=r"file\.member.*readme\.txt"):
        read(tmp_path / "r.zip", form, ["id"])
    assert read(tmp_path / "r.zip", FileFormat(separator=";", member="*.csv"), ["id", "t"]) == expected


def test_quotes_stay_within_their_line(tmp_path: Path) -> None:
    content = b'id,v\n"A,1",10\nB,"11\nC,12\n"D ""x""",13\nE"E,14\n'
    rows, rejects = read(written(tmp_path, content), FileFormat(), ["id", "v"])
    assert rows == {2: ("A,1", "10"), 4: ("C", "12"), 5: ('D "x"', "13"), 6: ('E"E', "14")}
    assert [(r.line, r.value, r.reason) for r in rejects] == [(3, 'B,"11', "a quote is not closed in its line")]
    raw, none = read(written(tmp_path, b'id,v\n"A,10\n'), FileFormat(quote=""), ["id", "v"])
    assert (raw, none) == ({2: ('"A', "10")}, [])


def test_other_encodings_and_bytes_that_are_none(tmp_path: Path) -> None:
    text = "表号,值\n达州-1,10\n达州-2,11\n"
    rows, _ = read(written(tmp_path, text.encode("gb18030")), FileFormat(encoding="gb18030"), ["表号", "值"])
    assert rows == {2: ("达州-1", "10"), 3: ("达州-2", "11")}
    broken = text.encode().replace("达州-1".encode(), b"\xff\xfe")
    rows, rejects = read(written(tmp_path, broken), FileFormat(), ["表号", "值"])
    assert rows == {3: ("达州-2", "11")}
    assert [(r.line, r.value, r.reason) for r in rejects] == [(2, "\\xff\\xfe,10", "is not utf-8 text")]


def test_a_file_without_header_and_a_missing_column(tmp_path: Path) -> None:
    rows, _ = read(written(tmp_path, b"A,10\nB,11\n"), FileFormat(header=("id", "v")), ["v"])
    assert rows == {1: ("10",), 2: ("11",)}
    with pytest.raises(InvalidInputError, match=r"line 1: column 'register'.*\['id', 'v'\]"):
        read(written(tmp_path, b"id,v\nA,10\n"), FileFormat(), ["id", "register"])
    with pytest.raises(InvalidInputError, match="is empty"):
        read(written(tmp_path, b""), FileFormat(), ["id"])


def test_parquet_rows_count_from_one(tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(["A", "B"]).dictionary_encode(), "v": [1.5, None], "other": [1, 2]})
    pq.write_table(table, tmp_path / "r.parquet")
    rows, _ = read(tmp_path / "r.parquet", FileFormat(), ["v", "id"])
    assert rows == {1: (1.5, "A"), 2: (None, "B")}
    with pytest.raises(InvalidInputError, match="no column 'x'"):
        read(tmp_path / "r.parquet", FileFormat(), ["x"])


@pytest.mark.parametrize("name", ["r.csv.gz", "r.zip", "r.parquet"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match=name):
        read(written(tmp_path, b"not what it says", name), FileFormat(), ["id"])
    with pytest.raises(InvalidInputError, match="No such file"):
        read(tmp_path / "absent" / name, FileFormat(), ["id"])


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(b"id,v\n" + b"A,10\n" * 10_000)
    with pytest.raises(InvalidInputError, match="damaged"):
        read(written(tmp_path, content[: len(content) // 2], "r.csv.gz"), FileFormat(), ["id"])


lines = st.lists(st.text(st.sampled_from('ab;"\r \x00é1'), max_size=12), max_size=30)


@settings(deadline=None)  # other work may share the machine
@given(lines, st.integers(1, 64))
def test_every_line_is_either_a_row_or_a_reject(tmp_path_factory, texts: list[str], block_bytes: int) -> None:
    path = tmp_path_factory.mktemp("lines") / "r.csv"
    path.write_bytes(("x;y\n" + "".join(text + "\n" for text in texts)).encode())
    rows, rejects = read(path, FileFormat(separator=";"), ["x", "y"], block_bytes)
    numbers = sorted([*rows, *(r.line for r in rejects)])
    assert numbers == list(range(2, len(texts) + 2))
    for number, text in enumerate(texts, 2):
        plain = text.removesuffix("\r")
        if number in rows:
            expected = plain.split(";") if '"' not in plain else next(csv.reader([plain], delimiter=";", strict=True))
            assert rows[number] == tuple(expected)


@settings(deadline=None)
@given(st.lists(st.lists(st.text(st.sampled_from('ab;" é1'), max_size=5), min_size=3, max_size=3), max_size=20))
def test_whole_fields_in_quotes_are_read_as_csv_says(tmp_path_factory, fields: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("quoted") / "r.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([["x", "y", "z"], *fields])
    rows, rejects = read(path, FileFormat(separator=";"), ["x", "y", "z"])
    assert not rejects
    assert list(rows.values()) == [tuple(one) for one in fields]
