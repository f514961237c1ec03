"""Folders of foreign logs of any size, for the benchmarks: text that looks like text to a packer.

    python benchmarks/logs.py FOLDER --megabytes 300 [--format verifiers|harbor|chat]

Texts are cut from sixteen megabytes of made-up words, so a gigabyte takes seconds and packs like
what models write.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generate import TOOLS, Words

GROUP, FILE = 8, 24_000_000
"""Trajectories of a task; bytes of a file of many trajectories, about."""
Messages = list[dict[str, Any]]


class Text:
    """A long made-up text, and pieces of it."""

    def __init__(self, rng: random.Random) -> None:
        words = Words(rng)
        self.rng, self.all = rng, words.text(rng, 16_000_000)

    def piece(self, least: int, most: int) -> str:
        size = self.rng.randint(least, most)
        at = self.rng.randrange(len(self.all) - size)
        return self.all[at : at + size]


@dataclass(frozen=True)
class Made:
    """What a format's writer needs of one trajectory."""

    task: str
    trial: int
    messages: Messages
    reward: float


def trajectories(seed: int) -> Iterator[Made]:
    """Yields trajectories of about 15 KB without end, eight of a task."""
    rng = random.Random(seed)
    text, number = Text(rng), 0
    system = text.piece(2200, 2200)
    while True:
        question, chance = text.piece(400, 600), rng.choice((0.0, 0.0, 0.3, 0.5, 0.7, 1.0))
        calls = [
            (rng.choice(TOOLS), json.dumps({"id": f"{rng.getrandbits(32):08x}"})) for _ in range(10)
        ]
        for trial in range(GROUP):
            messages: Messages = [
                {"role": "system", "content": system},
                {"role": "user", "content": question},
            ]
            for turn in range(rng.randint(6, 14)):
                messages += _turn(turn, *rng.choice(calls), text)
            messages.append({"role": "assistant", "content": text.piece(100, 500)})
            yield Made(f"task-{number}", trial, messages, float(rng.random() < chance))
        number += 1


def _turn(turn: int, name: str, arguments: str, text: Text) -> Messages:
    failed = text.rng.random() < 0.06
    answer = text.piece(200, 1100)
    function = {"name": name, "arguments": arguments}
    return [
        {
            "role": "assistant",
            "content": text.piece(150, 620),
            "tool_calls": [{"id": f"c{turn}", "type": "function", "function": function}],
        },
        {
            "role": "tool",
            "tool_call_id": f"c{turn}",
            "content": f"Error: {answer[:60]}" if failed else answer,
        },
    ]


def chat(one: Made) -> dict[str, Any]:
    return {"task": one.task, "trial": one.trial, "reward": one.reward, "messages": one.messages}


def verifiers(one: Made) -> dict[str, Any]:
    """Returns an episode of one trace, without tokens."""
    nodes = [
        {
            **({"parent": index - 1} if index else {}),
            "message": _flat(message),
            "sampled": message["role"] == "assistant",
        }
        for index, message in enumerate(one.messages)
    ]
    trace = {
        "id": f"{one.task}/{one.trial}",
        "agent": {"name": "agent", "trainable": True},
        "nodes": nodes,
        "rewards": {"solved": {"score": one.reward, "weight": 1.0}},
        "is_completed": True,
        "stop_condition": "agent_completed",
    }
    return {
        "id": f"e-{one.task}-{one.trial}",
        "task": {"type": "made", "data": {}, "key": one.task},
        "group": {"id": one.task},
        "traces": [trace],
    }


def _flat(message: dict[str, Any]) -> dict[str, Any]:
    if "tool_calls" not in message:
        return message
    calls = [{"id": c["id"], "type": "function", **c["function"]} for c in message["tool_calls"]]
    return {**message, "tool_calls": calls}


def atif(one: Made) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for message in one.messages:
        if message["role"] == "tool":
            result = {"source_call_id": message["tool_call_id"], "content": message["content"]}
            steps[-1]["observation"] = {"results": [result]}
            continue
        source = "agent" if message["role"] == "assistant" else message["role"]
        step = {"step_id": len(steps) + 1, "source": source, "message": message["content"]}
        if calls := message.get("tool_calls"):
            step["tool_calls"] = [
                {
                    "tool_call_id": call["id"],
                    "function_name": call["function"]["name"],
                    "arguments": json.loads(call["function"]["arguments"]),
                }
                for call in calls
            ]
        steps.append(step)
    return {
        "schema_version": "ATIF-v1.7",
        "session_id": f"{one.task}-{one.trial}",
        "agent": {"name": "made", "version": "1", "model_name": "made"},
        "steps": steps,
    }


def write_lines(
    folder: Path, size: int, seed: int, name: str, record: Callable[[Made], dict[str, Any]]
) -> None:
    """Writes files of `FILE` bytes, `size` in all; `name` has a place for a number."""
    made, written, number = trajectories(seed), 0, 0
    while written < size:
        path = folder / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as stream:
            while stream.tell() < min(FILE, size - written):
                for _ in range(GROUP):  # a group never lies in two files
                    stream.write(json.dumps(record(next(made))) + "\n")
        written, number = written + path.stat().st_size, number + 1


def write_harbor(folder: Path, size: int, seed: int) -> None:
    """Writes a job folder of `size` bytes."""
    written, made = 0, trajectories(seed)
    while written < size:
        written += write_trial(folder, next(made))


def write_trials(folder: Path, count: int, *, seed: int = 0) -> None:
    """Writes a job folder of so many trials."""
    for _, one in zip(range(count), trajectories(seed), strict=False):
        write_trial(folder, one)


def write_trial(folder: Path, one: Made) -> int:
    """Writes a trial's folder, its result and its ATIF document; returns the bytes of the last."""
    trial = folder / f"{one.task}__{one.trial:07d}"
    (trial / "agent").mkdir(parents=True)
    result = {
        "task_name": one.task,
        "trial_name": trial.name,
        "task_checksum": "0123456789abcdef",
        "agent_info": {"name": "made", "version": "1"},
        "verifier_result": {"rewards": {"reward": one.reward}},
    }
    (trial / "result.json").write_text(json.dumps(result))
    return (trial / "agent" / "trajectory.json").write_text(json.dumps(atif(one)))


def write_logs(folder: Path, megabytes: int, *, kind: str = "verifiers", seed: int = 0) -> None:
    """Writes a folder of logs of about so many megabytes."""
    size = megabytes * 1_000_000
    if kind == "verifiers":
        write_lines(folder, size, seed, "run-{:03d}/traces.jsonl", verifiers)
    elif kind == "chat":
        write_lines(folder, size, seed, "part-{:03d}.jsonl", chat)
    else:
        write_harbor(folder, size, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--format", choices=("verifiers", "harbor", "chat"), default="verifiers")
    args = parser.parse_args()
    if args.folder is None:
        print("nothing to measure here: this writes the folders that large.py and peers.py read")
        return
    write_logs(args.folder, args.megabytes, kind=args.format)


if __name__ == "__main__":
    main()
