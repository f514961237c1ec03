"""What a rubric did to a batch, as numbers for the log of a step."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from assay.batch import Batch
from assay.gate.rubric import NAME, PERSISTENT, SCORE, TRUST
from assay.gate.watching import EXPLOITED
from assay.kernels.rubrics import internalised
from assay.records import Decision

SKIPS: Final = ("no_pass", "flat", "narrow", "coverage", "consistency")
"""Reasons of which a whole group is skipped (`gate.rubric`)."""


def rubric_facts(batch: Batch, decisions: Sequence[Decision]) -> dict[str, float]:
    """Returns shares of what the other gates left, in [0, 1]; nothing where no rubric was asked.

    `rubric/rejected` of groups, in all, and `rubric/rejected/REASON` of those that occur;
    `rubric/unjudged` and `rubric/failed` (mode drop) of trajectories; `rubric/exploited`, see
    `gate.watching`; `rubric/score` and `rubric/persistent`, means of the graded items, and of
    those that persist, where a model proposed some; `rubric/trust`, agreement with outcomes, at
    least, of the judge whose word ranks; `rubric/gap`, nats a token of what was sampled
    with help: the self-internalisation gap where the help was the rubric
    (`kernels.rubrics.internalised`).
    """
    if batch.composed_K is None:
        return {}
    groups = dict[int, str]()
    words = list[str]()
    for g, each in zip(batch.group_K.tolist(), decisions, strict=True):
        if each.gate not in (NAME, "none") and each.verdict == "drop":
            continue
        said = each.reason if each.gate == NAME else "ok"
        words.append(said)
        if groups.get(g, "") not in SKIPS:
            groups[g] = said
    causes = [said for said in groups.values() if said in SKIPS]
    facts = {"rubric/rejected": len(causes) / max(len(groups), 1)}
    for name in SKIPS:
        if name in causes:
            facts[f"rubric/rejected/{name}"] = causes.count(name) / len(groups)
    for name in ("unjudged", "failed"):
        facts[f"rubric/{name}"] = words.count(name) / max(len(words), 1)
    for name, column in (
        (EXPLOITED, "exploited"), (SCORE, "score"), (PERSISTENT, "persistent"), (TRUST, "trust")
    ):  # fmt: skip
        if name in batch.statistics:
            facts[f"rubric/{column}"] = batch.statistics[name]
    if batch.helped_N is not None and batch.logprob_N is not None:
        gap = internalised(batch.logprob_N, batch.helped_N)
        facts |= {} if np.isnan(gap) else {"rubric/gap": gap}
    return facts
