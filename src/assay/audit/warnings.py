"""What to know before believing any other number of an audit."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from assay.audit.fates import group_fates
from assay.audit.kinds import SOME_TOKENS, sentences, told
from assay.batch import CATEGORIES, CLAIMS, UNTRAINABLE, Batch
from assay.gate import first_copy
from assay.importers.fields import Losses
from assay.kernels.constancy import bar, constant, extremes
from assay.kernels.groups import MIXED
from assay.records import Decision, Trajectory

_FAR = 2.0
"""An outcome of that many times the bar is out of the range that the bar is meant for."""
_MANY = 10
"""Groups of which it tells something that not one is dead."""
SESSIONS = ("claude_code", "codex", "pi", "sts", "openhands", "openhands_v0")
"""Formats whose verdict may lie beside a session (`importers.sessions`)."""
_LABEL = (
    "assay label LOG --csv FILE (assay label LOG --template FILE writes the table to fill in) or "
    "assay label LOG --judge COMMAND"
)
NO_TOKENS = "no token ids: this set can be audited and credited, not trained on"
NO_PEERS = (
    "every group has one scored member, so nothing is compared with anything: name with --group "
    "what attempts at one task share"
)
_RAW = ("acc", "correct", "success", "solved", "resolved", "pass")
"""What names of an unshaped outcome hold."""


def trust(
    batch: Batch,
    decisions: Sequence[Decision],
    passed_K: Bool[np.ndarray, " K"],
    *,
    pass_at: float = 1.0,
    losses: Mapping[str, int] | None = None,
    format: str = "",
    chosen: str | None = None,
    stated: bool = False,
) -> dict[str, Any]:
    """Returns shares and counts that put the others in doubt, and a sentence for each that does.

    `chosen` is the part of the reward that the reader named as the outcome; `stated`: the reader
    said at which outcome a trajectory passes.
    """
    n = max(len(batch.ids), 1)
    scored_K = ~np.isnan(batch.outcome_K)
    claimed_K = (batch.claim_K == CLAIMS.index("claimed")) & scored_K & batch.once_K
    claims, false_claims = int(claimed_K.sum()), int((claimed_K & ~passed_K).sum())
    copies = int((first_copy(batch) != np.arange(len(batch.ids))).sum())
    infra = int((batch.category_K == CATEGORIES.index("infra")).sum())
    dropped = np.flatnonzero(batch.weight_K == 0).tolist()
    found: dict[str, Any] = {
        "infra_share": infra / n,
        "unscored_share": float((~scored_K).sum() / n),
        "false_claim_share": false_claims / claims if claims else None,
        "duplicates": copies,
        "repeated_ids": len(batch.ids) - len(set(batch.ids)),
        "dropped": dict(sorted(Counter(decisions[k].reason for k in dropped).items())),
        "untrainable_steps": {
            name: int((batch.untrainable_S == code).sum()) for code, name in enumerate(UNTRAINABLE)
        },
        "has_tokens": batch.measure == "tokens",
        "has_logprobs": batch.logprob_N is not None,
    }
    said = [
        *_of_outcomes(batch, pass_at, format, chosen, stated=stated),
        *_of_groups(batch, pass_at),
        *_of_trajectories(found, batch, (false_claims, claims)),
        *sentences(losses or {}),
    ]
    if batch.measure == "characters":
        said.append(_without_tokens(len(batch.ids), (losses or {}).get(SOME_TOKENS, 0)))
    return {**found, "warnings": said}


def with_tokens(trajectories: Iterable[Trajectory], losses: Losses) -> Iterator[Trajectory]:
    """Yields trajectories; counts those that have token ids, of a log in which others have none."""
    n, last = 0, ""
    for trajectory in trajectories:
        n, last = n + any(step.token_ids for step in trajectory.steps), trajectory.id
        yield trajectory
    losses.add(SOME_TOKENS, last, n)


def _without_tokens(n: int, known: int) -> str:
    """Returns what cannot be done without token ids, which `known` of `n` trajectories have."""
    if not known:
        return NO_TOKENS
    if known == n:
        return "some turns have no token ids: lengths are in characters; an export has the others"
    return told(
        f"{{n}} of {n:,} trajectories [has|have] no token ids: [it|they] can be audited and "
        "credited, not trained on; the others can be exported",
        n - known,
    )


def _of_outcomes(
    batch: Batch, pass_at: float, format: str, chosen: str | None, *, stated: bool
) -> Iterator[str]:
    """Yields what makes it doubtful that outcomes at the bar are what a success is."""
    if chosen is None:
        yield from _parts(batch)
    disputed = int((batch.category_K == CATEGORIES.index("disputed")).sum())
    if disputed:
        yield told(
            f"sources of outcomes disagree on {{n}} of {len(batch.ids):,} trajectories, at one "
            "level of evidence: none of them is used, and [it is|they are] unscored; assay label "
            "--level E4 overrules them, its --source NAME replaces one",
            disputed,
        )
    value = batch.outcome_K[~np.isnan(batch.outcome_K)]
    if value.size == 0:
        if not disputed:
            yield _without(format)
        return
    low, high = float(value.min()), float(value.max())
    passing = value[value >= bar(pass_at)]
    if passing.size and not stated and not _alike(passing):
        if high >= _FAR * abs(pass_at):
            yield (
                f"outcomes lie between {low:g} and {high:g}, and {pass_at:g} or more passes: say "
                "with --pass-at what a success is"
            )
        elif chosen is None and (names := _summed(batch)):
            yield (
                f"the outcome is made of several parts ({', '.join(names[:8])}), up to {high:g}, "
                f"and {pass_at:g} or more passes, whichever parts reach it: say with --pass-at "
                "what a success is, or with --outcome which part tells"
            )
    if not passing.size and high > 0 and not _alike(value):
        yield (
            f"nothing passes: the highest outcome is {high:g}, and {pass_at:g} or more passes; say "
            "with --pass-at what a success is, or with --outcome which number tells"
        )
    yield from _shaped(batch)


def _without(format: str) -> str:
    """Returns what to do about a log that nobody scored."""
    if format in SESSIONS:
        return (
            f"no outcome: pass rates, groups and credit need one; give it with {_LABEL}, or lay "
            'NAME.result.json beside a session ({"resolved": true}); --group prompt compares '
            "sessions that began with the same message"
        )
    return (
        "no outcome: pass rates, groups and credit need one; name the number that is it with "
        f"--outcome, or give it with {_LABEL}"
    )


def _parts(batch: Batch) -> Iterator[str]:
    """Yields that parts of a reward are there, and no outcome."""
    stopped_K = batch.category_K == CATEGORIES.index("infra")
    known_K = ~np.isnan(batch.reward_KJ).all(axis=1)
    bare_K = np.isnan(batch.outcome_K) & known_K & ~stopped_K
    if not bare_K.any():
        return
    names = [
        name
        for name, part_K in zip(batch.reward_names, batch.reward_KJ.T, strict=True)
        if not np.isnan(part_K[bare_K]).all()
    ]
    yield told(
        "{n} [trajectory has|trajectories have] parts of a reward ({of}) and no outcome: name one "
        "of them with --outcome",
        int(bare_K.sum()),
        ", ".join(names[:8]),
    )


def _summed(batch: Batch) -> list[str]:
    """Returns the parts that outcomes are made of; none where one part alone is the outcome."""
    several_K = (~np.isnan(batch.reward_KJ)).sum(axis=1) > 1
    several_K &= ~np.isnan(batch.outcome_K)
    outcome_K, part_KJ = batch.outcome_K[several_K], batch.reward_KJ[several_K]
    if any((part_K == outcome_K).all() for part_K in part_KJ.T):
        return []
    parts = zip(batch.reward_names, part_KJ.T, strict=True)
    return [name for name, part_K in parts if not np.isnan(part_K).all()]


def _shaped(batch: Batch) -> Iterator[str]:
    """Yields where outcomes differ in groups in which what looks like the raw outcome does not."""
    once_K = batch.once_K & ~np.isnan(batch.outcome_K)
    group, n = batch.group_K[once_K], batch.n_groups
    alike_G = _constant(batch.outcome_K[once_K], group, n)
    for name, part_K in zip(batch.reward_names, batch.reward_KJ.T, strict=True):
        part = part_K[once_K]
        raw = len(batch.reward_names) == 1 or any(word in name.lower() for word in _RAW)
        if not raw or not np.isin(part, (-1.0, 0.0, 1.0)).all():
            continue
        groups = int((~alike_G & _constant(part, group, n)).sum())
        if groups:
            yield told(
                f"in {{n}} of {n:,} groups outcomes differ though {{of}} does not: what is trained "
                "there is the rest of the reward; --outcome {of} audits it alone",
                groups,
                name,
            )


def _of_groups(batch: Batch, pass_at: float) -> Iterator[str]:
    """Yields what makes it doubtful that the groups are what was sampled."""
    scored_K = batch.once_K & ~np.isnan(batch.outcome_K)
    size_G = np.bincount(batch.group_K[scored_K], minlength=batch.n_groups)
    if (size_G > 0).sum() > 1 and size_G.max() == 1:
        yield NO_PEERS
    fate_G, _ = group_fates(batch, pass_at=pass_at)
    if (size_G > 0).sum() >= _MANY and (fate_G[size_G > 0] == MIXED).all():
        yield (
            f"all {int((size_G > 0).sum()):,} groups are mixed: engines that drop groups without "
            "signal leave such logs, and the share of dead groups is then a lower bound"
        )
    helped = int(batch.rescued_K.sum())
    sessions, n = int(batch.once_K.sum()), len(batch.ids) - helped
    if helped:
        yield told(
            "{n} [trajectory was|trajectories were] sampled with help: [it counts|they count] in "
            "no pass rate and in no group's fate",
            helped,
        )
    if sessions < n:
        yield f"{n:,} trajectories are outputs of {sessions:,} sessions, each of which counts once"
        known = np.flatnonzero((batch.session_K >= 0) & ~np.isnan(batch.outcome_K))
        owner = batch.session_K[known]
        differ = ~_constant(batch.outcome_K[known], owner, int(batch.session_K.max()) + 1)
        if differ.any():
            yield told(
                "in {n} [session|sessions] outcomes differ: the last scored one counts",
                int(differ.sum()),
            )


def _of_trajectories(
    trust: Mapping[str, Any], batch: Batch, claims: tuple[int, int]
) -> Iterator[str]:
    """Yields one plain sentence for each thing that makes single trajectories doubtful."""
    n = len(batch.ids)
    infra, unscored = round(trust["infra_share"] * n), round(trust["unscored_share"] * n)
    disputed = int((batch.category_K == CATEGORIES.index("disputed")).sum())
    if infra:
        yield told(
            f"{{n}} of {n:,} trajectories [was|were] stopped by infrastructure; [it is|they are] "
            "unscored here, whatever reward the log gives [it|them]",
            infra,
        )
    bare = unscored - infra - disputed
    if bare > 0 and unscored < n:
        more = " more" if infra or disputed else ""
        yield told(f"{{n}}{more} of {n:,} trajectories [has|have] no outcome at all", bare)
    if (trust["false_claim_share"] or 0) > 0.1:
        failed, made = claims
        yield f"{failed:,} of {made:,} trajectories that say they are done failed"
    copies = "{n} [trajectory repeats|trajectories repeat] another one of [its|their] group"
    for count, sentence in (
        (trust["duplicates"], copies),
        (trust["repeated_ids"], "{n} trajectory [id occurs|ids occur] more than once"),
        (
            trust["dropped"].get("masked", 0),
            "{n} [trajectory is|trajectories are] masked by the trainer: [it counts|they count] in "
            "pass rates, and in no baseline",
        ),
        (
            trust["untrainable_steps"]["drifted"],
            "{n} [step was|steps were] re-tokenised and cannot be trained on",
        ),
    ):
        if count:
            yield told(sentence, count)


def _constant(value: Float64[np.ndarray, " _"], peer: np.ndarray, n: int) -> Bool[np.ndarray, " _"]:
    return constant(*extremes(value, peer, n))


def _alike(value: Float64[np.ndarray, " _"]) -> bool:
    return bool(_constant(value, np.zeros(value.size, np.int64), 1)[0])
