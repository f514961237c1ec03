"""ATIF trajectory documents, versions 1.3 to 1.8 (Agent Trajectory Interchange Format).

The format has no reward and no task: `extra.reward`, `extra.task` and `extra.trial` at the root are
read where a producer put them there, otherwise the outcome is None and counted as `no_outcome`, and
attempts with the same first user message form a group. So are labels and hints that `assay live
export` put into `extra.assay` of the document and of its steps (`labels`).
"""

import glob
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import msgspec

from assay.errors import DataError
from assay.files.packed import plain_name
from assay.files.probe import Probe
from assay.files.reading import MAX_DOCUMENT, contents
from assay.files.strict import parse
from assay.importers.base import Importer, Log, Rank, Record, keys, prompt_name
from assay.importers.fields import Fields, Losses
from assay.importers.labels import grade_of, outcome_of, told_of
from assay.importers.messages import Steps, content_of, model_step
from assay.importers.tokens import Turn, join
from assay.records import Ledger, ModelStep, SystemStep, ToolStep, Trajectory, UserStep

_ROOT = keys(
    "schema_version session_id trajectory_id agent steps notes final_metrics extra"
    " continued_trajectory_ref subagent_trajectories"
)
_STEP = keys(
    "step_id timestamp source model_name reasoning_effort message reasoning_content tool_calls"
    " observation metrics extra llm_call_count is_copied_context"
)
_OWN = "assay"
_CARRIED_EXTRA = keys(f"reward task trial {_OWN}")
_NEXT, _ERRORS = "continued_trajectory_ref", ("tool_result_is_error", "is_error")
_NAME = re.compile(r"[^/\\\0]{1,200}")
_REFERS = re.compile(rb'"continued_trajectory_ref"\s*:\s*"')


@final
class Atif(Importer):
    """One document a file, or one a line; `schema_version` begins with "ATIF-". A trajectory that
    goes on in another file is read with it, as one."""

    name = "atif"
    title = "ATIF trajectories"
    record = "an ATIF document"
    needs = "schema_version steps"

    def rank(self, seen: Probe) -> Rank:
        own = not self.missing(seen) and str(seen.first["schema_version"]).startswith("ATIF-")
        return Rank.CERTAIN if own else Rank.NO

    def beside(self, file: Path) -> tuple[Path, ...]:
        return tuple(file.parent.glob(f"{glob.escape(file.stem)}.cont-*.json"))

    def parts(self, file: Path) -> None:
        """A file that is read later may say that it goes on in this one, which is then no log."""

    def read(self, log: Log) -> Iterator[Trajectory]:
        later = _continuations(log.files)
        for place, file in enumerate(log.files):
            if file.absolute() in later:
                continue
            for index, (where, value) in enumerate(log.documents(file)):
                record = Record(value, where, log, self, place, index)
                yield _trajectory(record, chain(record, file, log))


def _trajectory(record: Record, documents: Sequence[Fields]) -> Trajectory:
    parts, _ = parts_of(documents)
    identity = parts.pop("id") or f"{record.file.stem}/{record.index}"
    extra = record.within("extra")
    own = extra.within(_OWN)
    labels = tuple(grade_of(each) for each in own.each("labels", "a label"))
    outcome = outcome_of(labels) if labels else record.scored(extra.score("reward"))
    task = extra.maybe_name("task")
    if not task:
        record.lose("no_task")
        texts = (step.text for step in parts["steps"] if type(step) is UserStep)
        task = prompt_name(next(texts, ""))
    steps, trial = parts.pop("steps"), extra.whole("trial")
    parts |= {"id": identity, "session": own.maybe("session", str), "grades": labels}
    return record.trajectory(task, steps, trial=trial, outcome=outcome, **parts)


def chain(document: Fields, file: Path, log: Log) -> list[Fields]:
    """Returns a document and those in which it goes on, beside `file`; counts what is absent."""
    found, seen = [document], {file.name}
    while (name := found[-1].maybe(_NEXT, str)) is not None:
        beside = file.with_name(name) if is_name(name) else None
        if beside is None or name in seen or not beside.is_file():
            found[-1].lose("continuation_missing")
            break
        seen.add(name)
        if (value := log.document(beside)) is None:
            break
        found.append(Fields(value, str(beside), log.losses, Atif.record))
    return found


def is_name(text: str) -> bool:
    """Is a text of a log the name of a file, and no way to another folder?"""
    return _NAME.fullmatch(text) is not None and text not in (".", "..")


def _continuations(files: Sequence[Path]) -> set[Path]:
    """Returns those files in which a document of another file goes on."""
    later: set[Path] = set()
    for file in files if len(files) > 1 else ():
        if not plain_name(file).endswith(".json"):
            continue
        content = contents(file, most=MAX_DOCUMENT)
        if _REFERS.search(content) is None:
            continue
        try:
            value = parse(content, str(file), most=MAX_DOCUMENT, nan=lambda *_: None)
        except DataError:
            continue  # said where it is read
        name = value.get(_NEXT) if isinstance(value, dict) else None
        if isinstance(name, str) and is_name(name) and name != file.name:
            later.add(file.with_name(name).absolute())
    return later


def parts_of(documents: Sequence[Fields]) -> tuple[dict[str, Any], str]:
    """Returns what the documents of one trajectory say of it (id, steps, with tokens where its
    metrics have ids, policy_version, marks, ledger; no task, no outcome), and the name of its
    agent. What a later document copied from an earlier one is read once.

    Raises:
        DataError: not an ATIF document, or its steps are not numbered 1, 2 ...
    """
    steps = Steps()
    turns: list[Turn] = []
    for document in documents:
        _check(document)
        _lose_root(document)
        told = {step.text for step in steps if type(step) in (UserStep, SystemStep)}
        for index, raw in enumerate(document.each("steps", "a step object", needed=True)):
            if (step_id := raw.need("step_id", int)) != index + 1:
                raise raw.wrong("step_id", str(step_id)[:20], str(index + 1))
            if document is not documents[0] and _is_copy(raw, told):
                raw.lose("copied_step")
            else:
                _add(raw, steps, turns)
    joined, marks = join(steps, turns)
    first, agent = documents[0], documents[0].within("agent")
    written = documents[-1].within("final_metrics").whole("total_completion_tokens")
    calls = sum(len(step.calls) for step in joined if type(step) is ModelStep)
    return {
        "id": first.text("trajectory_id") or first.text("session_id"),
        "steps": joined,
        "policy_version": agent.maybe("model_name", str),
        "marks": marks,
        "ledger": Ledger(tokens=written, calls=calls),
    }, agent.text("name")


def _check(document: Fields) -> None:
    version = document.need("schema_version", str)
    if not version.startswith("ATIF-v1."):
        raise document.wrong("schema_version", repr(version[:40]), "ATIF-v1.x")


def _is_copy(raw: Fields, told: Collection[str]) -> bool:
    """Was a step of a later document there before? All turns of the model that are copied were."""
    if not raw.maybe("is_copied_context", bool):
        return False
    quiet = Fields(raw.raw, raw.where, Losses())  # what it loses, its first copy lost
    return raw.raw.get("source") == "agent" or content_of(quiet, "message") in told


def _lose_root(document: Fields) -> None:
    document.lose_unknown(_ROOT)
    if inner := document.items("subagent_trajectories"):
        document.lose("subagent_trajectory", len(inner))
    extra = Fields(document.within("extra").raw, document.where, document.losses)
    extra.lose_unknown(_CARRIED_EXTRA, "extra")


def _add(raw: Fields, steps: Steps, turns: list[Turn]) -> None:
    """Appends what one ATIF step holds: what was said, then what the world answered."""
    raw.lose_unknown(_STEP, "step_key")
    if any(key != _OWN for key in raw.within("extra").raw):
        raw.lose("step_extra")
    text, source, calls = content_of(raw, "message"), raw.need("source", str), _calls(raw)
    if calls and source != "agent":
        raw.lose("call_of_no_agent", len(calls))
        calls = []
    match source:
        case "system":
            steps.append(SystemStep(text=text))
        case "user":
            steps.append(UserStep(text=text))
        case "agent" if raw.whole("llm_call_count") == 0:
            # Written by the scaffold: nothing here may be credited to the policy.
            raw.lose("step_without_model")
            steps.append(SystemStep(text=text))
            calls = []
        case "agent":
            steps.act(_said(raw, text, calls))
            _note_tokens(raw, len(steps) - 1, turns)
        case _:
            raise raw.wrong("source", repr(source[:40]), "system, user or agent")
    _observe(raw, steps, len(calls))


def _said(raw: Fields, text: str, calls: list[dict[str, Any]]) -> ModelStep:
    """Returns the model's turn; reasoning that is the message over again is no reasoning."""
    message = {**raw.raw, "tool_calls": calls}
    if text and raw.raw.get("reasoning_content") == text:
        message["reasoning_content"] = None
        raw.lose("reasoning_repeats_message")
    own = raw.within("extra").within(_OWN)
    told = told_of(own.each("labels", "a label"), own.each("hints", "a hint"))
    step = told.onto(model_step(Fields(message, raw.where, raw.losses), text))
    if raw.maybe("is_copied_context", bool):
        step = msgspec.structs.replace(step, untrainable="copied")
    return step


def _calls(raw: Fields) -> list[dict[str, Any]]:
    """Returns the calls of a step in the common form."""
    return [
        {
            "function": {
                "name": call.need("function_name", str),
                "arguments": call.raw.get("arguments"),
            },
            "id": call.need("tool_call_id", str),
        }
        for call in raw.each("tool_calls", "a tool call object")
    ]


def _note_tokens(raw: Fields, step: int, turns: list[Turn]) -> None:
    """Notes the tokens of one model call; those of several calls are not told apart."""
    metrics = raw.within("metrics")
    if metrics.raw.get("completion_token_ids") is None:
        if metrics.raw.get("logprobs") is not None:
            metrics.lose("logprobs_without_tokens")
        return
    if (raw.whole("llm_call_count") or 1) > 1:
        metrics.lose("tokens_of_several_calls")
        return
    told = metrics.raw.get("prompt_token_ids") is not None
    prompt = metrics.ids("prompt_token_ids") if told else None
    response, logprobs = metrics.ids("completion_token_ids"), metrics.floats("logprobs")
    turns.append(Turn(step, prompt, response, logprobs, metrics))


def _observe(raw: Fields, steps: Steps, calls: int) -> None:
    """Appends the results of a step that has `calls` calls.

    A result answers the call that it names, of this step or an earlier one. Where no result of the
    step names one they answer its calls in order; what is over is the harness's.
    """
    results = list(raw.within("observation").each("results", "a result object"))
    unnamed = all(result.raw.get("source_call_id") is None for result in results)
    for index, result in enumerate(results):
        if result.raw.get("subagent_trajectory_ref"):
            result.lose("subagent_reference")
        text, error = content_of(result), _error(result.within("extra"))
        source = result.maybe("source_call_id", str)
        if source is not None or (unnamed and index < calls):
            steps.answer(result, text, source, error=error)
        elif unnamed and calls:
            result.lose("harness_message")
            steps.append(UserStep(text=text))
        else:
            if calls:
                result.lose("result_of_no_call")
            steps.append(ToolStep(text=text, error=error))


def _error(extra: Fields) -> bool | None:
    """Returns what the agent's own log said of a result, where its converter kept it."""
    said = [extra.raw.get(key) for key in _ERRORS]
    return next((one for one in said if isinstance(one, bool)), None)
