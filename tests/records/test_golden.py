"""Files of every version of the format, kept for ever: what was once written is still read.

The golden lines were composed with the standard library's json, not with the codec under test.
"""

import json
from pathlib import Path

import msgspec
import pytest

from assay.records import (
    Call,
    CallEvidence,
    ExpertCall,
    Grade,
    Hint,
    Ledger,
    Mark,
    ModelStep,
    Origin,
    Rescue,
    Span,
    SystemStep,
    ToolStep,
    Trajectory,
    UserStep,
    decode,
    encode,
    read,
    write,
)
from assay.records.schema import PATH, schema_text

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.v*.jsonl"))
LINES = [(path.name, line) for path in FILES for line in path.read_bytes().splitlines()]
STEPS = (ModelStep, ToolStep, UserStep, SystemStep)
EVERY_RECORD = (
    *(Trajectory, *STEPS, Call, CallEvidence, Span),
    *(Grade, Mark, ExpertCall, Ledger, Origin, Hint, Rescue),
)


def test_there_are_golden_files():
    assert [path.name for path in FILES] == [
        "helped.v5.jsonl",
        "hints.v5.jsonl",
        "least.v1.jsonl",
        "prior.v4.jsonl",
        "scores.v2.jsonl",
        "session.v3.jsonl",
        "text.v1.jsonl",
        "tokens.v1.jsonl",
        "tree.v1.jsonl",
    ]


@pytest.mark.parametrize(("name", "line"), LINES)
def test_reading_and_writing_gives_the_same_bytes(name, line):
    assert encode(decode(line)) == line


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.zst"])
def test_write_read_write_gives_the_same_bytes(path, ending, tmp_path):
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    count = write(first, read(path))
    assert write(second, read(first)) == count
    assert first.read_bytes() == second.read_bytes()
    if ending == ".jsonl":
        assert first.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("name", "line"), LINES)
def test_a_record_holds_what_the_line_says(name, line):
    said = json.loads(line)
    held = {**msgspec.to_builtins(decode(line)), "schema": said["schema"]}
    assert json.loads(json.dumps(held)) == said


def test_values_arrive_where_they_belong():
    first = next(read(GOLDEN / "text.v1.jsonl"))
    assert first.rewards == {"state": 0.0, "reply": 1.0, "style": None}
    assert first.steps[1] == UserStep(
        text='Zmień lot, proszę — 航班 ✈ "AB12"\n\tdziś\\jutro.', name="traveller"
    )
    looked = first.steps[2].calls
    assert looked[0].evidence == CallEvidence(
        parsed=True, ran=True, sibling=False, expert=True, state=False
    )
    assert looked[1].evidence == CallEvidence(parsed=False, ran=False)
    assert [step.error for step in first.steps[3:6]] == [False, True, None]
    assert [step.call for step in first.steps[3:6]] == [(2, 0), (2, 1), None]
    assert [grade.value for grade in first.grades] == [1.0, None, 0.5, 0.0, 0.0]
    tokens = next(read(GOLDEN / "tokens.v1.jsonl")).steps[2]
    assert tokens.sampled == ((1, 3), (4, 7))
    assert tokens.logprobs == (-0.5, None, -1.25, 0.0, -1e-5)
    leaves = [each.steps[1] for each in read(GOLDEN / "tree.v1.jsonl")]
    assert [(leaf.node, leaf.parent) for leaf in leaves] == [("n1", "n0"), ("n2", "n0")]


@pytest.mark.parametrize("record", EVERY_RECORD, ids=lambda record: record.__name__)
def test_every_field_occurs_in_a_golden_file(record):
    found: set[str] = set()

    def walk(value):
        if isinstance(value, record):
            line = json.loads(msgspec.json.encode(value))
            found.update(line)
        if isinstance(value, msgspec.Struct):
            for field in msgspec.structs.fields(value):
                walk(getattr(value, field.name))
        elif isinstance(value, tuple):
            for member in value:
                walk(member)

    for _, line in LINES:
        walk(decode(line))
    assert {field.encode_name for field in msgspec.structs.fields(record)} <= found


def test_every_word_of_a_closed_vocabulary_occurs():
    everything = b"".join(line for _, line in LINES).decode()
    for words in (
        ["answered", "budget", "infra"],
        ["think", "call", "answer", "confidence", "text"],
        ["claimed", "admitted", "none"],
        ["masked", "drifted", "copied", "logprobs"],
        ["E0", "E1", "E2", "E3", "E4"],
        ["model", "tool", "user", "system"],
    ):
        for word in words:
            assert f'"{word}"' in everything


def test_the_schema_is_the_one_that_was_frozen():
    assert PATH.read_bytes() == schema_text(), "the format changed: a new version, or `make schema`"


def test_the_schema_names_the_fields_of_every_record():
    schema = json.loads(PATH.read_bytes())["$defs"]
    for record in EVERY_RECORD:
        about = schema["Trajectory5" if record is Trajectory else record.__name__]
        names = {field.encode_name for field in msgspec.structs.fields(record)}
        tag = {Trajectory: {"schema"}}.get(record, {"kind"} if record in STEPS else set())
        assert set(about["properties"]) == names | tag
        assert about["additionalProperties"] is False
