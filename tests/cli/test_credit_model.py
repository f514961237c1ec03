"""A model adds to a log what methods need and it lacks, and what it cost is counted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra assay[train]")
pytest.importorskip("transformers", reason="needs the extra assay[train]")

from msgspec import structs

from assay.errors import DataError, UsageError
from assay.records import (
    Call,
    ExpertCall,
    Hint,
    ModelStep,
    ToolStep,
    Trajectory,
    UserStep,
    read,
    write,
)
from assay.rollout.scoring import believing, elicited, hindsight, told_ending
from assay.runs.config import parsed
from assay.runs.folder import Folder
from assay.runs.scored import Scorer
from tests.runs import tiny

pytestmark = pytest.mark.filterwarnings("ignore")
Assay = Callable[..., Any]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.policy(tmp_path_factory.mktemp("policy")))


def attempt(name: str, outcome: float | None, *turns: int, **fields: Any) -> Trajectory:
    steps: list[Any] = [UserStep("?b", token_ids=(7, 3))]
    for token in turns:
        steps += [ModelStep(str(token), token_ids=(token,)), ToolStep("", token_ids=(8,))]
    fields = {"reference": "b", **fields}
    return Trajectory(name, "t", "t", steps=tuple(steps), outcome=outcome, **fields)


def beliefs(record: Trajectory) -> list[float | None]:
    return [record.prior, *(s.belief for s in record.steps if type(s) is ModelStep)]


RECORDS = [attempt("a", 1.0, 2, 3), attempt("b", 0.0, 4, 5), attempt("c", None, 4)]


def test_what_a_model_adds_is_what_a_run_would_have_added(policy: str):
    from assay.policy.loading import load

    scorer = Scorer(policy, ["beliefs", "hindsight", "calls"])
    made = list(scorer(RECORDS))
    model, tokenizer = load(policy)
    expected = [*map(believing, RECORDS, elicited(RECORDS, model, tokenizer))]
    expected = hindsight(expected, model, told_ending(tokenizer))
    assert [beliefs(record) for record in made] == [beliefs(record) for record in expected]
    # prompt, two first turns, which the third shares, two second ones; the endings of the scored
    assert scorer.forwards == sum(r.ledger.scoring_forwards or 0 for r in made) == 5 + 2
    told = [[s.scores for s in r.steps if type(s) is ModelStep] for r in made]
    assert told[:2] == [[s.scores for s in r.steps if type(s) is ModelStep] for r in expected[:2]]
    assert told[2] == [{}], "nobody knows how it ended"
    assert list(scorer(made)) == made, "what is there stays"


def test_what_an_environment_said_and_what_has_no_answer_stays(policy: str):
    known = structs.replace(
        RECORDS[0], prior=-2.0, steps=(*RECORDS[0].steps, ModelStep("d", belief=-1.0))
    )
    unanswered = attempt("d", 0.0, 2, reference=None)
    scorer = Scorer(policy, ["beliefs"])
    assert list(scorer([known, unanswered, attempt("e", 0.0)])) == [
        known,
        unanswered,
        attempt("e", 0.0),
    ]
    assert (scorer.forwards, scorer.unanswered) == (0, 1)


def test_one_line_says_what_a_model_cannot_read(policy: str):
    bare = attempt("x", 1.0, 2)
    bare = structs.replace(bare, steps=(bare.steps[0], ModelStep("a")))
    with pytest.raises(DataError, match=r"'x' steps\[1\]: no token ids; a policy scores tokens"):
        list(Scorer(policy, ["hindsight"])([bare]))
    with pytest.raises(DataError, match=r"'y' steps\[1\]: token id 99; the model .* knows 9: give"):
        list(Scorer(policy, ["beliefs"])([attempt("y", 1.0, 99)]))
    with pytest.raises(UsageError, match="--model: scores beliefs, hindsight and hints, which no"):
        Scorer(policy, ["calls"])


def a_run(path: Path) -> Path:
    """A training run that was at its seventh step, of which no checkpoint is there."""
    folder = Folder.create(path, parsed({}), about={})
    folder.update(step=7)
    write(folder.batch("rollouts", 1), RECORDS)
    return path


def test_credit_by_a_model(assay: Assay, policy: str, tmp_path: Path):
    log = tmp_path / "log.jsonl"
    write(log, RECORDS)
    any_log = "FOLDER (or start, or a name on Hugging Face), the policy that sampled the log"
    for source, names in ((log, any_log), (a_run(tmp_path / "run"), "start")):
        refused = assay("credit", source, "-m", "grpo", "-m", "igpo", "-m", "hcapo", "-o", "credit")
        assert (refused.code, Path("credit").exists()) == (3, False)
        assert refused.error == (
            "igpo, hcapo: no step has beliefs and hindsight, which a model can add: give --model "
            f"{names}, or leave out -m igpo -m hcapo; nothing was written"
        )
    (tmp_path / "run/checkpoints/step_7").mkdir()
    (tmp_path / "run/checkpoints/step_7/config.json").write_text("{}")
    refused = assay("credit", tmp_path / "run", "-m", "igpo", "--json", "-")
    assert f"give --model {tmp_path / 'run/checkpoints/step_7'}, or" in refused.error
    made = assay("credit", log, "-m", "igpo", "-m", "hcapo", "--model", policy, "-o", "credit")
    assert made.code == 0
    scored = Path("credit/scored.jsonl.zst")
    assert f"{scored}  3 trajectories, 7 scoring forwards of {policy}" in made.err
    assert f"assay audit {scored} shows these methods beside the others" in made.err
    assert sorted(p.name for p in Path("credit").iterdir()) == [
        "hcapo.jsonl",
        "igpo.jsonl",
        "scored.jsonl.zst",
    ]
    assert all(None not in beliefs(record) for record in read(scored))
    alone = assay("credit", log, "-m", "igpo", "--model", policy, "--json", "-")
    again = assay("credit", scored, "-m", "igpo", "--json", "-")
    assert alone.out == again.out == Path("credit/igpo.jsonl").read_bytes()
    first = json.loads(again.out.splitlines()[0])["step_advantage"]
    assert first[0] != first[1]
    other = assay("credit", log, "-m", "igpo", "--model", policy, "--elicit", "=", "--json", "-")
    assert other.out != alone.out


def test_a_model_that_nothing_reads_and_a_log_without_tokens_leave_nothing(
    assay: Assay, policy: str, tmp_path: Path
):
    log = tmp_path / "log.jsonl"
    write(log, [Trajectory("a", "t", "t", steps=(UserStep("x"), ModelStep("y")), reference="b")])
    ended = assay("credit", log, "-m", "igpo", "--model", policy, "-o", "credit")
    assert (ended.code, ended.error) == (
        3,
        "trajectory 'a' steps[0]: no token ids; a policy scores tokens",
    )
    assert not list(Path("credit").glob("*"))
    ended = assay("credit", log, "-m", "grpo", "--model", policy, "-o", "credit")
    assert ended.code == 2
    assert "which no method asked for needs" in ended.err
    ended = assay("credit", log, "-m", "grpo", "--elicit", "x", "-o", "credit")
    assert ended.code == 2
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "log.jsonl", RECORDS)
    inside = folder / "credit"
    ended = assay("credit", folder, "-m", "igpo", "--model", policy, "-o", inside)
    assert "lies in the log" in ended.err
    assert not inside.exists()


def test_a_method_that_is_refused_leaves_nothing(assay: Assay, policy: str, tmp_path: Path):
    log = tmp_path / "log.jsonl"
    write(log, RECORDS)
    beside = ("credit", log, "-m", "igpo", "-o", "credit")
    # what no model can add is missed before the model is opened; the rest, before a file is there
    for name, model, said in (
        ("tree_rl", "no/such", "tree_rl needs nodes, and no step has one"),
        ("gae", policy, "gae needs scores, and no step has one"),
    ):
        ended = assay(*beside, "-m", name, "--model", model)
        assert (ended.code, Path("credit").exists()) == (3, False)
        assert said in ended.error
    assert assay(*beside, "--model", "no/such").code != 0
    assert assay("credit", log, "-m", "grpo", "-m", "gae", "-o", "credit").code == 3
    assert not Path("credit").exists()


def hinted(record: Trajectory, **fields: Any) -> Trajectory:
    """The record with a hint about its first step."""
    steps = list(record.steps)
    steps[1] = structs.replace(steps[1], hints=(Hint("a b", source="env"),), **fields)
    return structs.replace(record, steps=tuple(steps))


def said(record: Trajectory) -> list[Any]:
    return [(s.told, s.neutral) for s in record.steps if type(s) is ModelStep]


def test_what_a_teacher_adds_is_what_a_run_would_have_added(policy: str):
    from assay.policy.loading import load
    from assay.rollout.teaching import Blocks, taught

    records = [hinted(RECORDS[0]), RECORDS[1], hinted(RECORDS[2])]
    scorer = Scorer(policy, ["told", "neutral", "calls"])
    made = list(scorer(records))
    model, tokenizer = load(policy)
    expected = taught(records, model, Blocks.of(tokenizer))
    assert [said(record) for record in made] == [said(record) for record in expected]
    assert made[1] == records[1], "nobody said anything of it"
    assert said(made[0])[1] == (None, None)
    assert scorer.forwards == 4
    assert scorer.apart == "", "there is nothing that it could differ from"
    again = Scorer(policy, ["told", "neutral"])
    assert list(again(made)) == made, "what is there stays"
    assert (again.forwards, again.apart) == (0, None)
    alone = Scorer(policy, ["told"])
    assert [pair[1] for record in alone(records) for pair in said(record)] == [None] * 5


def test_credit_with_a_teacher_says_if_the_model_is_not_the_one_that_sampled(
    assay: Assay, policy: str, tmp_path: Path
):
    log = tmp_path / "log.jsonl"
    write(log, [hinted(each, logprobs=(-9.0,)) for each in RECORDS])
    made = assay("credit", log, "-m", "routing", "--model", policy, "-o", "credit")
    assert made.code == 0
    assert "the model is not the one that sampled the log" in made.err
    assert "'a' steps[1]: told an empty hint, it gives token 0" in made.err
    assert "6 scoring forwards" in made.err
    unheard = assay("credit", log, "-m", "opd", "--json", "-")
    assert "opd: no step has told, which a model can add: give --model" in unheard.err


def test_what_is_worked_out_of_an_expert_is_written_with_what_a_model_adds(
    assay: Assay, policy: str, tmp_path: Path
):
    log = tmp_path / "log.jsonl"
    (first, *rest), expert = RECORDS, (ExpertCall("look", "{}"),)
    before, step, *after = first.steps
    called = structs.replace(step, calls=(Call("look", "{}"),))
    write(log, [structs.replace(first, steps=(before, called, *after), expert=expert), *rest])
    made = assay("credit", log, "-m", "igpo", "-m", "srl", "--model", policy, "-o", "credit")
    assert made.code == 0
    scored = next(read(Path("credit/scored.jsonl.zst"))).steps[1]
    assert isinstance(scored, ModelStep)
    assert scored.scores["srl"] == 1.0
