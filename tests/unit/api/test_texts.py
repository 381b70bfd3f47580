"""The catalogue of the console's texts: complete, alike in both languages, and known to those that use it."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import api
from api.texts import LANGUAGES, Texts, choose_language, load_catalogue
from gateway.reasons import ADVICE, Reason
from metrology.conformity import Outcome
from metrology.quantities import Medium
from verifier.kinds import KINDS, Severity

FOLDER = Path(str(api.__file__)).parent
ENTRIES = [(section, key) for section, entries in load_catalogue().items() for key in entries]


def fields(text: str) -> set[str]:
    """The names that a text wants filled in."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize(("section", "key"), ENTRIES)
def test_each_text_is_there_in_both_languages_with_the_same_fields(section, key):
    entry = load_catalogue()[section][key]
    assert entry.keys() == set(LANGUAGES)
    assert all(text.strip() for text in entry.values())
    assert fields(entry["zh"]) == fields(entry["en"])


def test_chinese_texts_are_chinese():
    same = {"product", "none", "other_language", "point_uncertainty", "list_comma"}
    for section, key in ENTRIES:
        if section == "ui" and key not in same:
            assert re.search(r"[\u4e00-\u9fff]", load_catalogue()[section][key]["zh"]), key


def test_every_kind_has_the_verifiers_title_a_story_and_an_advice():
    catalogue = load_catalogue()
    for kind, info in KINDS.items():
        assert catalogue["kind"][kind.value] == {"en": info.title_en, "zh": info.title_zh}
        assert kind.value in catalogue["story"]
        assert kind.value in catalogue["advice"]
    assert catalogue["kind"].keys() == {kind.value for kind in KINDS}


def test_every_figure_and_part_that_the_verifier_writes_is_named():
    source = "".join((FOLDER.parent / "verifier" / name).read_text() for name in ("step_findings.py", "deliveries.py"))
    parts = set(re.findall(r'reading_evidence\("(\w+)"', source))
    assert parts
    zones = "".join(path.read_text() for path in (FOLDER.parent / "verifier" / "balance").glob("*.py"))
    reasons = set(re.findall(r'_?[rR]eason\(\s*"(\w+)"', zones)) | {"straddles_limit", "uncertainty_too_large"}
    assert (
        {"zone_refused", "zone_not_understood", "no_limit", "stopped", "foreign_member"}
        <= reasons
        <= load_catalogue()["reason"].keys()
    )
    assert parts <= load_catalogue()["part"].keys()
    written = set(re.findall(r'"(\w+)": |detail\["(\w+)"\]', source))
    names = {first or second for first, second in written} - {"part", "observed_at", "batch_id", "message_no", "status"}
    texts = Texts("en")
    unnamed = {
        name for name in names if not texts.has("figure", name) and not texts.has("figure", name.rpartition("_")[0])
    }
    assert len(names) > 15
    assert unnamed <= {"register_micro", "message_digest"}


def test_every_figure_and_part_of_the_findings_on_light_load_is_named():
    folder = FOLDER.parent / "verifier"
    source = (folder / "light_load_findings.py").read_text() + (folder / "low_flow_loss.py").read_text()
    names = set(re.findall(r'"(\w+)": ', source)) | {"small_load_kw", "small_load_m3ph", "ongoing"}
    texts = Texts("zh")
    assert {"p_low_flow_lost", "least_flow_m3ph", "steady_load_w", "light_share_least_pct", "block_s"} <= names
    unnamed = {n for n in names if not texts.has("figure", n) and not texts.has("figure", n.rpartition("_")[0])}
    assert unnamed <= {"told_us"}
    parts = set(re.findall(r'\("(\w+)", (?:before|within|last)', source))
    assert {"before", "start", "told", "end"} == parts <= load_catalogue()["part"].keys()


def test_every_reason_of_the_quarantine_is_explained_in_both_languages():
    titles, remedies = load_catalogue()["quarantine_reason"], load_catalogue()["quarantine_remedy"]
    assert titles.keys() == remedies.keys() == {reason.value for reason in Reason}, "add it to api/texts.toml"
    english = Texts("en")
    for reason, advice in ADVICE.items():
        assert english.of("quarantine_reason", reason) == advice.title
        assert english.of("quarantine_remedy", reason) == advice.remedy


def test_the_lists_of_the_field_are_complete():
    assert {severity.value for severity in Severity} == load_catalogue()["severity"].keys()
    assert {outcome.value for outcome in Outcome} == load_catalogue()["outcome"].keys()
    assert {medium.value for medium in Medium} == load_catalogue()["medium"].keys()


def test_templates_and_code_use_known_texts_only():
    known = load_catalogue()["ui"].keys()
    used = set()
    for template in (FOLDER / "templates").glob("*.html"):
        used |= set(re.findall(r'\bt\("(\w+)"', template.read_text()))
    for source in (FOLDER / "console").glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
                "texts",
                "_texts",
            ):
                used |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    assert len(used) > 80
    assert used <= known


def test_an_unknown_key_of_a_section_stands_for_itself():
    assert Texts("zh").of("kind", "some_new_kind") == "some new kind"
    with pytest.raises(KeyError):
        Texts("zh")("some_new_text")


@pytest.mark.parametrize(
    ("asked", "accept", "expected"),
    [
        ("en", "zh-CN", "en"),
        ("zh", "en", "zh"),
        ("fr", "en", "en"),
        (None, "en;q=0.5, zh-TW;q=0.6", "zh"),
        (None, "EN-us", "en"),
        (None, "en;q=0", "zh"),
        (None, "en;q=high", "zh"),
        (None, "*", "zh"),
        (None, "", "zh"),
        (None, "," * 5000, "zh"),
    ],
)
def test_choice_of_the_language(asked, accept, expected):
    assert choose_language(asked, accept, "zh") == expected


def test_every_remedy_and_part_of_an_uncertainty_is_named():
    folder, catalogue = FOLDER.parent / "verifier" / "balance", load_catalogue()
    remedies = (folder / "remedies.py").read_text()
    codes = set(re.findall(r'_remedy\(\s*at, "(\w+)"', remedies)) | set(re.findall(r'\[?\("(\w+)", \(', remedies))
    assert {"more_days", "clocks", "network", "reference", "gap_repair", "site_test"} <= codes
    assert codes == catalogue["remedy"].keys()
    parts = set(re.findall(r'yield "(\w+)"', (folder / "model.py").read_text()))
    parts |= set(re.findall(r'Group\("(\w+)"', (folder / "history.py").read_text()))
    estimates = (folder / "estimates.py").read_text()
    parts |= set(re.findall(r'(?:own|out)\["(\w+)"\]', estimates)) | set(re.findall(r'out = \{"(\w+)"', estimates))
    assert {"meters", "noise", "changes", "left_out", "gains"} <= parts
    assert parts == catalogue["contribution"].keys()


def test_every_detail_belongs_to_a_reason():
    catalogue = load_catalogue()
    assert {key.partition(".")[0] for key in catalogue["reason_detail"]} <= catalogue["reason"].keys()
