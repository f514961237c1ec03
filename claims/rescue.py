"""A start where every group is dead: rescue against every way of weighing failures again.

The recipe was chosen at seeds 0 and 100. The predictions were written after those runs and before
any at the seeds that count.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from assay.claims import Experiment, Prediction
from assay.claims import measures as m
from assay.claims.cells import Arm, Cell, Scale
from assay.recipes import read

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=3, prompts=8, group=4, checkpoints=1, held_out=8, samples=16, seeds=1,
        learning_rate=1e-3, seconds=15.0,
    ),
    "full": Scale(
        name="full", steps=60, prompts=32, group=4, checkpoints=4, samples=16, seeds=3,
        learning_rate=1e-3, seconds=170.0,
    ),
}  # fmt: skip
"""full: batches, rate and budget of rescue.toml, for every arm."""
TOKENS: Final = 150_000
"""That a run may sample, whatever it samples them for."""
FIRST: Final = 1
"""The first seed that counts."""
SAME: Final = {"replay": {"size": 64, "per_step": 4}}
"""The safety that the shipped recipe has; all have it."""
LADDER: Final = {k: v for k, v in read("rescue")["rescue"].items() if k != "again"}


def _arm(name: str, recipe: dict[str, Any], **rescue: Any) -> Arm:
    tables = {"rescue": rescue} if rescue else {}
    return Arm(name=name, recipe={"safety": SAME, **recipe}, tables=tables)


EVIDENCE: Final = [{"name": "grpo"}, {"name": "gigpo", "returns": "evidence", "weight": 0.3}]
ARMS: Final = (
    _arm("grpo", {"method": "grpo"}),
    _arm("rescue", {"method": "grpo_positive"}, **LADDER),
    _arm("evidence", {"methods": EVIDENCE}),
    _arm("nsr", {"method": "nsr"}),
    _arm("bounded", {"method": "grpo", "safety": {**SAME, "all_fail": "bounded"}}),
    _arm("low_logprob", {"method": "low_logprob"}),
    _arm("relabel", {"method": "grpo_positive"}, **{**LADDER, "rungs": ["relabel"]}),
    _arm("oracle", {"method": "grpo_positive"}, **{**LADDER, "rungs": ["oracle"]}),
)
CURVES: Final = ("grpo", "rescue")
"""Arms that are measured on the way as well."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields bases, then seed by seed all arms."""
    for arm in ("base", "null"):
        yield Cell(env="lookup", start="dead", arm=arm, seed=0)
    for seed in range(FIRST, FIRST + seeds):
        for arm in ARMS:
            told = arm.within(TOKENS if scale.name == "full" else 0)
            curve = arm.name in CURVES
            yield Cell.of(told, env="lookup", start="dead", seed=seed, curve=curve)


def _more(id: str, says: str, size: str, first: str, second: str, k: int = 1) -> Prediction:
    """Returns the prediction that the second arm passes more often than the first."""
    return Prediction(
        id=id,
        says=says,
        expected=size,
        refuted_if="lower",
        measure=partial(m.difference, first=first, second=second, start="dead", k=k,
                        envs=("lookup",)),
    )  # fmt: skip


PREDICTIONS: Final = (
    _more("P10 grpo", "rescue beats outcomes alone", "+12 points", "grpo", "rescue"),
    _more("P10 evidence", "and calls paid by evidence", "+10 points", "evidence", "rescue"),
    _more("P10 nsr", "and failures alone", "+12 points", "nsr", "rescue"),
    _more("P10 bounded", "and a bounded push where all fail", "+12 points", "bounded", "rescue"),
    _more("P10 low", "and a constant push on unlikely tokens", "+12 points", "low_logprob",
          "rescue"),
    _more("pass@16", "it solves more tasks in 16 attempts than outcomes alone", "+15 points",
          "grpo", "rescue", 16),
    Prediction(
        id="half",
        says="rescue reaches with half of the tokens what outcomes alone end with",
        expected="+4 points",
        refuted_if="lower",
        measure=lambda rows: m.for_tokens(rows, "grpo", "rescue", "dead", 0.5),
    ),
    _more("ladder", "the expert's first turns add to relabelling", "+2 points", "relabel",
          "rescue"),
    _more("oracle", "relabelling, which costs no token, beats them", "+5 points", "oracle",
          "relabel"),
)  # fmt: skip

EXPERIMENT: Final = Experiment(
    id="rescue",
    title="Where every trajectory fails: does rescue do what no weighing of failures does?",
    source=(
        "the shipped policy on lookup/dead; every arm has the same batches, rate, replay of "
        "successes and budget of sampled tokens, those of rescue included; measured without help"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("lookup-dead-base", "lookup-dead-null", "lookup-dead-grpo", "lookup-dead-rescue"),
    unread=(
        "Not run, 15 runs each: the rungs that need a sentence of the policy's own (critique, "
        "self_hint), wrong_answers and feedback alone; a tenth of the tasks, so that prefixes of "
        "own successes are there"
    ),
)
