"""Where the learning signal of a set of trajectories is, and where it is lost.

The result is the JSON of `assay audit --json`, schema "assay.audit/2" (docs/formats.md): a contract
that other programs read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final, NamedTuple, final

import numpy as np
from jaxtyping import Bool, Int64

from assay.audit.annotations import StepCredit, step_credit
from assay.audit.behaviour import Seen, own_steps, seen, summed, together
from assay.audit.fates import alike_groups, fate_table, group_fates
from assay.audit.judged import judged
from assay.audit.punished import punished_calls, split
from assay.audit.warnings import trust
from assay.batch import CATEGORIES, CLAIMS, ENDS, Batch
from assay.batch.blocks import Block, Blocks
from assay.credit import METHODS
from assay.gate import components_cancel
from assay.kernels.advantages import Advantages
from assay.kernels.constancy import bar
from assay.kernels.groups import (
    ALL_FAIL,
    ALL_PASS,
    CONSTANT_PARTIAL,
    FATES,
    MIXED,
    SINGLE,
    UNSCORED,
)
from assay.kernels.passk import honest_interval, pass_at_k, pass_hat_k
from assay.records import Decision

SCHEMA: Final = "assay.audit/2"


class Found(NamedTuple):
    """What was counted."""

    recovered: dict[str, dict[str, int]]
    """Of dead groups, by method."""
    of_grpo: dict[str, Any]
    """Calls that are punished, and fates."""
    seen: list[Seen]
    """What no method is needed for, by block."""
    calls: dict[str, int]


@final
class Audit:
    """An audit under construction: `add` each method once, "grpo" among them, then `result`."""

    def __init__(
        self, batch: Batch, decisions: Sequence[Decision], *, pass_at: float = 1.0
    ) -> None:
        """Begins the audit of a gated batch.

        Args:
            batch: after the gates (`Batch.gated`).
            decisions: what the gates decided, in the batch's order.
            pass_at: a trajectory passes at this outcome or above.
        """
        self._batch, self._decisions, self._pass_at = batch, decisions, pass_at
        self._fate_G, self._dead_G = group_fates(batch, pass_at=pass_at)
        self._alike_G = alike_groups(batch)
        lost_G = self._dead_G & self._alike_G & (self._fate_G != UNSCORED)
        self._dead_K = lost_G[batch.group_K]
        self._passed_K = batch.outcome_K >= bar(pass_at)
        self._found = Found({}, {}, [], {})
        self.blocks = Blocks(batch)
        """Its blocks, in which it is counted."""

    def look(self, block: Block) -> None:
        """Counts what no method is needed for, in a block of `blocks`; each once, in their order.
        Where nobody does, `result` does."""
        self._found.seen.append(seen(block))
        calls = _calls_of(block.batch, self._fate_G, self._passed_K)
        self._found = self._found._replace(calls=summed(self._found.calls, calls))

    def add(
        self,
        name: str,
        advantages: Advantages,
        steps: StepCredit | None = None,
        block: Batch | None = None,
    ) -> None:
        """Takes what is counted of a method's advantages, and keeps none of them.

        Args:
            name: of the method; from "grpo" the fates are read.
            advantages: on the batch, or on a block of it.
            steps: the same per step, where somebody has them already.
            block: which one, no group in two of them; None: the batch is given as a whole.
        """
        batch = self._batch if block is None else block
        steps = step_credit(batch, advantages) if steps is None else steps
        live_S = self._dead_K[batch.traj_S] & (np.nan_to_num(steps.magnitude_S) > 0)
        live = {
            "groups": int(np.unique(batch.group_K[batch.traj_S[live_S]]).size),
            "steps": int(live_S.sum()),
        }
        recovered = self._found.recovered
        recovered[name] = summed(recovered.get(name, {}), live)
        if name == "grpo":
            punished_C = punished_calls(batch, steps.advantage_S)
            of_block = {
                "punished": _punished(batch, punished_C)
                | split(batch, steps.advantage_S, punished_C & (batch.correct_C == 1)),
                "fate": fate_table(batch, self._alike_G, advantages),
            }
            of_grpo = summed(self._found.of_grpo, of_block)
            self._found = self._found._replace(of_grpo=of_grpo)

    def begin(self, names: Iterable[str]) -> None:
        """Says which methods there are, in whose order they are told: they may be added in any, and
        those that are not are to be dropped."""
        self._found.recovered.update({name: {} for name in names})

    def part(self) -> "Audit":
        """Returns an audit of the same batch without any count."""
        made = copy(self)
        made._found = Found({}, {}, [], {})
        return made

    def taken(self) -> "Found":
        """Returns what was counted so far, for `absorb`."""
        return self._found

    def absorb(self, taken: "Found") -> None:
        """Adds what a `part` counted: of other blocks, or other methods."""
        mine = self._found
        for name, live in taken.recovered.items():
            mine.recovered[name] = summed(mine.recovered.get(name, {}), live)
        self._found = Found(
            mine.recovered,
            summed(mine.of_grpo, taken.of_grpo) if taken.of_grpo else mine.of_grpo,
            [*mine.seen, *taken.seen],
            summed(mine.calls, taken.calls) if taken.calls else mine.calls,
        )

    def drop(self, name: str) -> None:
        """Forgets a method that was added in part."""
        self._found.recovered.pop(name, None)

    def _shares(self) -> dict[str, Any]:
        """Returns how much of dead groups each method reaches, in the order of the methods."""
        own_K, recovered = own_steps(self.blocks, self._found.seen), self._found.recovered
        dead = max(int(own_K[self._dead_K].sum()), 1)
        return {
            name: {**live, "share_of_dead": float(live["steps"] / dead)}
            for name, live in recovered.items()
        }

    def result(
        self,
        *,
        refused: Mapping[str, str] | None = None,
        losses: Mapping[str, int] | None = None,
        seed: int = 0,
        format: str = "",
        chosen: str | None = None,
        stated: bool = False,
    ) -> dict[str, Any]:
        """Returns the audit.

        Args:
            refused: why methods cannot run on the batch, by name (`assay.pipeline.credits`).
            losses: what the importer could not carry over, by kind.
            seed: of the bootstrap intervals; the same seed gives the same bytes.
            format: of the log, where it has one: it decides how an outcome can be given.
            chosen: which part of the reward the reader named as the outcome.
            stated: the reader said at which outcome a trajectory passes.
        """
        batch, pass_at, passed_K = self._batch, self._pass_at, self._passed_K
        if not self._found.seen:
            for block in self.blocks:
                self.look(block)
        did = together(self.blocks, self._found.seen)
        missing = [name for name in METHODS.names() if name not in self._found.recovered]
        return {
            "schema": SCHEMA,
            "measure": batch.measure,
            "pass_at": pass_at,
            "groups": _groups(batch, self._fate_G, self._dead_G),
            "trajectories": _trajectories(batch, passed_K),
            **_pass_rates(batch, passed_K, seed),
            "calls": self._found.calls | self._found.of_grpo["punished"],
            "steps": {"total": did["cost"]["steps"]["total"]},
            "fate": self._found.of_grpo["fate"],
            "recovered": self._shares(),
            "not_applicable": {
                name: (refused or {}).get(name, "not asked for") for name in missing
            },
            "claims": _claims(batch, passed_K),
            "judges": judged(batch, pass_at),
            "behaviour": did,
            "losses": dict(sorted((losses or {}).items())),
            "trust": trust(
                batch,
                self._decisions,
                passed_K,
                pass_at=pass_at,
                losses=losses,
                format=format,
                chosen=chosen,
                stated=stated,
            ),
        }


def audit(
    batch: Batch,
    decisions: Sequence[Decision],
    credits: Mapping[str, Advantages] | Iterator[tuple[str, Advantages]],
    *,
    pass_at: float = 1.0,
    refused: Mapping[str, str] | None = None,
    losses: Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the audit of a gated batch, its methods read once: see `Audit`."""
    found = Audit(batch, decisions, pass_at=pass_at)
    for name, advantages in credits.items() if isinstance(credits, Mapping) else credits:
        found.add(name, advantages)
    return found.result(refused=refused, losses=losses, seed=seed)


def _groups(
    batch: Batch, fate_G: Int64[np.ndarray, " G"], dead_G: Bool[np.ndarray, " G"]
) -> dict[str, int]:
    counts = np.bincount(fate_G, minlength=len(FATES))
    names = ("all_fail", "all_pass", "mixed", "constant_partial", "single", "unscored")
    codes = (ALL_FAIL, ALL_PASS, MIXED, CONSTANT_PARTIAL, SINGLE, UNSCORED)
    return {
        "total": batch.n_groups,
        **{name: int(counts[code]) for name, code in zip(names, codes, strict=True)},
        "dead": int(dead_G.sum()),
        "graded": int(((fate_G == ALL_FAIL) & ~dead_G).sum()),
        "components_cancel": int(components_cancel(batch).sum()),
    }


def _trajectories(batch: Batch, passed_K: Bool[np.ndarray, " K"]) -> dict[str, Any]:
    sessions = int(batch.once_K.sum())
    scored = int((batch.once_K & ~np.isnan(batch.outcome_K)).sum())
    passed = int((batch.once_K & passed_K).sum())
    return {
        "total": len(batch.ids),
        "rescued": int(batch.rescued_K.sum()),
        "sessions": sessions,
        "scored": scored,
        "unscored": sessions - scored,
        "passed": passed,
        "pass_rate": passed / scored if scored else None,
        "by_end": {name: int((batch.end_K == code).sum()) for code, name in enumerate(ENDS)},
        "by_category": {
            name: int((batch.category_K == code).sum()) for code, name in enumerate(CATEGORIES)
        },
    }


def _pass_rates(batch: Batch, passed_K: Bool[np.ndarray, " K"], seed: int) -> dict[str, Any]:
    """Returns pass@k and pass^k with 95 % intervals over groups, k up to the largest group. All
    intervals are of the same draws, so that pass@1 and pass^1 are one number."""
    scored_K = batch.once_K & ~np.isnan(batch.outcome_K)
    total_G = np.bincount(batch.group_K[scored_K], minlength=batch.n_groups)
    passed_G = np.bincount(batch.group_K[scored_K & passed_K], minlength=batch.n_groups)
    largest = int(total_G.max(initial=0))
    ks = [k for k in range(1, largest + 1) if k <= 8 or k & (k - 1) == 0]
    table: dict[str, Any] = {}
    for name, estimate in (("pass_at_k", pass_at_k), ("pass_hat_k", pass_hat_k)):
        values = {k: estimate(total_G, passed_G, k) for k in ks}
        table[name] = {str(k): float(np.nanmean(value_G)) for k, value_G in values.items()}
        table[f"{name}_interval"] = {
            str(k): _listed(honest_interval(value_G, rng=np.random.default_rng(seed)))
            for k, value_G in values.items()
        }
    table["pass_k_groups"] = {str(k): int((total_G >= k).sum()) for k in ks}
    return table


def _listed(ends: tuple[float, float] | None) -> list[float] | None:
    return None if ends is None else list(ends)


def _calls_of(
    batch: Batch, fate_G: Int64[np.ndarray, " G"], passed_K: Bool[np.ndarray, " K"]
) -> dict[str, int]:
    traj_C, once_C = batch.traj_S[batch.step_C], batch.once_S[batch.step_C]
    failed_C = (~passed_K & ~np.isnan(batch.outcome_K))[traj_C]
    fate_C = fate_G[batch.group_K][traj_C]
    expert_C = (batch.correct_C == 1) & (batch.expert_C == 1)
    found = {
        "total": np.ones(once_C.size, bool),
        "error": batch.ran_C == 0,
        "unanswered": batch.ran_C < 0,
        "unparsed": batch.parsed_C == 0,
        "in_failed_of_mixed": failed_C & (fate_C == MIXED),
        "expert_in_all_fail": expert_C & (fate_C == ALL_FAIL),
    }
    return {name: int((once_C & each_C).sum()) for name, each_C in found.items()}


def _punished(batch: Batch, punished_C: Bool[np.ndarray, " C"]) -> dict[str, int]:
    """Returns how many calls are punished, and how many of them are right, by level and in all."""
    correct_C = punished_C & (batch.correct_C == 1)
    return {
        "punished": int(punished_C.sum()),
        "punished_expert": int((correct_C & (batch.expert_C == 1)).sum()),
        "punished_sibling": int((correct_C & (batch.sibling_C == 1)).sum()),
        "punished_state": int((correct_C & (batch.on_path_C == 1)).sum()),
        "punished_correct": int(correct_C.sum()),
    }


def _claims(batch: Batch, passed_K: Bool[np.ndarray, " K"]) -> dict[str, int]:
    scored_K = batch.once_K & ~np.isnan(batch.outcome_K)
    claimed_K = batch.claim_K == CLAIMS.index("claimed")
    admitted_K = batch.claim_K == CLAIMS.index("admitted")
    passed_K, failed_K = scored_K & passed_K, scored_K & ~passed_K
    return {
        "claimed_verified": int((claimed_K & passed_K).sum()),
        "claimed_failed": int((claimed_K & failed_K).sum()),
        "silent_verified": int((~claimed_K & passed_K).sum()),
        "silent_failed": int((~claimed_K & failed_K).sum()),
        "unscored": int((batch.once_K & ~scored_K).sum()),
        "admitted_verified": int((admitted_K & passed_K).sum()),
        "admitted_failed": int((admitted_K & failed_K).sum()),
    }


def dead_share(result: Mapping[str, Any]) -> float:
    """Returns the share of groups that teach GRPO nothing."""
    groups = result["groups"]
    return groups["dead"] / groups["total"] if groups["total"] else 0.0


def shares(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns the shares that `--fail-on` knows, in [0, 1]."""
    measure = result["measure"]
    written = {kind: row[measure] for kind, row in result["fate"].items()}
    total = max(sum(written.values()), 1)
    calls = result["calls"]
    return {
        "dead": dead_share(result),
        "punished": calls["punished_correct"] / max(calls["punished"], 1),
        "wasted": 1 - (written["trained_up"] + written["trained_down"]) / total,
        "infra": result["trust"]["infra_share"],
        "unscored": result["trust"]["unscored_share"],
        "false_claims": result["trust"]["false_claim_share"] or 0.0,
        "errors": calls["error"] / max(calls["total"], 1),
        "fail": 1 - (result["trajectories"]["pass_rate"] or 0.0),
    }
