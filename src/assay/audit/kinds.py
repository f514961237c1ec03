"""What losses of importers mean for whoever reads the numbers: one sentence a kind, all here.

A kind that is not here says nothing about the numbers; it stands in the table of what was not
carried over. `{n}` is its count, `{of}` what stands behind its colon, and of `[one|many]` the first
is said where the count is 1.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

SOME_TOKENS: Final = "tokens_of_some"
"""Counts the trajectories that have token ids, where others have none; `audit.warnings` says it."""
SENTENCES: Final[Mapping[str, str]] = {
    # of any format
    "torn_record": "{n} [record is|records are] cut short or damaged and not read: what a killed "
    "run left unfinished counts nowhere",
    "not_a_number": "{n} [number is|numbers are] NaN or infinite in the log and read as missing: "
    "a reward of NaN is unscored",
    "not_a_log": "{n} [file was|files were] not read: of no format that is known",
    "other_format": "{n} [file was|files were] not read: of another format, {of}; --format {of} "
    "reads [it|them]",
    "other_name": "{n} [file was|files were] not read: of the format {of}, beside those that have "
    "the name it gives its files; audit [it alone|them apart]",
    "repeated_id": "{n} trajectory [id occurs|ids occur] more than once and [was|were] told apart: "
    "one trajectory that is logged twice counts twice",
    "no_group_key": "{n} [trajectory has|trajectories have] no key that --group names and [is|are] "
    "grouped apart, as the format says",
    "no_outcome_key": "{n} [trajectory has|trajectories have] no number that --outcome names: "
    "unscored",
    "label_of_no_trajectory": "{n} [label is|labels are] of no trajectory of this log",
    "invalid_reward": "{n} [reward was|rewards were] called invalid by the log itself: unscored",
    # TRL and verl
    "repeated_batch": "{n} [row stands in a file that equals|rows stand in files that equal] the "
    "file before and [is|are] read once: batches repeat where num_iterations is above 1",
    "step_without_file": "{n} [step|steps] between the first and the last of the log "
    "[has|have] no file: what was sampled there is not in it",
    "evaluation_not_told": "an evaluation in a run overwrites the file of its step, and whether "
    "there was one is not in this log: a checkpoint in the trainer's output folder would say",
    "evaluation_in_file": "{n} [file is|files are] of a step at which the run was evaluated and "
    "[holds|hold] rows of the evaluation, not of training",
    "advantages_not_explained": "the advantages in {n} [row|rows] of the log do not follow from "
    "the sum of its rewards: weights, or a column that is no reward; name the outcome with "
    "--outcome",
    "reward_or_extra": "column {of} may be a reward or something logged beside it, and counts as a "
    "reward; name the outcome with --outcome",
    "idle_column": "column {of} never differs inside a group, so nothing tells whether it is a "
    "reward; it is left out of the outcome",
    "reward_weights_unknown": "how the parts of the reward are weighted is not in the log: their "
    "sum is the outcome; name another with --outcome",
    "turns_not_separable": "{n} [text holds|texts hold] marks of tools that could not be split "
    "into turns: what a tool returned counts as the policy's own text",
    "turn_from_markers": "{n} [turn was|turns were] told by marks in the text, which a policy can "
    "write itself",
    "no_reward_extras": "the log has one score and no parts of it, so an outcome and a shaped "
    "score cannot be told apart",
    # engines that leave something out
    "equal_scores_not_written": "groups of equal scores were left out by the engine: the share of "
    "dead groups is a lower bound, and pass rates are of what it kept",
    "rewards_before_filter": "rewards were logged before the engine's filter, advantages after it",
    "failures_file_missing": "rollouts that failed are in a file of their own, which is not there: "
    "the share of infrastructure is a lower bound",
    "plan_file_missing": "the plan of the run is not there: what was killed counts nowhere",
    "planned_not_run": "{n} planned [rollout is|rollouts are] in no file: groups are smaller than "
    "planned",
    "rollout_raised": "{n} [rollout|rollouts] raised and [is no row|are no rows] of the log: the "
    "share of infrastructure is a lower bound",
    "reward_zero_or_unset": "{n} [reward of 0 is a failure or was|rewards of 0 are failures or "
    "were] never set: the format does not tell",
    "reward_nan": "{n} [reward was|rewards were] NaN: unscored",
    "evaluation_dump": "the log is of an evaluation: its groups are by prompt, and shares say "
    "nothing of training",
    "of_evaluation": "{n} [trajectory is|trajectories are] of an evaluation ({of}), in groups of "
    "[its|their] own: where the log holds training too, rates are of both; audit one folder of it",
    "trial_without_result": "{n} [trial has|trials have] no result yet: still running, or killed",
    "no_text": "{n} [trajectory has|trajectories have] an outcome and no text: calls, errors and "
    "claims cannot be said",
    # sessions of agents
    "call_from_text": "{n} [call was|calls were] read off the text of messages: one that is "
    "written otherwise is not seen",
    "result_from_user_message": "{n} [message|messages] of the user [was|were] read as the result "
    "of a call",
    "other_branch": "{n} [message lies|messages lie] on branches that were given up: only the one "
    "that the session ended on is read",
    "compaction": "the history was compacted {n} [time|times]: what the agent saw from there on is "
    "a summary",
    "copied_from_other_session": "{n} [turn was|turns were] copied from another session and "
    "[counts|count] there",
    "model_failed": "{n} [conversation|conversations] ended in an error of the harness or of the "
    "model's server: unscored",
    "verdict_missing": "the verdict is in a report of its own that is not beside the log: what has "
    "none in the log itself is unscored",
    "result_not_in_log": "{n} [call|calls] ran at the provider, and [its result is|their results "
    "are] not in the log",
    "rolled_back": "{n} [turn|turns] of the user [was|were] taken back and [is|are] left out",
    "result_of_no_call": "{n} [result answers|results answer] no call that is open: whether some "
    "calls ran is unknown",
    # evaluations
    "outcome_is_scorer": "several scorers judged, and {of}, which the log's headline is of, is the "
    "outcome: name another with --outcome",
    "scorer_absent": "{n} [sample was|samples were] not judged by {of}, whose value is the "
    "outcome: unscored, whatever other scorers say",
    "outcome_not_named": "{n} [trial has|trials have] several rewards, none of them called reward: "
    "unscored; name one with --outcome",
    "step_without_trajectory": "{n} [step of a trial has|steps of trials have] no trajectory: what "
    "was done there is not seen",
    "continuation_missing": "{n} [trajectory goes|trajectories go] on in a file that is not there: "
    "how [it|they] ended is not seen",
    "repeated_episode": "{n} [episode stands|episodes stand] in more than one file of the run and "
    "[is|are] read once",
    "repeated_log": "{n} [file holds|files hold] a log that another file holds too: it is read "
    "once",
    "annotations_not_read": "what a trainer wrote about the traces ({n} [file|files] beside them) "
    "is not read",
    "rejected_turn": "{n} [turn|turns] of the model [was|were] rejected by the harness before "
    "anything ran",
    "reward_of_failure": "{n} [rollout|rollouts] ended in an error, where the format writes a "
    "reward of 0 that nobody gave: unscored",
    "terminal_not_read": "{n} [trial keeps|trials keep] a recording of the terminal instead of "
    "calls: what ran there is not read",
    "call_outside_conversation": "{n} [call|calls] to models [is|are] outside the conversation of "
    "[its|their] task and not read: of another agent, or after the history was cut",
    "metadata_missing": "{n} [file has|files have] no metadata beside: tasks of several "
    "environments, or attempts of several models, may share a group",
    # more of engines and evaluations
    "no_trajectory": "{n} [trial has|trials have] no trajectory: calls, errors and claims "
    "cannot be said of [it|them]",
    "harness_message": "{n} [text|texts] of the harness [stands where a result does and "
    "answers|stand where results do and answer] no call",
    "reward_masked": "{n} [sample is|samples are] masked by the environment, so [its reward "
    "is|their rewards are] no measurement: unscored",
    "failure_kind": "{n} [rollout names|rollouts name] a failure ({of}) and [says|say] that "
    "[its reward was|their rewards were] measured all the same: scored",
    "evaluation_failed": "the evaluation itself failed for {n} [trajectory|trajectories]: unscored",
    "repeated_history": "{n} [row repeats|rows repeat] the one before: the last of a trial counts",
    "tokens_not_aligned": "of {n} [rollout|rollouts] it is not said which messages were trained: "
    "no token ids",
    "null_argument": "{n} [call has|calls have] arguments that are null, as tables write what is "
    "absent: read as absent",
    # more of sessions
    "no_messages": "{n} [file holds|files hold] bookkeeping alone and no message",
    "api_error": "{n} [request|requests] to the model failed and [is no turn|are no turns] of the "
    "agent",
    "attachment": "{n} [attachment|attachments] went into the prompt in a form that the log does "
    "not show",
    "encrypted_reasoning": "{n} [piece of reasoning is|pieces of reasoning are] encrypted or left "
    "out",
    "encrypted_summary": "{n} [summary|summaries] of the history [is|are] encrypted",
    "malformed_arguments": "the arguments of {n} [call|calls] were no JSON and are not in the log: "
    "not parsed",
    "parent_missing": "{n} [message names|messages name] a parent that is not in the file: the one "
    "before is taken",
    "copied_line": "{n} [line is a copy|lines are copies] of the calling session and left out",
    "branch_summary": "{n} [branch was|branches were] left with a summary, all that the agent knew "
    "of [it|them] after",
    "message_without_id": "{n} [message has|messages have] no id in a file whose others are a "
    "tree: read in order",
    "message_of_no_session": "{n} [message comes|messages come] before any session begins and "
    "[is|are] left out",
    "tokens_of_no_turn": "{n} token [event follows|events follow] no turn of the model",
    # traces
    "scope_not_tested": "{n} model [call comes|calls come] from {of}, a version that this reader "
    "was not tested with: compare one conversation with its trace before you trust the rest",
    "scope_not_said": "{n} model [call does|calls do] not say which instrumentation wrote "
    "[it|them]",
    "attribute_cut": "{n} model [call has|calls have] messages that a length limit cut: what was "
    "said is lost (OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT)",
    "conversation_cut": "{n} [conversation was|conversations were] left out, because a length "
    "limit cut the messages of a model call: counts and rates are of the others",
    "history_rewritten": "the history was rewritten {n} [time|times] between two model calls: the "
    "turns are what was said, not what the model saw",
    "history_start_evicted": "the first {n} [message|messages] of model calls are missing, evicted "
    "by a span's limit: the prompt, and so the group, may be wrong",
    "role_evicted": "{n} [message has|messages have] no role, evicted by a span's limit, and "
    "[is|are] read as the user's",
    "content_not_captured": "{n} model [call has|calls have] no messages: they are recorded only "
    "with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY or SPAN_AND_EVENT",
    "content_redacted": "{n} [message was|messages were] blanked before the log was written",
    "result_not_captured": "{n} [result is|results are] known to exist and not in the log: whether "
    "the call ran is told by its span alone",
    "choice_not_read": "{n} [answer is|answers are] one of several to a model call, and only the "
    "first is read",
    "several_evaluations": "{n} [trajectory has|trajectories have] several evaluations, so none is "
    "the outcome: name one with --outcome",
    "evaluation_without_score": "{n} [evaluation gives|evaluations give] a label and no score: "
    "unscored",
    "evaluation_repeated": "{n} [evaluation was|evaluations were] given again under the same name: "
    "the last counts",
    "evaluation_of_nothing": "{n} [evaluation is|evaluations are] of no model call in the log",
}


def sentences(losses: Mapping[str, int]) -> Iterator[str]:
    """Yields what the losses mean, in the order of the table."""
    for kind, sentence in SENTENCES.items():
        for name, count in losses.items():
            head, _, of = name.partition(":")
            if head == kind:
                yield told(sentence, count, of)


def told(sentence: str, count: int, of: str = "") -> str:
    """Returns a sentence with its numbers, and in the number that they ask for."""
    number = re.sub(r"\[([^|\]]*)\|([^\]]*)\]", rf"\{1 if count == 1 else 2}", sentence)
    return number.replace("{n}", f"{count:,}").replace("{of}", of)
