"""What a log says of its dead groups, without any world at hand."""

from typing import Any

from msgspec import structs

from assay.records import ModelStep, Trajectory
from assay.rescue.explain import explain, summary
from tests.rescue.doors import Policy, sampled


def records(*opened: str, look: str = "", seed: int = 1) -> list[Trajectory]:
    """Returns a group of trajectories that look, and open a door; the right one is seed + 1."""
    said = iter(opened)

    def says(seen: str) -> str:
        return f">look({look})\n" if look and seen.endswith("door\n") else next(said)

    return sampled(Policy(says), [seed], size=len(opened))


def missing(found: list[Trajectory], **options: Any) -> dict[str, str | None]:
    (one,) = explain(found, **options)
    return one.missing


def test_only_groups_that_failed_as_a_whole_are_explained() -> None:
    dead, mixed = records("=7", "=7"), records("=3", "=7", seed=2)
    (one,) = explain([*dead, *mixed])
    assert (one.group, one.size) == (dead[0].group, 2)
    assert explain(records("=7")) == []  # one alone is compared with nothing
    unscored = [structs.replace(each, outcome=None, grades=()) for each in dead]
    assert explain(unscored) == []


def test_what_a_rung_lacks_is_said() -> None:
    lacks = missing(records("=7", "=7"))
    assert lacks["prefix"] == "an earlier success at this task"
    assert "error" in (lacks["feedback"] or "")
    assert "changed the state" in (lacks["relabel"] or "")
    assert [name for name, why in lacks.items() if why is None] == (
        ["wrong_answers", "critique", "self_hint", "oracle"]
    )


def test_an_error_lets_feedback_be_tried_and_calls_that_ran_a_relabelling() -> None:
    assert missing(records("=7", "=7", look="0"))["feedback"] is None
    assert missing(records("=7", "=7", look="7"))["relabel"] is None


def test_a_success_in_another_group_of_the_task_is_a_head_start() -> None:
    success = structs.replace(records("=2", look="2")[0], group="another")
    assert missing([*records("=7", "=7"), success])["prefix"] is None
    (bare,) = records("=2")
    bare = structs.replace(bare, group="another")
    assert "more than one turn" in (missing([*records("=7", "=7"), bare])["prefix"] or "")


def test_without_a_world_or_tokens_nothing_can_be_tried() -> None:
    found = [structs.replace(each, origin=None) for each in records("=7", "=7", look="7")]
    lacks = missing(found)
    assert None not in lacks.values()
    assert "environment" in (lacks["oracle"] or "")
    bare = [
        structs.replace(
            each,
            steps=tuple(
                structs.replace(s, token_ids=None, logprobs=None, spans=())
                if type(s) is ModelStep
                else structs.replace(s, token_ids=None)
                for s in each.steps
            ),
        )
        for each in records("=7", "=7", look="7")
    ]
    assert "token ids" in (missing(bare)["relabel"] or "")


def test_a_rescued_trajectory_does_not_hide_the_group_that_it_rescued() -> None:
    from assay.records import Rescue

    one, two, three = records("=7", "=7", "=2")
    helped = structs.replace(three, rescue=Rescue(rung="oracle"))
    assert [each.size for each in explain([one, two, helped])] == [2]


def test_the_summary_counts_groups_and_names_what_is_missing_most_often() -> None:
    found = explain([*records("=7", "=7"), *records("=7", "=7", look="0", seed=3)])
    rows = {row["rung"]: row for row in summary(found)}
    assert (rows["feedback"]["able"], rows["feedback"]["lacking"]) == (1, 1)
    assert rows["oracle"]["able"] == 2
    assert (rows["oracle"]["missing"], rows["oracle"]["lacking"]) == (None, 0)
