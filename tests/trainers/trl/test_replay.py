"""Samples to tensors and back, and what the replay keeps."""

import json

import pytest

torch = pytest.importorskip("torch")

from assay.errors import AlignmentError  # noqa: E402
from assay.records import ModelStep, ToolStep, Trajectory, UserStep  # noqa: E402
from assay.signal import ReplaySettings  # noqa: E402
from assay.signal.origins import OriginRow, row_of  # noqa: E402
from assay.trainers.trl.adapter import taken  # noqa: E402
from assay.trainers.trl.replay import Replay, padded  # noqa: E402


def test_padded_by_hand() -> None:
    samples = [
        OriginRow((5,), (6, 7), (1, 0), (-1.0, -2.0)),
        OriginRow((8, 9), (4,), (1,)),
    ]
    got = padded(samples, pad_id=0, device=torch.device("cpu"))
    assert got.input_ids.tolist() == [[0, 5, 6, 7], [8, 9, 4, 0]]
    assert got.attention_mask.tolist() == [[0, 1, 1, 1], [1, 1, 1, 0]]
    assert got.mask.tolist() == [[1, 0], [1, 0]]
    assert got.old[0].tolist() == [-1.0, -2.0]
    assert got.old[1].isnan().tolist() == [True, False]
    assert got.width == 2


def test_a_record_becomes_prompt_completion_and_what_was_sampled() -> None:
    record = Trajectory(
        id="a",
        task="t",
        group="t",
        steps=(
            UserStep(text="?", token_ids=(1, 2)),
            ModelStep(token_ids=(3, 4), sampled=((1, 2),)),
            ToolStep(text="!", token_ids=(5,)),
            ModelStep(token_ids=(6,)),
        ),
    )
    assert row_of(record) == OriginRow((1, 2), (3, 4, 5, 6), (0, 1, 0, 1), record="a")
    with pytest.raises(AlignmentError, match="no prompt tokens"):
        row_of(Trajectory(id="a", task="t", group="t", steps=(ModelStep(token_ids=(3,)),)))
    with pytest.raises(AlignmentError, match=r"steps\[0\]: no token ids"):
        row_of(Trajectory(id="a", task="t", group="t", steps=(ModelStep(text="x"),)))


def test_the_replay_keeps_the_newest_per_prompt_and_the_newest_in_all() -> None:
    replay = Replay(ReplaySettings(size=2, per_step=2))
    for prompt, completion in ((1, 10), (2, 20), (1, 11), (3, 30)):
        replay.add(OriginRow((prompt,), (completion,), (1,)))
    assert [s.completion_ids for s in replay.kept.values()] == [(11,), (30,)]


def test_draws_are_repeatable_and_survive_a_checkpoint() -> None:
    replay = Replay(ReplaySettings(size=9, per_step=3))
    for k in range(6):
        replay.add(OriginRow((k,), (k,), (1,), (-float(k),) if k else None))

    def drawn_at(kept: Replay, step: int) -> list[tuple[object, ...]]:
        return [(r.prompt_ids, r.completion_ids, r.logprobs) for r in kept.drawn((0, step))]

    drawn = drawn_at(replay, 7)
    assert len({prompt for prompt, *_ in drawn}) == 3
    assert drawn_at(replay, 7) == drawn
    other = Replay(replay.settings)
    other.restore(json.loads(json.dumps(replay.state())))
    assert drawn_at(other, 7) == drawn
    assert any(drawn_at(replay, step) != drawn for step in range(5))


def test_what_is_replayed_says_so() -> None:
    replay = Replay(ReplaySettings(size=9, per_step=1, weight=0.5, cap=3.0))
    replay.add(OriginRow((1,), (2, 3), (1, 0), (-1.0, -2.0), "0/4"))
    (row,) = replay.drawn((0, 0))
    assert (row.record, row.origin, row.ratio, row.cap) == ("0/4", "replayed", "truncated", 3.0)
    (term,) = row.losses
    assert (term.kind, term.weight_N.tolist()) == ("ce", [0.5, 0.0])


def test_log_probabilities_that_depend_on_the_padding_are_not_kept() -> None:
    new = torch.tensor([[-1.0, -2.0, 0.0], [-3.0, 0.0, 0.0]])
    for comparable, kept in ((True, (-3.0,)), (False, None)):
        pending = {7: OriginRow((4,), (5,), (1,))}
        found = taken(pending, {"assay_row": torch.tensor([2, 7])}, new, comparable=comparable)
        assert not pending
        assert found == {7: OriginRow((4,), (5,), (1,), kept)}


def test_one_that_was_sampled_with_help_is_weighed_by_what_sampled_it_at_most_once() -> None:
    helped = OriginRow((4,), (5, 6), (1, 0), (-0.5, 0.0), "0/1", origin="rescued")
    found = taken(
        {2: helped}, {"assay_row": torch.tensor([2])}, torch.full((1, 3), -9.0), comparable=False
    )
    assert found == {2: helped}  # not what the policy says of it: nobody's own it is
    replay = Replay(ReplaySettings(size=9, per_step=1, cap=2.0))
    replay.add(helped)
    other = Replay(replay.settings)
    other.restore(json.loads(json.dumps(replay.state())))
    for each in (replay, other):
        (row,) = each.drawn((0, 0))
        assert (row.cap, row.logprobs) == (1.0, (-0.5, 0.0))
