"""The group that the demo's page opens on."""

import json

from msgspec import structs

from assay.demo.example import example
from assay.records import ModelStep, Rescue, ToolStep, Trajectory, UserStep, write


def record(number, outcome, *, rescue=None, given=0, group="g"):
    steps = [UserStep(text="?who")]
    for turn in range(2):
        untrainable = "copied" if turn < given else None
        steps += [ModelStep(text=f"turn {turn}", untrainable=untrainable), ToolStep(text="ok")]
    return Trajectory(
        id=f"{group}{number}", task="t", group=group, steps=tuple(steps), outcome=outcome,
        rescue=rescue,
    )  # fmt: skip


def run(tmp_path, records, advantages):
    for name in ("rollouts", "credit"):
        (tmp_path / name).mkdir()
    write(tmp_path / "rollouts" / "step_000001.jsonl", records)
    rows = [
        {"id": each.id, "step_advantage": own, "carried": [0 if a is None else 3 for a in own]}
        for each, own in zip(records, advantages, strict=True)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "credit" / "step_000001.jsonl").write_text(lines)
    return tmp_path


def test_it_is_the_first_group_whose_rescue_earned_something(tmp_path):
    idle = record(9, 1.0, rescue=Rescue(rung="oracle"), group="idle")
    saved = record(2, 1.0, rescue=Rescue(rung="prefix", of="g0"), given=1)
    records = [idle, record(0, 0.0), record(1, 0.0), saved]
    found = example(run(tmp_path, records, [[0.0, 0.0]] * 3 + [[None, 1.5]]))
    assert found is not None
    assert (found["id"], found["rung"], found["members"]) == ("g2", "prefix", 3)
    assert found["failed"] == [["turn 0", "turn 1"]] * 2
    model = [each for each in found["steps"] if each["who"] == "policy"]
    assert [(each["given"], each["advantage"], each["tokens"]) for each in model] == [
        (True, None, 0), (False, 1.5, 3),
    ]  # fmt: skip
    assert (found["asked"], found["goal"]) == ("?who", None)


def test_a_changed_task_is_said_beside_the_one_that_was_asked(tmp_path):
    reached = record(1, 1.0, rescue=Rescue(rung="relabel", of="g1", goal="?where"))
    steps = (UserStep(text="?where"), *reached.steps[1:])
    found = example(
        run(
            tmp_path,
            [record(0, 0.0), structs.replace(reached, steps=steps)],
            [[0.0, 0.0], [1.0, 1.0]],
        )
    )
    assert found is not None
    assert (found["asked"], found["goal"]) == ("?who", "?where")


def test_there_is_none_where_nobody_was_helped(tmp_path):
    assert example(run(tmp_path, [record(0, 0.0)], [[0.0, 0.0]])) is None
