"""Every form holds the advantages of `assay credit`, to the bit, and says what it does not hold."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from assay import exporters
from assay.batch import Batch
from assay.credit import METHODS, credit, method
from assay.errors import AlignmentError, DataError, MethodError, UsageError
from assay.exporters import EXPORTERS, hooks
from assay.exporters.export import export
from assay.exporters.losses import SENTENCES, TRACE_ONLY
from assay.exporters.slime import key_of
from assay.importers import Choices, load
from assay.pipeline import run
from assay.recipes import Recipe
from assay.records import ModelStep, Origin, ToolStep, Trajectory, read, write
from tests.exporters.logs import CALLED, DOWN, IDS, PROMPT, SAMPLED, UP, A, B, D, log

FORMS = EXPORTERS.names()
ALL = ("grpo", "mt_grpo", "toolpo", "nsr", "gigpo")
EXPORTED = Path(exporters.__file__).parent
FIXTURES = Path(__file__).parents[1] / "fixtures"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def expected(path: Path, name: str) -> dict[str, dict[int, float]]:
    """Per trajectory: the advantage of each token that is sampled and may be trained."""
    result = run(list(read(path)), Recipe.compared([name]))
    batch, advantage_N = result.batch, result.advantages[name].advantage_N
    start, values = 0, dict[str, dict[int, float]]()
    for k, id in enumerate(batch.ids):
        size = int(batch.length_R[batch.traj_R == k].sum())
        own = advantage_N[start : start + size]
        values[id] = {at: float(own[at]) for at in SAMPLED[id]}
        start += size
    return values


def held(to: str, out: Path) -> dict[str, dict[int, float | None]]:
    """Per trajectory: what an export says of its sampled tokens; None where it says nothing."""
    match to:
        case "slime":
            rows = {row["id"]: row["advantages"] for row in lines(out / "advantages.jsonl")}
        case "prime-rl":
            (stream,) = out.glob("annotations/*/00000.jsonl")
            rows = {
                row["trace_id"]: row["branches"][0]["advantages"]
                for row in lines(stream)
                if row["branches"]
            }
        case "verifiers":
            rows = {row["id"]: of_nodes(row["traces"][0]) for row in lines(out / "traces.jsonl")}
        case "nemo":
            rows = {_id(row["token_ids"][0]): row["advantages"][0] for row in nemo_lines(out)}
        case "skyrl":
            made = lines(out / "generator_output.jsonl")
            rows = {
                _id([*row["prompt_token_ids"], *row["response_ids"]]): [
                    *[0.0] * len(row["prompt_token_ids"]),
                    *row["rewards"],
                ]
                for row in made
            }
        case _:
            rows = {
                row["id"]: [*[0.0] * len(row["prompt_ids"]), *row["advantages"]]
                for row in table_rows(out)
            }
    return {id: {at: values[at] for at in SAMPLED[id]} for id, values in rows.items()}


def _id(ids: list[int]) -> str:
    return next(id for id, own in IDS.items() if own == ids)


def nemo_lines(out: Path) -> list[dict[str, Any]]:
    return lines(out / "train_data_step0.jsonl")


def table_rows(out: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return parquet.read_table(out / "rows.parquet").to_pylist()


def of_nodes(trace: dict[str, Any]) -> list[float | None]:
    values: list[float | None] = []
    for node in trace["nodes"]:
        own = iter(node.get("advantages", []))
        values += [next(own, None) if on else None for on in node["mask"]]
    return values


def traced(path: Path) -> Path:
    """The log as if verifiers had saved it: prime-rl annotates nothing else."""
    at = Origin(format="verifiers")
    write(path, [msgspec.structs.replace(each, origin=at) for each in list(read(path))])
    return path


@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize("name", ALL)
def test_the_values_are_those_of_the_credit_to_the_bit(tmp_path: Path, to: str, name: str):
    path = traced(log(tmp_path))
    try:
        wanted = expected(path, name)
    except MethodError:
        with pytest.raises(MethodError):
            export(path, tmp_path / "out", to=to, method=name)
        return
    manifest = export(path, tmp_path / "out", to=to, method=name)
    got = held(to, tmp_path / "out")
    assert {"a", "b", "d"} <= set(got)
    for id in ("a", "b", "d"):
        assert got[id] == wanted[id]
    assert manifest["rows"] == len(got) + (to == "prime-rl")  # c is annotated as dropped
    assert manifest["method"] == name


@pytest.mark.parametrize("to", FORMS)
def test_the_values_are_those_by_hand(tmp_path: Path, to: str):
    path = traced(log(tmp_path))
    manifest = export(path, tmp_path / "out", to=to, method="grpo")
    got = held(to, tmp_path / "out")
    assert manifest["tokens"] == 7
    told = {
        "slime": "dropped_as_0",
        "verifiers": "dropped_and_said",
        "prime-rl": "dropped_and_said",
    }
    assert manifest["lost"] == {
        f"{told.get(to, 'dropped')}:unscored": {"count": 1, "first": "c"},
    }
    assert list(got["a"].values()) == pytest.approx([UP] * 4, rel=1e-12)
    assert list(got["b"].values()) == pytest.approx([DOWN] * 2, rel=1e-12)
    assert list(got["d"].values()) == pytest.approx([DOWN], rel=1e-12)
    if "c" in got:  # unscored and dropped: None where the form has a word for it, else 0
        assert got["c"] == {3: 0.0 if to == "slime" else None}


@pytest.mark.parametrize("to", FORMS)
def test_tokens_of_what_the_gates_dropped_do_not_count(tmp_path: Path, to: str):
    """a is kept and has 2 + 1 sampled tokens; the branches of b are unscored, c is infra."""
    fixture = Path(__file__).parent.parent / "fixtures" / "verifiers"
    manifest = export(fixture, tmp_path / "out", to=to, method="grpo")
    assert manifest["tokens"] == 3
    if to == "prime-rl":  # an annotation a trace
        assert manifest["rows"] == 3
        assert "no_token_ids" not in manifest["lost"]


def test_what_a_trainer_may_not_count_is_masked(tmp_path: Path):
    export(log(tmp_path), tmp_path / "out", to="trl", method="grpo")
    rows = {row["id"]: row for row in table_rows(tmp_path / "out")}
    assert list(rows) == ["a", "b", "d"]
    assert rows["a"]["prompt_ids"] == [1, 2, 3, 4]  # the scaffold of a turn is not sampled
    assert rows["a"]["completion_ids"] == [5, 6, 7, 8, 9, 10]
    assert rows["a"]["tool_mask"] == [1, 1, 0, 0, 1, 1]
    assert rows["a"]["sampling_per_token_logps"] == [-0.5, -0.25, 0.0, 0.0, -1.0, -2.0]
    assert rows["d"]["tool_mask"] == [1, 0, 0, 0]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["lost"] == {"dropped:unscored": {"count": 1, "first": "c"}}
    assert (manifest["trajectories"], manifest["rows"], manifest["tokens"]) == (4, 3, 7)


def test_rows_without_ids_are_left_out_and_counted(tmp_path: Path):
    plain = msgspec.structs.replace(B, id="e", steps=(ModelStep(text="hello"),))
    bare = msgspec.structs.replace(plain, id="f", outcome=None)  # which is why it is left out
    path = log(tmp_path, plain, bare)
    manifest = export(path, tmp_path / "out", to="nemo", method="grpo")
    assert manifest["lost"]["no_token_ids"] == {"count": 1, "first": "e"}
    assert manifest["lost"]["dropped:unscored"] == {"count": 2, "first": "c"}
    assert manifest["rows"] == 3
    # four scored members now, 1, 0, 0, 0: mean 1/4, variance (9 + 3) / 16 / 3 = 1/4, a gets 3/2
    value = nemo_lines(tmp_path / "out")[0]["advantages"][0][4]
    assert value == pytest.approx(0.75 / (0.5 + 1e-6), rel=1e-12)


def test_a_mixed_log_gives_a_step_its_one_advantage_or_none(tmp_path: Path):
    call = ModelStep(text="hello", calls=CALLED.calls)
    failed = ToolStep(text="error", name="add", call=(0, 0), error=True)
    plain = msgspec.structs.replace(B, id="e", steps=(call, failed))
    path = log(tmp_path, plain)
    ran = {"evidence": "ran"}
    manifest = export(path, tmp_path / "out", to="slime", method="toolpo", options=ran)
    # a's call ran and e's did not: a's call is worth more than its text, in characters
    assert manifest["lost"]["not_per_token"] == {"count": 1, "first": "a"}
    assert [row["id"] for row in lines(tmp_path / "out" / "advantages.jsonl")] == ["b", "c", "d"]


def test_options_reach_the_method_and_the_manifest(tmp_path: Path):
    path = log(tmp_path)
    made = export(path, tmp_path / "out", to="slime", method="grpo", options={"ddof": 0})
    assert made["options"]["ddof"] == 0
    assert made["schema"] == "assay.export/1"
    made = export(path, tmp_path / "out", to="slime", method="grpo", options={"like": "verl"})
    batch = Batch.of(list(read(path)))
    same = method("grpo", like="verl")
    assert made["options"]["eps"] == same.eps  # pyright: ignore[reportAttributeAccessIssue]
    value = lines(tmp_path / "out" / "advantages.jsonl")[0]["advantages"][4]
    assert value == float(credit(batch, same).advantage_N[4])


def test_the_outcome_and_the_group_are_the_readers_choice(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    parts = [({"p": 0.0}, A), ({"p": 1.0}, B), ({"p": 1.0}, D)]
    write(path, [msgspec.structs.replace(each, rewards=part) for part, each in parts])
    choices = Choices(outcome="p")
    export(path, tmp_path / "out", to="slime", method="grpo", choices=choices)
    values = {row["id"]: row["advantages"] for row in lines(tmp_path / "out" / "advantages.jsonl")}
    assert values["a"][4] == pytest.approx(-UP)
    assert values["b"][3] == pytest.approx(UP / 2)


@pytest.mark.parametrize("to", [form for form in FORMS if form not in ("prime-rl", "verifiers")])
def test_a_log_without_any_ids_is_refused_and_leaves_nothing(tmp_path: Path, to: str):
    says = (
        f"no row of it can be exported to {to}: no_token_ids x 2: the log has no token ids; --to "
        "verifiers takes one of a whole trace, assay credit gives one advantage a step"
    )
    with pytest.raises(DataError, match=says):
        export(FIXTURES / "chat", tmp_path / "out", to=to, method="grpo")
    assert not (tmp_path / "out").exists()


def test_verifiers_takes_the_advantage_of_a_trace_without_ids(tmp_path: Path):
    made = export(FIXTURES / "chat", tmp_path / "out", to="verifiers", method="grpo")
    assert (made["rows"], made["tokens"]) == (2, 0)
    assert made["lost"]["advantage_of_trace_only"]["count"] == 2
    assert "no_token_ids" not in made["lost"]
    # toolpo gives a call another value than the text around it: no trace has one
    call = ModelStep(text="hello", calls=CALLED.calls)
    results = [
        msgspec.structs.replace(
            of, steps=(call, ToolStep(text="x", name="add", call=(0, 0), error=error))
        )
        for of, error in ((A, False), (B, True))
    ]
    write(tmp_path / "plain.jsonl", results)
    with pytest.raises(DataError, match="no token ids; assay credit gives one advantage a step"):
        export(
            tmp_path / "plain.jsonl",
            tmp_path / "two",
            to="verifiers",
            method="toolpo",
            options={"evidence": "ran"},
        )


@pytest.mark.parametrize("to", [form for form in FORMS if form != "prime-rl"])
def test_a_log_that_nobody_scored_is_refused_for_that(tmp_path: Path, to: str):
    path = tmp_path / "log.jsonl"
    plain = [msgspec.structs.replace(each, steps=(ModelStep(text="x"),)) for each in (A, B)]
    for records in ([A, B, D], plain):  # with ids and without
        write(path, [msgspec.structs.replace(each, outcome=None) for each in records])
        says = f"no trajectory of it can be credited: unscored x {len(records)}; give outcomes"
        with pytest.raises(DataError, match=says):
            export(path, tmp_path / "out", to=to, method="grpo")
        assert not (tmp_path / "out").exists()


def test_the_outcome_of_labels_is_exported(tmp_path: Path):
    path, labels = tmp_path / "log.jsonl", tmp_path / "labels.jsonl"
    write(path, [msgspec.structs.replace(each, outcome=None) for each in (A, B)])
    line = '{{"schema":"assay.label/1","id":"{}","grade":{{"level":"E3","value":{}}}}}\n'
    labels.write_text(line.format("a", 0.5) + line.format("b", 2.0))
    choices = Choices(labels=str(labels))
    export(path, tmp_path / "out", to="trl", method="grpo", choices=choices)
    assert {row["id"]: row["reward"] for row in table_rows(tmp_path / "out")} == {
        "a": 0.5,
        "b": 2.0,
    }
    export(path, tmp_path / "two", to="verifiers", method="grpo", choices=choices)
    scores = {
        row["id"]: row["traces"][0]["rewards"]["outcome"]["score"]
        for row in lines(tmp_path / "two" / "traces.jsonl")
    }
    assert scores == {"a": 0.5, "b": 2.0}


def test_what_is_there_is_not_replaced_unless_it_is_an_export(tmp_path: Path):
    path = log(tmp_path)
    for _ in range(2):
        export(path, tmp_path / "out", to="slime", method="grpo")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("keep")
    with pytest.raises(UsageError, match="exists and is no export"):
        export(path, tmp_path / "mine", to="slime", method="grpo")
    with pytest.raises(UsageError, match="exists and is no export"):
        export(path, tmp_path, to="slime", method="grpo")


def test_what_the_user_put_beside_an_export_stays(tmp_path: Path):
    path, out = log(tmp_path), tmp_path / "out"
    export(path, out, to="trl", method="grpo")
    assert json.loads((out / "manifest.json").read_bytes())["files"] == ["rows.parquet"]
    (out / "notes.md").write_text("mine")
    (out / "traces.jsonl").write_text("mine too")  # a name that another form has
    export(path, out, to="slime", method="grpo")
    kept = {"notes.md", "traces.jsonl"}
    assert {each.name for each in out.iterdir()} == {"manifest.json", "advantages.jsonl", *kept}
    assert (out / "notes.md").read_text() == "mine"
    with pytest.raises(UsageError, match=r"out/traces\.jsonl: would be replaced; move it"):
        export(path, out, to="verifiers", method="grpo")
    assert (out / "traces.jsonl").read_text() == "mine too"
    # an export that does not say what it wrote
    (out / "traces.jsonl").unlink()
    about = json.loads((out / "manifest.json").read_bytes())
    del about["files"]
    (out / "manifest.json").write_text(json.dumps(about))
    export(path, out, to="trl", method="grpo")
    assert {each.name for each in out.iterdir()} == {"manifest.json", "rows.parquet", "notes.md"}


def test_every_loss_has_a_sentence():
    code = "".join(path.read_text() for path in sorted(EXPORTED.glob("*.py")))
    kinds = set(re.findall(r'(?:lost\.add\(\s*|why = |lost = .* else )f?"([a-z_0-9]+)', code))
    kinds.add(TRACE_ONLY)
    assert kinds == set(SENTENCES)


# --- prime-rl


def folded(trace: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """Reads an update as prime-rl documents it: a stream over all tokens of the path to a leaf,
    leaves in order, which a node takes if each of its sampled tokens has a value."""
    nodes = trace["nodes"]
    parents = {node.get("parent") for node in nodes}
    leaves = [at for at in range(len(nodes)) if at not in parents]
    for branch in update["branches"]:
        path, at = list[int](), leaves[branch["index"]]
        while at is not None:
            path.insert(0, at)
            at = nodes[at].get("parent")
        stream = iter(branch["advantages"])
        for each in path:
            own = [next(stream) for _ in nodes[each]["token_ids"]]
            values = [v for v, on in zip(own, nodes[each]["mask"], strict=True) if on]
            if values and None not in values:
                nodes[each]["advantages"] = values
        assert next(stream, "none") == "none"
    return trace


def test_an_annotation_lands_on_the_nodes_of_its_trace(tmp_path: Path):
    source = FIXTURES / "verifiers" / "traces.jsonl"
    export(source, tmp_path / "out", to="prime-rl", method="grpo")
    updates = lines(tmp_path / "out" / "annotations" / "zz-assay" / "00000.jsonl")
    episode = lines(source)[0]
    trace = folded(episode["traces"][0], updates[0])
    assert (updates[0]["version"], updates[0]["trace_id"]) == (1, trace["id"])
    # the other members are unscored, so the group of one gives 0, which is not "none"
    assert [node.get("advantages") for node in trace["nodes"]] == [
        *(None, None, [0.0, 0.0], None, None, [0.0]),
    ]
    assert updates[0]["info"]["advantage"] == 0.0


def test_the_index_says_where_each_annotation_stands(tmp_path: Path):
    export(traced(log(tmp_path)), tmp_path / "out", to="prime-rl", method="grpo")
    folder = tmp_path / "out" / "annotations"
    data = (folder / "zz-assay" / "00000.jsonl").read_bytes()
    for row in lines(folder / "zz-assay.index.jsonl"):
        line = json.loads(data[row["offset"] :].split(b"\n", 1)[0])
        assert (row["trace_id"], row["info"]) == (line["trace_id"], line["info"])
        assert row["chunk"] == 0


def branch(number: int, ids: tuple[int, ...], outcome: float) -> Trajectory:
    shared = msgspec.structs.replace(CALLED, node="tree/2")
    own = ModelStep(text="end", token_ids=ids, node=f"tree/{3 + number}", parent="tree/2")
    return Trajectory(
        id=f"tree/{number}",
        tree="tree",
        task="t",
        group="g",
        outcome=outcome,
        steps=(*PROMPT, shared, own),
        origin=Origin(format="verifiers"),
    )


def test_a_node_of_several_branches_has_one_credit_and_that_is_said(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    write(path, [branch(0, (20,), 1.0), branch(1, (21, 22), 0.0)])
    made = export(path, tmp_path / "out", to="prime-rl", method="grpo")
    (update,) = lines(tmp_path / "out" / "annotations" / "zz-assay" / "00000.jsonl")
    # 1 and 0: mean 1/2, std sqrt(1/2); each branch has its own on its leaf
    up = 0.5 / (np.sqrt(0.5) + 1e-6)
    assert [each["index"] for each in update["branches"]] == [0, 1]
    first, second = (each["advantages"] for each in update["branches"])
    assert first == [None] * 6 + [pytest.approx(up)]
    assert second == [None] * 4 + [pytest.approx(-up)] * 4
    assert made["lost"]["node_of_several_credits"] == {"count": 1, "first": "tree/1: tree/2"}
    assert "advantage" not in update["info"]


def test_logs_of_others_are_no_traces_to_annotate(tmp_path: Path):
    with pytest.raises(DataError, match="annotates traces that prime-rl or verifiers saved"):
        export(log(tmp_path), tmp_path / "out", to="prime-rl", method="grpo")
    assert not (tmp_path / "out").exists()


# --- slime


def batch_of(*ids: str, cut: int = 0) -> dict[str, Any]:
    """What slime hands to the function, as far as it is read."""
    lengths = [len(IDS[id]) - min(SAMPLED[id]) for id in ids]
    return {
        "tokens": [torch.tensor(IDS[id]) for id in ids],
        "response_lengths": lengths,
        "kl": [torch.zeros(each - cut) for each in lengths],
    }


def test_the_hook_gives_each_sample_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export(log(tmp_path), tmp_path / "out", to="slime", method="grpo")
    monkeypatch.setenv("ASSAY_EXPORT", str(tmp_path / "out"))
    data = batch_of("d", "a")
    hooks.slime(None, data)
    d, a = data["advantages"]
    assert a.tolist() == pytest.approx([UP, UP, 0.0, 0.0, UP, UP], rel=1e-6)
    assert d.tolist() == pytest.approx([DOWN, 0.0, 0.0, 0.0], rel=1e-6)
    assert a.dtype == torch.float32
    assert [each.tolist() for each in data["returns"]] == [d.tolist(), a.tolist()]
    with pytest.raises(AlignmentError, match="turn context parallelism off"):
        hooks.slime(None, batch_of("a", cut=1))
    data["tokens"][0] = torch.tensor([99])
    with pytest.raises(DataError, match="sample 0: its tokens are not in"):
        hooks.slime(None, data)
    monkeypatch.delenv("ASSAY_EXPORT")
    with pytest.raises(UsageError, match="ASSAY_EXPORT is not set"):
        hooks.slime(None, data)


def test_two_credits_for_the_same_tokens_are_not_chosen_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    twin = msgspec.structs.replace(A, id="a2", outcome=0.0)
    made = export(log(tmp_path, twin), tmp_path / "out", to="slime", method="grpo")
    assert made["lost"]["same_tokens_other_credit"] == {"count": 1, "first": "a2"}
    monkeypatch.setenv("ASSAY_EXPORT", str(tmp_path / "out"))
    with pytest.raises(DataError, match="two credits for its tokens"):
        hooks.slime(None, batch_of("a"))


def test_a_sample_is_known_by_its_tokens():
    assert key_of([1, 2]) == key_of((1, 2)) != key_of([2, 1])
    # SHA-256 of sixteen bytes: 1 and 2, each as eight, the low one first
    import hashlib

    assert key_of([1, 2]) == hashlib.sha256(b"\1" + bytes(7) + b"\2" + bytes(7)).hexdigest()


# --- SkyRL, NeMo-RL


def test_skyrl_takes_one_reward_a_token_and_passes_it_on(tmp_path: Path):
    export(log(tmp_path), tmp_path / "out", to="skyrl", method="grpo")
    made = hooks.generator_output(tmp_path / "out")
    assert set(made) == {
        *("prompt_token_ids", "response_ids", "rewards", "loss_masks", "stop_reasons"),
        *("rollout_metrics", "rollout_logprobs", "trajectory_ids"),
    }
    assert made["prompt_token_ids"][1] == [1, 2, 3]
    assert made["stop_reasons"] == ["stop", "length", "stop"]
    assert made["trajectory_ids"] == [["g", 0], ["g", 1], ["g", 2]]
    assert made["rollout_logprobs"][0] == [-0.5, -0.25, 0.0, 0.0, -1.0, -2.0]
    rewards, mask = torch.tensor([[0.0, 2.0, 3.0]]), torch.tensor([[0, 1, 1]])
    advantages, returns = hooks.skyrl(rewards, mask, index=["g"], config=None)
    assert advantages.tolist() == returns.tolist() == [[0.0, 2.0, 3.0]]


def test_nemo_rows_are_read_back_by_its_reader(tmp_path: Path):
    export(log(tmp_path), tmp_path / "out", to="nemo", method="grpo")
    (tmp_path / "out" / "manifest.json").unlink()
    back = list(load(tmp_path / "out")[1])
    assert [t.outcome for t in back] == [1.0, 0.0, 0.0]
    assert [step.token_ids for step in back[0].steps] == [(1, 2, 3, 4), (5, 6), (7, 8), (9, 10)]
    models = [step for step in back[0].steps if isinstance(step, ModelStep)]
    assert [step.logprobs for step in models] == [(-0.5, -0.25), (-1.0, -2.0)]


def test_every_method_is_exported_or_refused(tmp_path: Path):
    path, done = log(tmp_path), 0
    for name in METHODS.names():
        try:
            export(path, tmp_path / "out", to="slime", method=name)
            done += 1
        except MethodError:
            pass
    assert done >= 10
