"""terminal-bench 1: a run folder of `<task>/<trial>/results.json`, or the run's own `results.json`.

What the Terminus agents were asked and answered is in `agent-logs/episode-N/{prompt.txt,
response.json}`: a call is the batch of keystrokes of one response, and the next prompt its result.
Other agents leave a recording of the terminal, which is not read.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.errors import DataError
from assay.files.probe import Probe
from assay.files.reading import contents
from assay.files.strict import parse
from assay.importers.base import Importer, Log, Rank, Record, acted, ends, graded, keys
from assay.importers.fields import Fields
from assay.importers.messages import Steps, arguments_text
from assay.records import Call, End, Ledger, ModelStep, Trajectory, UserStep

_ENDS: dict[str, End] = ends(
    answered="none unset parse_error",
    budget="agent_timeout context_length_exceeded output_length_exceeded fatal_llm_parse_error",
    infra="test_timeout unknown_agent_error agent_installation_failed unknown",
)
"""What `failure_mode` means. A trial whose agent had no failure ends as `unset`; where the tests'
output could not be parsed there is no verdict; where the agent's could not its tries ran out."""
_KEYS = keys(
    "id trial_name task_id instruction is_resolved failure_mode parser_results recording_path"
    " total_input_tokens total_output_tokens trial_started_at trial_ended_at agent_started_at"
    " agent_ended_at test_started_at test_ended_at"
)
_RESULTS, _ABOUT, _TRIAL = "results.json", "run_metadata.json", "a trial result object"
_EPISODE = re.compile(r"episode-([0-9]{1,9})")
_NAME = re.compile(r"[^/\\\0]{1,200}")
_TOOL = "terminal"


@final
class TerminalBench(Importer):
    """A run folder, a folder of runs, or a `results.json` of a trial or a run."""

    name = "terminal_bench"
    title = "terminal-bench 1 results"
    record = "a results object"
    needs = "trial_name task_id instruction failure_mode"

    def rank(self, seen: Probe) -> Rank:
        own = not self.missing(seen) or _is_run(seen.first)
        return Rank.CERTAIN if own else super().rank(seen)

    def beside(self, file: Path) -> tuple[Path, ...]:
        if (file.parent / "sessions").is_dir():
            return tuple(file.parent.rglob("*"))
        return (file.with_name(_ABOUT),)

    def parts(self, file: Path) -> None:
        """Of the trials that a run's file lists, those with a file of their own are read there."""

    def read(self, log: Log) -> Iterator[Trajectory]:
        apart = {file.parent for file in log.files}
        for place, file in enumerate(log.files):
            if (value := log.document(file)) is None:
                continue
            record = Record(value, str(file), log, self, place, 0)
            if not _is_run(value):
                agent = _agent(file.parents[:3][-1], log)
                yield _trajectory(record, record, file.parent, agent)
                continue
            agent = _agent(file.parent, log)
            for index, trial in enumerate(record.each("results", _TRIAL)):
                record.index, folder = index, _folder(file.parent, trial)
                if folder not in apart:  # else its own file is read
                    yield _trajectory(record, trial, folder, agent)


def _is_run(value: Any) -> bool:
    """Is it what a whole run leaves: a list of trials with its shares?"""
    return isinstance(value, dict) and {"results", "n_resolved", "accuracy"} <= value.keys()


def _agent(run: Path, log: Log) -> str:
    """Returns the agent and the model of a run, by what its folder says of it."""
    path = run / _ABOUT
    value = log.document(path) if path.is_file() else None
    about = Fields({} if value is None else value, str(path), log.losses, "an object")
    return ":".join(filter(None, (about.text("agent_name"), about.text("model_name"))))


def _folder(run: Path, trial: Fields) -> Path | None:
    """Returns the folder of a trial below its run's, if its names lead to one."""
    names = trial.text("task_id"), trial.text("trial_name")
    plain = all(_NAME.fullmatch(name) and name not in (".", "..") for name in names)
    folder = run.joinpath(*names) if plain else None
    return folder if folder is not None and folder.is_dir() else None


def _trajectory(record: Record, trial: Fields, folder: Path | None, agent: str) -> Trajectory:
    trial.lose_unknown(_KEYS)
    task = trial.name("task_id")
    resolved = trial.maybe("is_resolved", bool)
    mode = trial.text("failure_mode", "unset")
    if mode not in _ENDS:
        trial.lose(f"failure_mode:{mode}")
    end = _ENDS.get(mode, "unknown")
    outcome = None if resolved is None else float(resolved)
    if end == "infra" and outcome is not None:
        trial.lose("score_of_infra_failure")
        outcome = None
    steps = acted(_steps(trial, folder), outcome)
    group = record.groups.name(task, agent)
    number = record.groups.trial(group)
    return record.trajectory(
        task,
        steps,
        trial=number,
        id=trial.text("trial_name") or f"{group}/{number}",
        group=group,
        outcome=trial.scored(outcome),
        rewards={"tests": _passed(trial)},
        grades=graded(outcome, "tests of the task"),
        end=end,
        ledger=Ledger(tokens=trial.whole("total_output_tokens")),
        origin=record.origin(failure_mode=mode),
    )


def _passed(trial: Fields) -> float | None:
    """Returns the share of the task's tests that passed; None where none is known."""
    tests = trial.within("parser_results").raw
    return sum(word == "passed" for word in tests.values()) / len(tests) if tests else None


def _steps(trial: Fields, folder: Path | None) -> Steps:
    """Returns what was said: by the episodes of the agent's log, else the task alone."""
    steps = Steps()
    for prompt, response in _episodes(trial, folder):
        if steps.waiting:
            steps.answer(trial, prompt)
        else:
            steps.append(UserStep(text=prompt))
        if response is not None:
            steps.act(_acted(response))
    if not steps:
        steps.append(UserStep(text=trial.text("instruction")))
        trial.lose("terminal_not_read")
    return steps


def _episodes(trial: Fields, folder: Path | None) -> Iterator[tuple[str, str | None]]:
    """Yields prompt and response of each episode, in their order."""
    found = [
        (int(match[1]), each)
        for each in (() if folder is None else (folder / "agent-logs").glob("episode-*"))
        if (match := _EPISODE.fullmatch(each.name))
    ]
    for _, episode in sorted(found):
        prompt, *answers = (
            _text(episode / name) for name in ("prompt.txt", "response.json", "response.txt")
        )
        if prompt is None:
            trial.lose("episode_without_prompt")
        else:
            yield prompt, next((answer for answer in answers if answer is not None), None)


def _text(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return contents(path).decode()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8; convert it") from None


def _acted(response: str) -> ModelStep:
    """Returns a response, with the batch of keystrokes that it holds as one call."""
    try:
        value = parse(response.encode(), "")
    except DataError:
        return ModelStep(text=response)  # Terminus 2 may also answer in tags, or write no JSON
    commands = value.get("commands") if isinstance(value, dict) else None
    if not isinstance(commands, list) or not commands:
        return ModelStep(text=response)
    call = Call(name=_TOOL, arguments=arguments_text({"commands": commands}))
    return ModelStep(text=response, calls=(call,))
