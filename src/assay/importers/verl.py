"""verl rollout dumps: `{step}.jsonl`, one line a row, v1 (`uid`) and legacy (`request_id`) keys.

The dump has decoded text only, without ids or mask, and special tokens are dropped, so turns are
gone too. Tool turns are cut out again only where the text holds `<tool_response>` blocks under a
user or tool role line, which is how the Qwen template writes them; this is counted, because a
policy can write such text itself.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.folders import files_of
from assay.importers.messages import arguments_text, number, origin, take, typed
from assay.importers.reading import documents, parse
from assay.importers.tokens import Groups, to_float, whole
from assay.records import Call, ModelStep, Origin, Span, Step, ToolStep, Trajectory, UserStep

_KEYS = frozenset(
    [
        "input",
        "output",
        "gts",
        "score",
        "step",
        "uid",
        "request_id",
        "reward_extra_info",
    ]
)
_FILE = re.compile(r"[0-9]+\.jsonl")
_RESULT_TURN = re.compile(
    r"(?:<\|im_end\|>\n?)?(?:<\|im_start\|>|\n)(?:user|tool)\n(?=<tool_response>)"
)
_NEXT_TURN = re.compile(r"\s*(?:<\|im_end\|>\n?)?(?:<\|im_start\|>|\n)?assistant\n")
_OPEN, _CLOSE = "<tool_response>", "</tool_response>"


@final
class Verl(Importer):
    """One dump or the folder of `trainer.rollout_data_dir`."""

    name: ClassVar[str] = "verl"
    title: ClassVar[str] = "verl rollout dump"

    def recognises(self, probe: Probe) -> bool:
        first = probe.first
        names = [name for name in probe.names if _is_file(name.rsplit("/", 1)[-1])]
        if names:
            try:
                first = next(documents(probe.path / names[0]), ("", None))[1]
            except DataError:
                return False
        return (
            isinstance(first, dict)
            and all(
                type(first.get(key)) in kinds
                for key, kinds in (("input", (str,)), ("output", (str,)), ("step", (int,)))
            )
            and "score" in first
        )

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        groups = Groups()
        for file in files_of(path, _is_file, "{step}.jsonl", losses):
            for index, (where, row) in enumerate(documents(file)):
                row = typed(row, dict, where, "an object with input, output and score")
                at = origin("verl", file, index)
                yield _trajectory(row, where, at, groups, losses)


def _is_file(name: str) -> bool:
    return _FILE.fullmatch(name) is not None


def _trajectory(
    row: dict[str, Any], where: str, at: Origin, groups: Groups, losses: Losses
) -> Trajectory:
    prompt = take(row, "input", str, where)
    step = whole(row, "step", where)
    identity, group, trial = _identity(row, where, step, prompt, losses)
    outcome = number(row, "score", where)
    if outcome is None:
        losses.add("no_outcome", where)
    return Trajectory(
        id=identity or f"{at.path}/{at.index}",
        task=f"prompt-{_digest(prompt)}",
        group=group,
        trial=groups.trial(group) if trial is None else trial,
        steps=(UserStep(text=prompt), *_turns(take(row, "output", str, where), where, losses)),
        outcome=outcome,
        rewards=_rewards(row, where, losses),
        reference=_reference(row.get("gts")),
        policy_version=None if step is None else str(step),
        origin=at,
    )


def _reference(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _identity(
    row: dict[str, Any], where: str, step: int | None, prompt: str, losses: Losses
) -> tuple[str, str, int | None]:
    """Returns id, group and trial: of the three-part uid (v1), else of step and prompt (legacy)."""
    uid = take(row, "uid", str, where, default="")
    parts = uid.rsplit("_", 2)
    if len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts[1:]):
        if len(parts[1]) > 15 or len(parts[2]) > 15:
            raise DataError(f"{where}.uid: got {uid[:60]!r}; expected uid_session_index")
        if int(parts[2]) > 0:
            losses.add("further_output_of_session", where)
        return uid, parts[0], int(parts[1])
    if uid:
        losses.add("uid_of_unknown_form", where)
        return uid, uid, None
    request = take(row, "request_id", (str, int), where, default="")
    losses.add("group_is_prompt", where)
    return str(request), f"step{step}-prompt-{_digest(prompt)}", None


def _rewards(row: dict[str, Any], where: str, losses: Losses) -> dict[str, float | None]:
    """Returns the numbers that the reward function added; other columns are counted as lost."""
    extra = take(row, "reward_extra_info", dict, where, default={})
    rewards: dict[str, float | None] = {}
    for key, value in [*((k, row[k]) for k in row.keys() - _KEYS), *extra.items()]:
        if isinstance(value, (bool, int, float)):
            rewards[key] = to_float(value, f"{where}.{key}"[:200])
        elif value is not None:
            losses.add(f"column:{key}"[:80], where)
    return dict(sorted(rewards.items()))


def _turns(text: str, where: str, losses: Losses) -> Iterator[Step]:
    """Yields model steps and, where the template's markers show them, tool steps."""
    at, index = 0, 1
    losses.add("no_tokens", where)
    while (cut := _RESULT_TURN.search(text, at)) is not None:
        results, after = _results(text, cut.end())
        if not results:
            break
        losses.add("turn_from_markers", where)
        step = _model(text[at : cut.start()], where, losses)
        yield step
        for number_, result in enumerate(results):
            call = (index, number_) if number_ < len(step.calls) else None
            if call is None:
                losses.add("result_of_no_call", where)
            yield ToolStep(text=result, name=step.calls[number_].name if call else "", call=call)
        at, index = after, index + 1 + len(results)
        turn = _NEXT_TURN.match(text, at)
        at = at if turn is None else turn.end()
    if at < len(text) or index == 1:
        yield _model(text[at:], where, losses)


def _results(text: str, at: int) -> tuple[list[str], int]:
    """Returns the `<tool_response>` blocks that follow each other at `at`, and where they end."""
    results: list[str] = []
    while text.startswith(_OPEN, at):
        end = text.find(_CLOSE, at)
        if end < 0:
            break
        results.append(text[at + len(_OPEN) : end].strip("\n"))
        at = end + len(_CLOSE)
        if text.startswith("\n" + _OPEN, at):
            at += 1
    return results, at


def _model(text: str, where: str, losses: Losses) -> ModelStep:
    """Returns a model step with its `<think>` span and its `<tool_call>` calls."""
    text = text.removesuffix("<|im_end|>")
    spans: tuple[Span, ...] = ()
    start, end = text.find("<think>"), text.find("</think>")
    if 0 <= start < end:
        spans = (Span(role="think", start=start, end=end + len("</think>")),)
    calls: list[Call] = []
    at = 0
    while (start := text.find("<tool_call>", at)) >= 0:
        end = text.find("</tool_call>", start)
        if end < 0:
            losses.add("call_not_closed", where)
            break
        call = _call(text[start + len("<tool_call>") : end], where)
        if call is None:
            losses.add("call_not_parsed", where)
        else:
            calls.append(call)
        at = end
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
