"""What importers counted, in a sentence each: what puts numbers in doubt (`audit.kinds`), the rest.

A kind that is in neither table, a key of the log above all, stands under its name alone.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from assay.audit.kinds import SENTENCES, SOME_TOKENS, told

_REST: Final[Mapping[str, str]] = {
    "no_outcome": "{n} [trajectory has|trajectories have] no outcome",
    "no_task": "{n} [trajectory names|trajectories name] no task, which its prompt or place names",
    SOME_TOKENS: "{n} [trajectory has|trajectories have] token ids and others have none: lengths "
    "are in characters",
    "no_tokens": "{n} [trajectory has|trajectories have] no token ids",
    "group_is_prompt": "{n} [trajectory is|trajectories are] of no group by name: one prompt is "
    "one group",
    "addressee": "{n} [message says|messages say] to whom: not kept",
    "action_without_observation": "{n} [action has|actions have] no observation",
    "audio": "{n} [message is|messages are] sound: no text",
    "branch_as_trajectory": "{n} [branch|branches] beyond the first of a trace "
    "[is a trajectory|are trajectories]",
    "call_not_closed": "{n} [call|calls] in a text never [ends|end]: no call",
    "call_not_parsed": "{n} [call|calls] in a text could not be read: no call",
    "call_of_no_agent": "{n} [call was|calls were] made by somebody else than the agent: left out",
    "call_parse_error": "{n} [call was|calls were] malformed, as the log says",
    "copied_step": "{n} [step|steps] of a continued file [is a copy|are copies] and left out",
    "demonstration": "{n} [message is|messages are] of a demonstration in the prompt: left out",
    "engine_advantages": "{n} [record has|records have] advantages of the engine: computed anew",
    "entropies_misaligned": "{n} [step has|steps have] entropies for other tokens: left out",
    "environment_state": "{n} [step has|steps have] a state of the environment: not kept",
    "episode_without_prompt": "{n} [episode has|episodes have] no prompt file",
    "episode_without_trace": "{n} [episode holds|episodes hold] no trace",
    "episode_without_trajectory": "{n} [episode holds|episodes hold] no trajectory",
    "event_of_no_kind": "{n} [event is|events are] of no known kind",
    "exit_message": "{n} [message is|messages are] the harness's last word: not a step",
    "exit_status": "{n} [trajectory ended|trajectories ended] in {of}, whose meaning is not known",
    "failure_mode": "{n} [trial failed|trials failed] by {of}, whose meaning is not known",
    "failure_tried_again": "{n} [failure was|failures were] tried again: the last try counts",
    "full_duplex": "{n} [conversation is|conversations are] spoken, and [has|have] no messages",
    "info": "{n} [record has|records have] more of the environment's own: not kept",
    "invalidated_sample": "{n} [sample was|samples were] called invalid: unscored",
    "labelled_agent_differs": "{n} [label names|labels name] another agent than the one that spoke",
    "logprobs_misaligned": "{n} [step has|steps have] log-probabilities for other tokens: left out",
    "logprobs_without_tokens": "{n} [step has|steps have] log-probabilities and no token ids",
    "max_reward_differs": "{n} [summary has|summaries have] another reward than the last turn",
    "metrics": "{n} [record holds|records hold] metrics and no spans: left out",
    "observation_tokens_not_split": "tokens between {n} [pair|pairs] of turns are of several "
    "messages, and not told apart",
    "prefix_break": "the token ids of {n} [turn do|turns do] not continue those before",
    "prompt_not_tokens": "{n} [prompt is|prompts are] not token ids alone",
    "reasoning_repeats_message": "{n} [message stands|messages stand] as reasoning too: read once",
    "rejected_turn_without_text": "{n} rejected [turn has|turns have] no text",
    "repeated_event": "{n} [event stands|events stand] twice and [is|are] read once",
    "repeated_line": "{n} [line stands|lines stand] twice and [is|are] read once",
    "replay_config": "{n} [record has|records have] a replay that names no model",
    "replayed_call": "{n} [call stands|calls stand] twice and [is|are] read once",
    "replayed_result": "{n} [result stands|results stand] twice and [is|are] read once",
    "review_of_unknown_turn": "{n} [review is|reviews are] of a turn that is not there",
    "reward_not_computed": "{n} [part of a reward was|parts of rewards were] never computed: "
    "unscored",
    "reward_weight": "{n} [part of a reward has|parts of rewards have] a weight, and "
    "[counts|count] by it",
    "score_of_infra_failure": "{n} [trajectory that infrastructure stopped has a score|trajectories"
    " that infrastructure stopped have scores]: unscored",
    "score_per_token": "{n} [score is|scores are] given token by token: their sum counts",
    "several_blocks": "{n} [message holds|messages hold] several blocks of code: no call",
    "side_turn": "{n} [turn is|turns are] no turn of the agent's own, but of its client beside it",
    "span_in_characters": "{n} [stretch of thought is|stretches of thought are] counted in "
    "characters beside token ids: left out",
    "step_extra": "{n} [step holds|steps hold] more of its writer's own: not kept",
    "step_without_model": "{n} [step was|steps were] written by the scaffold: not the policy's",
    "subagent_reference": "{n} [result names|results name] the file of another agent: not read",
    "subagent_trajectory": "{n} [trajectory is|trajectories are] of agents that the agent called: "
    "not read",
    "termination": "{n} [episode ended|episodes ended] in {of}, whose meaning is not known",
    "tool_run_again": "{n} [tool|tools] ran again for one call: the last run counts",
    "tool_span_of_no_call": "{n} [tool ran|tools ran] and no call of the model's asks for it: "
    "left out",
    "termination_reason": "{n} [run ended|runs ended] in {of}, whose meaning is not known",
    "text_not_aligned": "{n} [row has|rows have] texts that do not line up with the tokens",
    "tokens_of_several_calls": "{n} [step has|steps have] the tokens of several model calls: left "
    "out",
    "trace_without_message": "{n} [trace holds|traces hold] no message",
    "trainer_logprobs": "{n} [row has|rows have] log-probabilities of the trainer too: not kept",
    "turns_not_aligned": "of {n} [rollout|rollouts] saved turns do not line up with messages: no "
    "token ids",
    "uid_of_unknown_form": "{n} [row has|rows have] a uid of unknown form: a group of its own",
    "user_side_action": "{n} expected [action is|actions are] the user's: left out",
    "user_side_call": "{n} [call is|calls are] the user's: left out",
    "without_consent": "{n} [turn is|turns are] of sessions whose consent was taken back: left out",
}


def explained(losses: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
    """Yields kind, count and what they mean; "" where no table has the kind."""
    for name, count in losses.items():
        kind, _, of = name.partition(":")
        sentence = SENTENCES.get(kind) or _REST.get(kind, "")
        about_it = not of or "{of}" in sentence  # else the sentence is of a kind, `of` of a key
        yield name, count, told(sentence, count, of) if about_it else ""
