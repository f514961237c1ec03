"""Is an environment fit to train on? One finding per rule that it breaks.

A rule that cannot be checked (the environment names no expert, say) is reported as skipped: nobody
should read silence as a pass.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, final

from assay.errors import AssayError, UsageError, told
from assay.records import Trajectory, decode, encode
from assay.rollout.protocols.chat import spoken
from assay.rollout.recording import Recorder, follow, led
from assay.world.environment import Environment, Reply

MAX_TURNS = 1000
MAX_TEXT = 20_000
"""Characters of a prompt or an answer, at most."""


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found."""

    rule: str
    verdict: Literal["ok", "finding", "skipped"]
    detail: str = ""


class _BreaksError(Exception):
    """A rule is broken; the message says where and how."""


class _SkipError(Exception):
    """A rule cannot be checked; the message says why."""


def check(make: Callable[[], Environment], seeds: Sequence[int] = range(8)) -> Iterator[Finding]:
    """Yields one line for each rule, in the order of `RULES`.

    Args:
        make: returns a new environment each time it is called.
        seeds: the tasks that are looked at.
    """
    for rule, look in RULES.items():
        try:
            yield Finding(rule, "ok", look(make, seeds))
        except _BreaksError as found:
            yield Finding(rule, "finding", str(found))
        except _SkipError as why:
            yield Finding(rule, "skipped", str(why))
        except Exception as error:  # whatever a user's code raises is a finding, not our failure
            yield Finding(rule, "finding", f"raised {told(error)}")


Make = Callable[[], Environment]


def _prompts(make: Make, seeds: Sequence[int]) -> str:
    """Prompts are texts, and the seeds are not all one task."""
    tasks: set[tuple[str, str | None, str | None]] = set()
    for seed in seeds:
        environment = make()
        prompt = environment.reset(seed)
        if not _is_text(prompt) or not prompt.strip():
            raise _BreaksError(f"seed {seed}: reset returned {prompt!r}; expected a text")
        if len(prompt) > MAX_TEXT:
            raise _BreaksError(f"seed {seed}: the prompt has {len(prompt):,} characters")
        tasks.add((prompt, environment.answer(), environment.state_key()))
    if len(tasks) == 1 and len(seeds) > 1:
        said = f"seeds {seeds[0]} to {seeds[-1]} are one task"
        raise _BreaksError(f"{said}: {next(iter(tasks))[0][:80]!r}")
    return f"{len(tasks)} different tasks of {len(seeds)} seeds"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _deterministic(make: Make, seeds: Sequence[int]) -> str:
    """The same seed and the same turns twice: in a new environment, and in one that was used."""
    used = make()
    for seed in seeds:
        turns = led(make(), seed)[0] or _PROBES
        first, second, third = (_transcript(e, seed, turns) for e in (make(), make(), used))
        for other, what in ((second, "a second environment"), (third, "one used before")):
            if first != other:
                at = next((i for i, (a, b) in enumerate(zip(first, other, strict=False)) if a != b),
                          min(len(first), len(other)))  # fmt: skip
                raise _BreaksError(f"seed {seed}: {what} differs at turn {at}: "
                                   f"{_shown(first, at)} and {_shown(other, at)}")  # fmt: skip
    return f"{len(seeds)} tasks, each played three times"


_PROBES = (">help()", "=0")


def _transcript(environment: Environment, seed: int, turns: Sequence[str]) -> list[object]:
    said: list[object] = [environment.reset(seed)]
    for turn in turns:
        said.append(environment.state_key())
        reply = follow(environment, turn)
        said.append(reply)
        if reply.done:
            break
    return said


def _shown(transcript: list[object], at: int) -> str:
    return repr(transcript[at])[:120] if at < len(transcript) else "nothing"


def _expert(make: Make, seeds: Sequence[int]) -> str:
    attempts = [_played(make(), seed) for seed in seeds]
    lengths = [len(attempt.steps) for attempt in attempts if attempt.end != "budget"]
    if not lengths:
        raise _SkipError(f"the expert runs out of steps on {len(seeds)} tasks of {len(seeds)}")
    late = len(seeds) - len(lengths)
    said = f"score 1 on {len(lengths)} tasks, {max(lengths)} steps at most"
    return f"{said}; out of steps on {late}" if late else said


def _played(environment: Environment, seed: int) -> Trajectory:
    """Returns the expert's attempt, which must score 1 unless it ran out of steps."""
    turns = led(environment, seed)[0]
    recorder = Recorder(environment, seed, expert=turns, protocol=spoken(environment))
    for turn in turns:
        reply = recorder.act(f"{turn}\n")
        _bounded(reply, seed)
        if reply.done:
            break
    last = recorder.last
    if not last.done:
        raise _SkipError("best() names no expert's turns, or they do not end the task")
    if last.end != "budget" and (last.score is None or last.score < 1):
        raise _BreaksError(
            f"seed {seed}: the expert's turns {turns} score {last.score}; expected 1"
        )
    return recorder.trajectory()


def _empty(make: Make, seeds: Sequence[int]) -> str:
    for seed in seeds:
        for turn in ("", "\n", "=", "= ", "=?", "=\n"):
            environment = make()
            environment.reset(seed)
            reply = environment.step(turn)
            if reply.score is not None and reply.score > 0:
                raise _BreaksError(f"seed {seed}: the turn {turn!r} scores {reply.score}")
    return "nothing said earns nothing"


def _leaks(make: Make, seeds: Sequence[int]) -> str:
    leaking: list[str] = []
    looked = 0
    for seed in seeds:
        environment = make()
        prompt, answer = environment.reset(seed), environment.answer()
        if answer is None:
            continue
        looked += 1
        held = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", prompt, re.IGNORECASE)
        if answer.strip() and held:
            leaking.append(f"seed {seed}: {prompt!r} holds {answer!r}")
    if not looked:
        raise _SkipError("answer() is None: there is nothing to look for")
    if leaking:
        raise _BreaksError(f"{len(leaking)} of {looked} prompts; {leaking[0]}")
    return f"{looked} prompts"


def _refuses(make: Make, seeds: Sequence[int]) -> str:
    environment = make()
    environment.reset(seeds[0])
    turns = 0
    while not environment.step("=?").done:
        turns += 1
        if turns > MAX_TURNS:
            raise _SkipError("the task did not end")
    try:
        environment.step("=?")
    except UsageError:
        return "UsageError"
    except Exception as error:  # any other refusal is one that a trainer cannot tell from a crash
        raise _BreaksError(f"raised {type(error).__name__}; expected UsageError") from None
    raise _BreaksError("a step after the end was played; expected UsageError")


def _ends(make: Make, seeds: Sequence[int]) -> str:
    """A policy that only calls tools, or only babbles, is stopped; no reply is out of bounds."""
    longest = 0
    for seed in seeds:
        for turn in (">help()\n", "hello\n", ">" + "x" * 5000 + "\n", "\0\ufffd\U0001f600\n"):
            environment = make()
            environment.reset(seed)
            for number in range(1, MAX_TURNS + 2):
                reply = environment.step(turn)
                _bounded(reply, seed)
                if reply.done:
                    longest = max(longest, number)
                    break
            else:
                raise _BreaksError(
                    f"seed {seed}: {MAX_TURNS} turns of {turn[:20]!r} did not end it"
                )
    return f"stopped after {longest} turns at most"


def _bounded(reply: Reply, seed: int) -> None:
    if reply.score is not None and not 0 <= reply.score <= 1:
        raise _BreaksError(f"seed {seed}: score {reply.score}; expected one in [0, 1]")
    for name, part in reply.parts.items():
        if not isfinite(part):
            raise _BreaksError(f"seed {seed}: part {name!r} is {part}; expected a finite number")
    if reply.done and reply.score is None and reply.end != "infra":
        raise _BreaksError(f"seed {seed}: the task ended without a score")
    if not _is_text(reply.text) or len(reply.text) > MAX_TEXT:
        raise _BreaksError(f"seed {seed}: an answer of more than {MAX_TEXT:,} characters")


def _records(make: Make, seeds: Sequence[int]) -> str:
    """The attempt becomes a record that reads back as it was."""
    for seed in seeds:
        environment = make()
        recorder = Recorder(environment, seed, protocol=spoken(environment))
        for _ in range(MAX_TURNS):
            if recorder.act("=?\n").done:
                break
        try:
            record = recorder.trajectory()
            same = decode(encode(record)) == record
        except AssayError as error:
            raise _BreaksError(f"seed {seed}: {error}") from None
        if not same:
            raise _BreaksError(f"seed {seed}: the record reads back differently")
    return "read back as written"


def _tools(make: Make, seeds: Sequence[int]) -> str:
    """Tools have schemas; a call of none, or with none of its arguments, is answered, and a policy
    that only calls is stopped."""
    environment = make()
    environment.reset(seeds[0])
    tools = environment.tools()
    if not tools:
        return "there are none"
    for tool in tools:
        if not (isinstance(tool.get("name"), str) and isinstance(tool.get("description"), str)):
            raise _BreaksError(f"{str(tool)[:120]}: expected a name and a description")
        if dict(tool.get("parameters", {})).get("type") != "object":
            raise _BreaksError(f"{tool['name']}: expected parameters, a JSON schema of an object")
    for name in ("no_such_tool", *(str(tool["name"]) for tool in tools)):
        environment = make()
        environment.reset(seeds[0])
        for number in range(1, MAX_TURNS + 2):
            reply = environment.call(name, {"no_such_argument": number})
            _bounded(reply, seeds[0])
            if name == "no_such_tool" and reply.ran:
                raise _BreaksError("the call of a tool that does not exist ran")
            if reply.done:
                break
        else:
            raise _BreaksError(f"{MAX_TURNS} calls of {name} did not end the task")
    return f"{len(tools)}, each called without its arguments"


def _copies(make: Make, seeds: Sequence[int]) -> str:
    """A copy goes on as its original does, and neither notices what is done in the other."""
    for seed in seeds:
        turns = led(make(), seed)[0] or _PROBES
        environment = make()
        environment.reset(seed)
        half = (len(turns) - 1) // 2
        for turn in turns[:half]:
            follow(environment, turn)
        copy = environment.fork()
        if copy is None:
            return "there are none: turns are played again"
        first, second = (_rest(each, turns[half:]) for each in (copy, environment))
        if first != second:
            raise _BreaksError(f"seed {seed}: after turn {half} a copy and then its original say "
                               f"{first!r:.120} and {second!r:.120}")  # fmt: skip
    return f"{len(seeds)} tasks, copied halfway"


def _rest(environment: Environment, turns: Sequence[str]) -> list[object]:
    said: list[object] = []
    for turn in turns:
        said += [environment.state_key(), follow(environment, turn)]
        if type(reply := said[-1]) is Reply and reply.done:
            break
    return said


RULES: dict[str, Callable[[Make, Sequence[int]], str]] = {
    "prompts": _prompts,
    "same seed, same task": _deterministic,
    "verifier accepts the expert": _expert,
    "verifier rejects the empty answer": _empty,
    "no answer in the prompt": _leaks,
    "step after the end is refused": _refuses,
    "limits": _ends,
    "records": _records,
    "tools": _tools,
    "copies": _copies,
}
"""Name of each rule, and what looks."""
