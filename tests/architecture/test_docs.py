"""The documents are true: generated pages are current, links lead somewhere, commands exist, both READMEs agree."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_settings_page_is_current(generator: ModuleType) -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == generator.settings_page(), "run: make docs"


def test_the_page_of_codec_options_is_current(generator: ModuleType) -> None:
    page = (ROOT / "docs" / "codec-options.md").read_text(encoding="utf-8")
    assert page == generator.codec_options_page(), "run: make docs"


def test_every_setting_is_explained(generator: ModuleType) -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", generator.settings_page(), flags=re.MULTILINE)
    assert len(rows) > 50
    assert [name for name, meaning in rows if len(meaning) < 10] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_commands_of_the_readme_exist(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    targets = set(re.findall(r"^(?:`|)make ([a-z-]+)", text, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets >= {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)
    commands = {command.split(" ")[0] for command in re.findall(r"`(?:\.venv/bin/)?meterproof ([a-z-]+)", text)}
    shown = subprocess.run(
        [sys.executable, "-m", "meterproof", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert commands
    assert [command for command in commands if command not in shown] == []


def test_no_text_names_a_machines_path_or_a_registrys_host() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    forbidden = re.compile(r"/work/|/root/|pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org")
    texts = [
        ROOT / name
        for name in listed
        if not name.startswith("api/static/vendor/") and name != "tests/architecture/test_docs.py"
    ]
    found = []
    for path in texts:
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        if forbidden.search(text):
            found.append(str(path.relative_to(ROOT)))
    assert found == []
