"""Which skills of a bank a task gets: those of its category, by BM25 on what they apply to.

    sum over words w of the task:  idf(w) f / (f + k1 (1 - b + b |skill| / mean))

by bm25s (Lucene's variant, k1 1.5, b .75), https://arxiv.org/abs/2407.03618, which keeps the scores
of every word and skill in a sparse matrix: a task is a few rows of it. A word counts once.

BM25 has no scale of its own. What is left out is a skill that gets less from the task than `LEAST`
of what it would get from its own words, all of them: a share in [0, 1], of its rare words more than
of its common ones. Against the best skill of a bank this could not be said: the best may be bad.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np

from assay.errors import imported
from assay.skills.bank import Bank
from assay.skills.skill import Skill

MOST: Final = 6
"""Skills of a task."""
LEAST: Final = 0.6
"""Of a skill's own score."""
_WORD: Final = re.compile(r"\w+")


@final
class Index:
    """The skills of a bank, ready to be asked for."""

    def __init__(self, skills: Sequence[Skill]) -> None:
        """Takes skills.

        Raises:
            MissingExtraError: the extra [skills] is not installed.
        """
        self.skills = tuple(sorted(skills, key=lambda each: each.id))
        self._general = np.array([not each.category for each in self.skills], bool)
        self._of: dict[str, np.ndarray] = {}
        words = [words_of(each.when or each.text) for each in self.skills]
        self._known = {word for each in words for word in each}
        self._scores: Any = None
        if self._known:
            bm25s: Any = imported("bm25s", extra="skills", to="retrieval of skills")
            self._scores = bm25s.BM25()
            self._scores.index([list(dict.fromkeys(each)) for each in words], show_progress=False)
            table = self._scores.scores  # by word: skills, and what they score
            self._own = np.bincount(table["indices"], table["data"], len(self.skills))

    @staticmethod
    def of(bank: Bank) -> "Index":
        """Returns the index of a bank's active skills."""
        return Index(bank.active)

    def __call__(
        self, task: str, category: str, *, most: int = MOST, least: float = LEAST
    ) -> tuple[Skill, ...]:
        """Returns the skills for a task, best first, equal ones by id.

        Args:
            task: its text, without skills.
            category: of the task; general skills are for all.
            most: at most so many.
            least: share of its own score that a skill must have.
        """
        asked = [word for word in dict.fromkeys(words_of(task)) if word in self._known]
        if not asked:
            return ()
        score = self._scores.get_scores(asked)
        own = np.flatnonzero(score)
        own = own[self._mask(category)[own]]
        fit = own[score[own] >= least * self._own[own]]
        order = fit[np.argsort(-score[fit], kind="stable")]  # ids are in order already
        return tuple(self.skills[at] for at in order[:most])

    def _mask(self, category: str) -> np.ndarray:
        if category not in self._of:
            own = [each.category == category for each in self.skills]
            self._of[category] = self._general | np.array(own, bool)
        return self._of[category]


def words_of(text: str) -> list[str]:
    """Returns the words of a text, without regard to case."""
    return _WORD.findall(text.casefold())
