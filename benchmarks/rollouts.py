"""Credit of structure on real rollouts: who gets any, and does it agree with what is known?

    python benchmarks/rollouts.py --data ../shared/data    # results/rollouts.json, docs/rollouts.md

tau-bench (sierra-research/tau-bench, gpt-4o, airline: 50 tasks of 4 trajectories) has the expert's
actions; Who&When (ag2ai/Agents_Failure_Attribution) a person's label of the decisive mistake. Both
are given as folders, and none of their text is written down.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import numpy as np

from assay.batch import Batch
from assay.credit.gigpo import states
from assay.credit.groups import same
from assay.files.atomic import publish
from assay.importers import load
from assay.kernels.groups import ALL_FAIL, fates
from assay.recipes import Recipe
from assay.records import ModelStep, Trajectory
from assay.replay.claimed import batch_of, credited, evidence, shuffled
from assay.replay.truth import Number, Truth, auroc, drawn_weights

DRAWS: Final = 2_000
SHUFFLES: Final = 30
WRITES: Final = ("book", "cancel", "update", "send")
"""How the names of the tools begin that change something in tau-bench's airline."""
ANCHORED: Final = ("gigpo", "hgpo", "g2po")
"""Methods that compare states: here by the calls made and what they answered."""
LABELLED: Final = ("toolpo", "toolpo_call", "srl", "gigpo_evidence", "hgpo_evidence")
"""Methods that read the expert's actions, which one table holds them against."""
ROOT: Final = Path(__file__).parents[1]


def methods(batch: Batch) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Each method's credit of each step, and why others have none."""
    recipe = Recipe.compared()
    anchored = [{"name": name, "anchor": "calls"} for name in ANCHORED]
    judged = [{"name": n, "anchor": "calls", "returns": "evidence"} for n in ("gigpo", "hgpo")]
    more = {part.name: part for part in Recipe.of(anchored).parts}
    parts = [more.get(part.name, part) for part in recipe.parts]
    judged.append({"name": "toolpo", "per": "call"})
    named = zip(("gigpo_evidence", "hgpo_evidence", "toolpo_call"), judged, strict=True)
    parts += [replace(Recipe.of([table]).parts[0], name=name) for name, table in named]
    return credited(batch, replace(recipe, parts=tuple(parts)))


def plain(batch: Batch) -> dict[str, np.ndarray]:
    """Evidence of calls as credit, of the levels that know no expert."""
    known = evidence(batch)
    return {f"evidence {level}": known[level] for level in ("ran", "sibling")}


def peers(batch: Batch) -> dict[str, float]:
    """Share of steps that another trajectory of the group has a step in the same state as."""
    group_S = batch.group_K[batch.traj_S]
    found: dict[str, float] = {}
    for anchor in ("calls", "seen"):
        place_S = same(group_S, states(batch, anchor, "gigpo"))
        pairs = np.unique(np.stack([place_S, batch.traj_S])[:, batch.own_S], axis=1)
        many = np.bincount(pairs[0])
        found[anchor] = float((many[place_S[batch.own_S]] > 1).mean())
    return found


def dead(batch: Batch, found: Mapping[str, np.ndarray]) -> tuple[int, int, dict[str, float]]:
    """All-fail groups, their steps, and the share of them to which each method gives anything."""
    fate_G, _ = fates(batch.voted_K, batch.group_K, n_groups=batch.n_groups)
    group_S = batch.group_K[batch.traj_S]
    at = (fate_G == ALL_FAIL)[group_S] & batch.own_S
    shares = {
        name: float((np.nan_to_num(credit[at]) != 0).mean()) for name, credit in found.items()
    }
    return int((fate_G == ALL_FAIL).sum()), int(at.sum()), shares


def expert_steps(batch: Batch) -> np.ndarray:
    """1: all calls of the step are the expert's; 0: none is; NaN: some, or it calls nothing."""
    size = batch.traj_S.size
    known = batch.expert_C >= 0
    calls = np.bincount(batch.step_C[known], minlength=size)
    yes = np.bincount(batch.step_C[known], batch.expert_C[known] == 1, size)
    share = np.divide(yes, calls, out=np.full(size, np.nan), where=calls > 0)
    return np.where((share == 0) | (share == 1), share, np.nan)


def leaving(records: Sequence[Trajectory], batch: Batch) -> np.ndarray:
    """In failed trajectories, 0 at the first write that is not the expert's and 1 at other steps;
    NaN in those without one, and elsewhere."""
    label_S = np.full(batch.traj_S.size, np.nan)
    first_K = np.searchsorted(batch.traj_S, np.arange(len(records)))
    calls = iter(zip(batch.step_C.tolist(), batch.expert_C.tolist(), strict=True))
    for k, record in enumerate(records):
        own = [step for step in record.steps if type(step) is ModelStep]
        judged = [(call.name, *next(calls)) for step in own for call in step.calls]
        wrong = [s for name, s, ok in judged if name.startswith(WRITES) and ok == 0]
        if record.outcome == 0 and wrong:
            label_S[first_K[k] : first_K[k] + len(own)] = 1.0
            label_S[wrong[0]] = 0.0
    return label_S


def agreement(
    batch: Batch, found: Mapping[str, np.ndarray], label_S: np.ndarray
) -> Iterator[dict[str, Any]]:
    """AUROC of each method's credit for steps labelled 1 against 0, beside credit shuffled in time;
    intervals over tasks."""
    failed_S = (batch.value_K == 0)[batch.traj_S]
    at = np.flatnonzero(~np.isnan(label_S) & failed_S & batch.own_S)
    good, task = label_S[at] == 1, batch.task_K[batch.traj_S[at]]
    tasks = np.unique(task, return_inverse=True)[1]
    truth = Truth(np.where(good, 1.0, -1.0), good, ~good, np.ones(at.size), tasks)
    weight_DB = drawn_weights(truth, DRAWS, np.random.default_rng(1))
    for name, credit_S in found.items():
        value_D = np.nan_to_num(credit_S[at])
        own_B = auroc(value_D[None], good, ~good, weight_DB)
        mixed = shuffled(credit_S, batch.traj_S, at, SHUFFLES, np.random.default_rng(2))
        control_B = auroc(np.nan_to_num(mixed), good, ~good, weight_DB)
        many = int(tasks.max()) + 1
        yield {
            "method": name,
            "auroc": vars_of(Number.of(own_B[0], own_B[1:], many)),
            "over_shuffled": vars_of(
                Number.of(own_B[0] - control_B[0], own_B[1:] - control_B[1:], many)
            ),
            "right": int(good.sum()),
            "wrong": int((~good).sum()),
            "tasks": many,
        }


def vars_of(number: Number) -> list[float | None]:
    return [number.value, number.low, number.high]


def mistakes(records: Sequence[Trajectory], batch: Batch) -> Iterator[tuple[slice, int]]:
    """The steps of each labelled conversation, and which of them is the mistake."""
    for k, record in enumerate(records):
        at = np.flatnonzero(batch.traj_S == k)
        place = {int(batch.index_S[s]): n for n, s in enumerate(at)}
        for mark in record.marks:
            if mark.kind == "mistake" and mark.step in place:
                yield slice(int(at[0]), int(at[-1]) + 1), place[mark.step]


def ranked(value: np.ndarray, at: int) -> tuple[float, float, float]:
    """Chance that a step is among the lowest 1 and 3, ties broken by chance, and the expected
    distance in steps of the lowest from it, per step of the conversation."""
    below, equal = int((value < value[at]).sum()), int((value == value[at]).sum())
    first, third = (float(np.clip((k - below) / equal, 0, 1)) for k in (1, 3))
    lowest = np.flatnonzero(value == value.min())
    return first, third, float(np.abs(lowest - at).mean()) / value.size


def attribution(
    records: Sequence[Trajectory], batch: Batch, found: Mapping[str, np.ndarray]
) -> dict[str, list[float]]:
    """Mean of `ranked` over conversations, by method and by three rules that read nothing."""
    cases = list(mistakes(records, batch))
    rules = {
        "uniform": lambda n: np.zeros(n),
        "first step": lambda n: np.arange(n, dtype=float),
        "last step": lambda n: -np.arange(n, dtype=float),
    }
    rows = {
        name: [ranked(rule(steps.stop - steps.start), at) for steps, at in cases]
        for name, rule in rules.items()
    }
    rows |= {
        name: [ranked(np.nan_to_num(credit[steps]), at) for steps, at in cases]
        for name, credit in found.items()
    }
    return {name: [len(cases), *np.mean(each, axis=0).tolist()] for name, each in rows.items()}


def measured(data: Path) -> dict[str, Any]:
    """All numbers, as plain values."""
    records = list(load(data / "tau-bench" / "gpt-4o-airline.json")[1])
    batch = batch_of(records)
    found, refused = methods(batch)
    groups, steps, shares = dead(batch, found)
    told = list(load(data / "who-and-when")[1])
    theirs = batch_of(told)
    blamed, silent = methods(theirs)
    return {
        "schema": "assay.rollouts/1",
        "steps": int(batch.own_S.sum()),
        "peers": peers(batch),
        "all_fail": {"groups": groups, "steps": steps, "credited": shares},
        "expert": list(agreement(batch, {**found, **plain(batch)}, expert_steps(batch))),
        "leaving": list(agreement(batch, {**found, **plain(batch)}, leaving(records, batch))),
        "who_and_when": attribution(told, theirs, {**blamed, **plain(theirs)}),
        "refused": {"tau-bench": refused, "who-and-when": silent},
    }


def page(seen: Mapping[str, Any]) -> str:
    """The page, as Markdown."""
    return "\n".join(_page(seen)) + "\n"


def _page(seen: Mapping[str, Any]) -> Iterator[str]:
    dead = seen["all_fail"]
    yield "# Real rollouts: who gets credit, and does it agree with what is known?\n"
    yield "Written by `python benchmarks/rollouts.py --data ../shared/data`, from logs that do not"
    yield "belong to Assay: tau-bench, airline, gpt-4o (50 tasks of 4 trajectories) and Who&When."
    yield "Methods that need a model or what these logs lack are left out.\n"
    yield "## tau-bench: states, peers, all-fail groups\n"
    yield "The log records no state. `anchor=calls` takes for one the set of calls made and what"
    share = seen["peers"]["calls"]
    yield f"they answered. So {share:.0%} of {seen['steps']:,} steps have a peer: a"
    yield "step of another trajectory of the group in the same state. By what was last seen they"
    yield f"are {seen['peers']['seen']:.0%}.\n"
    yield f"Share of the {dead['steps']} steps of the {dead['groups']} groups in which all four"
    yield "fail that get an advantage other than 0:\n"
    yield "| share | methods |\n|---|---|"
    shares = sorted(set(dead["credited"].values()), reverse=True)
    for share in shares:
        named = [name for name, each in dead["credited"].items() if each == share]
        yield f"| {share:.0%} | {', '.join(named)} |"
    yield "\n`_evidence`: with `returns=evidence`; `_call`: with `per=call`. 100 % are methods that"
    yield "punish every failure alike, whatever its steps were.\n"
    yield from _agreement(seen)
    yield from _blame(seen)


def _agreement(seen: Mapping[str, Any]) -> Iterator[str]:
    right, left = seen["expert"][0], seen["leaving"][0]
    yield "## tau-bench: agreement with the expert, in failed trajectories\n"
    yield "AUROC of a step's credit, [95 % over tasks], and how far it is over the same credit"
    yield "shuffled in time.\n"
    yield "- Expert's calls: steps whose calls are all the expert's against steps of which none is"
    yield f"  ({right['right']} and {right['wrong']}, {right['tasks']} tasks)."
    yield "- Leaves the path: all other steps against the first write that is not the expert's"
    yield f"  ({left['wrong']} trajectories, {left['tasks']} tasks).\n"
    yield "| | expert's calls | over shuffled | leaves the path | over shuffled |"
    yield "|---|---|---|---|---|"
    flat: list[str] = []
    for left, right in zip(seen["expert"], seen["leaving"], strict=True):
        if left["over_shuffled"] == right["over_shuffled"] == [0.0, 0.0, 0.0]:
            flat.append(left["method"])
            continue
        cells = [_told(side[key]) for side in (left, right) for key in ("auroc", "over_shuffled")]
        mark = " *" if left["method"] in LABELLED else ""
        yield f"| {left['method']}{mark} | {' | '.join(cells)} |"
    yield "\n\\* reads the expert's actions. Constant in time, so equal to their control:"
    yield fill(f"{', '.join(flat)}.", 100) + "\n"


def _blame(seen: Mapping[str, Any]) -> Iterator[str]:
    rows = seen["who_and_when"]
    count = rows["uniform"][0]
    yield "## Who&When: the decisive mistake\n"
    yield f"{count} failed conversations, each alone in its group. Steps are ranked by credit,"
    yield "lowest first, ties broken by chance; distance is that of the lowest from the labelled"
    yield "step, as a share of the conversation's steps.\n"
    yield "| | top 1 | top 3 | distance |\n|---|---|---|---|"
    groups: dict[tuple[float, ...], list[str]] = {}
    for name, (_, *values) in rows.items():
        groups.setdefault(tuple(values), []).append(name)
    for values, names in groups.items():
        yield f"| {', '.join(names)} | {' | '.join(f'{value:.1%}' for value in values)} |"
    yield "\nCredit that compares trajectories of a task says nothing where there is one."


def _told(values: Sequence[float | None]) -> str:
    value, low, high = values
    if value is None:
        return "-"
    return f"{value:.2f}" if low is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="holds tau-bench and who-and-when")
    seen = measured(parser.parse_args().data)
    text = json.dumps(seen, indent=1, allow_nan=False)
    publish(ROOT / "benchmarks" / "results" / "rollouts.json", text.encode() + b"\n")
    publish(ROOT / "docs" / "rollouts.md", page(seen).encode())
    print(page(seen))


if __name__ == "__main__":
    main()
