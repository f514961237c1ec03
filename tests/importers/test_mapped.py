"""Tables: expected values are those of tests/fixtures/make_mapped.py."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.errors import DataError, TornError, UsageError
from assay.importers import Choices, Losses, load
from assay.importers.columns import Map, pairs
from assay.records import Call, ModelStep, ToolStep, UserStep

FOLDER = Path(__file__).parent.parent / "fixtures" / "mapped"
CHAT = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "ho", "tool_calls": None},
]


def read(path: Path, map: str | None = None, **choices: Any) -> tuple[list[Any], Losses]:
    losses = Losses()
    chosen = Choices(map={} if map is None else pairs(map), **choices)
    name, trajectories = load(path, losses=losses, choices=chosen)
    assert name == "mapped"
    return list(trajectories), losses


def answers(trajectory: Any) -> list[tuple[str, tuple[int, int] | None]]:
    return [(step.text, step.call) for step in trajectory.steps if type(step) is ToolStep]


def called(trajectory: Any) -> list[str]:
    steps = (step for step in trajectory.steps if type(step) is ModelStep)
    return [call.name for step in steps for call in step.calls]


def test_swe_rebench_openhands():
    found, losses = read(FOLDER / "rebench.parquet")
    assert [(t.id, t.group, t.trial, t.outcome, t.end) for t in found] == [
        ("t0", "repo__1", 0, 1.0, "answered"),
        ("t1", "repo__1", 1, 0.0, "answered"),
        ("t2", "repo__2", 0, None, "infra"),
    ]
    assert found[1].rewards == {"gen_tests_correct": 0.0, "pred_passes_gen_tests": None}
    # Steps: 0 system, 1 user, 2 model with two calls, 3 and 4 results, 5 model, 6 result, 7 model.
    # Result b comes first and answers the second call; id a is used again in step 5.
    assert answers(found[0]) == [("/repo", (2, 1)), ("add.py", (2, 0)), ("edited", (5, 0))]
    assert called(found[0]) == ["bash", "bash", "edit", "finish"]
    assert losses.counts == {"no_outcome": 1}
    assert found[0].origin.extra == {"set": "swe_rebench_openhands"}


def test_swe_gym_openhands_is_grouped_by_task_and_model():
    found, losses = read(FOLDER / "gym.parquet")
    assert [(t.group, t.policy_version, t.outcome) for t in found] == [
        ("repo__1", "m-a", 1.0),
        ("repo__1", "m-a", 0.0),
        ("repo__1", "m-a", None),  # its evaluation failed: False is no measurement
        ("repo__1@m-b", "m-b", 0.0),
    ]
    assert losses.counts == {"evaluation_failed": 1, "no_outcome": 1}
    assert found[3].origin.extra["trial"] == "m-b_maxiter_30_run_3"


def test_swe_agent_trajectories_have_their_calls_in_fences():
    found, losses = read(FOLDER / "agent.jsonl")
    assert [(t.group, t.outcome, t.end) for t in found] == [
        ("repo__3", 1.0, "answered"),
        ("repo__3", 0.0, "budget"),
        ("repo__3@large", 0.0, "budget"),
    ]
    # The last block of a message is the command. The complaint after a message without one is the
    # user's, and the last call has no result.
    assert found[0].steps[2].calls == (Call(name="bash", arguments='{"command": "ls -l"}'),)
    assert answers(found[0]) == [("add.py", (2, 0))]
    assert found[0].steps[5] == UserStep(text="Your output was not formatted correctly.")
    assert called(found[0]) == ["bash", "bash"]
    assert losses.counts == {"call_from_text": 6, "result_from_user_message": 3}


def test_swe_smith_has_calls_in_tags_natively_and_in_fences():
    found, losses = read(FOLDER / "smith.jsonl")
    assert [(t.id, t.outcome) for t in found] == [("s0", 1.0), ("s1", 0.0), ("s2", 1.0)]
    assert found[0].steps[2].calls == (Call(name="edit", arguments='{"path": "a.py"}'),)
    assert answers(found[0]) == [("OBSERVATION:\nedited", (2, 0))]
    assert answers(found[1]) == answers(found[2]) == [("a.py", (2, 0))]
    assert found[1].steps[1].text == "Fix it."
    # edit, submit and the fenced ls; the native call is not counted
    assert losses.counts == {"call_from_text": 3, "result_from_user_message": 2}


def test_harbor_traces_repeat_a_trial_and_the_last_row_of_it_counts():
    found, losses = read(FOLDER / "harbor.jsonl")
    assert [(t.id, t.outcome, t.end) for t in found] == [
        ("sort__1", 1.0, "unknown"),
        ("sort__2", 0.0, "unknown"),
        ("sort__3", None, "budget"),
        ("sort__4", None, "infra"),
        ("sort__5", None, "unknown"),
    ]
    assert len(found[0].steps) == 4
    assert answers(found[0]) == [("a.txt", (1, 0))]
    assert losses.counts["repeated_history"] == 1
    assert losses.counts["no_outcome"] == 3


def test_sharegpt():
    (one,), losses = read(FOLDER / "sharegpt.json")
    assert (one.id, one.outcome) == ("g1", None)
    assert called(one) == ["bash"]
    assert answers(one) == [("a.txt", (2, 0))]
    assert losses.counts == {"call_from_text": 1, "group_is_prompt": 1, "no_outcome": 1}


ROWS = [
    {"q": "t1", "won": "resolved", "said": json.dumps(CHAT), "n": 3, "info": {"style": 0.5}},
    {"q": "t1", "won": "false", "said": json.dumps(CHAT), "n": 4, "info": {"style": None}},
    {"q": "t2", "won": "", "said": "[]", "n": 5, "info": {}},
]
MAP = "task=q,reward=won,messages=said,trial=n,style=info.style"


def tables(folder: Path) -> dict[str, Path]:
    """Writes the rows in every form; CSV has objects as JSON text."""
    flat = [{**row, "info": json.dumps(row["info"])} for row in ROWS]
    cells = [[json.dumps(str(v)).replace('\\"', '""') for v in row.values()] for row in flat]
    texts = {
        "a.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
        "a.json": json.dumps(ROWS),
        "a.csv": "".join(",".join(line) + "\n" for line in [list(ROWS[0]), *cells]),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "a.parquet", compression="zstd")
    return {name: folder / name for name in (*texts, "a.parquet")}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_a_map_reads_every_form_alike(name: str, tmp_path: Path):
    found, losses = read(tables(tmp_path)[name], MAP)
    assert [(t.task, t.trial, t.outcome, t.rewards) for t in found] == [
        ("t1", 3, 1.0, {"style": 0.5}),
        ("t1", 4, 0.0, {"style": None}),
        ("t2", 5, None, {"style": None}),
    ]
    assert found[0].steps == (UserStep(text="hi"), ModelStep(text="ho"))
    assert losses.counts == {"no_outcome": 1, "no_text": 1}


def test_prompt_and_completion_are_texts_or_messages(tmp_path: Path):
    shot = [*CHAT, {"role": "user", "content": "ls"}]
    rows = [
        {"p": "say hi", "c": "hi", "r": 1},
        {"p": shot, "c": [{"role": "ai", "content": "<function=ls>\n</function>"}], "r": 0.5},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    (text, chat), losses = read(path, "prompt=p,completion=c,reward=r")
    assert text.steps == (UserStep(text="say hi"), ModelStep(text="hi"))
    assert [getattr(step, "untrainable", "") for step in chat.steps] == ["", "copied", "", None]
    assert called(chat) == ["ls"]
    assert losses.counts == {"group_is_prompt": 2, "call_from_text": 1}


def test_a_table_of_verdicts_alone_gives_fates(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("id,passed\nx,true\nx,False\n")
    found, losses = read(path, "task=id,reward=passed")
    assert [(t.group, t.outcome, t.steps) for t in found] == [("x", 1.0, ()), ("x", 0.0, ())]
    assert losses.counts == {"no_text": 2}


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(True, 1.0), (2, 2.0), ("0.5", 0.5), ("-1e2", -100.0), ("Unresolved", 0.0), ("N/A", None)],
)
def test_rewards_are_numbers_truths_or_known_words(value: Any, outcome: float, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"t": "x", "r": value}))
    assert read(path, "task=t,reward=r")[0][0].outcome == outcome


@pytest.mark.parametrize("value", ["partly", "1,5", "inf", [1.0], {"score": 1}, "1" * 400])
def test_a_reward_that_is_nothing_of_this_is_refused(value: Any, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"t": "x", "r": value}))
    with pytest.raises(DataError, match=r"line 1\.r: got .*; expected a finite number, true or"):
        read(path, "task=t,reward=r")


@pytest.mark.parametrize("by", ["q", "info.q"])
def test_map_and_group_take_the_same_names(by: str, tmp_path: Path):
    """Whole numbers beside a gap are doubles in a table, and the gap is NaN."""
    table = {"q": [7.0, 7.0, float("nan")], "r": [1.0, 0.0, 1.0], "t": ["a", "b", "c"]}
    table["info"] = ['{"q": "7"}', '{"q": 7}', '{"q": null}']
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(table), path)
    found, _ = read(path, f"task=t,reward=r,group={by}")
    assert [t.group for t in found] == ["7", "7", "c"]
    found, losses = read(path, "task=t,reward=r", group=by)
    assert [t.group for t in found] == ["7", "7", f"c@no-{by}"]
    assert losses.counts["no_group_key"] == 1


def test_decimals_of_parquet_are_rewards_and_names(tmp_path: Path):
    numbers = [Decimal("1.00"), Decimal("0.25"), None]
    table = {"q": [Decimal(7), Decimal(7), Decimal(8)], "r": numbers, "s": numbers}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(table), path)
    found, _ = read(path, "task=q,reward=r,part=s")
    assert [(t.task, t.outcome, t.rewards) for t in found] == [
        ("7", 1.0, {"part": 1.0}),
        ("7", 0.25, {"part": 0.25}),
        ("8", None, {"part": None}),
    ]
    with pytest.raises(DataError, match=r"row 1\.r: got Decimal; expected a name"):
        read(path, "task=r,reward=r")


def test_a_nan_of_parquet_is_unscored_and_counted(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"t": ["x", "x"], "r": [float("nan"), 1.0]}), path)
    found, losses = read(path, "task=t,reward=r")
    assert [t.outcome for t in found] == [None, 1.0]
    assert losses.counts == {"reward_nan": 1, "no_outcome": 1, "no_text": 2}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(name: str, tmp_path: Path):
    path = tables(tmp_path)[name]
    with pytest.raises(DataError, match=r"no column wins; its columns: q, won, said, n, info"):
        read(path, "task=q,reward=wins")


def test_a_column_may_begin_later_than_the_first_row(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": 1}\n{"t": 1, "r": 1}\n')
    assert [t.outcome for t in read(path, "task=t,reward=r")[0]] == [None, 1.0]


def test_a_group_and_an_outcome_may_be_chosen_besides(tmp_path: Path):
    path = tables(tmp_path)["a.parquet"]
    found, _ = read(path, "task=q,messages=said", outcome="info.style", group="n")
    assert [(t.group, t.outcome) for t in found] == [("3", 0.5), ("4", None), ("5", None)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_an_outcome_that_no_column_is_named_with_those_that_are_numbers(name: str, tmp_path: Path):
    path = tables(tmp_path)[name]
    with pytest.raises(DataError) as caught:
        read(path, "task=q,messages=said", outcome="info.stile")
    listed = {"a.csv": "n", "a.parquet": "info.style"}.get(name, "n, info.style")
    assert f"whose numbers are {listed}." in str(caught.value)
    assert ("Did you mean 'info.style'?" in str(caught.value)) == (name != "a.csv")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_an_outcome_may_be_a_column_of_words_or_texts(name: str, tmp_path: Path):
    path = tables(tmp_path)[name]
    for outcome, values in (("n", [3.0, 4.0, 5.0]), ("won", [1.0, 0.0, None])):
        found, _ = read(path, "task=q,messages=said", outcome=outcome)
        assert [t.outcome for t in found] == values


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("q=task", "task=q"),
        ("q=task,reward=won", "task=q"),
        ("q=task,said=messages", "task=q,messages=said"),
    ],
)
def test_a_map_whose_sides_are_turned_round_says_so(text: str, meant: str, tmp_path: Path):
    told = re.escape(f"--map is NAME=COLUMN: did you mean {meant}?")
    for path in (*tables(tmp_path).values(), tmp_path):
        with pytest.raises((DataError, UsageError), match=told):
            read(path, text)


def test_a_column_may_be_called_as_a_role_is(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "x", "task": 0.5, "r": 1}\n')
    (found,), _ = read(path, "task=q,reward=r,difficulty=task")
    assert found.rewards == {"difficulty": 0.5}


def test_a_folder_is_read_by_the_columns_that_are_named(tmp_path: Path):
    tables(tmp_path)["a.json"].unlink()
    (tmp_path / "b.jsonl").write_text('{"x": 1}\n')
    found, losses = read(tmp_path, MAP)
    assert len(found) == 9
    assert losses.counts["not_a_log"] == 1
    with pytest.raises(DataError, match=r"a\.csv: no column nowhere, r; its columns: q, won"):
        read(tmp_path, "task=nowhere,reward=r")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_the_refusal_of_a_table_says_what_to_type(name: str, tmp_path: Path):
    row = {"problem_id": "x", "correct": "true", "conversation": json.dumps(CHAT)}
    texts = ['"' + value.replace('"', '""') + '"' for value in row.values()]
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        csv = f"{','.join(row)}\n{','.join(texts)}\n"
        path.write_text(csv if name == "a.csv" else json.dumps(row) + "\n")
    typed = "--map task=problem_id,reward=correct,messages=conversation"
    with pytest.raises(DataError, match=f"you say which column is what: {typed}$"):
        load(path)
    found, _ = read(path, typed.removeprefix("--map "))
    assert [(t.task, t.outcome, len(t.steps)) for t in found] == [("x", 1.0, 2)]
    with pytest.raises(DataError, match=r"which column is what\? its columns: problem_id, corr"):
        list(load(path, format="mapped")[1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task", "expected NAME=COLUMN"),
        ("task=", "expected NAME=COLUMN"),
        ("task=a,task=b", "task comes twice"),
        ("task=a", "expected messages=COLUMN"),
        ("messages=a,prompt=b", "not both"),
        ("reward=a,calls=b", "expected one of tags, fenced"),
    ],
)
def test_a_map_that_says_too_little_or_too_much(text: str, said: str):
    with pytest.raises(UsageError, match=said):
        Map.of(pairs(text))


def test_a_map_belongs_to_no_other_format(tmp_path: Path):
    path = tables(tmp_path)["a.json"]
    with pytest.raises(UsageError, match="--map is for tables, not for --format chat"):
        load(path, format="chat", choices=Choices(map=pairs(MAP)))


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("submit", "answered"),
        ("Submitted (exit_cost)", "budget"),
        ("RuntimeError: Agent reached maximum iteration. Current iteration: 30", "budget"),
        ("AgentStuckInLoopError: Agent got stuck in a loop", "budget"),
        ("error", "infra"),
        ("odd", "unknown"),
    ],
)
def test_the_words_of_public_sets_for_an_end(word: str, end: str, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"t": "x", "r": 1, "e": word}))
    (found,), losses = read(path, "task=t,reward=r,end=e")
    assert found.end == end
    assert losses.counts.get("exit_status:odd", 0) == (word == "odd")


def test_a_parquet_file_that_is_cut_short_is_named(tmp_path: Path):
    path = tables(tmp_path)["a.parquet"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.parquet: broken parquet: no footer; is it cut short"):
        load(path)
    losses = Losses()
    assert len(list(load(tmp_path, losses=losses, choices=Choices(map=pairs(MAP)))[1])) == 9
    assert losses.counts["torn_record"] == 1


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_cell_that_is_cut_short_leaves_its_row_out(name: str, tmp_path: Path):
    """Three trajectories of a task; a length limit cut the messages of the second."""
    whole = json.dumps(CHAT)
    rows = [{"t": "x", "m": text, "r": 1} for text in (whole, whole[:-5], whole)]
    path = tmp_path / name
    if name == "a.jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name == "a.csv":
        quoted = [str(row["m"]).replace('"', '""') for row in rows]
        path.write_text("t,m,r\n" + "".join(f'x,"{text}",1\n' for text in quoted))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    found, losses = read(path, "task=t,messages=m,reward=r")
    assert [(t.id, t.trial, len(t.steps)) for t in found] == [
        (f"{name}/0", 0, 2),
        (f"{name}/2", 1, 2),
    ]
    assert losses.counts == {"torn_record": 1}
    place = "line 2" if name == "a.jsonl" else "row 1"
    assert f"{place}.m: not JSON" in losses.first["torn_record"]
    with pytest.raises(TornError, match=rf"{place}\.m: not JSON.*; leave --strict out"):
        read(path, "task=t,messages=m,reward=r", strict=True)


def test_a_column_that_holds_no_messages_at_all_is_named(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": "x", "m": "hello"}\n' * 2)
    with pytest.raises(DataError, match=r"line 1\.m: not JSON"):
        read(path, "task=t,messages=m")


def test_a_cell_on_the_way_to_a_column_may_be_cut_too(tmp_path: Path):
    rows = [{"t": "x", "i": text} for text in ('{"r": 1}', '{"r": 1')]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, losses = read(path, "task=t,reward=i.r")
    assert [t.outcome for t in found] == [1.0]
    assert losses.counts == {"no_text": 2, "torn_record": 1}


def test_texts_that_name_the_columns_of_trl_make_no_trl_log(tmp_path: Path):
    row = {"task": "step prompt completion advantage", "messages": json.dumps(CHAT)}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path, compression="none")
    with pytest.raises(DataError, match=r"--map task=task,messages=messages$"):
        load(path)


def test_what_a_user_says_after_a_native_call_is_no_result(tmp_path: Path):
    call = {"id": "a", "function": {"name": "ls", "arguments": "{}"}}
    said = [{"role": "assistant", "content": "", "tool_calls": [call]}, CHAT[0]]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"t": "x", "m": said}))
    (found,), losses = read(path, "task=t,messages=m")
    assert found.steps[1] == UserStep(text="hi")
    assert losses.counts == {"no_outcome": 1}


def test_a_list_of_one_id_names_the_call_that_is_answered(tmp_path: Path):
    calls = [{"id": i, "function": {"name": "ls", "arguments": "{}"}} for i in "ab"]
    said = [
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "of b", "tool_call_ids": ["b"]},
        {"role": "tool", "content": "of a", "tool_call_ids": ["a"]},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"t": "x", "m": said}))
    (found,), _ = read(path, "task=t,messages=m")
    assert answers(found) == [("of b", (0, 1)), ("of a", (0, 0))]


def test_results_in_a_completion_answer_calls_of_it(tmp_path: Path):
    call = {"id": "a", "function": {"name": "ls", "arguments": "{}"}}
    said = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "f", "tool_call_id": "a"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"p": [*CHAT, CHAT[0]], "c": said}))
    (found,), _ = read(path, "prompt=p,completion=c")
    # Steps: 0 to 2 are the prompt, 3 has the call, 4 is its result.
    assert answers(found) == [("f", (3, 0))]


def test_a_trial_that_begins_as_the_one_before_repeats_nothing(tmp_path: Path):
    rows = [json.loads(line) for line in (FOLDER / "harbor.jsonl").read_text().splitlines()]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (rows[2], rows[1])))
    found, losses = read(path)
    assert [(t.id, len(t.steps)) for t in found] == [("sort__2", 2), ("sort__1", 4)]
    assert "repeated_history" not in losses.counts
