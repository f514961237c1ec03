"""What exporters count, in a sentence each; see `assay.audit.kinds` for the form."""

from typing import Final

TRACE_ONLY: Final = "advantage_of_trace_only"

SENTENCES: Final = {
    TRACE_ONLY: "{n} [trajectory has|trajectories have] no token ids: the one advantage of the "
    "whole trace is written, and none of a token",
    "branch_as_trace": "{n} [branch|branches] of a tree [became a trace|became traces] alone",
    "dropped": "{n} [trajectory was|trajectories were] dropped by the gates ({of}) and left out",
    "dropped_as_0": "{n} [trajectory was|trajectories were] dropped by the gates ({of}) and "
    "[has|have] advantages of 0",
    "dropped_and_said": "{n} [trajectory was|trajectories were] dropped by the gates ({of}): what "
    "is written says so, and has no advantage",
    "no_logprobs": "{n} [trajectory has|trajectories have] no log-probabilities to write",
    "no_one_advantage_of_the_trace": "{n} [trace has|traces have] several advantages, so none of "
    "the whole trace",
    "no_token_ids": "{n} [trajectory has|trajectories have] no token ids and [is|are] left out",
    "node_of_several_credits": "{n} [node has|nodes have] another credit in each of several "
    "branches: the last one counts",
    "node_scored_in_part": "{n} [node is|nodes are] unscored in part and [has|have] no advantage",
    "not_per_token": "{n} [trajectory has|trajectories have] steps of several advantages, and "
    "which token gets which is not known: left out",
    "nothing_sampled": "{n} [trajectory has|trajectories have] no token that the policy sampled",
    "repeated_id": "{n} [trace has|traces have] the id of another one and [is|are] left out",
    "same_tokens_other_credit": "{n} [trajectory has|trajectories have] the tokens of another one "
    "and other advantages",
    "unscored": "{n} [trajectory has|trajectories have] no advantage and [is|are] left out",
    "unscored_token_as_0": "{n} [token is|tokens are] unscored and [has|have] advantages of 0",
    "unscored_token_masked": "{n} [token is|tokens are] unscored and masked",
}
