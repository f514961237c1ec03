"""The mix, the actions, and what a log line says."""

import numpy as np
import pytest
from msgspec import structs

from assay.records import Call, ModelStep, ToolStep, Trajectory, UserStep
from assay.signal import Recipe, signal

from .test_controllers import NONE_OF_FOUR, ONE_OF_FOUR, records


def test_a_mix_is_the_weighted_sum_with_every_part_kept() -> None:
    # psr: 1 for the pass; nsr: -1 for the fails; 0.1 and 1: W-REINFORCE.
    mix = Recipe.of({"methods": [{"name": "psr", "weight": 0.1}, "nsr"]})
    got = signal(records(ONE_OF_FOUR), mix)
    assert got.advantage_N.tolist() == pytest.approx([0.1, -1.0, -1.0, -1.0])
    assert {name.split("/")[0] for name in got.parts} == {"psr", "nsr"}
    one = signal(records(ONE_OF_FOUR), Recipe.of("w_reinforce"))
    assert got.advantage_N.tolist() == pytest.approx(one.advantage_N.tolist())


def test_facts_by_hand() -> None:
    # dr_grpo on one pass of four, two tokens each: +0.75 * 2, -0.25 * 6; the other group is dead.
    got = signal(records(ONE_OF_FOUR, NONE_OF_FOUR, tokens=2), Recipe.of("dr_grpo")).facts()
    assert got["reward"] == got["pass_rate"] == 0.125
    assert (got["dead_share"], got["dead/all_fail"], got["dead/all_pass"]) == (0.5, 0.5, 0.0)
    assert (got["mass/positive"], got["mass/negative"]) == (1.5, 1.5)
    assert (got["mass/outcome/positive"], got["mass/outcome/negative"]) == (1.5, 1.5)
    assert (got["unscored_share"], got["dropped_share"], got["mass/all_fail_share"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("gates", "causes"),
    [
        (["integrity"], {"dead/all_fail": 1 / 3, "dead/all_pass": 1 / 3}),
        # what failed alike did so by its outcomes; of the other group nothing is left at all
        (["integrity", "degenerate"], {"dead/all_fail": 1 / 3, "dead/unscored": 1 / 3}),
    ],
)
def test_a_group_is_dead_by_what_the_gates_leave_of_it(
    gates: list[str], causes: dict[str, float]
) -> None:
    # the failure of the third group wrote nothing, and is dropped: its passes are alone
    groups = records(ONE_OF_FOUR, NONE_OF_FOUR, [(1.0, "a"), (1.0, "b"), (0.0, "")])
    groups[-1] = structs.replace(groups[-1], steps=(UserStep(text="?", token_ids=(9,)),))
    got = signal(groups, Recipe.of({"method": "dr_grpo", "gates": gates})).facts()
    assert got["dead_share"] == pytest.approx(2 / 3)
    dead = {name: share for name, share in got.items() if name.startswith("dead/") and share}
    assert dead == pytest.approx(causes)


def test_facts_of_a_bounded_batch() -> None:
    recipe = Recipe.of({"method": "dr_grpo", "safety": {"all_fail": "bounded"}})
    got = signal(records(ONE_OF_FOUR, NONE_OF_FOUR), recipe).facts()
    assert got["mass/all_fail_share"] == pytest.approx(0.25)
    assert got["mass/all_fail/negative"] == pytest.approx(4 / 5**0.5)  # as asked for, uncapped


def trajectory(k: int, outcome: float) -> Trajectory:
    return Trajectory(
        id=str(k),
        task="t",
        group="t",
        outcome=outcome,
        steps=(
            UserStep(text="?", token_ids=(9, 9)),
            ModelStep(text="call", token_ids=(1, 2, 3), sampled=((0, 1), (2, 3))),
            ToolStep(text="result", token_ids=(4,)),
            ModelStep(text=f"answer {k}", token_ids=(5, 6)),
        ),
    )


def test_prompts_are_cut_off_and_tools_get_nothing() -> None:
    got = signal([trajectory(0, 1.0), trajectory(1, 0.0)], Recipe.of("dr_grpo"))
    advantage, weight = got.rows(skip_K=np.array([2, 2]), width=7)
    # tokens: sampled, shown, sampled, tool, sampled, sampled, padding
    assert advantage.tolist() == [
        [0.5, 0.0, 0.5, 0.0, 0.5, 0.5, 0.0],
        [-0.5, 0.0, -0.5, 0.0, -0.5, -0.5, 0.0],
    ]
    assert weight.tolist() == [[1, 0, 1, 0, 1, 1, 0]] * 2
    sampled = got.sampled(skip_K=np.array([2, 2]), width=7)
    assert sampled.tolist() == [[1, 0, 1, 0, 1, 1, 1]] * 2


def test_an_action_is_a_stretch_of_one_step() -> None:
    got = signal([trajectory(0, 1.0), trajectory(1, 0.0)], Recipe.of("dr_grpo"))
    span = got.spans(skip_K=np.array([2, 2]), width=6)
    assert (span[0] >= 0).tolist() == [True, False, True, False, True, True]
    numbers = [int(s) for row in span for s in row if s >= 0]
    assert len(set(numbers)) == 6  # three actions in each of two trajectories
    assert span[0, 4] == span[0, 5]


def test_a_call_inside_a_step_does_not_cut_its_action() -> None:
    call = Call(name="f", arguments="{}", start=1, end=2)
    records = [
        Trajectory(
            id=str(k),
            task="t",
            group="t",
            outcome=float(k),
            steps=(ModelStep(text=f"{k}", token_ids=(1, 2, 3), calls=(call,)),),
        )
        for k in range(2)
    ]
    span = signal(records, Recipe.of("dr_grpo")).spans()
    assert [len(set(row)) for row in span.tolist()] == [1, 1]
    assert span[0, 0] != span[1, 0]  # two trajectories, two actions


def test_no_mass_is_plus_zero() -> None:
    made = signal([], Recipe.of("grpo"))
    assert [str(each) for each in made.mass] == ["0.0", "0.0"]


def test_rows_means_are_of_what_was_sampled() -> None:
    # as in test_safety: +-0.5 against two failures, -1/6 each; nine tenths of the pair are a tool's
    told = ToolStep(text="told", token_ids=tuple(range(90)))
    pair = [
        structs.replace(each, steps=(*each.steps, told))
        for each in records([(1.0, "a"), (0.0, "b")], tokens=10)
    ]
    failed = [
        structs.replace(each, id=f"f{k}", task="f", group="f")
        for k, each in enumerate(records([(0.0, "c"), (0.0, "d")], tokens=10))
    ]
    recipe = Recipe.of({"method": "dr_grpo", "safety": {"all_fail": "bounded"}})
    made = signal([*pair, *failed], recipe, by_row=True)
    assert made.advantage_N[200:] == pytest.approx(-1 / 6)
