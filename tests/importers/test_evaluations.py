"""verifiers before 0.4, terminal-bench 1, HAL: values of their fixtures, worked out by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import ModelStep, Span, Step, ToolStep, Trajectory, UserStep, decode, encode
from assay.runs.audit import audit_log

FIXTURES = Path(__file__).parent.parent / "fixtures"


def read(path: Path, format: str) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == format
    found = list(trajectories)
    for one in found:
        assert decode(encode(one)) == one
    return found, losses.counts


def results_of(steps: tuple[Step, ...]) -> list[tuple[str, str, Any]]:
    return [(step.text, step.name, step.call) for step in steps if type(step) is ToolStep]


# --- verifiers before 0.4

VERIFIERS = FIXTURES / "verifiers_results"
RUN = VERIFIERS / "sums--vendor--small" / "1a2b3c4d"


@pytest.mark.parametrize("level", [VERIFIERS, RUN, RUN / "results.jsonl"])
def test_verifiers_results_at_every_level(level: Path) -> None:
    found, losses = read(level, "verifiers_results")
    # The error's rollout has reward 0 in the file, which nobody computed.
    assert [(t.id, t.group, t.outcome, t.end) for t in found] == [
        ("sums/0/0", "sums/0", 1.0, "answered"),
        ("sums/0/1", "sums/0", None, "infra"),
        ("sums/1/0", "sums/1", 0.25, "budget"),
    ]
    assert found[0].rewards == {"correct": 1.0, "num_turns": 2.0}
    assert {(t.policy_version, t.reference) for t in found} == {("vendor/small", "3")}
    assert losses == {
        "reward_of_failure": 1,
        "no_outcome": 1,
        "span_in_characters": 1,
        "observation_tokens_not_split": 1,
    }


def test_verifiers_results_pair_by_id_and_keep_the_tokens_of_turns() -> None:
    found, _ = read(RUN, "verifiers_results")
    steps = found[0].steps
    assert results_of(steps) == [
        ("Error: a is no number", "add", (1, 1)),
        ("3", "add", (1, 0)),
    ]
    model, last = steps[1], steps[4]
    assert type(model) is ModelStep
    assert type(last) is ModelStep
    assert [(c.name, c.arguments) for c in model.calls] == [
        ("add", '{"a": 1, "b": 2}'),
        ("add", '{"a": "x"}'),
    ]
    # Prompt 1 2 is the question's; 5 6 are of both results and go before the answer, not sampled.
    assert steps[0].token_ids == (1, 2)
    assert (model.token_ids, model.sampled, model.logprobs) == ((3, 4), None, (-0.5, -0.25))
    assert (last.token_ids, last.sampled, last.logprobs) == ((5, 6, 7), ((2, 3),), (-1.0,))
    # Nothing of the second rollout has ids, so its reasoning keeps its place in the text.
    second = found[1].steps[1]
    assert type(second) is ModelStep
    thought = (Span(role="think", start=0, end=9),)
    assert (second.text, second.spans) == ("Add them.Adding.", thought)


def rollout(**rest: Any) -> dict[str, Any]:
    said = [{"role": "assistant", "content": "4"}]
    base = {"example_id": 0, "prompt": [], "completion": said, "reward": 0.0, "metrics": {}}
    return {**base, "is_completed": True, **rest}


@pytest.mark.parametrize(
    ("changed", "end", "outcome"),
    [
        ({}, "answered", 0.0),
        # an environment of one turn ends by its limit of turns
        ({"stop_condition": "max_turns_reached"}, "answered", 0.0),
        ({"stop_condition": "max_turns_reached", "is_truncated": True}, "budget", 0.0),
        ({"stop_condition": "prompt_too_long"}, "budget", 0.0),
        ({"stop_condition": "my_own"}, "answered", 0.0),
        ({"is_completed": False}, "unknown", 0.0),
        ({"error": {"error": "E"}, "reward": 1.0}, "infra", None),
        ({"error": "E()"}, "infra", None),
        ({"error": None, "stop_condition": "has_error"}, "infra", None),
        ({"error": None}, "answered", 0.0),
        ({"reward": None}, "answered", None),
        ({"completion": "4", "prompt": "2 + 2?"}, "answered", 0.0),
    ],
)
def test_verifiers_results_ends(
    tmp_path: Path, changed: dict[str, Any], end: str, outcome: float | None
) -> None:
    (tmp_path / "results.jsonl").write_text(json.dumps(rollout(**changed)) + "\n")
    (one,), losses = read(tmp_path / "results.jsonl", "verifiers_results")
    assert (one.end, one.outcome, one.steps[-1].text) == (end, outcome, "4")
    assert losses["metadata_missing"] == 1


def test_runs_of_several_environments_and_models_keep_apart(tmp_path: Path) -> None:
    for run, env, model in ((1, "a", "m"), (2, "a", "m"), (3, "a", "n"), (4, "b", "m")):
        folder = tmp_path / "outputs" / "evals" / f"{env}--{model}" / str(run)
        folder.mkdir(parents=True)
        (folder / "results.jsonl").write_text(json.dumps(rollout()) + "\n")
        (folder / "metadata.json").write_text(json.dumps({"env_id": env, "model": model}))
    found, losses = read(tmp_path, "verifiers_results")
    assert [(t.group, t.trial) for t in found] == [
        ("a/0", 0),
        ("a/0", 1),
        ("a/0@n", 0),
        ("b/0", 0),
    ]
    assert losses == {}


# --- terminal-bench 1

TERMINAL = FIXTURES / "terminal_bench"
TRIAL = TERMINAL / "run-1" / "hello" / "hello.1-of-3.run-1"


@pytest.mark.parametrize("level", [TERMINAL, TERMINAL / "run-1", TERMINAL / "run-1/results.json"])
def test_terminal_bench_at_every_level(level: Path) -> None:
    found, losses = read(level, "terminal_bench")
    # The third trial raised: it has no folder and stands in the run's results alone.
    assert sorted((t.id[6], t.group, t.outcome, t.end, t.rewards["tests"]) for t in found) == [
        ("1", "hello", 1.0, "answered", 1.0),
        ("2", "hello", 0.0, "budget", 0.5),
        ("3", "hello", None, "infra", None),
    ]
    assert losses == {"no_outcome": 1, "terminal_not_read": 2}
    # Of the second nothing that its agent did is there, and its outcome counts.
    (second,) = (t for t in found if t.id[6] == "2")
    assert second.steps == (UserStep(text="Write ok to a.txt."), ModelStep())
    groups = audit_log(level, report=False).audit["groups"]
    assert (groups["mixed"], groups["total"]) == (1, 1)


def test_a_terminus_agent_is_read_by_its_episodes() -> None:
    (one,), losses = read(TRIAL, "terminal_bench")
    assert [type(step) for step in one.steps] == [
        UserStep,
        ModelStep,
        ToolStep,
        ModelStep,
        UserStep,
        ModelStep,
    ]
    model = one.steps[1]
    assert type(model) is ModelStep
    (call,) = model.calls
    assert [key["keystrokes"] for key in json.loads(call.arguments)["commands"]] == [
        "echo ok > a.txt\n",
        "cat a.txt\n",
    ]
    assert results_of(one.steps) == [("root@c:/app# cat a.txt\nok\n", "terminal", (1, 0))]
    assert (one.ledger.tokens, losses) == (120, {})


def test_episodes_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    shutil.copy(TRIAL / "results.json", tmp_path)
    for number in (0, 2, 10):
        folder = tmp_path / "agent-logs" / f"episode-{number}"
        folder.mkdir(parents=True)
        (folder / "prompt.txt").write_text(str(number))
        (folder / "response.txt").write_text("<response>")
    (one,), _ = read(tmp_path / "results.json", "terminal_bench")
    assert [s.text for s in one.steps if type(s) is UserStep] == ["0", "2", "10"]


@pytest.mark.parametrize("name", ["../hello", "/tmp", "..", "a\0b", ""])
def test_names_in_results_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    run = json.loads((TERMINAL / "run-1" / "results.json").read_text())
    run["results"] = [{**run["results"][0], "trial_name": name}]
    shutil.copytree(TRIAL, tmp_path / "hello")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text(json.dumps(run))
    (one,), losses = read(tmp_path / "run" / "results.json", "terminal_bench")
    assert one.steps == (UserStep(text="Write ok to a.txt."), ModelStep())
    assert losses["terminal_not_read"] == 1


# --- HAL


def test_hal_uploads_by_task() -> None:
    found, losses = read(FIXTURES / "hal", "hal")
    assert [(t.id, t.outcome, t.end, t.rewards) for t in found] == [
        ("shop/0/0", 1.0, "unknown", {"reward": 1.0}),
        ("shop/1/0", 0.0, "unknown", {"reward": 0.0}),
        ("shop/2/0", None, "infra", {}),  # listed among the failures, but its agent never ran
        ("shop/0/1", 1.0, "unknown", {"reward": 1.0}),
    ]
    # Three calls and two turns in both; in the second it is another one's "Is this polite?".
    assert losses == {
        "call_outside_conversation": 2,
        "score_of_infra_failure": 1,
        "no_trajectory": 1,
        "no_outcome": 1,
    }


def test_hal_conversations_are_the_same_kept_or_in_calls() -> None:
    found, _ = read(FIXTURES / "hal", "hal")
    assert found[0].steps == found[3].steps
    assert results_of(found[0].steps) == [("Error: no such sku", "find", (1, 0))]
    assert [s.text for s in found[0].steps] == [
        "Where is 7?",
        "",
        "Error: no such sku",
        "It is nowhere.",
    ]


def test_a_hal_upload_without_calls_or_verdicts_is_one_line(tmp_path: Path) -> None:
    upload = json.loads((FIXTURES / "hal" / "shop_clerk_1_UPLOAD.json").read_text())
    upload["results"], upload["raw_logging_results"] = {}, "encrypted"
    (tmp_path / "a_UPLOAD.json").write_text(json.dumps(upload))
    with pytest.raises(DataError, match=r"raw_logging_results: got str"):
        read(tmp_path / "a_UPLOAD.json", "hal")
