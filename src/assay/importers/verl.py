"""verl rollout dumps: `{step}.jsonl`, one line a row, v1 (`uid`) and legacy (`request_id`) keys.

The dump has decoded text only, without ids or mask, and special tokens are dropped, so turns are
gone too. Tool turns are cut out again only where the text holds `<tool_response>` blocks under a
user or tool role line, which is how the Qwen template writes them; this is counted, because a
policy can write such text itself.
"""

import re
from collections.abc import Iterator
from typing import final

from assay.errors import DataError
from assay.files.strict import parse
from assay.importers.base import Importer, Record, keys, prompt_name
from assay.importers.fields import to_float
from assay.importers.messages import arguments_text, as_text
from assay.records import Call, ModelStep, Span, Step, ToolStep, Trajectory, UserStep

_KEYS = keys("input output gts score step uid request_id reward_extra_info")
_RESULT_TURN = re.compile(
    r"(?:<\|im_end\|>\n?)?(?:<\|im_start\|>|\n)(?:user|tool)\n(?=<tool_response>)"
)
_NEXT_TURN = re.compile(r"\s*(?:<\|im_end\|>\n?)?(?:<\|im_start\|>|\n)?assistant\n")
_CALL = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)
_RESULT = re.compile(r"<tool_response>(.*?)</tool_response>(?:\n(?=<tool_response>))?", re.DOTALL)


@final
class Verl(Importer):
    """One dump or the folder of `trainer.rollout_data_dir`."""

    name = "verl"
    title = "verl rollout dump"
    record = "an object with input, output and score"
    needs = "input:text output:text step:int score"
    names = r"[0-9]+\.jsonl"
    called = "{step}.jsonl"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        prompt, step, at = record.need("input", str), record.whole("step"), record.origin()
        identity, group, trial = _identity(record, step, prompt)
        outcome = record.scored(record.number("score"))
        yield record.trajectory(
            prompt_name(prompt),
            (UserStep(text=prompt), *_turns(record.need("output", str), record)),
            trial=record.groups.trial(group) if trial is None else trial,
            id=identity or f"{at.path}/{at.index}",
            group=group,
            outcome=outcome,
            rewards=_rewards(record),
            reference=as_text(record.raw.get("gts")),
            policy_version=None if step is None else str(step),
        )


def _identity(record: Record, step: int | None, prompt: str) -> tuple[str, str, int | None]:
    """Returns id, group and trial: of the three-part uid (v1), else of step and prompt (legacy)."""
    uid = record.text("uid")
    parts = uid.rsplit("_", 2)
    if len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts[1:]):
        if len(parts[1]) > 15 or len(parts[2]) > 15:
            raise record.wrong("uid", repr(uid[:60]), "uid_session_index")
        if int(parts[2]) > 0:
            record.lose("further_output_of_session")
        return uid, parts[0], int(parts[1])
    if uid:
        record.lose("uid_of_unknown_form")
        return uid, uid, None
    request = record.maybe_name("request_id") or ""
    record.lose("group_is_prompt")
    return request, f"step{step}-{prompt_name(prompt)}", None


def _rewards(record: Record) -> dict[str, float | None]:
    """Returns the numbers that the reward function added; other columns are counted as lost."""
    extra = record.within("reward_extra_info").raw
    others = {key: value for key, value in record.raw.items() if key not in _KEYS}
    rewards: dict[str, float | None] = {}
    for key, value in (*others.items(), *extra.items()):
        if isinstance(value, (bool, int, float)):
            rewards[key] = to_float(value, f"{record.where}.{key}"[:200])
        elif value is not None:
            record.lose(f"column:{key}"[:80])
    return dict(sorted(rewards.items()))


def _turns(text: str, record: Record) -> Iterator[Step]:
    """Yields model steps and, where the template's markers show them, tool steps."""
    at, index = 0, 1
    record.lose("no_tokens")
    while (cut := _RESULT_TURN.search(text, at)) is not None:
        results, after = _results(text, cut.end())
        if not results:
            break
        record.lose("turn_from_markers")
        step = _model(text[at : cut.start()], record)
        yield step
        for number, result in enumerate(results):
            call = (index, number) if number < len(step.calls) else None
            if call is None:
                record.lose("result_of_no_call")
            yield ToolStep(text=result, name=step.calls[number].name if call else "", call=call)
        at, index = after, index + 1 + len(results)
        turn = _NEXT_TURN.match(text, at)
        at = at if turn is None else turn.end()
    if at < len(text) or index == 1:
        yield _model(text[at:], record)


def _results(text: str, at: int) -> tuple[list[str], int]:
    """Returns the `<tool_response>` blocks that follow each other at `at`, and where they end."""
    results: list[str] = []
    while (block := _RESULT.match(text, at)) is not None:
        results.append(block[1].strip("\n"))
        at = block.end()
    return results, at


def _model(text: str, record: Record) -> ModelStep:
    """Returns a model step with its `<think>` span and its `<tool_call>` calls."""
    text = text.removesuffix("<|im_end|>")
    spans: tuple[Span, ...] = ()
    start, end = text.find("<think>"), text.find("</think>")
    if 0 <= start < end:
        spans = (Span(role="think", start=start, end=end + len("</think>")),)
    calls: list[Call] = []
    for found in _CALL.finditer(text):
        call = _call(found[1], record.where) if found[2] else None
        if call is None:
            record.lose("call_not_parsed" if found[2] else "call_not_closed")
        else:
            calls.append(call)
    return ModelStep(text=text, calls=tuple(calls), spans=spans)


def _call(text: str, where: str) -> Call | None:
    """Returns the call that the policy wrote as JSON, or None where it is none."""
    try:
        value = parse(text.encode("utf-8", "surrogatepass"), where)
    except DataError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    return Call(name=value["name"], arguments=arguments_text(value.get("arguments")))
