"""Is a user's preference learnt while the policy serves, and from what: labels, hints, or both?

The shipped policy serves four users who use the same words of their own ("money" for the tool
`currency`) and say in plain words whether an answer pleased; of displeased messages half say what
was meant, and one in ten of these misleads (`assay.live.simulated`). Every arm serves 32 turns
before each of 16 updates, of the same size of step; its sessions go through the store, the
resolver, the selection and the update of `assay live train`. Hints count at once, but for the arms
"measured": there `assay live admit`'s replays decide, as by default. Of "misled" every hint names a
tool that the user did not mean.

Predictions were written after a pilot on seed 0, which chose the step (1e-3 of 5e-4, 1e-3, 2e-3,
the best for each arm by itself), the weight of the hints (5 of 1, 5) and that the teacher is the
starting policy; seed 0 does not count. Those on measured hints were written later, after seed 0 of
"measured" alone.
"""

import time
from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims import measures as m
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown, each_seed
from assay.claims.measures import Seen
from assay.evaluate.intervals import paired_difference

Arm = Literal["combined", "binary", "hints", "shuffled", "measured", "misled", "misled_measured"]
ENV: Final = "live"
ARMS: Final[tuple[Arm, ...]] = (
    *("combined", "binary", "hints", "shuffled"),
    *("measured", "misled", "misled_measured"),
)
BASE: Final = "base"
FIRST: Final = 1
"""The first seed that counts."""
SCALES: Final = {
    "quick": Scale(
        name="quick", steps=1, prompts=32, checkpoints=1, held_out=16, samples=1, seeds=1,
        learning_rate=1e-3, seconds=5.0,
    ),
    "full": Scale(
        name="full", steps=16, prompts=32, checkpoints=1, held_out=192, samples=1, seeds=5,
        learning_rate=1e-3, seconds=25.0,
    ),
}  # fmt: skip
"""`steps` are updates, `prompts` the turns that are served before each."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the starting policy, then seed by seed all arms."""
    yield Cell(env=ENV, start="words", arm=BASE, seed=0)
    for seed in range(FIRST, FIRST + seeds):
        for arm in ARMS:
            yield Cell(env=ENV, start="words", arm=arm, seed=seed, curve=False)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what a cell comes to: of each held-out request 1 where the tool that was meant is
    likelier than all others together, and how likely it is."""
    import torch

    from assay.live.learning import Learning
    from assay.live.rehearsal import Rehearsal
    from assay.live.simulated import MISLEADS, understood
    from assay.live.store import Store
    from assay.policy.loading import load

    torch.set_num_threads(1)
    began, arm = time.monotonic(), cell.arm
    model, tokenizer = load()
    signal: Any = arm if arm in ("binary", "hints") else "combined"
    learning = Learning(
        signal=signal, learning_rate=scale.learning_rate, admit=arm.endswith("measured")
    )
    with TemporaryDirectory() as place, Store.open(Path(place) / "store") as store:
        rehearsal = Rehearsal(
            store, model, tokenizer, learning, seed=cell.seed, turns=scale.prompts,
            held_out=scale.held_out, shuffled=arm == "shuffled",
            misleads=1.0 if arm.startswith("misled") else MISLEADS,
        )  # fmt: skip
        updates = 0 if arm == BASE else scale.steps
        curve, pleased, skipped = [rehearsal.measured()], list[float](), 0
        for each in rehearsal.rounds(updates):
            curve.append(each.understood)
            pleased.append(each.pleased)
            skipped += "missing" in each.facts
        chance = understood(model, tokenizer, rehearsal.held_out)
        tokens = sum(len(turn.completion_ids or ()) for turn in store.turns())
    about = {
        "scale": scale.name,
        "understood": [round(value, 4) for value in chance.tolist()],
        "curve": [round(value, 4) for value in curve],
        "pleased": pleased,
        "skipped": skipped,
    }
    right = (chance > 0.5).astype(int).tolist()
    seconds = time.monotonic() - began
    return Row(cell.data(), {str(updates): right}, 1, tokens=tokens, seconds=seconds, about=about)


def _understood(rows: Rows, arm: str) -> Float64[np.ndarray, "S G"] | None:
    found = rows.find(ENV, "words", arm)
    return np.array([row.about["understood"] for row in found], float) if found else None


def gap(rows: Rows, first: str, second: str) -> Seen | None:
    """Returns how much likelier the tool that is meant is to the second arm than to the first,
    seeds and requests resampled."""
    one, other = _understood(rows, first), _understood(rows, second)
    if one is None or other is None:
        return None
    one = np.repeat(one, len(other), 0) if first == BASE else one
    count = min(len(one), len(other))
    rng = np.random.default_rng(0)
    return Seen(paired_difference(one[:count], other[:count], rng=rng, draws=m.DRAWS), count)


def _says(
    id: str, says: str, expected: str, refuted_if: str, first: str, second: str,
    holds: tuple[float, float], refutes: tuple[float, float],
) -> Prediction:  # fmt: skip
    return Prediction(
        id=id, says=says, expected=expected, refuted_if=refuted_if, holds=holds,
        measure=partial(gap, first=first, second=second), refutes=(refutes,),
    )  # fmt: skip


PREDICTIONS: Final = (
    _says("learnt", "after 16 updates less before them, combined", "above +50 points",
          "below +30 points", BASE, "combined", (0.5, inf), (-inf, 0.3)),
    _says("over labels", "combined less labels alone", "above +10 points", "below 0",
          "binary", "combined", (0.1, inf), (-inf, 0.0)),
    _says("over hints", "combined less hints alone", "above +5 points", "below 0",
          "hints", "combined", (0.05, inf), (-inf, 0.0)),
    _says("control", "what users say shuffled among the answers of a round, less before",
          "below +15 points", "above +15 points", BASE, "shuffled", (-inf, 0.15), (0.15, inf)),
    _says("over control", "combined less shuffled", "above +40 points", "below +20 points",
          "shuffled", "combined", (0.4, inf), (-inf, 0.2)),
    _says("measured", "combined with hints that replays admit first, less labels alone",
          "above +10 points", "below 0", "binary", "measured", (0.0, inf), (-inf, 0.0)),
    _says("its price", "the same less combined with hints that count at once", "-10 points",
          "below -20 points", "combined", "measured", (-0.2, inf), (-inf, -0.2)),
    _says("misled", "hints that name another tool and count at once, less labels alone",
          "below -10 points", "above 0", "binary", "misled", (-inf, 0.0), (0.0, inf)),
    _says("misled, measured", "the same where replays admit hints first, less labels alone",
          "0, within 5 points", "below -10 points", "binary", "misled_measured", (-0.05, inf),
          (-inf, -0.1)),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and the course of every arm."""
    trained = [row for row in rows.rows if row.cell["arm"] != BASE]
    spent = sum(row.seconds for row in rows.rows)
    skipped = sum(row.about["skipped"] for row in trained)
    ran = (
        f"{len({row.cell['seed'] for row in trained})} seeds, {spent / 60:.0f} minutes in all: "
        f"the shipped policy, 32 turns before each of 16 updates, measured on the same "
        f"{len(rows.rows[0].about['understood'])} held-out requests; {skipped} updates were left "
        "out because too few turns could teach."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    yield "\nChance of the tool that was meant, mean over held-out requests and seeds:\n"
    yield "| arm | before | 4 | 8 | 12 | 16 updates (each seed) | pleased in the last round |"
    yield "|---|---|---|---|---|---|---|"
    for arm in ARMS:
        found = rows.find(ENV, "words", arm)
        if not found:
            continue
        curves = np.array([row.about["curve"] for row in found])
        at = [f"{curves[:, n].mean():.3f}" for n in (0, 4, 8, 12) if n < curves.shape[1]]
        pleased = np.mean([row.about["pleased"][-1] for row in found])
        cells_ = [arm, *at, each_seed(curves[:, -1]), f"{pleased:.0%}"]
        yield f"| {' | '.join(cells_)} |"


EXPERIMENT: Final = Experiment(
    id="live",
    title="Is a user's preference learnt while the policy serves?",
    source="OpenClaw-RL, https://arxiv.org/abs/2603.10165: labels, hints and both, in 16 updates",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("live-words-base", "live-words-combined"),
    work=work,
    shown=shown,
)
