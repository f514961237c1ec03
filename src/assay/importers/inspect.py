"""Inspect logs, `.eval` (a zip) and `.json`, read with the standard library only.

Samples are tasks and epochs are trials. The outcome is the value of the scorer that the log's
headline is of, else of the first one; which that is is counted where there are several. Values are
read as Inspect does (C 1, P 0.5, I and N 0, yes and no, numbers); NaN is its mark for "not scored".
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.errors import DataError, TornError
from assay.files.archive import members
from assay.files.lines import MAX_RECORD
from assay.files.probe import Probe
from assay.files.reading import MAX_DOCUMENT, beginning, contents
from assay.files.strict import parse
from assay.importers.base import Importer, Log, Rank, Record, keys
from assay.importers.fields import Fields
from assay.importers.inspect_chunks import samples_in, whole
from assay.importers.messages import MESSAGE, as_text, partly_copied
from assay.records import End, Mark, Trajectory

_WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_TRUTH = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_REFERENCE = re.compile(r"attachment://([0-9a-f]{32}|[0-9]{1,9})")
"""By the hash of the text, or by its place where the sample is kept in chunks."""
_MESSAGE = keys(
    "id role content source metadata model tool_calls tool_call_id function error internal"
)
_ZIP = b"PK\x03\x04"
_HEADERS = ("header.json", "_journal/start.json")
_START = re.compile(rb'\s*\{\s*"version":\s*\d+,\s*"status":\s*"[a-z]+",\s*"eval":\s*\{')
_NAN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)|\bNaN\b', re.DOTALL)
_INVALID = Mark(kind="review", text="sample invalidated", source="inspect")
_CUT = ("max_tokens", "model_length")
"""Reasons to stop by which the policy ran out of tokens."""
_UNREAD = ("events", "store", "timelines", "error_retries")


@final
class Inspect(Importer):
    """One log, or a folder of logs in either form."""

    name = "inspect"
    title = "Inspect logs"
    record = "a sample object"
    needs = "version eval:object"
    names = r".*\.eval"
    called = "*.eval"

    def rank(self, seen: Probe) -> Rank:
        if seen.head.startswith(_ZIP):
            return Rank.CERTAIN if _has_header(seen.path) else Rank.NO
        if seen.first is None:  # NaN is no strict JSON, but Inspect writes it
            return Rank.CERTAIN if _START.match(seen.head) else Rank.NO
        own = not self.missing(seen) and {"task", "model"} <= seen.first["eval"].keys()
        whole_log = not seen.is_list and seen.has("status", "samples")
        return Rank.NO if not own else Rank.CERTAIN if whole_log else Rank.SHAPE

    def parts(self, file: Path) -> tuple[Path, ...]:
        return (file,)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, file in enumerate(log.files):
            header, samples = _open(file, log)
            spec = header.within("eval", needed=True)
            if log.groups.elsewhere(f"log {_identity(spec, file)}", file):
                log.losses.add("repeated_log", str(file))  # in the other of Inspect's two forms
                continue
            scorer = _scorer(header, spec)
            for index, (where, sample) in enumerate(samples):
                record = Record(sample, where, log, self, place, index)
                yield _trajectory(record, spec, scorer)


def _has_header(path: Path) -> bool:
    try:
        return any(name in _HEADERS for name, _ in members(path, lambda _: False))
    except DataError:
        return False


def _identity(spec: Fields, file: Path) -> str:
    """Returns what names a log, wherever a copy of it lies."""
    names = [spec.raw.get(key) for key in ("eval_id", "run_id", "task_id")]
    return " ".join(map(str, names)) if names[0] or names[1] else str(file)


def _open(path: Path, log: Log) -> tuple[Fields, Iterator[tuple[str, Any]]]:
    """Returns the header of a log and its samples, one at a time."""
    if not beginning(path).startswith(_ZIP):
        value = _parse(contents(path, most=MAX_DOCUMENT), str(path), MAX_DOCUMENT)
        header = Fields(value, str(path), log.losses, "an Inspect log object")
        samples = header.items("samples")
        return header, ((f"{path}.samples[{i}]", sample) for i, sample in enumerate(samples))
    found = dict(members(path, lambda name: name in _HEADERS))
    for name in _HEADERS:
        if (data := found.get(name)) is not None:
            where = f"{path}:{name}"
            header = Fields(_parse(data, where), where, log.losses, "a header")
            return header, _samples(path, log)
    raise DataError(f"{path}: no header.json in the archive; expected an Inspect .eval log")


def _samples(path: Path, log: Log) -> Iterator[tuple[str, Any]]:
    """Yields the samples of an archive: whole members, and those that are kept in chunks."""
    for where, parts in samples_in(path):
        try:
            values = {name: _parse(data, f"{path}:{name}") for name, data in parts.items()}
        except TornError as error:
            log.torn(error)
        else:
            yield where, whole(where, values)


def _parse(text: bytes, where: str, most: int = MAX_RECORD) -> Any:
    """Returns the JSON value; a bare NaN, which is Inspect's "not scored", as null."""
    if b"NaN" in text:
        text = _NAN.sub(lambda m: b"null" if m[0] == b"NaN" else m[0], text)
    return parse(text, where, most=most)


def _scorer(header: Fields, spec: Fields) -> str | None:
    """Returns the scorer that the log's headline is of: the declared one, else the first."""
    results = header.within("results")
    named = [
        results.within("headline").raw.get("scorer"),
        *(one.raw.get("scorer") for one in results.each("scores", "a score object")),
        *(one.raw.get("name") for one in spec.each("scorers", "a scorer object")),
    ]
    return next((name for name in named if isinstance(name, str)), None)


def _trajectory(sample: Record, spec: Fields, scorer: str | None) -> Trajectory:
    for key in _UNREAD:
        if sample.raw.get(key):
            sample.lose(key)
    name, epoch, model = sample.name("id"), sample.whole("epoch"), spec.maybe("model", str)
    task = f"{spec.need('task', str)}/{name}"
    rewards = _rewards(sample)
    end = _end(sample)
    invalid = sample.raw.get("invalidation") is not None
    if invalid:
        sample.lose("invalidated_sample")
    outcome = None if invalid else sample.scored(_outcome(sample, rewards, scorer))
    target = sample.raw.get("target")
    return sample.trajectory(
        task,
        partly_copied(list(_messages(sample)), _of_input(sample), sample),
        trial=epoch,
        id=sample.text("uuid") or f"{task}/{epoch}",
        group=sample.groups.name(task, model or ""),
        outcome=outcome,
        rewards=rewards,
        measured=not invalid,
        reference=as_text(target) if target else None,
        end=end,
        policy_version=model,
        marks=(_INVALID,) if invalid else (),
    )


def _end(sample: Record) -> End:
    """Returns budget for the sample's own limits, infra for errors and a person's stop."""
    if sample.raw.get("error") is not None:
        return "infra"
    if sample.raw.get("limit") is None:
        choice = next(sample.within("output").each("choices", "a choice object"), None)
        cut = choice is not None and str(choice.raw.get("stop_reason")) in _CUT
        return "budget" if cut else "answered"
    return "infra" if sample.within("limit").need("type", str) == "operator" else "budget"


def _rewards(sample: Record) -> dict[str, float | None]:
    """Returns every score as a number: one per scorer, or one per key of a scorer's dict."""
    rewards: dict[str, float | None] = {}
    for name, score in sample.within("scores").raw.items():
        at = Fields(score, f"{sample.where}.scores[{name!r}]", sample.losses, "a score object")
        value = at.raw.get("value")
        if isinstance(value, dict):
            rewards |= {f"{name}/{key}": _score(one, at) for key, one in value.items()}
        else:
            rewards[name] = _score(value, at)
    return rewards


def _score(value: Any, at: Fields) -> float | None:
    """Returns a score as a number; None, counted, where it is not one."""
    if value is None or isinstance(value, (bool, int, float)):
        return at.as_score(value, "value")
    if isinstance(value, str):
        known = _WORDS.get(value, _TRUTH.get(value.lower()))
        if known is not None:
            return known
        if re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", value):
            return float(value)
    at.losses.add("score_not_a_number", f"{at.where}.value")
    return None


def _outcome(sample: Record, rewards: dict[str, float | None], scorer: str | None) -> float | None:
    """Returns the value of the log's scorer (where it names none, of the sample's first); a dict of
    several numbers has none. A scorer that returned nothing left the sample unscored."""
    scores = sample.within("scores").raw
    first = next(iter(scores), None)
    if first is None:
        return None
    name = first if scorer is None else scorer if scorer in scores else scorer.rpartition("/")[2]
    chosen = sample.choices.outcome is not None
    if name not in scores:
        if not chosen:
            sample.lose(f"scorer_absent:{name}")
        return None
    if len(scores) > 1 and not chosen:
        sample.lose(f"outcome_is_scorer:{name}")
    value = scores[name].get("value")
    if not isinstance(value, dict):
        return rewards[name]
    return rewards[f"{name}/{next(iter(value))}"] if len(value) == 1 else None


def _of_input(sample: Record) -> set[int]:
    """Returns the places of the messages that the dataset gave, examples among them."""
    messages = enumerate(sample.each("messages", MESSAGE))
    return {place for place, message in messages if message.raw.get("source") == "input"}


def _messages(sample: Record) -> Iterator[dict[str, Any]]:
    """Yields the messages in the common chat form, attachments put back."""
    attachments = _Attachments(sample)
    for raw in sample.each("messages", MESSAGE):
        raw.lose_unknown(_MESSAGE, "message_key")
        raw.raw = attachments.put_back(raw.raw, raw.where)
        message = {key: raw.raw.get(key) for key in ("role", "tool_call_id")}
        message["content"], message["reasoning_content"] = _content(raw)
        if raw.raw.get("role") == "tool":
            message["name"] = raw.raw.get("function")
            fault = raw.maybe("error", dict)
            message["is_error"] = fault is not None
            if fault is not None and not message["content"]:
                message["content"] = fault.get("message")
        if raw.raw.get("tool_calls"):
            message["tool_calls"] = [_call(call, raw) for call in raw.items("tool_calls")]
        yield message


def _content(raw: Fields) -> tuple[Any, str | None]:
    """Returns the content without its reasoning parts, and the reasoning."""
    content = raw.raw.get("content")
    if not isinstance(content, list):
        return content, None
    thoughts: list[str] = []
    rest: list[Any] = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "reasoning":
            thoughts.append(Fields(part, raw.where, raw.losses).text("reasoning"))
        elif isinstance(part, dict) and part.get("type") == "tool_use":
            rest += _provided(part)
        else:
            rest.append(part)
    return rest, "\n".join(thoughts) or None


def _provided(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the call of a tool of the provider's, and its result, as blocks of Anthropic's."""
    fault = part.get("error")
    call = {"id": part.get("id"), "name": part.get("name"), "input": part.get("arguments")}
    result = {"tool_use_id": part.get("id"), "content": fault or part.get("result")}
    result["is_error"] = fault is not None
    return [{"type": "tool_use", **call}, {"type": "tool_result", **result}]


def _call(value: Any, raw: Fields) -> dict[str, Any]:
    call = Fields(value, f"{raw.where}.tool_calls", raw.losses, "a tool call object")
    if call.raw.get("parse_error"):
        call.lose("call_parse_error")
    function = {"name": call.need("function", str), "arguments": call.raw.get("arguments")}
    return {"id": call.raw.get("id"), "function": function}


class _Attachments:
    """Long texts of a sample, kept apart from its messages.

    What may be put back is limited: a few references to one long attachment could otherwise
    unfold without end.
    """

    def __init__(self, sample: Record) -> None:
        self._texts, self._left = sample.within("attachments"), MAX_RECORD

    def put_back(self, value: Any, where: str) -> Any:
        """Returns `value` with every reference replaced by its text."""
        if isinstance(value, str):
            if "attachment://" not in value:
                return value
            return _REFERENCE.sub(lambda match: self._text(match, where), value)
        if isinstance(value, list):
            return [self.put_back(one, where) for one in value]
        if isinstance(value, dict):
            return {key: self.put_back(one, where) for key, one in value.items()}
        return value

    def _text(self, match: re.Match[str], where: str) -> str:
        text = self._texts.raw.get(match[1])
        if not isinstance(text, str):
            self._texts.losses.add("attachment_missing", where)
            return match[0]
        self._left -= len(text)
        if self._left < 0:
            raise DataError(f"{where}: attachments unfold to over {MAX_RECORD:,} characters")
        return text
