"""Chance of its own for each trajectory: what is sampled beside it does not matter."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.policy.loading import load
from assay.rollout.backends.base import Sampling
from assay.rollout.backends.local import Transformers
from assay.rollout.chain import collect, tasks
from tests.runs import tiny

SAMPLING = Sampling(max_tokens=6, turn_tokens=6, max_length=32, apart=True)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Transformers:
    model, tokenizer = load(str(tiny.policy(tmp_path_factory.mktemp("policy"))))
    return Transformers(model.eval(), tokenizer)


def played(
    backend: Transformers, seeds: list[int], *, apart: bool = True, seed: int = 0, batch: int = 256
) -> dict[str, list[int]]:
    """The tokens of each trajectory by its id."""
    sampling = replace(SAMPLING, apart=apart)
    planned = tasks(tiny.Letter, seeds, 3)
    records = collect(backend, planned, sampling=sampling, seed=(seed, 1), batch=batch)
    return {
        record.id: [token for step in record.steps for token in step.token_ids or ()]
        for record in records
    }


def test_a_trajectory_does_not_depend_on_those_beside_it(backend: Transformers):
    whole = played(backend, [0, 1, 2, 3])
    for seeds in ([2], [3, 0], [1, 2]):
        assert all(whole[id] == ids for id, ids in played(backend, seeds).items())
    assert played(backend, [0, 1, 2, 3], batch=5) == whole
    assert len({tuple(ids) for ids in whole.values()}) > 6  # each draws its own
    assert played(backend, [0, 1, 2, 3], seed=1) != whole
    shared = played(backend, [0, 1, 2, 3], apart=False)
    assert any(shared[id] != ids for id, ids in played(backend, [2, 3], apart=False).items())


def test_it_draws_by_the_numbers_of_its_name(backend: Transformers):
    """By hand: the first token of a row is where the sum of its chances exceeds its number."""
    import hashlib

    made: list[list[int]] = [[], []]
    backend.run(
        [[2, 3], [2, 3]],
        lambda at, ids, _: made[at].extend(ids) or [],
        sampling=replace(SAMPLING, max_tokens=1, names=("a", "b")),
        seed=(7,),
    )
    with torch.no_grad():
        logits = backend.model(torch.tensor([[2, 3]])).logits[0, -1].double()
    sums = logits.softmax(-1).cumsum(-1).numpy()
    for name, ids in zip("ab", made, strict=True):
        words = np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4").tolist()
        number = np.random.default_rng([7, *words]).random()
        assert ids == [int(np.searchsorted(sums, number * sums[-1], side="right"))]
