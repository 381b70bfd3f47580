"""Tables as spreadsheets really write them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metrology.errors import InvalidInputError
from store.tables import Table, read_table

COLUMNS = ("meter", "manufacturer", "resolution")


def write(folder: Path, content: bytes) -> Path:
    path = folder / "meters.csv"
    path.write_bytes(content)
    return path


def cells(table: Table) -> list[tuple[int, tuple[str, ...]]]:
    return [(row.line, row.cells) for row in table.rows]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("meter,manufacturer,resolution\n001,威胜,0.01\n", [(2, ("001", "威胜", "0.01"))]),
        ("\ufeffMeter;Manufacturer;Resolution\r\n001;威胜;0.01\r\n\r\n", [(2, ("001", "威胜", "0.01"))]),
        ("meter\tmanufacturer\tresolution\n\n 1 \tA, Inc.; B\t1\n", [(3, ("1", "A, Inc.; B", "1"))]),
        (
            'meter,manufacturer,resolution\n1,"A, ""Inc"";\nB",1\n2,C,1',
            [(2, ("1", 'A, "Inc";\nB', "1")), (4, ("2", "C", "1"))],
        ),
        ('"meter";"manufacturer, name";"resolution"\n1;C;1'.replace(", name", ""), [(2, ("1", "C", "1"))]),
        ("sep=;\nmeter;manufacturer;resolution\n1;C,D;1", [(3, ("1", "C,D", "1"))]),
        ("meter,manufacturer,resolution,,\n1,C,1,,\n,,,,\n", [(2, ("1", "C", "1"))]),
    ],
    ids=["plain", "bom, semicolons, crlf", "tabs", "quotes", "quoted header", "separator hint", "padding"],
)
def test_csv_of_spreadsheets(tmp_path: Path, content: str, rows: list[tuple[int, tuple[str, ...]]]) -> None:
    table = read_table(write(tmp_path, content.encode()))
    assert table.columns == COLUMNS
    assert cells(table) == rows


def test_chinese_spreadsheets_need_their_encoding_named(tmp_path: Path) -> None:
    path = write(tmp_path, "meter,manufacturer,resolution\n1,A,1\n2,威胜,1\n".encode("gbk"))
    with pytest.raises(InvalidInputError, match=r"line 3: byte 0xcd is not UTF-8; .*gb18030"):
        read_table(path)
    assert cells(read_table(path, "gb18030"))[1] == (3, ("2", "威胜", "1"))
    with pytest.raises(InvalidInputError, match="encoding 'klingon' is unknown"):
        read_table(path, "klingon")


def test_unicode_text_of_spreadsheets(tmp_path: Path) -> None:
    path = write(tmp_path, "meter\tmanufacturer\tresolution\r\n1\t威胜\t1\r\n".encode("utf-16"))
    assert cells(read_table(path)) == [(2, ("1", "威胜", "1"))]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n1\n", r"line 2: 1 cells where the header names 2 columns; separate them by commas"),
        (b"a;b\n1;2;3\n", r"line 2: 3 cells .* by semicolons"),
        (b"a,A\n1,2\n", "'a' occurs twice"),
        (b"a,,b\n1,2,3\n", "column 2 has no name"),
        (b'a,b\n1,2\n"x,3\n4,5\n', r"line 3: .*quotes"),
        (b"PAR1 nonsense", "not a readable Parquet file"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        read_table(write(tmp_path, content))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none\.csv: can't be read \(No such file"):
        read_table(tmp_path / "none.csv")


def test_parquet_gives_the_texts_of_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "meters.parquet"
    columns = {
        "Meter": pa.array(["001", None, "003"]).dictionary_encode(),
        "resolution": pa.array([0.001, None, float("nan")], pa.float32()),
        "interval_s": pa.array([900, None, None], pa.int64()),
        "validity_until": pa.array([20_000, None, None], pa.date32()),
    }
    pq.write_table(pa.table(columns), path)
    table = read_table(path)
    assert table.columns == ("meter", "resolution", "interval_s", "validity_until")
    assert cells(table) == [(1, ("001", "0.001", "900", "2024-10-04")), (3, ("003", "", "", ""))]


def test_serials_that_were_made_floats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "meters.parquet"
    pq.write_table(pa.table({"meter": [1.0, 2.0]}), path)
    with pytest.raises(InvalidInputError, match="column 'meter' holds numbers"):
        read_table(path)
    pq.write_table(pa.table({"meter": ["1"], "tags": [[1, 2]]}), path)
    with pytest.raises(InvalidInputError, match="column 'tags' is of type list"):
        read_table(path)
