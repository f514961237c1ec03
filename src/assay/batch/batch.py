"""Records to flat arrays, once. Nothing downstream looks at a record again.

Axes: K trajectories, G groups, S model steps, C calls, R spans, N tokens. A *span* is a stretch
of tokens with the same step, call and role. A log without token ids has spans too: their length is
then in characters (`measure`), and everything except training works the same.

Codes: -1 is "unknown" or "none" in every integer array; 0 and 1 are False and True.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import eq
from typing import final

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from assay.batch.build import Builder
from assay.batch.columns import COPIED, Measure
from assay.errors import AlignmentError
from assay.kernels.groups import voters
from assay.records import Decision, Trajectory


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Everything that gates and methods may know about a set of trajectories."""

    measure: Measure
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    tasks: tuple[str, ...]
    """Names of the tasks, by code."""
    judges: tuple[str, ...]
    """Who judged outcomes without checking them, by code (`verify.outcome.verdict`)."""

    group_K: Int64[np.ndarray, " K"]
    task_K: Int64[np.ndarray, " K"]
    tree_K: Int64[np.ndarray, " K"]
    session_K: Int64[np.ndarray, " K"]
    """Rollout of which each trajectory is an output, of several; -1: it is a rollout of its own."""
    outcome_K: Float64[np.ndarray, " K"]
    """Resolved outcome (`verify.outcome`); NaN: unscored."""
    judge_K: Int64[np.ndarray, " K"]
    """Of `judges`, who judged each outcome, whether or not a check overruled them; -1: nobody."""
    verdict_K: Float64[np.ndarray, " K"]
    """What they said of it, in units of the outcome; NaN: nothing."""
    category_K: Int8[np.ndarray, " K"]
    claim_K: Int8[np.ndarray, " K"]
    end_K: Int8[np.ndarray, " K"]
    content_K: Int64[np.ndarray, " K"]
    """Key of everything the policy wrote: equal keys are copies of one trajectory."""
    prior_K: Float64[np.ndarray, " K"]
    """log p(right answer) before the first step, nats; NaN: unknown."""
    rescued_K: Bool[np.ndarray, " K"]
    """Which were not sampled from the task alone (`Trajectory.rescue`)."""
    reward_names: tuple[str, ...]
    reward_KJ: Float64[np.ndarray, "K J"]
    """Named parts of the outcome, J of them; NaN: this trajectory has no such part."""
    spans_K: Int64[np.ndarray, " K"]
    """Spans of each trajectory that the policy wrote; 0: the log has no text of it."""
    wrote_K: Int64[np.ndarray, " K"]
    """How much that is, in `measure`."""
    weight_K: Float64[np.ndarray, " K"]
    """What the gates left of each trajectory: 0 is dropped, or undrawn."""

    traj_S: Int64[np.ndarray, " S"]
    index_S: Int64[np.ndarray, " S"]
    """Position of the step in its trajectory's `steps`."""
    reward_S: Float64[np.ndarray, " S"]
    belief_S: Float64[np.ndarray, " S"]
    """log p(right answer) after each step and what was answered to it, nats; NaN: unknown."""
    state_S: Int64[np.ndarray, " S"]
    """Recorded environment state before the step, unique within the task."""
    seen_S: Int64[np.ndarray, " S"]
    """What the policy had last been shown, unique within the task."""
    opening_S: Bool[np.ndarray, " S"]
    """Before the first tool result of its trajectory (all steps, if there is none)."""
    untrainable_S: Int8[np.ndarray, " S"]
    hinted_S: Int64[np.ndarray, " S"]
    """Hints about each step."""
    confidence_S: Float64[np.ndarray, " S"]
    """Stated probability of being right, in [0, 1]; NaN: none stated."""
    node_S: Int64[np.ndarray, " S"]
    """Node of a tree that the step is, or is a copy of: equal numbers are one node."""
    parent_S: Int64[np.ndarray, " S"]
    """The node before it, in the numbers of `node_S`; -1: a root, or unknown."""
    score_names: tuple[str, ...]
    score_SJ: Float64[np.ndarray, "S _"]
    """Named scores of each step; NaN: this step has no such score."""

    step_C: Int64[np.ndarray, " C"]
    key_C: Int64[np.ndarray, " C"]
    """Name and canonical arguments (`verify.canonical.call_form`)."""
    answer_C: Int64[np.ndarray, " C"]
    """Text of its answer: equal numbers are equal texts; -1: unanswered."""
    parsed_C: Int8[np.ndarray, " C"]
    ran_C: Int8[np.ndarray, " C"]
    sibling_C: Int8[np.ndarray, " C"]
    expert_C: Int8[np.ndarray, " C"]
    on_path_C: Int8[np.ndarray, " C"]
    """Evidence level "state": the environment's state after the call is on a path to success."""

    traj_R: Int64[np.ndarray, " R"]
    step_R: Int64[np.ndarray, " R"]
    """-1: the policy did not sample these tokens."""
    call_R: Int64[np.ndarray, " R"]
    role_R: Int8[np.ndarray, " R"]
    length_R: Int64[np.ndarray, " R"]

    logprob_N: Float64[np.ndarray, " N"] | None = None
    """Nats at sampling time; NaN where the log has none. None: no trajectory has any."""
    entropy_N: Float64[np.ndarray, " N"] | None = None
    told_N: Float64[np.ndarray, " N"] | None = None
    """Nats as a teacher that was told hints about the step has them; NaN where it was not asked.
    None: it was nowhere."""
    neutral_N: Float64[np.ndarray, " N"] | None = None
    """The same, the teacher told a hint that says nothing."""
    helped_N: Float64[np.ndarray, " N"] | None = None
    """Nats as what sampled it with help had them (`ModelStep.helped`); NaN elsewhere. None: nothing
    was."""

    undrawn_K: Bool[np.ndarray, " K"] | None = None
    """Which of weight 0 a lot passed over: nothing of them is trained on, and their outcomes still
    count among their peers. None: none."""

    composed_K: Float64[np.ndarray, " K"] | None = None
    """What is compared in place of the outcome (`gate.rubric`); NaN: nobody scored it. None: the
    outcome itself."""

    facts: frozenset[str] | None = None
    """What the set holds of which these are some steps (`credit.facts`); None: they are all."""
    statistics: Mapping[str, float] = field(default_factory=dict[str, float])
    """Running statistics of a run, by name (`credit.statistics`); empty: this batch is all."""

    @staticmethod
    def of(
        trajectories: Iterable[Trajectory],
        *,
        measure: Measure | None = None,
        pass_at: float = 1.0,
    ) -> "Batch":
        """Returns the arrays of a set of trajectories, read once and in order.

        Evidence that a record carries is used as it is; what is missing and can be read off the
        record (parsed, ran, expert, claim, resolved outcome) is filled in, see `assay.verify`.

        Args:
            trajectories: any iterable; records are not kept.
            measure: "characters" for a set in which some trajectory has no token ids.
                None: whichever fits the first one.
            pass_at: a trajectory passes at this outcome or above.

        Raises:
            MixedTokensError: some model steps have token ids, others not, and `measure` is None.
        """
        builder = Builder(measure=measure, pass_at=pass_at)
        builder.extend(trajectories)
        return Batch(**builder.arrays())

    @property
    def n_groups(self) -> int:
        """Groups, G."""
        return len(self.groups)

    @property
    def kept_K(self) -> Bool[np.ndarray, " K"]:
        """Which trajectories the gates let through."""
        return self.weight_K > 0

    @property
    def _counts_K(self) -> Bool[np.ndarray, " K"]:
        return self.kept_K if self.undrawn_K is None else self.kept_K | self.undrawn_K

    @property
    def earned_K(self) -> Float64[np.ndarray, " K"]:
        """What each trajectory earned, gated or not: its outcome, or what is compared for it."""
        return self.outcome_K if self.composed_K is None else self.composed_K

    @property
    def vote_K(self) -> Int64[np.ndarray, " K"]:
        """The trajectory that votes for each one, itself unless it shares a session: the last of
        the session that is kept and scored."""
        return voters(self.session_K, self._counts_K & ~np.isnan(self.earned_K))

    @property
    def once_K(self) -> Bool[np.ndarray, " K"]:
        """One trajectory of each session, whatever the gates said: the last that is scored, or the
        last; none that was helped. Whoever counts outcomes counts these."""
        vote_K = voters(self.session_K, ~np.isnan(self.outcome_K))
        return (vote_K == np.arange(len(self.ids))) & ~self.rescued_K

    @property
    def value_K(self) -> Float64[np.ndarray, " K"]:
        """What is compared (`earned_K`), of a session the one that votes: NaN where unscored or
        dropped, so that it moves no baseline."""
        return np.where(self._counts_K, self.earned_K[self.vote_K], np.nan)

    @property
    def voted_K(self) -> Float64[np.ndarray, " K"]:
        """`value_K` of those that vote, NaN elsewhere: each session once."""
        return np.where(self.vote_K == np.arange(len(self.ids)), self.value_K, np.nan)

    @property
    def own_S(self) -> Bool[np.ndarray, " S"]:
        """Steps that were sampled for their trajectory: not copied into it, as the examples in a
        prompt or what another trajectory said. Calls of the others are on no axis."""
        return self.untrainable_S != COPIED

    @property
    def once_S(self) -> Bool[np.ndarray, " S"]:
        """Own steps, each node of a tree once though several branches share it: in the first.
        Whoever counts what was done counts these."""
        once_S = self.own_S & (self.node_S < 0)
        at = np.flatnonzero(self.own_S & (self.node_S >= 0))
        once_S[at[np.unique(self.node_S[at], return_index=True)[1]]] = True
        return once_S

    @property
    def steps_R(self) -> Int64[np.ndarray, " R"]:
        """Step that each span is credited to; -1: not sampled, untrainable or dropped."""
        step = self.step_R
        carried_S = (self.untrainable_S < 0) & self.kept_K[self.traj_S]
        return np.where(np.append(carried_S, False)[step], step, -1)

    @property
    def all_sampled_R(self) -> Int64[np.ndarray, " R"]:
        """Trajectory that each span is credited to; -1: not sampled, untrainable or dropped."""
        return np.where(self.steps_R >= 0, self.traj_R, -1)

    @property
    def call_tokens_R(self) -> Int64[np.ndarray, " R"]:
        """Trajectory of each span of call tokens; -1 elsewhere."""
        return np.where(self.call_R >= 0, self.all_sampled_R, -1)

    @property
    def span_N(self) -> Int64[np.ndarray, " N"]:
        """Span of each token."""
        return np.repeat(np.arange(self.length_R.size), self.length_R)

    @property
    def correct_C(self) -> Float64[np.ndarray, " C"]:
        """Is each call correct by evidence? 1 it ran, and sibling, expert or state says so; 0 it
        did not run, or a level above `ran` looked and said no; NaN nobody above `ran` looked, or
        they said yes and nobody knows whether it ran."""
        above = np.stack([self.sibling_C, self.expert_C, self.on_path_C])
        right_C, looked_C = (above == 1).any(axis=0), (above >= 0).any(axis=0)
        unknown_C = ~looked_C | (right_C & (self.ran_C < 0))
        known_C = np.where(unknown_C, np.nan, right_C.astype(float))
        return np.where((self.ran_C == 0) | (self.parsed_C == 0), 0.0, known_C)

    def weighted(
        self,
        weight_K: Float64[np.ndarray, " K"],
        undrawn_K: Bool[np.ndarray, " K"] | None = None,
    ) -> "Batch":
        """Returns the batch with these weights; weight 0 stays in it, and moves nothing, unless it
        is undrawn."""
        some = undrawn_K is not None and bool(undrawn_K.any())
        return replace(self, weight_K=weight_K, undrawn_K=undrawn_K if some else None)

    def gated(self, decisions: Sequence[Decision]) -> "Batch":
        """Returns the batch with the weights that the gates decided, one decision per trajectory.

        Raises:
            AlignmentError: the decisions are not about this batch, in its order.
        """
        theirs = (d.trajectory for d in decisions)
        if len(decisions) != len(self.ids) or not all(map(eq, theirs, self.ids)):
            raise AlignmentError(
                f"got {len(decisions)} decisions; expected one for each of the batch's "
                f"{len(self.ids)} trajectories, in its order"
            )
        weight_K = np.fromiter((d.weight for d in decisions), float, len(decisions))
        undrawn = (d.weight == 0.0 and d.verdict == "weight" for d in decisions)
        return self.weighted(weight_K, np.fromiter(undrawn, bool, len(decisions)))
