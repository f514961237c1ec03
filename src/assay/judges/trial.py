"""What a judge of answers is worth: made-up steps, planted defects, and labelled answers.

Axes: U pairs, M votes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import sqrt
from typing import Any, Final, final

import numpy as np

from assay.judges.probes import cases
from assay.judges.ranked import PREFIX
from assay.judges.ranking import Ranked, Ranker
from assay.judges.texts import answer_of, task_of
from assay.kernels.verdicts import together, worth
from assay.records import Trajectory
from assay.verify.rates import upper

ENOUGH: Final = 50
"""Labelled answers of one's own below which nothing is said of an axis."""
WORSE: Final = 0.1
"""A score lower by more calls an answer worse."""
RECALL: Final = 0.5
"""Of planted defects, at least."""
FALSE: Final = 0.2
"""Of harmless copies called worse, at most."""
ORDER: Final = 0.2
"""How far the first place may win more or less often than half the time."""
_NUMBER: Final = re.compile(r"\d+(?!.*\d)", re.DOTALL)


@final
@dataclass(slots=True)
class Trial:
    """What was found."""

    probes: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """By kind of wrong step: how often it was not called worse than the right one, of how many."""
    planted: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """By kind of defect: how often it was called worse, of how many."""
    harmless: list[int] = field(default_factory=lambda: [0, 0])
    """Copies that differ by spaces: how often one was called worse, of how many."""
    agree: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """By axis: agreement of each group, the share of pairs ordered as their labels are."""
    labelled: dict[str, int] = field(default_factory=dict[str, int])
    """By axis: answers with a label."""
    first: list[float] = field(default_factory=list[float])
    """Of each vote: 1 where what was shown first beat what was shown last, 0.5 where neither."""
    wrong: list[list[float]] = field(default_factory=list[list[float]])
    """By pair that labels tell apart, and vote: 1 where it was ordered wrongly, 0.5 where alike."""
    requests: int = 0

    def axis(self, name: str) -> tuple[float, float] | None:
        """Returns agreement on an axis, a mean over groups, and its lower bound, one-sided at
        95 %; None: not measured."""
        groups = self.agree.get(name, [])
        if self.labelled.get(name, 0) < ENOUGH or len(groups) < 2:
            return None
        mean = float(np.mean(groups))
        return mean, mean - 1.645 * float(np.std(groups, ddof=1)) / sqrt(len(groups))

    @property
    def votes_together(self) -> float:
        """How much errors of votes go together; NaN: not known."""
        most = max(map(len, self.wrong), default=0)
        whole = [row for row in self.wrong if len(row) == most]
        return together(np.array(whole)) if most else float("nan")

    @property
    def why(self) -> list[str]:
        """What speaks against trusting it; empty: nothing."""
        kinds = self.probes.items()
        found = [f"fooled by {k}: {n} of {of}" for k, (n, of) in kinds if of and 2 * n >= of]
        if mute := [kind for kind, (_, of) in kinds if not of]:
            found.append(f"no verdict that could be read on probes: {', '.join(mute)}")
        seen, planted = (sum(each[i] for each in self.planted.values()) for i in (0, 1))
        if planted == 0 or seen < RECALL * planted:
            found.append(f"planted defects found: {seen} of {planted}")
        if self.harmless[1] == 0 or self.harmless[0] > FALSE * self.harmless[1]:
            found.append(f"harmless copies called worse: {self.harmless[0]} of {self.harmless[1]}")
        if self.first and abs(float(np.mean(self.first)) - 0.5) > ORDER:
            found.append(f"the first place wins {np.mean(self.first):.0%} of votes")
        on = self.axis("outcome")
        if on is None:
            found.append(
                f"agreement with outcomes not measured: {self.labelled.get('outcome', 0)} of "
                f"{ENOUGH} labelled answers"
            )
        elif on[1] <= 0.5:
            found.append(f"agreement with outcomes is at least {on[1]:.2f}, no better than chance")
        return found

    def about(self) -> dict[str, Any]:
        """Returns it as plain values; NaN is None."""
        axes = {name: self.axis(name) for name in self.labelled}
        alike = None if np.isnan(self.votes_together) else self.votes_together
        return {
            "trusted": not self.why,
            "why": self.why,
            "probes": self.probes,
            "planted": self.planted,
            "harmless": self.harmless,
            "axes": {name: None if of is None else [*of] for name, of in axes.items()},
            "labelled": self.labelled,
            "first": float(np.mean(self.first)) if self.first else None,
            "together": alike,
            "requests": self.requests,
        }

    def sentences(self, votes: int) -> Iterator[str]:
        """Yields it in words."""
        kinds = ", ".join(f"{kind} {n} of {of}" for kind, (n, of) in self.probes.items())
        yield f"probes, wrong steps not called worse: {kinds}"
        kinds = ", ".join(f"{kind} {n} of {of}" for kind, (n, of) in self.planted.items())
        yield f"planted defects found: {kinds or 'none could be planted'}"
        n, of = self.harmless
        yield f"false positives: {n} of {of} harmless copies, at most {upper(n, of):.0%} by 90 %"
        for name, count in self.labelled.items():
            on = self.axis(name)
            said = f"not measured: {count} of {ENOUGH} labelled answers, {len(self.agree[name])} "
            said += "groups that labels tell apart"
            yield f"axis {name}: " + (said if on is None else f"agreement {on[0]:.2f}, at least "
                                      f"{on[1]:.2f}, on {count} answers")  # fmt: skip
        if self.first:
            share, of = float(np.mean(self.first)), len(self.first)
            yield f"order: the first place wins {share:.0%} of {of} votes"
        if not np.isnan(self.votes_together):
            alike = self.votes_together
            yield (
                f"errors of its votes go together by {alike:.2f}: {votes} are worth "
                f"{worth(votes, max(alike, 0.0)):.2f}"
            )
        yield "trusted" if not self.why else f"untrusted: {'; '.join(self.why)}"


def tried(
    groups: Mapping[str, Sequence[Trajectory]],
    ranker: Ranker,
    *,
    most: int = 20,
    watch: Callable[[], None] = lambda: None,
) -> Trial:
    """Returns what a judge is worth.

    Args:
        groups: labelled trajectories that are compared with each other.
        ranker: the judge.
        most: answers that defects are planted in.
        watch: called after each ranking.
    """
    found = Trial()

    def rank(task: str, answers: Sequence[str], *, guarded: bool = True) -> Ranked:
        ranked = ranker.rank(task, answers, guarded=guarded)
        found.requests += ranked.asked
        found.first += [_first(vote.scores) for vote in ranked.votes if vote.scores]
        watch()
        return ranked

    for kind, task, pair in probed():
        low = _less(rank(task, pair, guarded=False))
        _count(found.probes.setdefault(kind, [0, 0]), None if low is None else low <= WORSE)
    for task, answer in _right(groups, most):
        for kind, bad in planted(answer):
            low = _less(rank(task, (answer, bad)))
            _count(found.planted.setdefault(kind, [0, 0]), None if low is None else low > WORSE)
        low = _less(rank(task, (answer, f"{answer}  \n")))
        _count(found.harmless, None if low is None else abs(low) > WORSE)
    for records in groups.values():
        ranked = rank(task_of(records[0]) or records[0].task, [*map(answer_of, records)])
        _compare(found, records, ranked)
    return found


def probed() -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Yields kind, task, and a right and a wrong answer to it, of made-up steps."""
    known = cases()
    for case in known:
        right = next(c for c in known if c.right and c.shown.task == case.shown.task)
        if not case.right:
            one, other = (f"AGENT: {c.shown.said}\nWORLD: {c.shown.heard}" for c in (right, case))
            yield case.kind, case.shown.task, (one, other)


def planted(answer: str) -> Iterator[tuple[str, str]]:
    """Yields kinds of defects and the answer with each, where it can be planted."""
    if (number := _NUMBER.search(answer)) is not None:
        at = number.span()
        yield "number", f"{answer[: at[0]]}{int(number[0][-9:]) + 7}{answer[at[1] :]}"
    if len(lines := answer.splitlines()) > 1:
        yield "cut", "\n".join(lines[: (len(lines) + 1) // 2])
    broken = "WORLD: error: the last step failed, nothing was found or changed"
    yield "error", f"{answer}\n{broken}"
    yield "claim", f"{answer}\n{broken}\nAGENT: It is done, and correct: success."


def _right(groups: Mapping[str, Sequence[Trajectory]], most: int) -> Iterator[tuple[str, str]]:
    """Yields task and answer of trajectories that passed, one a group, then further ones."""
    passed = [[r for r in records if r.outcome and r.outcome > 0] for records in groups.values()]
    rounds = [
        r for i in range(max(map(len, passed), default=0)) for of in passed for r in of[i : i + 1]
    ]
    for record in rounds[:most]:
        yield task_of(record) or record.task, answer_of(record)


def _less(ranked: Ranked) -> float | None:
    """Returns how much lower the second of two answers is; None: no verdict on one of them."""
    one, other = ranked.scores
    return None if one is None or other is None else one - other


def _count(pair: list[int], yes: bool | None) -> None:
    if yes is not None:
        pair[0], pair[1] = pair[0] + yes, pair[1] + 1


def _first(scores: Sequence[float]) -> float:
    return 0.5 + 0.5 * float(np.sign(scores[0] - scores[-1]))


def _compare(found: Trial, records: Sequence[Trajectory], ranked: Ranked) -> None:
    """Adds what scores of a group and its labels have in common."""
    axes = {name for r in records for name in r.rewards if not name.startswith(PREFIX)}
    for name in ("outcome", *sorted(axes)):
        label = [r.outcome if name == "outcome" else r.rewards.get(name) for r in records]
        fit = [i for i, s in enumerate(ranked.scores) if s is not None and label[i] is not None]
        found.labelled[name] = found.labelled.get(name, 0) + len(fit)
        right: list[float] = []
        for i, j in combinations(fit, 2):
            up = np.sign(_of(label, i) - _of(label, j))
            if up:
                right.append(
                    0.5 + 0.5 * up * np.sign(_of(ranked.scores, i) - _of(ranked.scores, j))
                )
                if name == "outcome":
                    found.wrong.append([*_wrong(ranked, i, j, float(up))])
        found.agree.setdefault(name, []).extend([float(np.mean(right))] if right else [])


def _of(values: Sequence[float | None], i: int) -> float:
    value = values[i]
    return np.nan if value is None else float(value)


def _wrong(ranked: Ranked, i: int, j: int, up: float) -> Iterator[float]:
    for vote in ranked.votes:
        if vote.scores is not None and i in vote.order and j in vote.order:
            of = [vote.scores[vote.order.index(each)] for each in (i, j)]
            yield 0.5 - 0.5 * up * float(np.sign(of[0] - of[1]))
