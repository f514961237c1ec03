"""Known-good trajectories: what the environment's own expert would have written. Needs torch."""

from collections.abc import Callable, Sequence
from typing import Any

from assay.rollout.chain import attributed
from assay.rollout.recording import Recorder, solve
from assay.rollout.tokens import Tokens
from assay.trainers.trl.replay import Sample
from assay.world.environment import Environment


def known_good(
    make: Callable[[], Environment], tokenizer: Any, tasks: Sequence[int], *, longest: int
) -> list[Sample]:
    """Returns an expert's solution of each task as the policy would have sampled it.

    A task that the expert cannot solve, or not in `longest` tokens, its prompt included, is left
    out, and all are where there is none.

    Raises:
        DataError: the environment raised.
    """
    environment, tokens = make(), Tokens(tokenizer)
    found: list[Sample] = []
    for task in tasks:
        with attributed(environment, task, "its expert"):
            turns = solve(environment, task)
            if turns is not None:
                found.append(_played(environment, task, turns, tokens))
    return [each for each in found if len(each.prompt_ids) + len(each.completion_ids) <= longest]


def _played(environment: Environment, task: int, turns: Sequence[str], tokens: Tokens) -> Sample:
    """Returns the ids of the turns, and of what the world answers between them."""
    recorder = Recorder(environment, task)
    prompt, ids, sampled = tokens.prompt(recorder.prompt), list[int](), list[int]()
    for turn in turns:
        written = tokens.encode(f"{turn}\n")
        ids += written
        sampled += [1] * len(written)
        if recorder.act(f"{turn}\n").done:
            break
        read = tokens.encode(recorder.observation)
        ids += read
        sampled += [0] * len(read)
    return Sample(tuple(prompt), tuple(ids), tuple(sampled))
