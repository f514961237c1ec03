"""The page and the picture of cluster.py: cost, real runs beside predictions, 1,000 workers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from textwrap import fill
from typing import Any, Final

import numpy as np
from scipy.stats import t

from assay.cluster import Measured, Plan, simulate
from assay.report.figure import Line, curves

WORKERS, GROUPS, SIZE, PIECE = 1000, 500, 8, 4
UPDATES, SKIP, SEEDS = 14, 4, 4
LOAD: Final = 0.8
"""Share of the time in which the trainer would be at work if no worker ever waited."""
PLANS: Final[Mapping[str, dict[str, Any]]] = {
    "synchronous": {},
    "synchronous, 10 % more groups": {"extra": 50},
    "synchronous, 25 % more groups": {"extra": 125},
    "at most 1 late": {"staleness": 1},
    "at most 2 late": {"staleness": 2},
    "at most 4 late": {"staleness": 4},
    "at most 2 late, in order": {"staleness": 2, "in_order": True},
    "no bound": {"staleness": None},
}
SLOW: Final = {"speeds": (*[1.0] * 49, 0.25)}
LOST: Final = {"lost": 60.0}
TROUBLES: Final[Mapping[str, dict[str, Any]]] = {
    "none": {},
    "slow": SLOW,
    "lost": LOST,
    "slow and lost": {**SLOW, **LOST},
}
PICTURE: Final = (
    "synchronous",
    "synchronous, 25 % more groups",
    "at most 1 late",
    "at most 2 late",
    "at most 2 late, in order",
)


def ranks(measured: Measured, workers: int) -> int:
    """Returns how many ranks the trainer needs, so that it is at work for LOAD of the time."""
    pieces = [
        measured.piece_seconds(length[at : at + PIECE])
        for length in measured.length
        for at in range(0, len(length), PIECE)
    ]
    tokens = sum(map(sum, measured.tokens))
    play = sum(pieces) * float(np.mean(measured.jitter)) / tokens
    return max(1, math.ceil(workers * measured.token / play / LOAD))


def seen(measured: Measured, workers: int, seeds: int, **given: Any) -> dict[str, list[float]]:
    """Returns each number of the outcome for each seed."""
    groups = max(1, workers * GROUPS // WORKERS)
    extra = given.pop("extra", 0) * workers // WORKERS
    plan = Plan(
        workers=workers,
        groups=groups,
        size=SIZE,
        piece=PIECE,
        extra=extra,
        trainers=ranks(measured, workers),
        **given,
    )
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        outcome = asdict(simulate(plan, measured, updates=UPDATES, seed=seed).outcome(SKIP))
        reasons = outcome.pop("dropped")
        used = 1 - outcome["worker_idle"] - outcome["worker_down"] - outcome["worker_wasted"]
        for name, value in {**outcome, "used": used, **reasons}.items():
            found.setdefault(name, []).append(value)
    return found


def half(values: Sequence[float]) -> float:
    """Returns half of the 95 % interval of a mean over seeds."""
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))


def thousand(measured: Measured) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Returns what each plan comes to in each trouble."""
    return {
        trouble: {
            name: seen(measured, WORKERS, SEEDS, **plan, **more) for name, plan in PLANS.items()
        }
        for trouble, more in TROUBLES.items()
    }


def picture(measured: Measured) -> bytes:
    """Returns the share of a worker's time that is trained, by workers and plan."""
    counts = [2, 8, 32, 128, 512, 1024]
    lines: list[Line] = []
    for name in PICTURE:
        found = [
            seen(measured, n, 3, **PLANS[name], **TROUBLES["slow and lost"])["used"] for n in counts
        ]
        mean = [float(np.mean(each)) for each in found]
        band = [(m - half(each), m + half(each)) for m, each in zip(mean, found, strict=True)]
        lines.append(Line(name, counts, mean, band))
    return curves(
        lines,
        title="Workers' time that ends in an update",
        x_label="workers; two for each group of an update",
        y_label="share of their time",
        x_scale="log2",
        y_range=(0.0, 1.0),
        base=False,
    )


def page(
    document: Mapping[str, Any], found: Sequence[Mapping[str, Any]], measured: Measured
) -> str:
    """Returns the page, as Markdown."""
    made = (*_cost(document), *_checks(document, found, measured), *_thousand(measured))
    return f"{HEAD}\n{filled(chr(10).join(made))}\n\n{TAIL}"


def filled(text: str) -> str:
    """Returns Markdown whose paragraphs are filled up to the width of a page."""
    blocks = (block.strip("\n") for block in text.split("\n\n"))
    return "\n\n".join(
        block if block[:1] in "|#!-" else fill(block, 100, break_on_hyphens=False)
        for block in blocks
        if block
    )


HEAD: Final = """\
# More workers than there are

What would 1,000 workers do with your groups and your bound of staleness? `assay.cluster` says so
before anyone rents them: a discrete-event model, on [simpy](https://simpy.readthedocs.io), of what
was measured on a few. Below: what a million tokens cost here, how far the model is from real runs
of two and four processes, and what it says of 1,000 workers. Written by
`python benchmarks/cluster.py`.

```python
from assay import load
from assay.cluster import Measured, Plan, simulate

measured = Measured.of(load("rollouts.jsonl"), update=20.0, token=0.0004, restart=90.0)
plan = Plan(workers=1000, groups=500, size=8, piece=4, staleness=2, lost=0.02, trainers=64)
print(simulate(plan, measured, updates=60).outcome(skip=5))
```

`pip install 'assay[cluster]'`. `Measured.of` takes each trajectory's seconds and tokens from a log
whose trajectories were timed one by one; the other seconds are yours to give. A plan is: workers,
each with a piece of a group at a time; an update of so many complete groups; a bound of
**staleness**, the updates between the weights that played a trajectory and those that it trains
(0: synchronous); groups begun beyond those needed (`extra`), of which the last are dropped, or
none dropped and the trainer waiting for the oldest (`in_order`); workers that are lost, and what
they played is played again (`retry`) or its group dropped; slow workers; processes that share the
cores of one machine, by the speeds that were measured of 1, 2, ... of them.
"""

TAIL: Final = """\
## Not in the model

- What ranks of the trainer cost each other, and the network: an update is `update + token * tokens
  / trainers`, a worker has new weights after `load`, however many ask for them.
- Weights that change while a trajectory is played; a piece keeps those that it began with.
- A trainer that is lost. An engine that plays many groups at once: a worker is one slot of it.
- Whoever else uses the machine.
- What staleness and dropped groups do to learning.
"""


def _cost(document: Mapping[str, Any]) -> Iterator[str]:
    cost = document["facts"]["cost"]
    whole = sum(cost.values())
    yield "## What a million tokens cost here\n"
    yield "Tokens that the policy wrote (the shipped one, 1.0 M parameters, on `lookup/even`), in"
    yield "seconds of one core, each part measured alone (`--cost` measures and prints it):\n"
    yield "| part | seconds | share |\n|---|---|---|"
    for name, seconds in cost.items():
        yield f"| {name} | {seconds:.2f} | {seconds / whole:.2%} |"
    yield f"| **all** | {whole:.0f} | |\n"


def _checks(
    document: Mapping[str, Any], found: Sequence[Mapping[str, Any]], measured: Measured
) -> Iterator[str]:
    missed = [each for each in found if not each["kept"]]
    yield "## Against real runs\n"
    yield "Two and four processes on two cores: one trains, the others play, all by the rules of"
    yield "the model (`Dispatch` is one class for both). An update takes 4 groups of 8, in pieces"
    yield f"of 4; {document['updates']} updates, without the first {document['skip']}. Parameters"
    yield "were measured before, one by one: lengths, seconds of a piece by its forward passes, of"
    yield "an update by its tokens, of a start"
    rates = ", ".join(f"{each:.2f}" for each in measured.rates)
    yield f"({measured.restart:.1f} s), and the speed of each of 1, 2, 3 and 4 busy processes on"
    yield f"the two cores, alone being 1: {rates}. Nothing is fitted to these runs. Measured ->"
    yield "predicted; in **bold** what is further off than was allowed before the first run:"
    yield "tokens and waits 10 % and 25 % (waits under 0.1 s count as that), shares 0.08, staleness"
    yield f"0.2. {len(found) - len(missed)} of {len(found)} numbers are within.\n"
    names = ("tokens_per_second", "worker_idle", "trainer_idle", "staleness_mean", "groups_dropped")
    names += ("group_wait", "trainer_wait")
    head = "tokens/s | workers idle | trainer idle | staleness | groups dropped | group waits for "
    yield f"| processes | {head}its last piece, s | trainer takes it after, s |"
    yield "|---" * 8 + "|"
    for row in document["runs"]:
        mine = {each["what"]: each for each in found if each["case"] == row["case"]}
        cells = [_pair(mine[name]) for name in names]
        yield f"| {row['case']} | {' | '.join(cells)} |"
    worst = max(each["error"] for each in found if each["what"] == "tokens_per_second")
    yield "\nThis is the second model. The first missed more, and showed what was missing"
    yield "([log](log.md#a-model-of-a-cluster)); that was measured by itself, and these runs are"
    share = [row["foreign"] for row in document["runs"]]
    yield f"new. Throughput is off by at most {worst:.0%}; others took {min(share):.0%} to"
    yield f"{max(share):.0%} of the machine's cores meanwhile, of which the model knows nothing."
    for row in document.get("again", []):
        guess = next(
            each["predicted"]
            for each in found
            if each["case"] == row["case"] and each["what"] == "tokens_per_second"
        )
        yield f'Run again, "{row["case"]}" waited for {row["waited"]:.0%} of its busy time and came'
        yield f"to {row['tokens_per_second']:.0f} tokens/s; {guess:.0f} were predicted."
    yield ""


def _pair(each: Mapping[str, Any]) -> str:
    digits = 0 if each["what"] == "tokens_per_second" else 2
    text = f"{each['measured']:.{digits}f} -> {each['predicted']:.{digits}f}"
    return text if each["kept"] else f"**{text}**"


def _thousand(measured: Measured) -> Iterator[str]:
    every = thousand(measured)
    given_up = seen(measured, WORKERS, SEEDS, **PLANS["at most 2 late"], **LOST, retry=False)
    best = float(np.mean(every["none"]["no bound"]["tokens_per_second"]))
    yield "## 1,000 workers\n"
    yield f"The same parameters, a core for each worker; {GROUPS} groups of {SIZE} to an update,"
    yield f"in pieces of {PIECE}; {ranks(measured, WORKERS)} ranks of a trainer, so that it would"
    yield f"be at work for {LOAD:.0%} of the time if no worker ever waited. Troubles are assumed:"
    yield "*slow*, one worker in 50 has a quarter of the speed; *lost*, each is lost once a minute"
    yield f"on average and starts again in the {measured.restart:.1f} s that were measured. Tokens"
    yield f"trained per second, as a share of those without bound and trouble ({best:,.0f}), 95 %"
    yield f"over {SEEDS} seeds:\n"
    yield "| plan | " + " | ".join(every) + " |\n|---" + "|---" * len(every) + "|"
    for name in PLANS:
        cells = [_share(each[name]["tokens_per_second"], best) for each in every.values()]
        yield f"| {name} | {' | '.join(cells)} |"
    again = _share(given_up["tokens_per_second"], best)
    yield "\nWith the groups of lost workers dropped, not played again, *lost* with at most 2 late"
    yield f"comes to {again}; {np.mean(given_up['lost']):.1%} of the groups are dropped for it."
    yield "\nWith *slow and lost*, means over seeds. *In vain*: share of workers' time that no"
    yield "update takes. *Length*: tokens of a trained trajectory, over those of all played.\n"
    head = "workers idle | in vain | trainer idle | groups dropped | staleness mean, p95, max | "
    yield f"| plan | {head}group waits, s | length |\n|---" + "|---" * 7 + "|"
    trouble = every["slow and lost"]
    usual = float(np.mean(every["none"]["no bound"]["tokens_per_trajectory"]))
    for name in PLANS:
        yield f"| {name} | {' | '.join(_cells(trouble[name], usual))} |"
    alone, slow, both = ({name: _of(each[name], best) for name in PLANS}
                         for each in (every["none"], every["slow"], trouble))  # fmt: skip
    kept, more, late = "synchronous", "synchronous, 10 % more groups", "at most 2 late"
    yield "\nA round waits for its slowest: one slow worker in 50 takes *synchronous* from"
    yield f"{alone[kept]} to {slow[kept]}; with 10 % more groups it is {slow[more]}, with a bound"
    yield f"of 2 {slow[late]}. In order the slowest hold up all others: {both[late + ', in order']}"
    yield f"with *slow and lost*, beside {both[late]}. What is late is longer than what is not, so"
    yield "trained trajectories get shorter where groups are dropped; little here, where lengths"
    yield "differ little."
    yield "\n![Share of workers' time that ends in an update, by workers and plan](cluster.svg)\n"
    yield "The picture has *slow and lost*; groups of an update and ranks of the trainer grow with"
    yield "the workers; bands are 95 % over 3 seeds.\n"


def _of(each: Mapping[str, list[float]], best: float) -> str:
    return f"{np.mean(each['tokens_per_second']) / best:.0%}"


def _share(values: Sequence[float], best: float) -> str:
    return f"{np.mean(values) / best:.1%} ± {half(values) / best:.1%}"


def _cells(each: Mapping[str, list[float]], usual: float) -> list[str]:
    mean = {name: float(np.mean(values)) for name, values in each.items()}
    late = f"{mean['staleness_mean']:.2f}, {mean['staleness_p95']:.1f}"
    return [
        f"{mean['worker_idle']:.1%}",
        f"{mean['worker_wasted']:.1%}",
        f"{mean['trainer_idle']:.1%}",
        f"{mean['groups_dropped']:.1%}",
        f"{late}, {max(each['staleness_max']):.0f}",
        f"{mean['group_wait']:.3f}",
        f"{mean['tokens_per_trajectory'] / usual - 1:+.1%}",
    ]
