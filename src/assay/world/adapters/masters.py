"""A game master in place of a model, for the games of textarena that ask one."""

import re
from typing import Any, Final, final

FILLING: Final = re.compile(
    r"\b(an?|and|any|are|character('s)?|contains?|do(es)?|first|ha[sv]e?|s?he|her|his|in|is|its?|"
    r"letters?|name|of|or|person|starts?|begins?|the(ir|re|y)?|thing|wear(ing|s)?|what|with|word|"
    r"your)\b"
)
"""Words of a question that say nothing of the secret."""


@final
class Master:
    """Answers by words alone: it knows how the secret is spelt and how the game describes it.

    Yes where the secret begins with, or holds, the letters asked for, or where every word of the
    question that is no filling describes the secret. No where letters do not fit, or where a
    description (GuessWho has one) lacks a word. I don't know to everything else.
    """

    def __init__(self, game: Any) -> None:
        self._game = game

    def __call__(self, prompt: str) -> str:
        """Returns the answer to the last question of a master's prompt."""
        asked = prompt.rpartition("\nQ: ")[2].partition("\nOptions:")[0].lower()
        character: dict[str, Any] | None = getattr(self._game, "target_character", None)
        secret = str(character["name"] if character else self._game.game_word).lower()
        asked = asked.replace("the letters", "").replace("the letter", "")
        begins = re.search(r"(?:start|begin)s? with \W*([a-z]+)", asked)
        holds = re.search(r"(?:contain|include)s? \W*([a-z]+)", asked)
        if begins:
            return "Yes" if secret.startswith(begins[1]) else "No"
        if holds:
            return "Yes" if holds[1] in secret else "No"
        described = str(list(character.values())).lower() if character else secret
        words = set(re.findall(r"[a-z]+", FILLING.sub(" ", asked)))
        known = set(re.findall(r"[a-z]+", described))
        if words and words <= known:
            return "Yes"
        return "No" if character else "I don't know"
