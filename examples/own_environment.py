"""An environment of your own, checked and played: python examples/own_environment.py

`assay train assay --env examples.own_environment:Guess` trains on it.
"""

from random import Random

from assay.errors import UsageError
from assay.rollout.checking import check
from assay.rollout.recording import Recorder
from assay.world import Environment, Reply


class Guess(Environment):
    """Finds a number from 1 to 15 by asking whether it is larger; eight turns."""

    def reset(self, seed: int) -> str:
        """Hides a number."""
        self.secret, self.low, self.high = Random(seed).randint(1, 15), 1, 15
        self.turns = 8
        return "?a number from 1 to 15"

    def step(self, text: str) -> Reply:
        """Answers `>larger(7)`; `=9` ends the game."""
        if self.turns == 0:
            raise UsageError("the task is over; reset starts another")
        said, self.turns = text.strip(), self.turns - 1
        if said.startswith("="):
            self.turns = 0
            return Reply(done=True, score=float(said == f"={self.secret}"))
        if self.turns == 0:
            return Reply(done=True, score=0.0, end="budget")
        if not (said.startswith(">larger(") and said[8:-1].isdigit()):
            return Reply(text="<error: >larger(7) asks, =9 answers", ran=False)
        asked = int(said[8:-1])
        if self.secret > asked:
            self.low = max(self.low, asked + 1)
        else:
            self.high = min(self.high, asked)
        return Reply(text="<yes" if self.secret > asked else "<no", ran=True)

    def best(self) -> str:
        """Halves what is left."""
        if self.low == self.high:
            return f"={self.low}\n"
        return f">larger({(self.low + self.high) // 2})\n"

    def answer(self) -> str:
        """Is what the final answer must be."""
        return str(self.secret)


if __name__ == "__main__":
    for finding in check(Guess):
        print(f"{finding.verdict:8}{finding.rule}: {finding.detail}")
    game = Recorder(Guess(), seed=3)
    while not game.last.done:
        game.act(game.environment.best() or "=?\n")
    for step in game.trajectory().steps:
        print(f"{type(step).__name__:10}{step.text.strip()}")
