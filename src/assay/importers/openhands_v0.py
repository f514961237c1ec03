"""OpenHands before its SDK (V0): `output.jsonl` of an evaluation, `events/<int>.json` of a session.

An event is an action or an observation; `cause` names the action that an observation answers. A
function call's `tool_call_metadata` stands on both and holds the whole response of the model: the
actions of one response are one step. The verdict of an evaluation is a report of its own: read in
the row's `test_result`, in `output.swebench_eval.jsonl`, or in `report.json` beside it.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

from assay.files.packed import plain_name
from assay.importers.base import Importer, Log, Record, ends, graded
from assay.importers.fields import Fields
from assay.importers.openhands_events import Turns
from assay.importers.sessions import Session, result_of
from assay.records import End, Ledger, ModelStep, Trajectory

_EVENT = re.compile(r"(\d+)\.json")
_STATES: dict[str, End] = ends(answered="finished")
_BUDGET = re.compile(
    r"maximum (?:iteration|budget)|max(?:imum)? ?iterations|stuck ?in ?(?:a )?loop"
)


@final
class OpenHandsV0(Importer):
    """An `output.jsonl`, a session's folder with `events/`, a folder of either."""

    name = "openhands_v0"
    title = "OpenHands output.jsonl or event folders (V0)"
    record = "an evaluation row"
    needs = "instance_id history:array metadata:object"

    def own(self, folder: Path) -> tuple[Path, ...]:
        return tuple(sorted({file.parent.parent for file in folder.rglob("events/0.json")}))

    def beside(self, file: Path) -> tuple[Path, ...]:
        return tuple(one for one in _reports(file) if one.is_file())

    def parts(self, file: Path) -> tuple[Path, ...]:
        return (file, result_of(file)) if file.is_dir() else (file, *_reports(file))

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, each in enumerate(log.files):
            if each.is_dir():
                yield from self._session(log, place, each)
            elif "_eval." in each.name and log.path != each:
                continue
            else:
                yield from self._rows(log, place, each)

    def _session(self, log: Log, place: int, folder: Path) -> Iterator[Trajectory]:
        """Yields the session of one event folder."""
        named = [(_EVENT.fullmatch(plain_name(f)), f) for f in (folder / "events").iterdir()]
        files = sorted((int(match[1]), file) for match, file in named if match)
        values = ((file, log.document(file)) for _, file in files)
        events = [
            Fields(value, str(file), log.losses, "an event object")
            for file, value in values
            if value is not None
        ]
        if not events:
            log.losses.add("no_messages", str(folder))
            return
        made = Turns(events)
        session = Session(folder.name, events[0], result_of(folder), models=made.models)
        session.tokens = made.tokens
        end = _STATES.get(made.state, "unknown")
        if made.state == "error":
            end = "budget" if _BUDGET.search(made.reason.lower()) else "infra"
        elif end == "unknown" and made.finished:
            end = "answered"
        marks = tuple(made.marks)
        yield session.trajectory(log, self, place, made.steps, marks=marks, end=end)

    def _rows(self, log: Log, place: int, file: Path) -> Iterator[Trajectory]:
        verdicts = _verdicts(log, file)
        lacking = False
        for index, (where, value) in enumerate(log.documents(file)):
            record = Record(value, where, log, self, place, index)
            lacking |= not verdicts and _report(record) is None
            yield _trajectory(record, verdicts)
        if lacking:
            log.losses.add("verdict_missing", str(file))


def _trajectory(record: Record, verdicts: dict[str, bool | None]) -> Trajectory:
    """Returns the trajectory of one row."""
    task, metadata = record.name("instance_id"), record.within("metadata")
    made = Turns(list(_history(record)))
    model = metadata.within("llm_config").text("model") or ", ".join(made.models) or None
    group = record.groups.name(task, f"{metadata.text('agent_class')}:{model or ''}")
    verdict, failed = _told(record), _has_failed(record)
    if verdict is None and not failed:
        verdict = verdicts.get(task)
    outcome = record.scored(None if verdict is None else float(verdict))
    written = record.within("metrics").within("accumulated_token_usage").whole("completion_tokens")
    calls = sum(len(step.calls) for step in made.steps if type(step) is ModelStep)
    return record.trajectory(
        task,
        made.steps,
        trial=record.groups.trial(group),
        group=group,
        outcome=outcome,
        rewards={} if outcome is None else {"resolved": outcome},
        measured=not failed,
        grades=graded(outcome, "resolved"),
        end=_end(record, made),
        policy_version=model,
        marks=tuple(made.marks),
        ledger=Ledger(tokens=made.tokens if written is None else written, calls=calls),
        origin=record.origin(agent=metadata.text("agent_class") or None),
    )


def _history(record: Record) -> Iterator[Fields]:
    """Yields the events of a row: a list of them, or of pairs of an action and its observation."""
    for index, one in enumerate(record.items("history")):
        where = f"{record.where}.history[{index}]"
        for inner in one if isinstance(one, list) else (one,):
            yield Fields(inner, where, record.losses, "an event object")


def _end(record: Record, made: Turns) -> End:
    """Returns how a row ended: by its error, else by the agent's last word."""
    if error := record.text("error"):
        return "budget" if _BUDGET.search(error.lower()) else "infra"
    return "answered" if made.finished else "unknown"


def _told(record: Fields) -> bool | None:
    """Returns the verdict in a row's `test_result`. One of an evaluation that failed is none."""
    if _has_failed(record):
        record.lose("evaluation_failed")
        return None
    verdict = (_report(record) or {}).get("resolved")
    return verdict if isinstance(verdict, bool) else None


def _has_failed(record: Fields) -> bool:
    return (_report(record) or {}).get("error_eval") is True


def _report(record: Fields) -> dict[str, Any] | None:
    """Returns what a row says of its evaluation; None where it says nothing."""
    result = record.raw.get("test_result")
    if not isinstance(result, dict):
        return None
    report = result.get("report")
    found = report if isinstance(report, dict) else result
    return found if found.keys() & {"resolved", "error_eval"} else None


def _reports(file: Path) -> Sequence[Path]:
    """Returns where the verdicts of an output file may lie."""
    stem = plain_name(file).removesuffix(".jsonl")
    names = (f"{stem}.swebench_eval.jsonl", f"{stem}.report.json", "report.json")
    return [file.with_name(name) for name in names]


def _verdicts(log: Log, file: Path) -> dict[str, bool | None]:
    """Returns the verdicts of the first report beside an output file, by instance."""
    rows, *summaries = _reports(file)
    if rows.is_file():
        found = (Fields(v, where, log.losses, "a row") for where, v in log.documents(rows))
        return {row.name("instance_id"): _told(row) for row in found}
    for path in summaries:
        if path.is_file() and (value := log.document(path)) is not None:
            report = Fields(value, str(path), log.losses, "a report object")
            return {
                name: verdict
                for key, verdict in (("unresolved_ids", False), ("resolved_ids", True))
                for name in _names(report, key)
            }
    return {}


def _names(report: Fields, key: str) -> list[Any]:
    return [name for name in report.items(key) if isinstance(name, str)]
