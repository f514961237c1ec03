"""What do wrong hints do to each way of using them? A policy small enough to know its success.

    python tools/hint_errors.py            # writes docs/hint_errors.md

Five steps of four actions; a trajectory passes if every action is the right one. The policy is a
table of logits, step by step. After a failed trajectory somebody hints at one step: what would
have been right at a step that went wrong or, in a share of the hints, one fixed wrong action at
any step. The teacher is the policy itself with two more logits on the action that the hint names;
a neutral hint changes nothing. The verifier may err as well. Groups of 8; the batch holds a group
of every seed, so that a method is asked once for all of them.

Axes: B seeds, G trajectories of a group, H steps, A actions.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from assay.batch import Batch
from assay.credit import method
from assay.credit.base import Method
from assay.evaluate.intervals import Estimate
from assay.records import Hint, ModelStep, Trajectory

PAGE: Final = Path(__file__).parents[1] / "docs" / "hint_errors.md"
STEPS, ACTIONS, GROUP, RIGHT, WRONG = 5, 4, 8, 0, 1
RATE: Final = 0.5
"""Of learning."""
UPDATES: Final = 60
SEEDS: Final = 48
TOLD: Final = 2.0
"""Logits that a hint adds to the action it names."""
SHARES: Final = (0.0, 0.3, 0.6, 0.9)
"""Of hints that are wrong."""
TEACHER: Final = {"spare": "none", "bound": 1.0}
"""Steps are of one token here, which would be spared as the last one."""
ARMS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "outcome alone": ("grpo", {}),
    "hint alone": ("opd", TEACHER),
    "added": ("additive", {**TEACHER, "compare": "group"}),
    "gate": ("rlsd", {"spare": "none", "lam": 1.0}),
    "agreement": ("agreement", {**TEACHER, "fail": 0.0}),
    "agreement, dead groups too": ("agreement", TEACHER),
    "routing": ("routing", TEACHER),
    "routing, down alone": ("routing", {**TEACHER, "down": True}),
    "no teacher: least likely tokens of dead groups": ("low_logprob", {"share": 0.2}),
    "no teacher: every token of a failure": ("nsr", {}),
}
"""By what the page calls it: the method and its options."""
OUTCOME, ADDED, AGREES, ALL_FAIL, ROUTED, GATE = (
    "outcome alone",
    "added",
    "agreement",
    "agreement, dead groups too",
    "routing",
    "gate",
)


@final
@dataclass(frozen=True, slots=True)
class World:
    """How good the policy is at first, and how often hints and verifier err."""

    right: float
    """Chance of the right action at each step."""
    wrong_hints: float = 0.0
    missed: float = 0.0
    """Chance that a pass is called a failure."""
    invented: float = 0.0
    """Chance that a failure is called a pass."""
    moved: bool = False
    """A hint is given to another trajectory of its group, at the step it was about."""

    @property
    def start(self) -> float:
        """Chance of a pass at first."""
        return self.right**STEPS


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities over the last axis."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@final
@dataclass(frozen=True, slots=True)
class Played:
    """A group of every seed, with its hints."""

    action: np.ndarray
    """(B, G, H)"""
    outcome: np.ndarray
    """(B, G), as the verifier says."""
    at: np.ndarray
    """(B, G): the step that the hint is about; -1: there is none."""
    target: np.ndarray
    """(B, G): the action that it names."""


def play(world: World, p: np.ndarray, rng: np.random.Generator) -> Played:
    """Returns a group of every seed, played by policies p (B, H, A)."""
    seeds = len(p)
    drawn = rng.random((seeds, GROUP, STEPS, 1))
    action = (drawn > p.cumsum(-1)[:, None, :, :-1]).sum(-1)
    failed = action != RIGHT
    passed = ~failed.any(-1)
    error = rng.random((seeds, GROUP))
    outcome = np.where(passed, error >= world.missed, error < world.invented).astype(float)
    errs = rng.random((seeds, GROUP)) < world.wrong_hints
    any_step = rng.integers(STEPS, size=(seeds, GROUP))
    some_failure = (np.where(failed, 1.0, 0.0) * rng.random(failed.shape)).argmax(-1)
    at = np.where(passed, -1, np.where(errs, any_step, some_failure))
    target = np.where(errs, WRONG, RIGHT)
    if world.moved:
        at, target = np.roll(at, 1, axis=1), np.roll(target, 1, axis=1)
    return Played(action, outcome, at, target)


def records(played: Played, logits: np.ndarray) -> Iterator[Trajectory]:
    """Yields the trajectories, with what the teacher says where there is a hint."""
    known, base = np.log(softmax(logits)), np.eye(ACTIONS)
    for b, g in np.ndindex(played.outcome.shape):
        steps: list[ModelStep] = []
        for h in range(STEPS):
            a, own = int(played.action[b, g, h]), known[b, h]
            hinted: dict[str, Any] = {}
            if played.at[b, g] == h:
                target = int(played.target[b, g])
                told = np.log(softmax(logits[b, h] + TOLD * base[target]))
                hint = Hint(text=f"take {target}", source="table")
                hinted = {"hints": (hint,), "told": (float(told[a]),), "neutral": (float(own[a]),)}
            steps.append(ModelStep(token_ids=(a,), logprobs=(float(own[a]),), **hinted))
        outcome = float(played.outcome[b, g])
        yield Trajectory(
            id=f"{b}/{g}", task=f"{b}", group=f"{b}", steps=tuple(steps), outcome=outcome
        )


def learned(asked: Method, world: World, *, seeds: int, updates: int) -> np.ndarray:
    """Returns each seed's chance of a pass after so many updates, exactly."""
    logits = np.zeros((seeds, STEPS, ACTIONS))
    logits[..., RIGHT] = np.log(world.right * (ACTIONS - 1) / (1 - world.right))
    for t in range(updates):
        p = softmax(logits)
        played = play(world, p, np.random.default_rng(t))
        batch = Batch.of(list(records(played, logits)))
        advantage = np.nan_to_num(asked(batch).advantage_N).reshape(seeds, GROUP, STEPS)
        score = np.eye(ACTIONS)[played.action] - p[:, None]
        logits = logits + RATE / GROUP * np.einsum("bgh,bgha->bha", advantage, score)
    return softmax(logits)[..., RIGHT].prod(-1)


def mean(values: np.ndarray) -> Estimate:
    """Returns the mean over seeds with its 95 % interval, by the normal law."""
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return Estimate(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


@final
@dataclass(frozen=True, slots=True)
class Setting:
    """A world, in a row of the page."""

    says: str
    world: World


def settings(right: float, missed: float = 0.0, invented: float = 0.0) -> list[Setting]:
    """Returns one start and verifier, under hints that err more and more, and under moved ones."""
    made = partial(World, right, missed=missed, invented=invented)
    rows = [Setting(f"{share:.0%} wrong", made(wrong_hints=share)) for share in SHARES]
    return [*rows, Setting("moved to another trajectory", made(moved=True))]


Table = dict[str, dict[str, np.ndarray]]
"""By setting, by arm: each seed's success."""


def table(rows: Sequence[Setting], *, seeds: int, updates: int) -> Table:
    """Returns what every arm learns in every setting."""
    arms = {name: method(of, **options) for name, (of, options) in ARMS.items()}
    return {
        row.says: {
            name: learned(asked, row.world, seeds=seeds, updates=updates)
            for name, asked in arms.items()
        }
        for row in rows
    }


def lines(found: Table) -> Iterator[str]:
    """Yields the lines of a table: arms down, settings across."""
    yield "| | " + " | ".join(found) + " |"
    yield "|---|" + "---|" * len(found)
    for arm in ARMS:
        cells = (mean(column[arm]) for column in found.values())
        said = (f"{cell.value:.3f} [{cell.low:.3f}, {cell.high:.3f}]" for cell in cells)
        yield f"| {arm} | " + " | ".join(said) + " |"


@final
@dataclass(frozen=True, slots=True)
class Claim:
    """What was predicted before any of this was run, and the difference that decides it."""

    id: str
    says: str
    over: float
    """Held if the whole interval lies above it."""
    under: float
    """Refuted if all of it lies below."""
    seen: np.ndarray
    """A difference, by seed."""

    def line(self) -> str:
        """Returns a row of the page."""
        found = mean(self.seen)
        verdict = "held" if found.low > self.over else "open"
        verdict = "refuted" if found.high < self.under else verdict
        interval = f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        return f"| {self.id} | {self.says} | {interval} | {verdict} |"


def claims(rare: Table, some: Table, noisy: Table) -> Iterator[Claim]:
    """Yields the predictions; `rare` starts at .0024, the others at .03, `noisy` has a verifier
    that errs."""
    for name, found in (("0.24 %", rare), ("3 %", some)):
        for share in ("30% wrong", "60% wrong"):
            says = f"agreement, dead groups too, loses to addition by .05 at most ({name}, {share})"
            seen = found[share][ALL_FAIL] - found[share][ADDED]
            yield Claim("P7", says, -0.05, -0.05, seen)
        last = found["90% wrong"]
        says = f"and to outcomes alone by .1 at most ({name}, 90% wrong)"
        yield Claim("P7", says, -0.1, -0.1, last[ALL_FAIL] - last[OUTCOME])
        says = f"addition falls below outcomes alone ({name}, 90% wrong)"
        yield Claim("P7", says, 0.0, 0.0, last[OUTCOME] - last[ADDED])
    for arm in (GATE, AGREES):
        says = f"{arm} does nothing from one success in 400: .05 at most (perfect hints)"
        yield Claim("P7b", says, -0.05, -0.05, -rare["0% wrong"][arm])
    says = "addition beats agreement where the verifier errs and hints do not (3 %, 20 updates)"
    early = noisy["0% wrong"]
    yield Claim("P8", says, 0.0, 0.0, early[ADDED] - early[AGREES])
    for arm, (name, found) in product((ROUTED, ALL_FAIL), (("0.24 %", rare), ("3 %", some))):
        kept = found["30% wrong"][arm] - 0.9 * found["0% wrong"][arm]
        says = f"with 30 % wrong hints {arm} keeps nine tenths of what it learns ({name})"
        yield Claim("default", says, 0.0, 0.0, kept)


def page(*, seeds: int = SEEDS, updates: int = UPDATES) -> str:
    """Returns the whole page."""
    rare = table(settings(0.3), seeds=seeds, updates=updates)
    some = table(settings(0.5), seeds=seeds, updates=updates)
    noisy = table(settings(0.5, missed=0.2, invented=0.2), seeds=seeds, updates=20)
    intro = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    parts = [intro, "| | predicted | seen, 95 % | verdict |\n|---|---|---|---|"]
    parts += [claim.line() for claim in claims(rare, some, noisy)]
    titles = (
        f"From a start that passes {World(0.3).start:.4f}",
        f"From a start that passes {World(0.5).start:.4f}",
        "From there, the verifier wrong about a fifth of passes and of failures, 20 updates",
    )
    for title, found in zip(titles, (rare, some, noisy), strict=True):
        parts += [f"\n## {title}\n", *lines(found)]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    out = parser.parse_args().out
    out.write_text(page(), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
