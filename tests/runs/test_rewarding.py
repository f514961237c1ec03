"""A scorer in a run: who it is, what it leaves on record, and that a resumed run has it again."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

pytest.importorskip("trl", reason="needs the extra assay[train]")

import torch

from assay.errors import UsageError
from assay.policy.loading import load
from assay.records import ModelStep, Span, Trajectory, UserStep, read
from assay.rollout.dense import certainty
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.line import Line
from assay.rollout.reward import Reward
from assay.runs.config import parsed
from assay.runs.rewarding import FILE, SILENT, Rewarding
from tests.runs import tiny

pytestmark = pytest.mark.filterwarnings("ignore")


def wrote(text: str, policy: Any, reference: str | None = "b") -> Trajectory:
    def ids(said: str) -> tuple[int, ...]:
        return tuple(policy[1](said, add_special_tokens=False).input_ids)

    answer = (Span(role="answer", start=0, end=len(ids(text))),)
    steps = (
        UserStep("?b\n", token_ids=ids("?b\n")),
        ModelStep(text, token_ids=ids(text), spans=answer),
    )
    return Trajectory(text, "t", "t", steps=steps, reference=reference)


@pytest.fixture
def policy(tmp_path: Path) -> tuple[Any, Any]:
    return load(str(tiny.policy(tmp_path / "policy")))


def scored(rewarding: Rewarding, policy: Any) -> float:
    heard: list[str] = []
    (made,) = rewarding([wrote("=a\n", policy)], policy[0], say=heard.append)
    assert not heard
    value = made.rewards["mean_logp"]
    assert value is not None
    return value


@pytest.mark.parametrize("scorer", ["start", "lagged", "policy"])
def test_whose_word_it_is(scorer: Any, policy: tuple[Any, Any]) -> None:
    """The policy changes and the step is followed: the start says what it said; the policy what it
    says now; one that lags what lies a quarter of the way between the weights."""
    model, tokenizer = policy
    settings = Reward(kind="mean_logp", scorer=scorer, rate=0.25, leaks="kept")
    rewarding = Rewarding(settings, Line(tokenizer), tokenizer)
    rewarding.begin(model)
    before = scored(rewarding, policy)
    head = model.get_output_embeddings().weight
    old = head.detach().clone()
    with torch.no_grad():
        head.add_(torch.randn(head.shape, generator=torch.Generator().manual_seed(1)))
    new = head.detach().clone()
    rewarding.follow(model)
    after = scored(rewarding, policy)
    assert torch.equal(head, new), "the policy's own weights come back"
    share = {"start": 0.0, "lagged": 0.25, "policy": 1.0}[scorer]
    with torch.no_grad():
        head.copy_(old + share * (new - old))
    (expected,) = certainty([wrote("=a\n", policy)], model, tokenizer, mark="=")
    assert expected is not None
    assert after == pytest.approx(expected.logp_T[0], abs=1e-5)
    assert (abs(after - before) < 1e-9) == (scorer == "start")


def test_a_scorer_that_lags_is_kept_under_its_own_name(
    policy: tuple[Any, Any], tmp_path: Path
) -> None:
    model, tokenizer = policy
    settings = Reward(kind="mean_logp", scorer="lagged", rate=0.25, leaks="kept")
    first, other = (Rewarding(settings, Line(tokenizer), tokenizer) for _ in range(2))
    first.begin(model)
    before = scored(first, policy)
    first.save(tmp_path)
    assert (tmp_path / FILE).is_file()
    head = model.get_output_embeddings().weight
    with torch.no_grad():
        head.add_(torch.randn(head.shape, generator=torch.Generator().manual_seed(1)))
    other.begin(model)
    assert abs(scored(other, policy) - before) > 1e-6
    other.load(tmp_path)
    assert scored(other, policy) == pytest.approx(before, abs=1e-9)


def test_a_batch_in_which_some_have_a_reference_is_not_silent(policy: tuple[Any, Any]) -> None:
    model, tokenizer = policy
    heard: list[str] = []
    on = Rewarding(Reward(kind="mean_logp"), Line(tokenizer), tokenizer)
    on([wrote("=a\n", policy), wrote("=a\n", policy, None)], model, say=heard.append)
    assert not heard


def test_the_mark_is_the_protocols_unless_it_is_given(policy: tuple[Any, Any]) -> None:
    model, tokenizer = policy

    def said(protocol: Any, **more: Any) -> float:
        settings = Reward(kind="mean_logp", scorer="policy", leaks="kept", **more)
        return scored(Rewarding(settings, protocol, tokenizer), policy)

    def plain(mark: str) -> float:
        (found,) = certainty([wrote("=a\n", policy)], model, tokenizer, mark=mark)
        assert found is not None
        return found.logp_T[0]

    assert said(Line(tokenizer)) == pytest.approx(plain("="), abs=1e-6)
    assert said(Line(tokenizer), mark="d") == pytest.approx(plain("d"), abs=1e-6)
    other = Chat.__new__(Chat)
    assert said(other) == pytest.approx(plain(""), abs=1e-6)
    assert plain("") != pytest.approx(plain("="), abs=1e-3)


def test_off_nothing_is_touched_and_without_any_reference_it_says_so(
    policy: tuple[Any, Any],
) -> None:
    model, tokenizer = policy
    records = [wrote("=a\n", policy, None)]
    heard: list[str] = []
    off = Rewarding(Reward(), Line(tokenizer), tokenizer)
    assert off(records, model, say=heard.append) is records
    assert not off.on
    assert not heard
    on = Rewarding(Reward(kind="r3"), Line(tokenizer), tokenizer)
    (made,) = on(records, model, say=heard.append)
    assert made == structs.replace(records[0], rewards={"r3": None})
    assert heard == [SILENT]
    assert on.facts["reward/missing"] == 1.0


@pytest.mark.parametrize(
    ("kind", "dense", "said"),
    [
        ("r3", None, "which nothing compares; say recipe.rubric.dense"),
        ("r3", "mean_p", "reward.kind: got r3"),
        ("none", "r3", "reads r3, and reward.kind is none; take reward.kind=r3"),
        ("r3", {"r3": 1.0, "mean_p": 0.1}, "reads mean_p, and reward.kind is r3"),
    ],
)
def test_a_reward_that_nobody_compares_and_one_that_nobody_makes_are_refused(
    kind: str, dense: Any, said: str
) -> None:
    rubric = {} if dense is None else {"rubric": {"dense": dense}}
    with pytest.raises(UsageError, match=said):
        parsed({"reward": {"kind": kind}, "recipe": {"method": "grpo", **rubric}})
    both = {"r3": 1.0, "length": 0.2}
    parsed({"reward": {"kind": "r3"}, "recipe": {"method": "grpo", "rubric": {"dense": both}}})


def run(folder: Path, **more: Any) -> Path:
    from assay.runs.start import start

    more["recipe__rubric"] = {"dense": more["reward__kind"]}
    tables = tiny.settings(tiny.policy(folder / "policy"), steps=2, **more)
    return start(parsed(tables), folder / "run", seed=5).path


@pytest.mark.slow
def test_a_run_is_scored_by_its_start_and_counts_what_that_cost(tmp_path: Path) -> None:
    made = run(tmp_path, reward__kind="mean_logp", reward__leaks="kept")
    model, tokenizer = load(str(tmp_path / "policy"))
    forwards = 0
    for step in (1, 2):
        records = list(read(made / "rollouts" / f"step_{step:06}.jsonl"))
        again = certainty(records, model, tokenizer, mark="=")
        for record, found in zip(records, again, strict=True):
            assert found is not None
            mean = sum(found.logp_T) / len(found.logp_T)
            assert record.rewards["mean_logp"] == pytest.approx(mean, abs=1e-4)
            assert record.rewards["leaked"] == 1.0, "the task is ?b, and the answer b"
        forwards += sum(found.forwards for found in again if found is not None)
    ledger = [json.loads(line) for line in (made / "ledger.jsonl").read_text().splitlines()]
    assert ledger[-1]["total"]["scoring_forwards"] == forwards
    metrics = [json.loads(line) for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert metrics[0]["reward/leaked"] == 1.0
    assert metrics[0]["reward/mean_logp"] < 0
    assert not (made / "checkpoints" / "step_2" / "scorer.safetensors").exists()


@pytest.mark.slow
def test_a_scorer_that_lags_is_resumed(tmp_path: Path) -> None:
    from assay.runs.folder import Folder
    from assay.runs.start import resume

    made = run(tmp_path, reward__kind="mean_p", reward__scorer="lagged", reward__leaks="kept")
    at = made / "checkpoints" / "step_2"
    weights, scorer = (
        (at / name).read_bytes() for name in ("model.safetensors", "scorer.safetensors")
    )
    rollouts = (made / "rollouts" / "step_000002.jsonl").read_bytes()
    assert weights != scorer
    Folder.open(made).update(step=1, status="running")
    (at / "COMMITTED").unlink()
    resume(made)
    assert (at / "scorer.safetensors").read_bytes() == scorer
    assert (made / "rollouts" / "step_000002.jsonl").read_bytes() == rollouts
