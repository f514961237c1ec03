"""Known-good trajectories: what the environment's own expert would have written. No torch."""

from collections.abc import Callable, Sequence

from assay.rollout.chain import attributed
from assay.rollout.protocols.base import Protocol
from assay.rollout.recording import Recorder, solve
from assay.signal.origins import OriginRow
from assay.world.environment import Environment


def known_good(
    make: Callable[[], Environment], protocol: Protocol, tasks: Sequence[int], *, longest: int
) -> list[OriginRow]:
    """Returns an expert's solution of each task as the policy would have sampled it.

    A task that the expert cannot solve, or not in `longest` tokens, its prompt included, is left
    out, and all are where there is none.

    Raises:
        DataError: the environment raised.
    """
    environment = make()
    found: list[OriginRow] = []
    for task in tasks:
        with attributed(environment, task, "its expert"):
            turns = solve(environment, task)
            if turns is not None:
                found.append(_played(environment, task, turns, protocol))
    return [each for each in found if len(each.prompt_ids) + len(each.completion_ids) <= longest]


def _played(
    environment: Environment, task: int, turns: Sequence[str], protocol: Protocol
) -> OriginRow:
    """Returns the ids of the turns, and of what the world answers between them."""
    recorder = Recorder(environment, task, protocol=protocol)
    prompt = _joined(protocol.prompt_ids(recorder.unread, environment))
    ids, sampled = list[int](), list[int]()
    for turn in turns:
        before = [*prompt, *ids]
        text, written = protocol.written(turn, environment)
        ids += written
        sampled += [1] * len(written)
        if recorder.act(text).done:
            break
        read = _joined(protocol.read_ids(recorder.unread, environment, before=before, turn=written))
        ids += read
        sampled += [0] * len(read)
    return OriginRow(tuple(prompt), tuple(ids), tuple(sampled))


def _joined(parts: Sequence[Sequence[int]]) -> list[int]:
    return [token for part in parts for token in part]
