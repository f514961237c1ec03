"""A start where every group is dead: rescue against every way of weighing failures again.

The recipe was chosen at seeds 0 and 100. The predictions were written after those runs and before
any at the seeds that count; those of dose, chance, new tasks, another family and the half budget
after three seeds of the arms above them.
"""

from collections.abc import Iterator
from functools import partial
from math import inf
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
        name="full", steps=60, prompts=32, group=4, checkpoints=6, samples=16, seeds=5,
        learning_rate=1e-3, other="countdown/even", seconds=130.0,
    ),
}  # fmt: skip
"""full: batches, rate and budget of rescue.toml, for every arm."""
TOKENS: Final = 150_000
"""That a run may sample, whatever it samples them for."""
FIRST: Final = 1
"""The first seed that counts."""
FEW: Final = 3
"""Seeds of controls, whose interval need not be narrow."""
DEEP: Final = {"samples": 64}
"""Attempts at a task where solving it once is asked."""
BASES: Final = 4
"""Rows of the untrained policy: 256 attempts in all."""
DOSE: Final = 0.23
"""Mean |A| of a trained token, about that of rescue: 34.5 in all over 151,000 tokens at 1e-3."""
SAME: Final = {"replay": {"size": 64, "per_step": 4}}
"""The safety that the shipped recipe has; all have it."""
LADDER: Final = {k: v for k, v in read("rescue")["rescue"].items() if k != "again"}


def _arm(name: str, recipe: dict[str, Any], **tables: Any) -> Arm:
    return Arm(name=name, recipe={"safety": SAME, **recipe}, tables=tables)


def _rungs(*rungs: str) -> dict[str, Any]:
    return {**LADDER, "rungs": rungs or LADDER["rungs"]}


BY_CHANCE: Final = {
    "name": "claims.noise:RandomReward",
    "dials": {"env": "lookup/dead", "rate": 0.25},
}
EVIDENCE: Final = [{"name": "grpo"}, {"name": "gigpo", "returns": "evidence", "weight": 0.3}]
GRPO: Final = _arm("grpo", {"method": "grpo"}, eval=DEEP)
LOW: Final = _arm("low_logprob", {"method": "low_logprob"})
RESCUE: Final = _arm("rescue", {"method": "grpo_positive"}, rescue=_rungs(), eval=DEEP)
ARMS: Final = (
    GRPO,
    RESCUE,
    _arm("evidence", {"methods": EVIDENCE}),
    _arm("nsr", {"method": "nsr"}),
    _arm("bounded", {"method": "grpo", "safety": {**SAME, "all_fail": "bounded"}}),
    LOW,
    _arm("relabel", {"method": "grpo_positive"}, rescue=_rungs("relabel")),
)
CONTROLS: Final = (
    _arm("oracle", {"method": "grpo_positive"}, rescue=_rungs("oracle")),
    _arm("by_chance", {"method": "grpo"}, env=BY_CHANCE),
    GRPO.dosed(DOSE),
    LOW.dosed(DOSE),
)


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields bases, then seed by seed all arms, and of the first seeds controls."""
    full = scale.name == "full"
    for arm, rows in (("base", BASES), ("null", seeds)):
        for seed in range(rows if full else 1):
            more = {"eval": DEEP} if full else {}
            yield Cell(env="lookup", start="dead", arm=arm, seed=seed, more=more)
    for seed in range(FIRST, FIRST + seeds):
        for arm in (*ARMS, *(CONTROLS if seed < FIRST + FEW else ())):
            told = arm.within(TOKENS if full else 0)
            curve = arm.name == RESCUE.name
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
    _more("dose grpo", "also where outcomes alone move the policy as far", "+12 points",
          "grpo-d0.23", "rescue"),
    _more("dose low", "and a constant push on unlikely tokens does", "+12 points",
          "low_logprob-d0.23", "rescue"),
    _more("chance", "and chance scores attempts", "+12 points", "by_chance", "rescue"),
    Prediction(
        id="new tasks",
        says="of tasks that 256 attempts of the start never solved, more are solved in 64",
        expected="p below .001",
        refuted_if="never",
        measure=partial(m.newly_solved, arm="rescue", env="lookup", start="dead"),
        holds=(-inf, 0.05),
        refutes=(),
        unit="p",
    ),
    Prediction(
        id="new tasks, grpo",
        says="outcomes alone solve no more of them than frozen copies",
        expected="p above .05",
        refuted_if="p below .05",
        measure=partial(m.newly_solved, arm="grpo", env="lookup", start="dead"),
        holds=(0.05, inf),
        refutes=((-inf, 0.05),),
        unit="p",
    ),
    Prediction(
        id="kept",
        says="on countdown, which is not trained, pass@1 falls by 10 points at most",
        expected="-5 points",
        refuted_if="below -10",
        measure=partial(m.elsewhere, arm="rescue", env="lookup", start="dead"),
        holds=(-0.1, inf),
        refutes=((-inf, -0.1),),
    ),
    Prediction(
        id="kept@8",
        says="nor does pass@8",
        expected="-5 points",
        refuted_if="below -10",
        measure=partial(m.elsewhere, arm="rescue", env="lookup", start="dead", k=8),
        holds=(-0.1, inf),
        refutes=((-inf, -0.1),),
    ),
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
