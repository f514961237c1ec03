"""Inspect logs, `.eval` (a zip) and `.json`, read with the standard library only.

Samples are tasks and epochs are trials. The outcome is the first scorer's value, by Inspect's own
reading of it (C 1, P 0.5, I and N 0, yes and no, numbers); NaN is its mark for "not scored".
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.files.lines import MAX_RECORD
from assay.importers.archive import members
from assay.importers.base import Importer, Losses, Probe
from assay.importers.folders import files_of
from assay.importers.messages import count_keys, origin, steps_of, take, typed
from assay.importers.reading import contents, parse
from assay.importers.tokens import Groups, to_float, whole
from assay.records import End, Mark, Origin, Trajectory

_WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_TRUTH = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_REFERENCE = re.compile(r"attachment://([0-9a-f]{32})")
_MESSAGE_KEYS = frozenset(
    [
        "id",
        "role",
        "content",
        "source",
        "metadata",
        "model",
        "tool_calls",
        "tool_call_id",
        "function",
        "error",
        "internal",
    ]
)
_START = re.compile(rb'\s*\{\s*"version":\s*\d+,\s*"status":\s*"[a-z]+",\s*"eval":\s*\{')
_INVALID = Mark(kind="review", text="sample invalidated", source="inspect")
_UNREAD = ("events", "store", "timelines", "error_retries")


@final
class Inspect(Importer):
    """One log, or a folder of `.eval` logs."""

    name: ClassVar[str] = "inspect"
    title: ClassVar[str] = "Inspect logs"

    def recognises(self, probe: Probe) -> bool:
        if probe.names:
            return any(name.endswith(".eval") for name in probe.names)
        if probe.head.startswith(b"PK\x03\x04"):
            return _has_header(probe.path)
        if probe.first is None:  # NaN is no strict JSON, but Inspect writes it
            return _START.match(probe.head) is not None
        return probe.has("version", "eval") and _is_spec(probe.first["eval"])

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        groups = Groups()
        for file in files_of(path, lambda name: name.endswith(".eval"), "*.eval", losses):
            header, samples = _open(file)
            spec = take(header, "eval", dict, str(file))
            for index, (where, sample) in enumerate(samples):
                sample = typed(sample, dict, where, "a sample object")
                at = origin("inspect", file, index)
                yield _trajectory(sample, spec, where, at, groups, losses)


def _is_spec(value: Any) -> bool:
    return isinstance(value, dict) and all(key in value for key in ("task", "model"))


def _has_header(path: Path) -> bool:
    try:
        names = {name for name, _ in members(path, lambda name: False)}
    except DataError:
        return False
    return bool(names & {"header.json", "_journal/start.json"})


def _open(path: Path) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    """Returns the header of a log and its samples, one at a time."""
    try:
        with path.open("rb") as stream:
            zipped = stream.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    if not zipped:
        log = typed(_parse(contents(path), str(path)), dict, str(path), "an Inspect log object")
        samples = take(log, "samples", list, str(path), default=[])
        return log, ((f"{path}.samples[{i}]", sample) for i, sample in enumerate(samples))
    headers = ("header.json", "_journal/start.json")
    found = {n: data for n, data in members(path, lambda name: name in headers) if data is not None}
    for name in headers:
        if name in found:
            where = f"{path}:{name}"
            return typed(_parse(found[name], where), dict, where, "a header"), _samples(path)
    raise DataError(f"{path}: no header.json in the archive; expected an Inspect .eval log")


def _samples(path: Path) -> Iterator[tuple[str, Any]]:
    for name, data in members(path, lambda n: n.startswith("samples/") and n.endswith(".json")):
        if data is not None:
            yield f"{path}:{name}", _parse(data, f"{path}:{name}")


def _parse(text: bytes, where: str) -> Any:
    """Returns the JSON value; Inspect writes NaN for "not scored", which strict JSON has not."""
    if b"NaN" in text:
        text = _without_nan(text)
    return parse(text, where)


_NAN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)|\bNaN\b', re.DOTALL)


def _without_nan(text: bytes) -> bytes:
    """Returns the text with each bare NaN as null; strings are left as they are."""
    return _NAN.sub(lambda m: b"null" if m[0] == b"NaN" else m[0], text)


def _trajectory(
    sample: dict[str, Any],
    spec: dict[str, Any],
    where: str,
    at: Origin,
    groups: Groups,
    losses: Losses,
) -> Trajectory:
    for key in _UNREAD:
        if sample.get(key):
            losses.add(key, where)
    name = str(take(sample, "id", (str, int), where))
    epoch = whole(sample, "epoch", where)
    model = take(spec, "model", str, "eval", default=None)
    task = f"{take(spec, 'task', str, 'eval')}/{name}"
    rewards = _rewards(sample, where, losses)
    end = _end(sample, where)
    invalid = sample.get("invalidation") is not None
    outcome = None if invalid else _outcome(sample, where, rewards, losses)
    if outcome is None:
        losses.add("invalidated_sample" if invalid else "no_outcome", where)
    return Trajectory(
        id=take(sample, "uuid", str, where, default="") or f"{task}/{epoch}",
        task=task,
        group=groups.name(task, model or ""),
        trial=epoch,
        steps=steps_of(_messages(sample, where, losses), f"{where}.messages", losses),
        outcome=outcome,
        rewards=rewards,
        reference=_reference(sample.get("target")),
        end=end,
        policy_version=model,
        marks=(Mark(kind="review", text="sample invalidated", source="inspect"),)
        if invalid
        else (),
        origin=at,
    )


def _reference(target: Any) -> str | None:
    if isinstance(target, str):
        return target or None
    return json.dumps(target, ensure_ascii=False) if target else None


def _end(sample: dict[str, Any], where: str) -> End:
    """Returns budget for the sample's own limits, infra for errors and a person's stop."""
    if sample.get("error") is not None:
        return "infra"
    limit = take(sample, "limit", dict, where, default=None)
    if limit is None:
        return "answered"
    return "infra" if take(limit, "type", str, f"{where}.limit") == "operator" else "budget"


def _rewards(sample: dict[str, Any], where: str, losses: Losses) -> dict[str, float | None]:
    """Returns every score as a number: one per scorer, or one per key of a scorer's dict."""
    rewards: dict[str, float | None] = {}
    for name, score in take(sample, "scores", dict, where, default={}).items():
        here = f"{where}.scores[{name!r}]"
        value = typed(score, dict, here, "a score object").get("value")
        if isinstance(value, dict):
            for key, one in value.items():
                rewards[f"{name}/{key}"] = _score(one, f"{here}.value", losses)
        else:
            rewards[name] = _score(value, f"{here}.value", losses)
    return rewards


def _score(value: Any, where: str, losses: Losses) -> float | None:
    """Returns a score as a number; None, counted, where it is not one."""
    if value is None:
        return None
    if isinstance(value, (bool, int, float)):
        return to_float(value, where)
    if isinstance(value, str):
        known = _WORDS.get(value, _TRUTH.get(value.lower()))
        if known is not None:
            return known
        if re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", value):
            return float(value)
    losses.add("score_not_a_number", where)
    return None


def _outcome(
    sample: dict[str, Any], where: str, rewards: dict[str, float | None], losses: Losses
) -> float | None:
    """Returns the first scorer's value; a dict of several numbers has none."""
    scores = take(sample, "scores", dict, where, default={})
    if len(scores) > 1:
        losses.add("outcome_is_first_scorer", where)
    first = next(iter(scores), None)
    if first is None:
        return None
    value = scores[first].get("value")
    if not isinstance(value, dict):
        return rewards[first]
    return next(iter(rewards.values())) if len(value) == 1 else None


def _messages(sample: dict[str, Any], where: str, losses: Losses) -> list[dict[str, Any]]:
    """Returns the messages in the common chat form, attachments put back."""
    attachments = take(sample, "attachments", dict, where, default={})
    left = [MAX_RECORD]
    messages: list[dict[str, Any]] = []
    for index, raw in enumerate(take(sample, "messages", list, where, default=[])):
        here = f"{where}.messages[{index}]"
        raw = typed(raw, dict, here, "a message object")
        count_keys(raw, _MESSAGE_KEYS, here, losses, kind="message_key")
        raw = _resolved(raw, attachments, left, here, losses)
        message = {key: raw.get(key) for key in ("role", "tool_call_id")}
        message["content"], message["reasoning_content"] = _content(raw.get("content"), here)
        if raw.get("role") == "tool":
            message["name"] = raw.get("function")
            fault = take(raw, "error", dict, here, default=None)
            message["is_error"] = fault is not None
            if fault is not None and not message["content"]:
                message["content"] = fault.get("message")
        if raw.get("tool_calls"):
            message["tool_calls"] = [
                _call(call, f"{here}.tool_calls", losses)
                for call in take(raw, "tool_calls", list, here)
            ]
        messages.append(message)
    return messages


def _content(content: Any, where: str) -> tuple[Any, str | None]:
    """Returns the content without its reasoning parts, and the reasoning."""
    if not isinstance(content, list):
        return content, None
    thoughts = [
        take(part, "reasoning", str, where, default="")
        for part in content
        if isinstance(part, dict) and part.get("type") == "reasoning"
    ]
    rest = [p for p in content if not (isinstance(p, dict) and p.get("type") == "reasoning")]
    return rest, "\n".join(thoughts) or None


def _call(call: Any, where: str, losses: Losses) -> dict[str, Any]:
    call = typed(call, dict, where, "a tool call object")
    if call.get("parse_error"):
        losses.add("call_parse_error", where)
    name = take(call, "function", str, where)
    return {"id": call.get("id"), "function": {"name": name, "arguments": call.get("arguments")}}


def _resolved(
    value: Any, attachments: dict[str, Any], left: list[int], where: str, losses: Losses
) -> Any:
    """Returns `value` with every attachment reference replaced by its text.

    `left` is how many more characters may be put in: a few references to one long attachment
    could otherwise unfold without end.
    """
    if isinstance(value, str):

        def text_of(match: re.Match[str]) -> str:
            text = attachments.get(match[1])
            if not isinstance(text, str):
                losses.add("attachment_missing", where)
                return match[0]
            left[0] -= len(text)
            if left[0] < 0:
                raise DataError(f"{where}: attachments unfold to over {MAX_RECORD:,} characters")
            return text

        return _REFERENCE.sub(text_of, value) if "attachment://" in value else value
    if isinstance(value, list):
        return [_resolved(one, attachments, left, where, losses) for one in value]
    if isinstance(value, dict):
        return {k: _resolved(one, attachments, left, where, losses) for k, one in value.items()}
    return value
