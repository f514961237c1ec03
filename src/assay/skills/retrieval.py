"""Which skills of a bank a task gets: those of its category, by what they apply to.

bm25        by words:  sum over words w of the task:  idf(w) f / (f + k1 (1 - b + b |skill| / mean))
embedding   by meaning: the cosine of two vectors (`skills.meaning`)

BM25 is bm25s' (Lucene's variant, k1 1.5, b .75), https://arxiv.org/abs/2407.03618, which keeps the
scores of every word and skill in a sparse matrix: a task is a few rows of it. A word counts once.

BM25 has no scale of its own. What is left out is a skill that gets less from the task than `LEAST`
of what it would get from its own words, all of them: a share in [0, 1], of its rare words more than
of its common ones. Against the best skill of a bank this could not be said: the best may be bad.
A cosine has one: what is left out lies below `NEAR`. SkillRL's .3 is for another model; of tasks in
other words this one puts more than half below it (`benchmarks/skills.py`).
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, final

import numpy as np
from jaxtyping import Float

from assay.errors import imported
from assay.skills.bank import Bank
from assay.skills.meaning import opened
from assay.skills.skill import Skill

Retrieval = Literal["bm25", "embedding"]
MOST: Final = 6
"""Skills of a task."""
LEAST: Final = 0.6
"""Of a skill's own score, by words."""
NEAR: Final = 0.2
"""Cosine, by meaning."""
_DIGITS: Final = 5
"""Of a cosine: what differs by less is equal, on every machine, and then ids decide."""
_WORD: Final = re.compile(r"\w+")
Scores = Float[np.ndarray, " N"]


class _Scorer(Protocol):
    def __call__(self, task: str) -> Scores | None: ...

    def bound(self, least: float | None) -> Scores | float: ...


@final
class Index:
    """The skills of a bank, ready to be asked for."""

    def __init__(self, skills: Sequence[Skill], by: Retrieval = "bm25") -> None:
        """Takes skills.

        Raises:
            MissingExtraError: the extra [skills], or [embeddings], is not installed.
        """
        self.skills = tuple(sorted(skills, key=lambda each: each.id))
        self._general = np.array([not each.category for each in self.skills], bool)
        self._of: dict[str, np.ndarray] = {}
        texts = [each.when or each.text for each in self.skills]
        self._score: _Scorer = _Words(texts) if by == "bm25" else _Meanings(texts)

    @staticmethod
    def of(bank: Bank, by: Retrieval = "bm25") -> "Index":
        """Returns the index of a bank's active skills."""
        return Index(bank.active, by)

    def __call__(
        self, task: str, category: str, *, most: int = MOST, least: float | None = None
    ) -> tuple[Skill, ...]:
        """Returns the skills for a task, best first, equal ones by id.

        Args:
            task: its text, without skills.
            category: of the task; general skills are for all.
            most: at most so many.
            least: share of its own score that a skill must have, or its cosine. None: `LEAST`, or
                `NEAR`.
        """
        score = self._score(task)
        if score is None:
            return ()
        fit = np.flatnonzero((score > 0) & (score >= self._score.bound(least)))
        fit = fit[self._mask(category)[fit]]
        if 0 < most < len(fit):
            fit = fit[score[fit] >= np.partition(score[fit], -most)[-most]]
        order = fit[np.argsort(-score[fit], kind="stable")]  # ids are in order already
        return tuple(self.skills[at] for at in order[:most])

    def _mask(self, category: str) -> np.ndarray:
        if category not in self._of:
            own = [each.category == category for each in self.skills]
            self._of[category] = self._general | np.array(own, bool)
        return self._of[category]


@final
class _Words:
    """BM25 of some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        words = [words_of(each) for each in texts]
        self._known = {word for each in words for word in each}
        if self._known:
            bm25s: Any = imported("bm25s", extra="skills", to="retrieval of skills")
            self._scores = bm25s.BM25()
            self._scores.index([list(dict.fromkeys(each)) for each in words], show_progress=False)
            table = self._scores.scores  # by word: skills, and what they score
            self._own = np.bincount(table["indices"], table["data"], len(texts))

    def __call__(self, task: str) -> Scores | None:
        """Returns what each gets from a task; None: it has no word of theirs."""
        asked = [word for word in dict.fromkeys(words_of(task)) if word in self._known]
        return self._scores.get_scores(asked) if asked else None

    def bound(self, least: float | None) -> Scores:
        return (LEAST if least is None else least) * self._own


@final
class _Meanings:
    """Cosines to some texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._model = opened()
        self._vectors = self._model(texts)

    def __call__(self, task: str) -> Scores:
        """Returns the cosine of each to a task."""
        return np.round(self._vectors @ self._model([task])[0], _DIGITS)

    def bound(self, least: float | None) -> float:
        return NEAR if least is None else least


def words_of(text: str) -> list[str]:
    """Returns the words of a text, without regard to case."""
    return _WORD.findall(text.casefold())
