"""The pages of docs/regulations are those of the data files, with each figure's confidence; the command lists them."""

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from meterproof.cli import main
from meterproof.commands.regulations import regulations
from metrology.errors import NotFoundError
from metrology.regulation import get_regulation, load_regulations
from metrology.regulation_page import index_page, regulation_page
from metrology.regulation_schema import entries

PAGES = Path(__file__).parents[3] / "docs" / "regulations"
APP = typer.Typer()
APP.command()(regulations)


@pytest.mark.parametrize("regulation", load_regulations(), ids=lambda r: r.id)
def test_the_committed_page_is_up_to_date(regulation):
    committed = (PAGES / f"{regulation.id}.md").read_text(encoding="utf-8")
    assert committed == regulation_page(regulation), "run: meterproof regulations --write docs/regulations"


def test_the_committed_list_is_up_to_date_and_no_page_is_left_over():
    assert (PAGES / "README.md").read_text(encoding="utf-8") == index_page(load_regulations())
    assert {p.stem for p in PAGES.glob("*.md")} == {r.id for r in load_regulations()} | {"README"}


@pytest.mark.parametrize("regulation", load_regulations(), ids=lambda r: r.id)
def test_every_figure_stands_on_its_page_with_clause_and_confidence(regulation):
    lines = [line for line in regulation_page(regulation).splitlines() if line.startswith("| ")]
    for entry in entries(regulation):
        mark = "**C**" if entry.confidence == "C" else entry.confidence
        assert any(f"| {entry.clause} | {mark} | {entry.source} |" in line for line in lines), entry


def test_figures_to_be_confirmed_stand_out():
    page = regulation_page(get_regulation("jjg-596-2026"))
    assert "**8 years**" in page
    assert "±5 |" in regulation_page(get_regulation("oiml-r49-2013"))


def test_the_command_lists_and_shows():
    runner = CliRunner()
    listed = runner.invoke(APP, [])
    assert listed.exit_code == 0
    assert all(r.id in listed.output and r.designation in listed.output for r in load_regulations())
    shown = runner.invoke(APP, ["--show", "jjg-162-2019"])
    assert shown.output == regulation_page(get_regulation("jjg-162-2019"))
    data = json.loads(runner.invoke(APP, ["--json"]).output)
    assert [d["id"] for d in data] == [r.id for r in load_regulations()]
    assert json.loads(runner.invoke(APP, ["--show", "jjg-162-2019", "--json"]).output)["family"] == "jjg-162"
    assert isinstance(runner.invoke(APP, ["--show", "jjg-1"]).exception, NotFoundError)


def test_a_wrong_id_ends_the_command_with_the_valid_ones_and_code_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["meterproof", "regulations", "--show", "jjg-1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "regulation 'jjg-1' is unknown; use one of jjf-anhui-111-2021" in message
    assert "Traceback" not in message


def test_the_command_writes_the_pages(tmp_path):
    assert CliRunner().invoke(APP, ["--write", str(tmp_path / "pages")]).exit_code == 0
    assert {p.name for p in (tmp_path / "pages").iterdir()} == {p.name for p in PAGES.iterdir()}
