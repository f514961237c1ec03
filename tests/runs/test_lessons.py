"""A teacher in a run: what is refused, what a row is taught, what is left on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

pytest.importorskip("trl", reason="needs the extra assay[train]")

import torch

from assay.errors import AlignmentError, UsageError
from assay.policy.loading import load
from assay.recipes.recipe import Recipe
from assay.records import Hint, ModelStep, Span, ToolStep, Trajectory, UserStep, read
from assay.rollout.ranking import Ranked
from assay.rollout.teacher import Feedback
from assay.runs.config import parsed
from assay.runs.lessons import Lessons, row_to_teach
from assay.signal.losses import TopK
from assay.signal.origins import OriginRow
from tests.runs import tiny

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("kind", "method", "said"),
    [
        ("none", "routing", "needs told; take feedback.kind=opd"),
        ("opd", "grpo", "which no method of the recipe reads"),
    ],
)
def test_a_teacher_that_nobody_reads_and_a_reader_without_one_are_refused(
    kind: str, method: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        parsed({"feedback": {"kind": kind}, "recipe": {"method": method}})
    for right in ("sdpo", "topk", "none"):
        parsed({"feedback": {"kind": right}})
    parsed({"feedback": {"kind": "opd"}, "recipe": {"method": "rlsd"}})


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", 0.0), ("rate", 1.5), ("alpha", 1.5), ("cap", 0.0), ("weight", 0.0), ("k", 0)],
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"feedback\.{name}"):
        parsed({"feedback": {name: value}})


STEP = ModelStep(
    "x",
    token_ids=(5, 6, 7, 8, 9),
    sampled=((0, 1), (2, 5)),
    logprobs=(-1.0,) * 4,
    hints=(Hint("a", source="env"),),
    spans=(Span(role="think", start=2, end=3),),
)
RECORD = Trajectory(
    "a",
    "t",
    "t",
    steps=(
        UserStep("?", token_ids=(1, 2)),
        ModelStep("y", token_ids=(3, 4), logprobs=(-1.0, -1.0)),
        ToolStep("!", token_ids=(2,)),
        STEP,
        ToolStep("!", token_ids=(2,)),
    ),
    outcome=0.0,
)
FOUND = Ranked(
    0,
    3,
    np.arange(10).reshape(5, 2),
    np.full((5, 2), -0.5),
    np.full((5, 2), -0.25),
)


@pytest.mark.parametrize("kind", ["sdpo", "topk"])
def test_a_row_is_taught_at_sampled_tokens_of_hinted_steps_that_are_not_spared(kind: Any) -> None:
    # completion 3 4 | 2 | 5 6 7 8 9 | 2: the first step has no hint; 6 is scaffold, 7 thought, 8
    # the first behind it, 9 ends the step: 5 is left
    row = row_to_teach(RECORD, [FOUND], Feedback(kind=kind, weight=0.5, alpha=0.25, cap=2.0))
    (term,) = row.losses
    assert (term.name, term.kind) == (kind, "topk_kl")
    assert term.weight_N.tolist() == [0, 0, 0, 0.5, 0, 0, 0, 0, 0]
    target = term.target
    assert isinstance(target, TopK)
    np.testing.assert_array_equal(target.token_NV[3:8], FOUND.token_NV)
    np.testing.assert_array_equal(target.logprob_NV[3:8], FOUND.told_NV)
    assert (target.alpha, target.cap) == (0.25, 2.0)
    if kind == "topk":
        assert target.old_NV is not None
        np.testing.assert_array_equal(target.old_NV[3:8], FOUND.own_NV)
        assert row.ratio == "one", "it is in the loss"
    else:
        assert target.old_NV is None
        assert (row.ratio, row.cap) == ("truncated", 2.0)
    assert row.completion_ids == (3, 4, 2, 5, 6, 7, 8, 9, 2)
    np.testing.assert_array_equal(row.logprobs or (), [-1, -1, 0, -1, 0, -1, -1, -1, 0])


def test_each_row_is_trained_on_once_a_batch() -> None:
    lessons = Lessons.__new__(Lessons)
    lessons._rows = [OriginRow((1,), (2,), (1,), record=f"{n}") for n in range(5)]

    def named(step: int, minibatches: int) -> str:
        return "".join(each.record for each in lessons.rows(step, minibatches))

    assert named(7, 1) == "01234"
    assert (named(4, 2), named(5, 2)) == ("024", "13")


def lessons(tokenizer: Any, method: str, **settings: Any) -> Lessons:
    return Lessons(Feedback(**settings), Recipe.of(method), tokenizer, 1.0)


def failing(name: str) -> Trajectory:
    steps = (
        UserStep("?b", token_ids=(7, 3)),
        ModelStep("a", token_ids=(2, 4, 1), hints=(Hint("b", source="env"),)),
        ToolStep("?b", token_ids=(7, 3)),
    )
    return Trajectory(name, "t", "t", steps=steps, outcome=0.0)


def test_what_is_asked_is_what_the_recipe_reads(tmp_path: Path) -> None:
    model, tokenizer = load(str(tiny.policy(tmp_path)))
    for method, told, neutral in (("routing", True, True), ("opd", True, False)):
        by = lessons(tokenizer, method, kind="opd")
        by.begin(model)
        (made,) = by([failing("a")], model, own=True, say=print)
        step: Any = made.steps[1]
        assert ((step.told is not None), (step.neutral is not None)) == (told, neutral)
        assert made.ledger.scoring_forwards == told + neutral
    by = lessons(tokenizer, "grpo", kind="sdpo", k=3)
    (made,) = by([failing("a")], model, own=True, say=print)
    assert made.ledger.scoring_forwards == 2, "policy and teacher"
    assert len(by.rows(0, 1)) == 1
    plain = lessons(tokenizer, "grpo", kind="none")
    assert plain([failing("a")], model, own=True, say=print) == [failing("a")]


def test_the_teacher_follows_by_its_rate_and_is_put_back(tmp_path: Path) -> None:
    model, tokenizer = load(str(tiny.policy(tmp_path)))
    by = lessons(tokenizer, "grpo", kind="sdpo", teacher="ema", rate=0.25)
    by.begin(model)
    weight = model.get_input_embeddings().weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight += 4.0
    by.follow(model)
    assert by._average is not None
    with by._average.worn(model):
        assert torch.allclose(weight, before + 1.0, atol=1e-6)
    by.save(tmp_path)
    again = lessons(tokenizer, "grpo", kind="sdpo", teacher="ema", rate=0.25)
    again.begin(model)
    again.load(tmp_path)
    assert again._average is not None
    with again._average.worn(model):
        assert torch.allclose(weight, before + 1.0, atol=1e-6)


def test_the_teacher_of_the_start_stays_and_the_policy_s_own_goes_along(tmp_path: Path) -> None:
    model, tokenizer = load(str(tiny.policy(tmp_path)))
    weight = model.get_input_embeddings().weight
    before = weight.detach().clone()
    start, own = (
        lessons(tokenizer, "grpo", kind="opd", teacher=each) for each in ("start", "self")
    )
    for by in (start, own):
        by.begin(model)
    with torch.no_grad():
        weight += 4.0
    for by in (start, own):
        by.follow(model)
    with start._teaching(model)():
        assert torch.equal(weight, before)
    with own._teaching(model)():
        assert torch.allclose(weight, before + 4.0)


# --- runs


def hinted(record: Trajectory) -> Trajectory:
    """A hint about each turn of a failure: what its next observation says."""
    steps = list(record.steps)
    for at, step in enumerate(steps[:-1]):
        if type(step) is ModelStep and (record.outcome or 0.0) < 1:
            said = Hint(steps[at + 1].text.strip(), source="env")
            steps[at] = structs.replace(step, hints=(said,))
    return structs.replace(record, steps=tuple(steps))


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.runs.rollouts import Rollouts

    plain = Rollouts._scored
    monkeypatch.setattr(
        Rollouts, "_scored", lambda self, *given: [*map(hinted, plain(self, *given))]
    )


def run(folder: Path, **more: Any) -> Path:
    from assay.runs.start import start

    tables = tiny.settings(tiny.policy(folder / "policy"), steps=2, **more)
    tables["env"]["name"] = "tests.runs.tiny:Twice"
    return start(parsed(tables), folder / "run", seed=5).path


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.usefixtures("hints")
def test_what_a_teacher_says_is_on_record_counted_and_learnt(tmp_path: Path) -> None:
    made = run(tmp_path, recipe__method="routing", feedback__kind="opd")
    records = list(read(made / "rollouts" / "step_000001.jsonl"))
    steps = [s for record in records for s in record.steps if type(s) is ModelStep]
    asked = [step for step in steps if step.hints and step.token_ids]
    assert asked
    assert all(step.told and step.neutral for step in asked)
    assert all(step.told is None for step in steps if not step.hints)
    forwards = sum(record.ledger.scoring_forwards or 0 for record in records)
    assert forwards == 2 * len(asked)
    first = rows(made)[0]
    assert first["feedback/hinted_share"] == pytest.approx(len(asked) / len(steps))
    assert first["feedback/shift"] > 0
    assert first["mass/teacher/positive"] + first["mass/teacher/negative"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("hints")
@pytest.mark.parametrize("kind", ["sdpo", "topk"])
def test_a_run_with_an_average_goes_on_from_a_checkpoint_as_if_nothing_had_happened(
    kind: str, tmp_path: Path
) -> None:
    from assay.runs.folder import Folder
    from assay.runs.start import resume

    more = {"feedback__kind": kind, "feedback__teacher": "ema", "feedback__where": "all"}
    made = run(tmp_path, **more)
    assert rows(made)[0]["feedback/rows"] > 0
    assert rows(made)[0]["skipped"] == 0
    weights = (made / "checkpoints" / "step_2" / "model.safetensors").read_bytes()
    teacher = (made / "checkpoints" / "step_2" / "teacher.safetensors").read_bytes()
    assert weights != teacher
    Folder.open(made).update(step=1, status="running")
    (made / "checkpoints" / "step_2" / "COMMITTED").unlink()
    resume(made)
    assert (made / "checkpoints" / "step_2" / "model.safetensors").read_bytes() == weights
    assert (made / "checkpoints" / "step_2" / "teacher.safetensors").read_bytes() == teacher


@pytest.mark.slow
def test_a_batch_without_a_hint_teaches_nothing_and_ends_no_run(tmp_path: Path) -> None:
    made = run(tmp_path, recipe__method="agreement", feedback__kind="opd")
    assert rows(made)[0]["feedback/hinted_share"] == 0.0
    assert rows(made)[0]["mass/teacher/positive"] == 0.0
    assert any("no step of the batch has a hint" in each for each in rows(made)[0]["events"])


@pytest.mark.slow
@pytest.mark.usefixtures("hints")
def test_a_teacher_that_is_out_of_line_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.rollout import alignment

    right = alignment.answered

    def one_off(*given: Any, **options: Any) -> Any:
        return [(*values[1:], 0.0) for values in right(*given, **options)]

    monkeypatch.setattr(alignment, "answered", one_off)
    with pytest.raises(AlignmentError, match="told an empty hint"):
        run(tmp_path, recipe__method="routing", feedback__kind="opd")
    assert not (tmp_path / "run" / "metrics.jsonl").exists() or not rows(tmp_path / "run")
