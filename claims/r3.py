"""Does R3 rank rollouts better than a mean over the reference's tokens? Simulated, and measured.

Simulated: 16 rollouts of a hidden quality, of which 3 % of the reference's tokens depend, one at
least; the others have noise of their own, larger on the log scale where they are rare. Measured:
the shipped policy on the world `report`, scored by itself, against the outcome that no reward
reads. Ranks are compared inside a group; a reward that is the same for all has rank correlation 0,
and groups whose outcomes do not differ are left out.

The predictions were written before anything was run, R1x but: it was added after four groups of
eight had been seen, in which the answers, which no reward reads, decided most of the outcome.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen, student
from assay.kernels.r3 import r3, r3_v1
from assay.records import ModelStep, Trajectory

LENGTHS: Final = (8, 32, 128, 512)
"""Tokens of a simulated reference."""
FACTS: Final = (2, 4)
"""Facts that a report is asked for: the dial of the world."""
SCALES: Final = {
    "quick": Scale(name="quick", steps=20, held_out=4, samples=8, seeds=1, seconds=5.0),
    "full": Scale(name="full", steps=300, held_out=24, samples=16, seeds=5, seconds=60.0),
}
"""`steps` simulated groups, `held_out` tasks, `samples` rollouts of a group."""
Table = Float64[np.ndarray, "K T"]
OMEGAS: Final = (1.0, 1.5, 2.0, 4.0, 8.0)
REWARDS: Final[Mapping[str, Callable[[Table], Float64[np.ndarray, " K"]]]] = {
    "mean_p": lambda p_KT: p_KT.mean(1),
    "mean_logp": lambda p_KT: np.log(p_KT).mean(1),
    "r3_v1": lambda p_KT: r3_v1(np.log(p_KT)).reward_K,
    **{f"r3 {omega:g}": lambda p_KT, omega=omega: r3(p_KT, omega=omega).reward_K
       for omega in OMEGAS},
    "r3 raw": lambda p_KT: r3(p_KT, zscored=False).reward_K,
}  # fmt: skip
"""What is compared; `r3 raw` has sigma as it is, at omega 1.5."""
R3: Final = "r3 1.5"
"""R3 as it is by default."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the measured world and the simulated references, seeds outermost."""
    for seed in range(1, seeds + 1):
        for facts in FACTS:
            yield Cell(env="report", start=f"{facts} facts", arm="ranks", seed=seed)
        for size in LENGTHS:
            yield Cell(env="simulated", start=f"{size} tokens", arm="ranks", seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns the mean rank correlation of each reward, over groups, with what it should rank; and
    how far the masked baseline of version 1 moves an advantage."""
    began = time.monotonic()
    size = int(cell.start.split()[0])
    made = simulated if cell.env == "simulated" else measured
    found: dict[str, list[float]] = {name: [] for name in REWARDS}
    called: dict[str, list[float]] = {name: [] for name in REWARDS}
    moved, groups, tokens = 0.0, 0, 0
    for p_KT, masked_T, quality_K, looked_K, sampled in made(size, cell.seed, scale):
        groups, tokens = groups + 1, tokens + sampled
        moved = max(moved, masking(p_KT, masked_T))
        for ranks, target_K in ((found, quality_K), (called, looked_K)):
            if np.ptp(target_K) > 0:
                for name, reward in REWARDS.items():
                    ranks[name].append(ranks_alike(reward(p_KT), target_K))
    about = {
        "scale": scale.name, "ranks": _means(found), "called": _means(called), "moved": moved,
        "groups": groups, "alive": len(found[R3]),
    }  # fmt: skip
    spent = time.monotonic() - began
    return Row(cell.data(), {"0": [0]}, 2, tokens=tokens, seconds=spent, about=about)


def _means(found: Mapping[str, Sequence[float]]) -> dict[str, float | None]:
    return {name: round(float(np.mean(each)), 6) if each else None for name, each in found.items()}


Group = tuple[Table, np.ndarray, np.ndarray, np.ndarray, int]
"""Probabilities, log-probabilities with the reasoning masked, what should be ranked, what of the
reasoning alone should be, and tokens that were sampled for it."""


def simulated(size: int, seed: int, scale: Scale) -> Iterator[Group]:
    """Yields groups of rollouts whose hidden quality shows in a few tokens of `size`."""
    rng = np.random.default_rng([seed, size])
    count = max(1, round(0.03 * size))
    for _ in range(scale.steps):
        quality = rng.normal(size=scale.samples)
        kind = rng.random(size)
        sure, even = rng.normal(3.5, 1.0, size), rng.normal(0.0, 1.0, size)
        rare = rng.normal(-6.0, 1.5, size)
        base = np.where(kind < 0.8, sure, np.where(kind < 0.95, even, rare))
        noise = np.where(base < -3.0, 1.0, 0.35)
        logit = base + noise * rng.normal(size=(scale.samples, size))
        at = rng.choice(size, count, replace=False)
        own = 0.5 * rng.normal(size=(scale.samples, count))
        logit[:, at] = rng.normal(0.0, 0.5, count) + 1.2 * quality[:, None] + own
        masked = -np.log1p(np.exp(-(base - 1.0)))
        yield 1.0 / (1.0 + np.exp(-logit)), masked, quality, quality, 0


def measured(facts: int, seed: int, scale: Scale) -> Iterator[Group]:
    """Yields groups of the shipped policy's reports, scored by itself, with their outcomes."""
    from assay.policy.loading import load
    from assay.rollout.backends.base import Sampling
    from assay.rollout.backends.local import Transformers
    from assay.rollout.chain import collect, tasks
    from assay.rollout.dense import certainty
    from assay.rollout.protocols.line import Line
    from assay.world.report import Report

    model, tokenizer = load()
    first = 3_000_000 + 1000 * seed
    planned = tasks(
        lambda: Report(facts=facts), range(first, first + scale.held_out), scale.samples
    )
    sampling = Sampling(max_tokens=320, turn_tokens=96)
    backend = Transformers(model, tokenizer)
    records = list(
        collect(backend, planned, sampling=sampling, seed=(seed,), protocol=Line(tokenizer))
    )
    for first in range(0, len(records), scale.samples):
        group = records[first : first + scale.samples]
        own, masked = (
            certainty(group, model, tokenizer, mark="=", masked=each) for each in (False, True)
        )
        logp_KT = np.array([each.logp_T for each in own if each is not None])
        masked_T = np.array([each.logp_T for each in masked if each is not None])[0]
        outcome_K = np.array([record.outcome or 0.0 for record in group])
        looked_K = np.array([_right_calls(record) for record in group], float)
        sampled = sum(record.ledger.tokens or 0 for record in group)
        yield np.exp(logp_KT), masked_T, outcome_K, looked_K, sampled


def _right_calls(record: Trajectory) -> int:
    """Returns how many calls found out a fact that was asked for and not known yet."""
    steps = (step for step in record.steps if type(step) is ModelStep)
    return sum(call.evidence.state is True for step in steps for call in step.calls)


def masking(p_KT: Table, masked_T: Float64[np.ndarray, " T"]) -> float:
    """Returns the largest change that masking makes to a group's advantages, scaled by their
    deviation as GRPO has it."""
    made: list[np.ndarray] = []
    for base in (None, masked_T):
        reward_K = r3_v1(np.log(p_KT), base).reward_K
        away_K = reward_K - reward_K.mean()
        made.append(away_K / (away_K.std() + 1e-6))
    return float(abs(made[0] - made[1]).max())


def ranks_alike(a_K: np.ndarray, b_K: np.ndarray) -> float:
    """Returns Spearman's rank correlation, equal values sharing their mean rank; 0 where one of
    them does not differ, or is not defined."""
    if np.isnan(a_K).any() or np.ptp(a_K) == 0 or np.ptp(b_K) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(a_K), _ranks(b_K))[0, 1])


def _ranks(value_K: np.ndarray) -> np.ndarray:
    below = (value_K[None] < value_K[:, None]).sum(1)
    return below + ((value_K[None] == value_K[:, None]).sum(1) - 1) / 2


def gap(rows: Rows, env: str, start: str, more: str, less: str, of: str = "ranks") -> Seen | None:
    """Returns how much better one reward ranks than another, with Student's interval over seeds."""
    found = [row.about[of] for row in rows.find(env, start, "ranks")]
    known = [each for each in found if each[more] is not None]
    if not known:
        return None
    gaps = np.array([each[more] - each[less] for each in known])
    return Seen(student(gaps), len(known))


def moved(rows: Rows) -> Seen | None:
    """Returns the largest change that masking made to an advantage, over seeds."""
    by_seed: dict[int, float] = {}
    for row in rows.rows:
        seed = row.cell["seed"]
        by_seed[seed] = max(by_seed.get(seed, 0.0), row.about["moved"])
    return Seen(student(np.array([*by_seed.values()])), len(by_seed)) if by_seed else None


def _says(
    id: str, says: str, expected: str, pair: tuple[str, str, str, str], refuted_if: str,
    holds: tuple[float, float], *refutes: tuple[float, float], of: str = "ranks",
) -> Prediction:  # fmt: skip
    env, start, more, less = pair
    return Prediction(
        id=id,
        says=says,
        expected=expected,
        refuted_if=refuted_if,
        measure=partial(gap, env=env, start=start, more=more, less=less, of=of),
        holds=holds,
        refutes=refutes,
        unit="",
    )


_FLAT: Final = ((-0.01, 0.01), (-inf, -0.01), (0.01, inf))
PREDICTIONS: Final = (
    Prediction(
        id="R5",
        says="the masked baseline of version 1 changes no advantage centred in its group",
        expected="below 1e-5",
        refuted_if="above 1e-5",
        measure=moved,
        holds=(-1e-5, 1e-5),
        refutes=((1e-5, inf),),
        unit="",
    ),
    _says("R1", "report, 2 facts: rank correlation with the outcome, R3 less mean p",
          "above .05: .75 to .90 against .55 to .75", ("report", "2 facts", R3, "mean_p"),
          "below .05", (0.05, inf), (-inf, 0.05)),
    _says("R1b", "the same of 4 facts", "above .05", ("report", "4 facts", R3, "mean_p"),
          "below .05", (0.05, inf), (-inf, 0.05)),
    _says("R1x", "report, 2 facts: rank correlation with how many facts the calls found, R3 less "
          "mean p", "above .05; added after four groups were seen: the outcome is also the "
          "answer's, which is not read", ("report", "2 facts", R3, "mean_p"),
          "below .05", (0.05, inf), (-inf, 0.05), of="called"),
    _says("R1c", "report, 2 facts: R3 less version 1", "above .05: .35 to .55 for version 1",
          ("report", "2 facts", R3, "r3_v1"), "below .05", (0.05, inf), (-inf, 0.05)),
    _says("R1d", "simulated, 32 tokens: R3 less mean p", "above .05: .88 against .68",
          ("simulated", "32 tokens", R3, "mean_p"), "below .05", (0.05, inf), (-inf, 0.05)),
    _says("R3", "simulated, 32 tokens: z-scored sigma less raw", "+.1: .85 against .75",
          ("simulated", "32 tokens", R3, "r3 raw"), "0 or below", (0.0, inf), (-inf, 0.0)),
    _says("R3b", "the same of 512 tokens", "within .03",
          ("simulated", "512 tokens", R3, "r3 raw"), "further than .03 from 0",
          (-0.03, 0.03), (-inf, -0.03), (0.03, inf)),
    _says("R4", "simulated, 32 tokens: omega 2 less 1", "within .01",
          ("simulated", "32 tokens", "r3 2", "r3 1"), "further than .01 from 0", *_FLAT),
    _says("R4b", "simulated, 128 tokens: omega 2 less 1", "within .01",
          ("simulated", "128 tokens", "r3 2", "r3 1"), "further than .01 from 0", *_FLAT),
    _says("R4c", "simulated, 128 tokens: omega 8 less 1.5", "-.02 to -.06",
          ("simulated", "128 tokens", "r3 8", R3), "above 0", (-inf, 0.0), (0.0, inf)),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns the page: what was run, and every reward's correlation."""
    seeds = len({row.cell["seed"] for row in rows.rows})
    groups = {env: sum(row.about["groups"] for row in rows.rows if row.cell["env"] == env)
              for env in ("simulated", "report")}  # fmt: skip
    alive = sum(row.about["alive"] for row in rows.rows if row.cell["env"] == "report")
    ran = (
        f"{seeds} seeds, {sum(r.seconds for r in rows.rows):.0f} seconds of one core: "
        f"{groups['simulated']} simulated groups, {groups['report']} of the shipped policy on "
        f"`report`, of which the outcomes of {alive} differ. Rewards are those of "
        "[dense rewards](../dense.md)."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    wanted = [("report", f"{n} facts") for n in FACTS]
    wanted += [("simulated", f"{n} tokens") for n in LENGTHS]
    yield "\nMean rank correlation inside a group.\n"
    yield "| | " + " | ".join(REWARDS) + " |\n|---" + "|---" * len(REWARDS) + "|"
    for env, start in wanted:
        for of, said in (("ranks", ""), ("called", ", facts found"))[: 1 + (env == "report")]:
            found = [row.about[of] for row in rows.find(env, start, "ranks")]
            if not found:
                continue
            means = [np.mean([each[name] for each in found if each[name] is not None] or [np.nan])
                     for name in REWARDS]  # fmt: skip
            yield f"| {env}, {start}{said} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |"


EXPERIMENT: Final = Experiment(
    id="r3",
    title="Does R3 rank rollouts better than a mean over the reference?",
    source="DRO, https://arxiv.org/abs/2506.13351",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("simulated-32 tokens-ranks", "report-2 facts-ranks"),
    work=work,
    shown=shown,
)
