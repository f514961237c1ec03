"""What processes send each other: facts of rows, and neither texts nor tokens."""

import pickle
import random

import pytest

from assay.records import Call, ModelStep, ToolStep, Trajectory, UserStep

pytest.importorskip("trl")
from assay.batch.build import Builder
from assay.trainers.trl.adapter import Facts

SECRET = "the parcel is in the blue house "


def sent(tokens: int) -> bytes:
    """What `gather_object` sends for 16 trajectories of two turns of so many tokens each."""
    facts = Facts(Builder(measure="tokens", pass_at=1.0))
    rng = random.Random(0)
    for k in range(16):
        ids = [tuple(rng.randrange(30000, 31000) for _ in range(tokens)) for _ in range(3)]
        steps = (
            UserStep(text=SECRET * tokens, token_ids=ids[0]),
            ModelStep(
                text=SECRET * tokens,
                token_ids=ids[1],
                calls=(Call(name="look", arguments=f'{{"at": "{SECRET}{k}"}}', id="x"),),
            ),
            ToolStep(text=SECRET * tokens, name="look", call=(1, 0)),
            ModelStep(text=SECRET * tokens, token_ids=ids[2]),
        )
        outcome = float(k % 3 == 0)
        facts.builder.add(
            Trajectory(id=f"0/{k}", task="t", group=str(k // 8), steps=steps, outcome=outcome)
        )
        facts.skip.append(tokens)
    return pickle.dumps([facts])


def test_a_row_costs_the_same_however_long_it_is() -> None:
    short, long = sent(10), sent(2000)
    assert len(long) == pytest.approx(len(short), rel=0.02)
    assert len(long) < 16 * 1500  # a kilobyte and a half a row, where its ids alone are 24


def test_neither_text_nor_tokens_travel() -> None:
    said = sent(50)
    assert SECRET.strip().encode() not in said
    assert b"blue house" not in said
