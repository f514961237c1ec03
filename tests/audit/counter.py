"""A second audit, in plain loops over raw JSON. It imports nothing of ours, on purpose.

Each reader turns one set of logs into `Row`s, straight from the files; `count` counts them. What a
call means is decided here anew: Python's own `json`, keys sorted, whole floats as integers, strings
stripped.
"""

import json
from dataclasses import dataclass, field
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any


@dataclass
class Made:
    """One tool call: what it means, whether it ran (None: no answer), how long it is as written."""

    key: str
    ran: bool | None
    size: int


@dataclass
class Said:
    """One message of the agent's."""

    text: str
    calls: list[Made] = field(default_factory=list)


@dataclass
class Row:
    """One trajectory."""

    group: str
    outcome: float
    end: str
    said: list[Said]
    experts: set[str] | None = None


def meaning(name: str, arguments: Any) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, float) and value == int(value):
            return int(value)
        return value

    return name + " " + json.dumps(plain(arguments), sort_keys=True)


def tau_bench(path: Path) -> list[Row]:
    rows = []
    for record in json.loads(path.read_text()):
        said: list[Said] = []
        waiting: list[Made] = []
        for message in record["traj"]:
            if message["role"] == "assistant":
                calls = [
                    Made(
                        meaning(c["function"]["name"], json.loads(c["function"]["arguments"])),
                        None,
                        len(c["function"]["name"]) + len(c["function"]["arguments"]),
                    )
                    for c in message.get("tool_calls") or []
                ]
                said.append(Said(message["content"] or "", calls))
                waiting = list(calls)
            elif message["role"] == "tool":
                waiting.pop(0).ran = not message["content"].startswith("Error")
        experts = {meaning(a["name"], a["kwargs"]) for a in record["info"]["task"]["actions"]}
        end = "answered" if record["info"]["reward_info"] else "budget"
        rows.append(Row(str(record["task_id"]), record["reward"], end, said, experts))
    return rows


def intercode(folder: Path) -> list[Row]:
    rows = []
    for file in sorted(folder.glob("*.json")):
        for episode in json.loads(file.read_text()).values():
            turns = episode["turn_history"]
            said = []
            for i, action in enumerate(turns["actions"]):
                answered = i < len(turns["observations"])
                ran = turns["valid_action"][i] if answered else None
                name = episode["environment"].removeprefix("ic_")
                arguments = json.dumps({"command": action}, ensure_ascii=False)
                size = len(name) + len(arguments)
                said.append(Said("", [Made(meaning(name, {"command": action}), ran, size)]))
            best = max(turns["rewards"])
            full = len(turns["actions"]) >= episode["summary"]["turns_max"]
            end = "budget" if full and best < 1 else "answered"
            rows.append(Row(str(episode["task_id"]), float(best), end, said))
    return rows


def who_and_when(folder: Path) -> list[Row]:
    rows = []
    for file in sorted(folder.rglob("*.json")):
        record = json.loads(file.read_text())
        said, end = [], "unknown"
        for message in record["history"]:
            speaker = message.get("name") or message["role"]
            if speaker.endswith("(termination condition)"):
                end = "budget" if message["content"].startswith("Max rounds") else "answered"
                continue
            end = "unknown"
            if speaker.lower() not in ("computer_terminal", "computerterminal", "human", "user"):
                said.append(Said(message["content"]))
        correct = record.get("is_correct", record.get("is_corrected"))
        rows.append(Row(record["question_ID"], float(correct), end, said))
    return rows


def count(rows: list[Row], pass_at: float = 1.0) -> dict[str, Any]:
    """Everything of the audit that raw logs decide: nested like the audit, names as in it."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    fate = {name: kind(members, pass_at) for name, members in groups.items()}
    dead = {name: len({row.outcome for row in members}) == 1 for name, members in groups.items()}
    passed = sum(row.outcome >= pass_at for row in rows)
    calls, fates = of_calls(groups, fate, dead, pass_at)
    kinds = ("all_fail", "all_pass", "mixed", "constant_partial", "single")
    graded = sum(fate[name] == "all_fail" and not dead[name] for name in groups)
    largest = max(len(members) for members in groups.values())
    return {
        "groups": {
            "total": len(groups),
            **{k: sum(f == k for f in fate.values()) for k in kinds},
            "unscored": 0,
            "dead": sum(dead.values()),
            "graded": graded,
        },
        "trajectories": {
            "total": len(rows),
            "scored": len(rows),
            "unscored": 0,
            "passed": passed,
            "pass_rate": passed / len(rows),
            "by_end": {
                end: sum(row.end == end for row in rows)
                for end in ("answered", "budget", "infra", "unknown")
            },
        },
        "pass_at_k": {str(k): rate(groups, k, pass_at)[0] for k in range(1, largest + 1)},
        "pass_hat_k": {str(k): rate(groups, k, pass_at)[1] for k in range(1, largest + 1)},
        "pass_k_groups": {
            str(k): sum(len(m) >= k for m in groups.values()) for k in range(1, largest + 1)
        },
        "calls": calls,
        "steps": {"total": sum(len(row.said) for row in rows)},
        "fate": fates,
        "duplicates": copies(groups),
        # a one-sided method reaches each step of its side's dead trajectories that says anything
        "positive": reached(groups, dead, pass_at, passing=True),
        "negative": reached(groups, dead, pass_at, passing=False),
    }


def kind(members: list[Row], pass_at: float) -> str:
    passes = sum(row.outcome >= pass_at for row in members)
    if len(members) == 1:
        return "single"
    if passes == len(members):
        return "all_pass"
    if passes:
        return "mixed"
    alike = len({row.outcome for row in members}) == 1
    return "constant_partial" if alike and members[0].outcome > 0 else "all_fail"


def rate(groups: dict[str, list[Row]], k: int, pass_at: float) -> tuple[float, float]:
    """pass@k and pass^k: of all ways to draw k of a group's attempts, how many hold a pass; only
    passes. Groups with fewer than k attempts are left out."""
    some, every, n = 0.0, 0.0, 0
    for members in groups.values():
        if len(members) < k:
            continue
        passes = sum(row.outcome >= pass_at for row in members)
        ways = comb(len(members), k)
        some += 1 - comb(len(members) - passes, k) / ways
        every += comb(passes, k) / ways
        n += 1
    return some / n, every / n


def of_calls(
    groups: dict[str, list[Row]], fate: dict[str, str], dead: dict[str, bool], pass_at: float
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    total = dict.fromkeys(
        (
            *("total", "error", "unanswered", "in_failed_of_mixed", "punished"),
            *("punished_expert", "punished_sibling", "punished_correct", "expert_in_all_fail"),
        ),
        0,
    )
    kinds = ("trained_up", "trained_down", "punished_correct", "neutral", "truncated", "dead")
    written: dict[str, dict[int, int]] = {name: {} for name in kinds}
    for name, members in groups.items():
        mean = sum(map(exact, members)) / len(members)  # a third is a third
        for row in members:
            good = {
                call.key
                for other in members
                if other is not row and other.outcome >= pass_at
                for said in other.said
                for call in said.calls
            }
            failed = row.outcome < pass_at
            down = "truncated" if row.end == "budget" else "trained_down"
            plain = (
                "dead"
                if dead[name]
                else down
                if exact(row) < mean
                else "trained_up"
                if exact(row) > mean
                else "neutral"
            )
            for said in row.said:
                add(written, plain, row, len(said.text))
                for call in said.calls:
                    sibling = call.ran is True and call.key in good
                    expert = call.ran is True and call.key in (row.experts or ())
                    total["total"] += 1
                    total["error"] += call.ran is False
                    total["unanswered"] += call.ran is None
                    if failed and fate[name] == "mixed":
                        total["in_failed_of_mixed"] += 1
                    if plain in ("truncated", "trained_down"):
                        total["punished"] += 1
                        total["punished_expert"] += expert
                        total["punished_sibling"] += sibling
                        total["punished_correct"] += expert or sibling
                    if fate[name] == "all_fail":
                        total["expert_in_all_fail"] += expert
                    right = (expert or sibling) and plain in ("truncated", "trained_down")
                    add(written, "punished_correct" if right else plain, row, call.size)
    return total, {
        name: {"trajectories": len(of), "characters": sum(of.values())}
        for name, of in written.items()
    }


def exact(row: Row) -> Fraction:
    """The reward as the fraction that was meant: seven rewards that sum to 7/3 have mean 1/3."""
    return Fraction(row.outcome).limit_denominator(10**6)


def add(written: dict[str, dict[int, int]], name: str, row: Row, size: int) -> None:
    if size:
        written[name][id(row)] = written[name].get(id(row), 0) + size


def copies(groups: dict[str, list[Row]]) -> int:
    """Trajectories that say and call exactly what an earlier one of their group did."""
    n = 0
    for members in groups.values():
        wrote = [[(said.text, [c.key for c in said.calls]) for said in row.said] for row in members]
        n += sum(wrote[i] in wrote[:i] for i in range(len(wrote)) if wrote[i])
    return n


def reached(
    groups: dict[str, list[Row]], dead: dict[str, bool], pass_at: float, *, passing: bool
) -> dict[str, float]:
    steps = {
        name: sum(
            bool(said.text or said.calls)
            for row in members
            if (row.outcome >= pass_at) == passing
            for said in row.said
        )
        for name, members in groups.items()
        if dead[name]
    }
    every = sum(len(row.said) for name, rows in groups.items() if dead[name] for row in rows)
    n = sum(steps.values())
    live = sum(count > 0 for count in steps.values())
    return {"groups": live, "steps": n, "share_of_dead": n / max(every, 1)}
