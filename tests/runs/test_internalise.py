"""Runs that learn from contexts: what is scored, trained on, counted, kept; killed and resumed."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

from assay.errors import UsageError
from assay.runs.config import parsed
from assay.runs.ledger import check
from tests.runs import tiny
from tests.runs.conftest import Assay
from tests.runs.test_train import contents, recipe
from tests.runs.tiny import rows

pytestmark = [pytest.mark.filterwarnings("ignore")]
OURS: dict[str, Any] = {
    "env__name": "tests.runs.tiny:Asked",
    "rlag__kind": "rlag",
    "rlag__slice": 8,
    "rlag__epochs": 2,
    "rlag__distilled": 0.5,
    "train__probe": 0,
    "train__save_every": 4,
}
"""Slices of eight letters, four a step, twice: four steps a slice."""


def tables(policy: Path, **more: Any) -> dict[str, Any]:
    return tiny.settings(policy, **{**OURS, "steps": 12, **more})


def started(settings: dict[str, Any], out: Path, seed: int = 5) -> Path:
    from assay.runs.start import start

    return start(parsed(settings), out, seed=seed).path


@pytest.fixture(scope="module")
def trained(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return started(tables(policy), tmp_path_factory.mktemp("runs") / "trained")


@pytest.mark.slow
def test_every_slice_is_scored_trained_on_twice_and_saved(trained: Path) -> None:
    metrics, ledger = rows(trained / "metrics.jsonl"), rows(trained / "ledger.jsonl")
    assert [row["step"] for row in metrics] == list(range(1, 13))
    assert [(row["step"], row["first"], row["prompts"]) for row in ledger] == [
        (1, 0, 8), (5, 8, 8), (9, 16, 8),
    ]  # fmt: skip
    names = sorted(path.name for path in (trained / "questions").iterdir())
    assert names == ["step_000001.jsonl", "step_000005.jsonl", "step_000009.jsonl"]
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == [
        "step_12", "step_8",
    ]  # fmt: skip
    assert [row["learning_rate"] for row in metrics] == [1e-2] * 12
    assert check(ledger)["trajectories"] == 0


@pytest.mark.slow
def test_what_is_written_of_a_question_is_what_a_plain_forward_says(
    trained: Path, policy: Path
) -> None:
    from assay.policy.loading import load
    from assay.policy.scoring import plain

    model, tokenizer = load(str(policy))
    asked = rows(trained / "questions" / "step_000001.jsonl")
    assert [(row["task"], row["prompt"]) for row in asked[:2]] == [
        (row["task"], f"?{'abcd'[row['task'] % 4]}") for row in asked[:2]
    ]
    for row in asked:
        letter = "abcd"[row["task"] % 4]
        assert (row["context"], row["options"]) == (letter, ["=a", "=b", "=c", "=d"])
        assert row["right"] == "abcd".index(letter)
        for name, before in (("open", f"?{letter}\n{letter}\n="), ("closed", f"?{letter}\n=")):
            given = len(before)
            for option, said in zip("abcd", row[name], strict=True):
                ids = tokenizer(f"{before}{option}\n", add_special_tokens=False)["input_ids"]
                assert said == pytest.approx(np.mean(plain(model, ids)[given - 1 :]), abs=1e-5)
        assert row["chosen"] == int(np.argmax(row["open"]))
        assert row["rejected"] == int(np.argmax(row["closed"]))
        assert row["weight"] == 1.0


@pytest.mark.slow
def test_tokens_are_those_that_are_read(trained: Path) -> None:
    # a letter a token: `?b` and its end 3, with the line 5, the line 2, `=b` and its end 3, of
    # which all options share one. Scored: 5 + 4 * 3, 3 + 4 * 3, eight texts
    for number, ledger in enumerate(rows(trained / "ledger.jsonl")):
        asked = rows(trained / "questions" / f"step_{4 * number + 1:06d}.jsonl")
        apart = sum(row["chosen"] != row["rejected"] for row in asked)
        # trained, twice: the line 2, closed with the turn 6; of a pair 5 + 3 and 3 + 3
        assert ledger["tokens"] == 8 * 32 + 2 * (8 * (2 + 6) + apart * 14)
        assert ledger["scoring_forwards"] == 8 * 8


@pytest.mark.slow
def test_a_row_says_what_the_rewards_were_before_the_step(trained: Path, policy: Path) -> None:
    from assay.policy.loading import load
    from assay.policy.scoring import plain

    model, tokenizer = load(str(policy))
    first = rows(trained / "metrics.jsonl")[0]
    asked = rows(trained / "questions" / "step_000001.jsonl")
    batch = np.random.default_rng([5, 0, 0]).permutation(8)[:4]

    def mean(text: str, given: int) -> float:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return float(np.mean(plain(model, ids)[given - 1 :]))

    seen: dict[str, list[float]] = {"know": [], "augmented": [], "naive": [], "distilled": []}
    lost = []
    for row in (asked[at] for at in batch):
        task, line = row["prompt"] + "\n", row["context"] + "\n"
        chosen, rejected = (row["options"][row[name]] + "\n" for name in ("chosen", "rejected"))
        k, cc = mean(line, 1), mean(task + chosen, len(task))
        ca = mean(task + line + chosen, len(task + line) + 1)
        cr = mean(task + rejected, len(task) + 1)
        same = row["chosen"] == row["rejected"]
        pair = 0.0 if same else 0.5 * min(ca, -0.2) - 0.5 * max(cr, -5.0)
        margin = (0.5 if same else 0.2) * k + pair + 0.5 * cc - 0.8
        lost.append(np.log1p(np.exp(-margin)))
        seen["know"].append(k)
        seen["distilled"].append(cc)
        if not same:
            seen["augmented"].append(ca)
            seen["naive"].append(cr)
    assert first["loss"] == pytest.approx(np.mean(lost), abs=1e-5)
    for name, values in seen.items():
        if values:
            assert first[f"rlag/{name}"] == pytest.approx(np.mean(values), abs=1e-5)
        else:
            assert first[f"rlag/{name}"] is None


@pytest.mark.slow
def test_rows_of_one_pass_make_no_difference(policy: Path, tmp_path: Path) -> None:
    whole = started(tables(policy, steps=4), tmp_path / "whole")
    parts = started(tables(policy, steps=4, train__micro=3), tmp_path / "parts")
    for one, other in zip(*(rows(run / "metrics.jsonl") for run in (whole, parts)), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_killed_run_is_resumed_to_the_byte(
    at: int, trained: Path, policy: Path, tmp_path: Path
) -> None:
    from assay.runs import internalise
    from assay.runs.start import resume

    own, out = internalise.Internalising._step, tmp_path / "run"

    def killed(self: Any, part: Any, batch: Any, step: int, last: Any) -> None:
        if step == 4 * at + 3:  # in the middle of a slice
            raise KeyboardInterrupt
        own(self, part, batch, step, last)

    with mock.patch.object(internalise.Internalising, "_step", killed), suppress(KeyboardInterrupt):
        started(tables(policy), out)
        raise AssertionError("it was not killed")
    assert resume(out).about["status"] == "finished"
    kept, ended = contents(trained), contents(out)
    for each in (kept, ended):
        each.pop("run.json")  # what git says of the repository
    assert ended == kept


@pytest.mark.slow
def test_closed_book_rises_and_contexts_alone_need_no_scores(policy: Path, tmp_path: Path) -> None:
    right = {
        "rlag__chosen": "right", "rlag__naive": 0.0, "rlag__distilled": 1.0, "steps": 120,
        "train__save_every": 120, "train__learning_rate": 3e-2,
    }  # fmt: skip
    run = started(tables(policy, **right), tmp_path / "rlag", seed=0)
    metrics = rows(run / "metrics.jsonl")
    assert metrics[-1]["rlag/closed_book"] > metrics[0]["rlag/closed_book"] + 0.3
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    bare = started(tables(policy, rlag__kind="cpt"), tmp_path / "cpt")
    told = rows(bare / "metrics.jsonl")
    # of two tokens one has another before it: the loss is minus its log-probability
    assert [row["loss"] for row in told] == pytest.approx([-row["rlag/know"] for row in told])
    assert told[-1]["rlag/know"] > told[0]["rlag/know"]
    assert [row["tokens"] for row in rows(bare / "ledger.jsonl")] == [2 * 8 * 2] * 3
    assert not (bare / "questions").exists()


@pytest.mark.slow
def test_a_filter_leaves_out_what_misleads(policy: Path, tmp_path: Path) -> None:
    run = started(tables(policy, rlag__filter="right", steps=4), tmp_path / "run")
    asked = rows(run / "questions" / "step_000001.jsonl")
    assert [row["weight"] for row in asked] == [
        float(row["chosen"] == row["right"]) for row in asked
    ]
    used = rows(run / "metrics.jsonl")[0]["rlag/used"]
    assert used == pytest.approx(np.mean([row["weight"] for row in asked]))


@pytest.mark.slow
def test_where_nothing_counts_no_step_is_taken(policy: Path, tmp_path: Path) -> None:
    from assay.kernels import rlag

    with mock.patch.object(rlag, "weight", lambda chosen_Q, *_, **__: np.zeros(chosen_Q.size)):
        run = started(tables(policy, steps=4), tmp_path / "run")
    assert [row["loss"] for row in rows(run / "metrics.jsonl")] == [0.0] * 4
    before, after = (policy / "model.safetensors", run / "checkpoints/step_4/model.safetensors")
    from safetensors.numpy import load_file

    first, last = load_file(before), load_file(after)
    assert all((last[name] == first[name]).all() for name in last)


@pytest.mark.slow
def test_a_budget_ends_it_with_a_slice(policy: Path, tmp_path: Path) -> None:
    whole = started(tables(policy, rollout__budget_tokens=400), tmp_path / "run")
    ledger = rows(whole / "ledger.jsonl")
    assert len(ledger) == 1
    assert abs(ledger[0]["total"]["tokens"] - 400) <= ledger[0]["tokens"] / 2
    assert [path.name for path in (whole / "checkpoints").iterdir()] == ["step_4"]


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "slices": ({"rlag__slice": 6}, "rlag: got train.steps=12 with slices of 6 questions"),
    "saves": ({"train__save_every": 2}, "rlag: got train.save_every=2"),
    "rescue": ({"rescue__kind": "ladder"}, "rlag: got rescue.kind=ladder; expected none"),
    "trees": (
        {"rollout__kind": "tree", "train__group": 6},
        "rlag: got rollout.kind=tree; expected chain",
    ),
    "recipe": ({"recipe__method": "psr"}, "credit rollouts; got {'method': 'psr'}"),
    "probe": ({"train__probe": 1}, "rlag: got train.probe=1; expected 0"),
    "pool": ({"schedule__pool": 4}, "rlag: got schedule.pool=4; expected 0"),
    "kind": ({"rlag__kind": "dpo"}, "rlag"),
    "weight": ({"rlag__naive": -1.0}, "naive"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_it_cannot_do_is_refused(fault: str) -> None:
    more, words = FAULTS[fault]
    with pytest.raises(UsageError) as refused:
        parsed(tables(Path("start"), **more))
    assert words in str(refused.value)


@pytest.mark.slow
def test_a_context_that_is_too_long_is_refused(policy: Path, tmp_path: Path) -> None:
    settings = tables(policy, train__max_length=5)
    with pytest.raises(UsageError, match=r"option are 8 tokens; expected at most train.max_length"):
        started(settings, tmp_path / "run")


@pytest.mark.slow
def test_an_environment_without_options_is_refused_before_anything_is_written(
    policy: Path, tmp_path: Path, assay: Assay
) -> None:
    path = recipe(tmp_path, policy, **{**OURS, "env__name": "tests.runs.tiny:Letter", "steps": 4})
    said = assay("train", path, "--out", tmp_path / "run")
    assert (said.code, (tmp_path / "run").exists()) == (2, False)
    assert "env letter, task 0: 0 options, 0 of them different, and no context" in said.err


@pytest.mark.slow
def test_eval_asks_with_and_without_the_context(
    trained: Path, policy: Path, tmp_path: Path, assay: Assay
) -> None:
    said = assay("eval", trained, "--samples", 4, "--out", tmp_path / "eval", "--json", "-")
    assert said.code == 0, said.err
    books = json.loads(said.out)["books"]
    assert set(books) == {"open", "closed", "asked", "course"}
    metrics = rows(trained / "metrics.jsonl")
    assert books["course"]["trained"] == [
        [at, metrics[at - 1]["rlag/closed_book"], metrics[at - 1]["rlag/open_book"]]
        for at in (1, 5, 9)
    ]
    assert list(books["closed"]) == ["base", "trained"]
    # four held-out letters, a to d, each asked once: what a policy says is what `asked` shows
    assert [each["prompt"] for each in books["asked"]] == ["?a", "?b", "?c", "?d"]
    for name, seen in books["closed"].items():
        share = np.mean([each["said"][name] == each["right"] for each in books["asked"]])
        assert seen["right"] == pytest.approx(share)
        assert seen["ci"][0] <= seen["right"] <= seen["ci"][1]
    gap = books["closed"]["trained"]["right"] - books["closed"]["base"]["right"]
    assert books["closed"]["trained"]["difference"]["value"] == pytest.approx(gap)
    told = assay("eval", trained, "--samples", 4, "--out", tmp_path / "eval")
    assert "trained: right option closed book " in " ".join(told.out.split())


@pytest.mark.slow
def test_there_is_nothing_to_audit_and_its_page_is_viewed(
    trained: Path, tmp_path: Path, assay: Assay
) -> None:
    said = assay("audit", trained)
    assert (said.code, said.err.count("\n")) == (3, 1)
    assert "a run without rollouts, which learns from questions; measure it with" in said.err
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert assay("view", run, "--no-open").code == 3
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / "report.html").touch()
    said = assay("view", run, "--no-open")
    assert (said.code, said.out.split()) == (0, [(run / "eval" / "report.html").as_uri()])
