"""SWE-agent, mini-SWE-agent and plain chat: small logs written by hand, every value by hand."""

import json
from pathlib import Path

import pytest

from assay.errors import DataError
from assay.importers import Losses, load
from assay.records import Call, ModelStep, Span, SystemStep, ToolStep, Trajectory, UserStep

FIXTURES = Path(__file__).parent.parent / "fixtures"


def read(path: Path, format: str) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    name, trajectories = load(path, losses=losses)
    assert name == format
    return list(trajectories), losses.counts


def bash(command: str, id: str | None = None) -> Call:
    return Call(name="bash", arguments=f'{{"command": "{command}"}}', id=id)


def test_swe_agent_turns_have_thought_and_call_located():
    (run,), losses = read(FIXTURES / "swe_agent/demo__repo-1.traj", "swe_agent")
    assert run.steps == (
        SystemStep(text="You fix bugs."),
        UserStep(text="Fix a.py."),
        ModelStep(
            text="I look around.\n```\nls\n```",
            calls=(bash("ls"),),
            # 14 characters of thought; then a line break, three backticks, a line break: 19.
            spans=(Span(role="think", start=0, end=14), Span(role="call", start=19, end=21)),
        ),
        ToolStep(text="a.py", name="bash", call=(2, 0)),
        ModelStep(
            text="Done.\n```\nsubmit\n```",
            calls=(bash("submit"),),
            spans=(Span(role="think", start=0, end=5), Span(role="call", start=10, end=16)),
        ),
        ToolStep(text="diff --git a/a.py b/a.py", name="bash", call=(4, 0)),
        ToolStep(text="Exit due to cost limit", name="SWE-agent"),
    )
    assert (run.id, run.task, run.outcome, run.end) == (
        "demo__repo-1/0",
        "demo__repo-1",
        None,
        "budget",
    )
    assert run.policy_version == "model-a"
    assert losses == {
        "demonstration": 1,
        "environment_state": 2,
        "info:model_stats": 1,
        "info:submission": 1,
        "no_outcome": 1,
    }


def test_swe_agent_takes_tool_calls_from_the_history():
    (run,), _ = read(FIXTURES / "swe_agent/tools.traj", "swe_agent")
    steps = [s for s in run.steps if isinstance(s, ModelStep)]
    # The second entry failed to parse, so the history does not have it: only its text is known.
    assert [s.calls for s in steps] == [
        (Call(name="open", arguments='{"path":"a.py"}', id="c1"),),
        (bash("opne"),),
        (Call(name="bash", arguments='{"command":"python a.py"}', id="c2"),),
    ]
    assert [s.name for s in run.steps if isinstance(s, ToolStep)] == ["open", "bash", "bash"]
    assert steps[0].spans == (Span(role="think", start=0, end=10),)
    assert run.end == "budget"


def test_swe_agent_reads_old_demonstrations_and_counts_trials():
    folder = FIXTURES / "swe_agent"
    found, _ = read(folder, "swe_agent")
    assert [t.id for t in found] == ["demo__repo-1/0", "old_demonstration/0", "tools/0"]
    old = found[1]
    assert [type(s).__name__ for s in old.steps] == [
        "SystemStep",
        "UserStep",
        "ModelStep",
        "ToolStep",
        "ModelStep",
        "UserStep",
    ]
    assert isinstance(old.steps[3], ToolStep)
    assert old.steps[3].call == (2, 0)
    assert old.end == "unknown"


def test_swe_agent_trials_are_runs_of_one_instance(tmp_path: Path):
    text = (FIXTURES / "swe_agent/demo__repo-1.traj").read_text()
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "demo__repo-1.traj").write_text(text)
    (tmp_path / "preds.json").write_text("{}")
    found, losses = read(tmp_path, "swe_agent")
    assert [(t.id, t.group) for t in found] == [
        ("demo__repo-1/0", "demo__repo-1"),
        ("demo__repo-1/1", "demo__repo-1"),
    ]
    assert losses["not_a_log"] == 1


def test_mini_swe_agent_reads_tool_calls_and_responses():
    (run,), losses = read(FIXTURES / "mini_swe_agent/demo__repo-1.traj.json", "mini_swe_agent")
    assert run.steps == (
        SystemStep(text="You are a helpful assistant."),
        UserStep(text="Fix a.py."),
        ModelStep(
            text="Hm. Look first.",
            calls=(bash("ls", "c1"), bash("cat b.py", "c2")),
            spans=(Span(role="think", start=0, end=4),),
        ),
        ToolStep(text="no such file", name="bash", call=(2, 1), error=True),
        ToolStep(text="a.py", name="bash", call=(2, 0)),
        UserStep(text="No tool calls found in the response."),
        ModelStep(
            text="I am done. Submitting.",
            calls=(bash("submit", "c3"),),
            spans=(Span(role="think", start=0, end=10),),
        ),
        ToolStep(text="ok", name="bash", call=(6, 0)),
    )
    assert (run.outcome, run.end, run.policy_version) == (None, "answered", "vendor/model-a")
    assert losses["no_outcome"] == 1
    assert losses["exit_message"] == 1


def test_mini_swe_agent_version_1_finds_the_block_in_the_text():
    (run,), _ = read(FIXTURES / "mini_swe_agent/version_1.traj.json", "mini_swe_agent")
    step = run.steps[2]
    assert isinstance(step, ModelStep)
    assert step.calls == (bash("ls -la"),)
    # "THOUGHT: look" is 13 characters, two line breaks, "```bash" 7, a line break: 23.
    assert step.spans == (Span(role="call", start=23, end=29),)
    assert isinstance(run.steps[3], ToolStep)
    # The second reply has no block: no call, and what follows is no observation.
    assert run.steps[4] == ModelStep(text="I forgot the block.")
    assert isinstance(run.steps[5], UserStep)
    assert run.end == "budget"


def test_mini_swe_agent_two_blocks_are_no_call(tmp_path: Path):
    text = (FIXTURES / "mini_swe_agent/version_1.traj.json").read_text()
    block = "```bash\\nls -la\\n```"
    (tmp_path / "a.traj.json").write_text(text.replace(block, f"{block} {block}"))
    (run,), losses = read(tmp_path, "mini_swe_agent")
    assert run.steps[2] == ModelStep(
        text="THOUGHT: look\n\n```bash\nls -la\n``` ```bash\nls -la\n```"
    )
    assert losses["several_blocks"] == 1


def test_chat_puts_reasoning_first_and_reads_parts():
    (first, second), losses = read(FIXTURES / "chat/two_trials.jsonl", "chat")
    assert [t.id for t in (first, second)] == ["sum/0", "sum-b"]
    assert (first.claim, second.claim) == ("claimed", None)
    assert (first.end, second.end) == ("answered", "budget")
    assert second.steps[1] == ModelStep(
        text="No tool needed.Six.", spans=(Span(role="think", start=0, end=15),)
    )
    assert losses == {}


def test_equal_ids_are_told_apart_and_counted(tmp_path: Path):
    line = '{"task":"t","trial":0,"reward":1,"messages":[]}\n'
    taken = '{"task":"t","id":"t/0~2","reward":1,"messages":[]}\n'
    log = tmp_path / "log.jsonl"
    log.write_text(line + taken + line * 2)
    found, losses = read(log, "chat")
    assert [t.id for t in found] == ["t/0", "t/0~2", "t/0~3", "t/0~4"]
    assert losses == {"repeated_id": 2}


def test_a_file_with_nothing_in_it_is_an_error(tmp_path: Path):
    (tmp_path / "log.json").write_text("[]")
    with pytest.raises(DataError, match="no trajectory in it; expected OpenAI chat messages"):
        list(load(tmp_path / "log.json", format="chat")[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('"trial":"0"', 'line 1.trial: got str "0"; expected int'),
        ('"reward":"1"', 'line 1.reward: got str "1"; expected a number, true or false'),
        ('"messages":{}', "line 1.messages: got an object of 0 keys; expected array"),
        ('"messages":[5]', "line 1.messages[0]: got int 5; expected a message object"),
        ('"end":"gone"', "line 1.end: got 'gone'; expected one of answered"),
    ],
)
def test_errors_name_the_place_and_what_is_expected(tmp_path: Path, change: str, message: str):
    key = change.split(":")[0]
    fields = ['"task":"t"', '"trial":0', '"reward":1', '"messages":[]']
    changed = [f for f in fields if not f.startswith(key)]
    log = tmp_path / "log.jsonl"
    log.write_text("{" + ",".join([*changed, change]) + "}\n")
    with pytest.raises(DataError) as caught:
        list(load(log, format="chat")[1])
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(log))


def rejected(**extra: object) -> dict[str, object]:
    extra = {"interrupt_type": "FormatError", **extra}
    return {"role": "user", "content": "Call a tool.", "extra": extra}


def test_turns_that_mini_swe_agent_rejected_are_turns(tmp_path: Path) -> None:
    wrong = {"id": "c", "function": {"name": "python", "arguments": "{}"}}
    answer = {"role": "assistant", "content": "Hm.", "tool_calls": [wrong]}
    said = {"type": "message", "content": [{"text": "So?"}]}
    messages = [
        rejected(response={"choices": [{"message": answer}]}),
        rejected(response={"object": "response", "output": [said]}),
        rejected(model_response="Twice.", n_actions=2),
        rejected(response="ModelResponse(id=1)"),
        {"role": "exit", "content": "RepeatedFormatError"},
    ]
    log = {"info": {"exit_status": "RepeatedFormatError"}, "messages": messages}
    (tmp_path / "a.traj.json").write_text(json.dumps(log))
    (run,), losses = read(tmp_path / "a.traj.json", "mini_swe_agent")
    assert run.steps == (
        ModelStep(text="Hm.", calls=(Call(name="python", arguments="{}", id="c"),)),
        ToolStep(text="Call a tool.", name="python", call=(0, 0), error=True),
        ModelStep(text="So?"),
        UserStep(text="Call a tool."),
        ModelStep(text="Twice."),
        UserStep(text="Call a tool."),
        UserStep(text="Call a tool."),
    )
    # Its own tries ran out, which a score counts as a failure.
    assert run.end == "budget"
    assert (losses["rejected_turn"], losses["rejected_turn_without_text"]) == (4, 1)


def test_a_torn_trajectory_of_a_killed_run_is_passed_over(tmp_path: Path) -> None:
    whole = (FIXTURES / "swe_agent/demo__repo-1.traj").read_text()
    for name, text in (("a", whole), ("b", whole[: len(whole) // 2]), ("c", whole)):
        (tmp_path / f"{name}.traj").write_text(text)
    found, losses = read(tmp_path, "swe_agent")
    assert [run.task for run in found] == ["a", "c"]
    assert losses["torn_record"] == 1
