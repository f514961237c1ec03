"""What the documents say is run: examples, worked numbers, and the keys that they list."""

import contextlib
import doctest
import io
import json
import re
from pathlib import Path

import msgspec
import pytest

from assay.audit import audit
from assay.audit.annotations import annotations, step_credit
from assay.cli.verbs import app
from assay.demo import RECORDED
from assay.pipeline import run
from assay.records import (
    Call,
    CallEvidence,
    Decision,
    ExpertCall,
    Grade,
    Ledger,
    Mark,
    ModelStep,
    Origin,
    Replayed,
    Span,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
    Value,
    read,
)

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FORMATS = (ROOT / "docs" / "formats.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", ["path", "punished"])
def test_a_worked_page_is_what_the_code_computes(page):
    done = doctest.testfile(str(ROOT / "docs" / f"{page}.md"), module_relative=False)
    assert done.attempted > 15
    assert done.failed == 0


def test_the_example_of_the_readme_prints_what_the_readme_says():
    code, printed = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL)[0]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    assert out.getvalue() == printed
    assert len([line for line in code.splitlines() if line]) <= 10


def test_the_readme_is_one_screen_and_lists_every_verb():
    assert len(README.splitlines()) <= 80
    listed = set(re.findall(r"^\| `assay ([a-z]+)", README, re.MULTILINE))
    verbs = [*app.registered_commands, *app.registered_groups]
    assert listed == {verb.name for verb in verbs}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize(
    "record",
    [
        *(Trajectory, ModelStep, ToolStep, UserStep, SystemStep, Call, CallEvidence, Span),
        *(ExpertCall, Grade, Mark, Ledger, Origin, Decision, Replayed, Value),
    ],
    ids=lambda record: record.__name__,
)
def test_every_field_is_documented(record):
    for field in msgspec.structs.fields(record):
        assert re.search(rf"`{field.name}`|\b{field.name} \(", FORMATS), field.name


def keys_of(value, depth):
    if isinstance(value, dict):
        for key, member in value.items():
            yield key
            if depth > 1:
                yield from keys_of(member, depth - 1)


@pytest.fixture(scope="module")
def result():
    return run(read(RECORDED))


def test_every_key_of_the_audit_is_documented(result):
    found = audit(result.batch, result.decisions, result.advantages)
    described = FORMATS[FORMATS.index("## Audit") : FORMATS.index("## Run directory")]
    by_name = ("pass_at_k", "pass_hat_k", "recovered", "not_applicable", "losses")
    keys = {*found, *found["recovered"]["grpo"], *found["fate"]["dead"]} - {"schema"}
    for key, member in found.items():
        if not key.startswith(by_name) and not key.startswith("pass_"):
            keys |= set(keys_of(member, 1))
    for key in sorted(keys):
        assert f"`{key}`" in described or f"`{key}(" in described, key


def test_every_key_of_an_annotation_is_documented(result):
    credited = step_credit(result.batch, result.advantages["grpo"])
    line = next(annotations(result.batch, result.decisions, "grpo", credited))
    described = FORMATS[FORMATS.index("## Credit") : FORMATS.index("## Audit")]
    for key in json.loads(json.dumps(line)):
        assert f"`{key}`" in described, key
