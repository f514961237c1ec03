"""Rewards of a task with a reference answer: how likely a policy finds it after each rollout's
reasoning, by forwards that train nothing.

    task, turns, what the world answered, [mark]  reference answer
    the reasoning, up to the rollout's own answer      scored

The rollout's own answer is not read. What a group shares at its beginning is read once, and so is
reasoning that several rollouts share from end to end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float64
from msgspec import structs

from assay.kernels.r3 import dispersion, length_reward, r3, r3_v1
from assay.records import ModelStep, Trajectory
from assay.rollout.reward import Reward
from assay.rollout.scoring import cuts, ids_of, spent_on
from assay.rollout.teaching import Question, answered

DISPERSION: Final = "dispersion"
"""Reward that holds, for each rollout, how much the rewards of its group tell apart."""
ROWS: Final = 16
"""Rollouts of one pass: few, as those of one pass are as long as the longest."""
LEAKED: Final = "leaked"
"""Reward that is 1 where the reasoning holds the reference word for word, else 0."""
LENGTH: Final = "length"
"""Reward that falls with the distance of an answer's length from the reference's."""


@final
@dataclass(frozen=True, slots=True)
class Certainty:
    """What a policy says of one rollout's reference."""

    logp_T: tuple[float, ...]
    """log p of each token of the reference, given the reasoning and the tokens before it, nats."""
    length: int
    """Tokens of the rollout's own answer; 0: it gave none."""
    leaked: bool
    """Whether the reasoning, the task or a tool's output holds the reference word for word."""
    forwards: int
    """1, or 0 where a rollout before it has the same reasoning."""


def certainty(
    records: Sequence[Trajectory],
    model: Any,
    tokenizer: Any,
    *,
    mark: str = "",
    masked: bool = False,
) -> list[Certainty | None]:
    """Returns how likely the policy finds each rollout's reference; None where there is none.

    DRO 2025 to 2026, https://arxiv.org/abs/2506.13351: teacher forced, temperature 1.

    Args:
        records: with token ids of every step.
        model: a causal language model, the scorer.
        tokenizer: the model's own.
        mark: text that stands before an answer, as "=" in lines.
        masked: score the reference after the task alone, without the reasoning.

    Raises:
        DataError: a step has no token ids, or nothing stands before the first model step.
    """
    given = tuple(tokenizer(mark, add_special_tokens=False)["input_ids"]) if mark else ()
    known: dict[str, tuple[int, ...]] = {}
    questions = dict[tuple[tuple[int, ...], ...], Question]()
    keys = list[tuple[tuple[int, ...], ...] | None]()
    ends = list[tuple[int, int]]()
    for at, record in enumerate(records):
        ids, first = ids_of(record), cuts(record)[0]
        ends.append(_answer(record, ids, given))
        end = ends[-1][0]
        if not record.reference:
            keys.append(None)
            continue
        if record.reference not in known:
            made = tokenizer(record.reference, add_special_tokens=False)["input_ids"]
            known[record.reference] = tuple(made)
        answer = known[record.reference]
        reasoning = () if masked else tuple(ids[first:end])
        key = (tuple(ids[:first]), reasoning, answer)
        keys.append(key)
        if key not in questions:
            questions[key] = Question(at, 0, key[0], (*reasoning, *given), answer)
    logp = dict(zip(questions, answered(model, [*questions.values()], rows=ROWS), strict=True))
    return [
        None
        if key is None
        else Certainty(
            logp_T=logp[key],
            length=length,
            leaked=_holds(tokenizer, ids_of(record)[:end], record.reference or ""),
            forwards=int(questions[key].record == at),
        )
        for at, (record, key, (end, length)) in enumerate(zip(records, keys, ends, strict=True))
    ]


def rewarded(
    records: Sequence[Trajectory],
    found: Sequence[Certainty | None],
    settings: Reward,
) -> list[Trajectory]:
    """Returns the rollouts with the reward of the settings' kind among their `rewards`, and what
    goes with it.

    Compared are those of one group and one reference. The reward is None, and not 0, where there is
    no reference, where it leaked and is to be unscored, and where R3 is undefined
    (`assay.kernels.r3`). "dispersion" is the group's, of the deviations that weigh R3's tokens,
    those of version 2 with a plain mean; "leaked" is 1 or 0; "length" is there if asked for, in
    tokens of the answer. The ledger counts the forwards.

    Args:
        records: whole groups.
        found: what the policy said of each.
        settings: of a kind other than none.
    """
    kind = settings.kind
    made = [_noted(record, each, settings) for record, each in zip(records, found, strict=True)]
    groups: dict[tuple[str, str | None], list[int]] = {}
    for at, (record, each) in enumerate(zip(records, found, strict=True)):
        if each is not None:
            groups.setdefault((record.group, record.reference), []).append(at)
    for places in groups.values():
        known = [each for each in (found[at] for at in places) if each is not None]
        logp_KT = np.array([each.logp_T for each in known])
        if settings.leaks == "unscored":
            logp_KT[[each.leaked for each in known]] = np.nan
        reward_K, sigma_T = _valued(logp_KT, settings)
        spread = _plain(dispersion(sigma_T))
        for at, reward in zip(places, reward_K.tolist(), strict=True):
            rewards = {**made[at].rewards, kind: _plain(reward), DISPERSION: spread}
            made[at] = structs.replace(made[at], rewards=rewards)
    return made


def _valued(
    logp_KT: Float64[np.ndarray, "K T"], settings: Reward
) -> tuple[Float64[np.ndarray, " K"], Float64[np.ndarray, " T"]]:
    """Returns the rewards of a group, and the deviation of each token over its rollouts."""
    p_KT = np.exp(logp_KT)
    if settings.kind == "r3_v1":
        made = r3_v1(logp_KT)
        return made.reward_K, made.sigma_T
    made = r3(p_KT, omega=settings.omega, low=settings.low, high=settings.high)
    if settings.kind == "r3":
        return made.reward_K, made.sigma_T
    return (p_KT if settings.kind == "mean_p" else logp_KT).mean(1), made.sigma_T


def _noted(record: Trajectory, found: Certainty | None, settings: Reward) -> Trajectory:
    """Returns a record with what its own forward says."""
    if found is None:
        return structs.replace(record, rewards={**record.rewards, settings.kind: None})
    rewards = {**record.rewards, LEAKED: float(found.leaked)}
    if settings.length > 0:
        size, own = len(found.logp_T), np.array([float(found.length)])
        rewards[LENGTH] = float(length_reward(own, size, settings.length)[0])
    return spent_on(structs.replace(record, rewards=rewards), found.forwards)


def facts(records: Iterable[Trajectory], kind: str) -> Mapping[str, float]:
    """Returns what a log line says of a batch: the mean reward, the share of rollouts without one,
    the share that leaked, and the groups' mean dispersion; NaN: of nothing."""
    all_of_them = [record.rewards for record in records]
    named = {
        name: [v for v in (each.get(name) for each in all_of_them) if v is not None]
        for name in (kind, LEAKED, DISPERSION)
    }
    count = max(len(all_of_them), 1)
    return {
        f"reward/{kind}": _mean(named[kind]),
        "reward/missing": 1.0 - len(named[kind]) / count,
        "reward/leaked": sum(named[LEAKED]) / count,
        "reward/dispersion": _mean(named[DISPERSION]),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _answer(record: Trajectory, ids: Sequence[int], mark: tuple[int, ...]) -> tuple[int, int]:
    """Returns where a rollout's own answer begins, with its mark, and how many tokens it has beside
    that: where its last model step has one, else at the end."""
    at, last = [(n, each) for n, each in enumerate(record.steps) if type(each) is ModelStep][-1]
    own = [span for span in last.spans if span.role == "answer"]
    if not own:
        return len(ids), 0
    start = sum(len(step.token_ids or ()) for step in record.steps[:at]) + own[0].start
    marked = tuple(ids[start : start + len(mark)]) == mark
    size = sum(span.end - span.start for span in own)
    return start, size - len(mark) * marked


def _holds(tokenizer: Any, ids: Sequence[int], reference: str) -> bool:
    """Returns whether a text holds the reference, whatever its white space and case."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True)
    return _folded(reference) in _folded(text)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
