"""Which skills of a bank a task gets: those of its category, by BM25 on what they apply to.

    sum over words w of the task:  idf(w) f / (f + k1 (1 - b + b |skill| / mean))

by bm25s (Lucene's variant, k1 1.5, b .75: Kamphuis 2020), https://arxiv.org/abs/2407.03618, which
keeps the scores of every word and skill in a sparse matrix: a task is a few rows of it. There is no
scale on which a score could be compared with a cosine, so what scores below `LEAST` of the best
skill is left out.
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
LEAST: Final = 0.5
"""Of the best score."""
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
            self._scores.index(words, show_progress=False)

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
            least: share of the best score.
        """
        asked = [word for word in words_of(task) if word in self._known]
        if not asked:
            return ()
        score = self._scores.get_scores(asked).astype(np.float64)
        score = np.where(self._mask(category), score, 0.0)
        best = float(score.max(initial=0.0))
        if best <= 0:
            return ()
        fit = np.flatnonzero((score > 0) & (score >= least * best))
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
