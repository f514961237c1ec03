"""Prints the table of docs/world.md on environments of other libraries: the check of each.

    python -m tools.environments > table.md

A library that is not installed is named in its row.
"""

import time

from assay.errors import AssayError
from assay.rollout.checking import check
from assay.world import load

GAMES = (
    ("TwentyQuestions-v0", {"master": "words"}),
    ("GuessWho-v0", {"master": "words"}),
    ("GuessTheNumber-v0", {}),
    ("2048-v0-ultra-easy", {}),
    ("Blackjack-v0", {}),
    ("FrozenLake-v0", {}),
    ("LightsOut-v0", {}),
    ("Mastermind-v0", {}),
    ("Sudoku-v0-very-easy", {}),
    ("Bandit-v0", {}),
    ("Crosswords-v0", {}),
    ("TowerOfHanoi-v0", {}),
    ("Minesweeper-v0", {}),
    ("TicTacToe-v0", {"opponent": "random"}),
    ("ConnectFour-v0", {"opponent": "random"}),
    ("KuhnPoker-v0", {"opponent": "random"}),
    ("IteratedPrisonersDilemma-v0", {"opponent": "random"}),
    ("TwentyQuestions-v0-hardcore", {}),
    ("Wordle-v0", {}),
    ("Chess-v0", {"opponent": "random"}),
)
SCIENCE = ("boil", "find-animal", "find-plant", "lifespan-longest-lived", "chemistry-mix")
TOYS = ("Taxi-v4", "Blackjack-v1", "CartPole-v1", "FrozenLake-v1")


def main() -> None:
    """Prints one row for each environment."""
    print("| environment | dials | seeds | s | check |")
    print("|---|---|---|---|---|")
    for game, dials in GAMES:
        row(f"textarena:{game}", dials, 4)
    for task in SCIENCE:
        row(f"scienceworld:{task}", {"steps": 60}, 2)
    for toy in TOYS:
        row(f"gymnasium:{toy}", {}, 4)


def row(name: str, dials: dict[str, object], seeds: int) -> None:
    """Prints what the check says of an environment."""
    began = time.monotonic()
    try:
        load(name, **dials)
        lines = list(check(lambda: load(name, **dials), range(seeds)))
        said = "; ".join(f"{x.rule}: {x.detail}" for x in lines if x.verdict == "finding") or "ok"
    except AssayError as error:
        said = f"refused: {error}"
    spent = time.monotonic() - began
    given = " ".join(f"{dial}={value}" for dial, value in dials.items())
    said = " ".join(said.replace("|", "/").split())[:150]
    print(f"| `{name}` | {given} | {seeds} | {spent:.1f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
