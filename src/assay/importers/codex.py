"""Codex rollouts: `~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl`, and archived ones.

A line is `{timestamp, type, payload}`; what was said, called and answered are its `response_item`s.
One model call ends at its `token_count`, and all that came since the last one is one step; where no
count follows (an older version, a turn that was cut off), a result ends it. Usage is cumulative and
may be written twice: it counts where the total moved. A session that was forked, or that an agent
began, starts with a copy of the other one's lines, which are left out or no turns of its own.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from xxhash import xxh3_64_hexdigest

from assay.files.packed import plain_name
from assay.files.probe import Probe
from assay.importers.base import Log, Rank, keys
from assay.importers.codex_items import Item, Turns, item_of
from assay.importers.fields import Fields
from assay.importers.sessions import Session, Sessions, result_of
from assay.records import End, Trajectory

_LINES = keys("session_meta response_item event_msg turn_context compacted world_state")
_ITEMS = keys(
    "message reasoning function_call function_call_output custom_tool_call local_shell_call"
    " custom_tool_call_output web_search_call"
)
_TURNS = keys("task_started turn_started task_complete turn_complete turn_aborted error")
_QUIET = keys(
    "token_count user_message agent_message agent_reasoning agent_reasoning_raw_content"
    " agent_reasoning_section_break context_compacted session_configured item_completed"
    " thread_name_updated shutdown_complete background_event"
)
"""Events that repeat what an item says, or say nothing of the talk."""


@final
class Codex(Sessions):
    """A rollout file, or all of `~/.codex/sessions`."""

    name = "codex"
    title = "Codex rollouts"
    record = "a rollout line"
    needs = "timestamp:text type:text payload:object"

    def rank(self, seen: Probe) -> Rank:
        rows = [row for row in seen.few if isinstance(row, dict)]
        lines = [row for row in rows if str(row.get("type")) in _LINES and _has(row, "payload")]
        if any(row["type"] in ("session_meta", "response_item") for row in lines):
            return Rank.CERTAIN
        if lines:
            return Rank.SHAPE
        named = plain_name(seen.path).startswith("rollout-")
        first = {"id", "timestamp", "instructions"} <= set(rows[0]) if rows else False
        return Rank.SHAPE if named and first else Rank.NO

    def read(self, log: Log) -> Iterator[Trajectory]:
        seen = log.groups.seen
        for place, file in enumerate(log.files):
            rollout = _Rollout(file, log)
            if not rollout.items:
                log.losses.add("no_messages", str(file))
                continue
            made = Turns(rollout.items, seen if rollout.derived else ())
            seen.update({item.id: 0 for item in rollout.items if item.id})
            rollout.session.tokens = made.tokens
            yield rollout.session.trajectory(
                log, self, place, made.steps, marks=tuple(made.marks), end=rollout.end(made)
            )


def _has(row: dict[str, Any], key: str) -> bool:
    return isinstance(row.get(key), dict)


class _Rollout:
    """What one file says."""

    def __init__(self, file: Path, log: Log) -> None:
        self.items: list[Item] = []
        self.session = Session(
            id=plain_name(file).removesuffix(".jsonl"),
            at=Fields({}, str(file), log.losses),
            verdict=result_of(file),
        )
        self._begun = False
        self._before = ""
        """What the last item is known by."""
        self.derived = False
        """It may begin with a copy of another session."""
        self._own_from = 0
        """Where its own lines begin, if it starts with a copy of another session's."""
        self._total: Any = None
        self._ended: End | None = None
        for where, value in log.documents(file):
            line = Fields(value, where, log.losses, "a rollout line")
            kind, payload = _parts(line)
            ordinal = line.whole("ordinal")
            self._take(kind, payload, own=ordinal is None or ordinal >= self._own_from)

    def _take(self, kind: str, payload: Fields, *, own: bool) -> None:
        match kind:
            case "session_meta":
                self._begin(payload)
            case "event_msg" if payload.text("type") == "token_count":
                self._count(payload, own=own)
            case _ if not own:
                payload.lose("copied_line")
            case "turn_context":
                if model := payload.text("model"):
                    self.session.models[model] = None
            case "event_msg":
                self._event(payload)
            case "compacted":
                payload.lose("compaction")
                self.items.append(Item("compacted", payload, payload.text("message")))
            case "response_item":
                if (item := item_of(payload)) is not None:
                    self.items.append(self._identified(item))
            case "state" | "world_state":
                pass
            case _:
                payload.lose(f"line:{kind}")

    def _identified(self, item: Item) -> Item:
        """Gives an answer without an id one that its copy in a fork has too: from its text and
        from what came before it."""
        if item.kind == "said" and not item.id:
            item = replace(item, id=f"{self._before}/{_digest(item.text)}")
        self._before = item.id or _digest(item.text)
        return item

    def _begin(self, meta: Fields) -> None:
        """Takes the session's own header; a second one is of the session it was copied from."""
        if self._begun:
            self.derived = True
            return
        self._begun, session = True, self.session
        session.id = meta.maybe("id", str) or session.id
        session.folder = meta.text("cwd")
        self._own_from = meta.whole("subagent_history_start_ordinal") or 0
        told: dict[str, Any] = {"version": meta.text("cli_version")}
        told["forked_from"] = meta.text("forked_from_id")
        git, source = meta.raw.get("git"), meta.raw.get("source")
        told["branch"] = git.get("branch") if isinstance(git, dict) else None
        told["called_by"] = _caller(source) or meta.text("parent_thread_id")
        session.facts = {key: str(value) for key, value in told.items() if value}
        self.derived = not session.facts.keys().isdisjoint({"forked_from", "called_by"})
        for key in ("instructions", "base_instructions"):
            text = meta.raw.get(key)
            text = text.get("text") if isinstance(text, dict) else text
            if isinstance(text, str) and text:
                self.items.append(Item("system", meta, text))

    def _count(self, payload: Fields, *, own: bool) -> None:
        """Takes one report of usage. Its total may be the same as in the last one."""
        info = payload.within("info")
        total = info.within("total_token_usage").raw
        moved = not total or total != self._total
        self._total = total
        if own:
            tokens = info.within("last_token_usage").whole("output_tokens") if moved else None
            self.items.append(Item("count", payload, tokens=tokens))

    def _event(self, payload: Fields) -> None:
        kind = payload.text("type")
        if kind == "thread_rolled_back":
            self._roll_back(payload)
        elif kind in _TURNS:
            self.items.append(Item("turn", payload))
            done = kind in ("task_complete", "turn_complete")
            self._ended = "answered" if done else "unknown"
            if kind == "error":
                payload.lose("api_error")
                full = "context_window" in str(payload.raw.get("codex_error_info")).lower()
                self._ended = "budget" if full else "infra"
        elif kind not in _QUIET:
            payload.lose(f"event:{kind}")

    def _roll_back(self, payload: Fields) -> None:
        """Leaves out the last turns of the user, which were taken back."""
        turns = payload.whole("num_turns") or 0
        asked = [place for place, item in enumerate(self.items) if item.kind == "user"]
        if turns > 0 and asked:
            payload.lose("rolled_back", min(turns, len(asked)))
            kept = self.items[: asked[max(0, len(asked) - turns)]]
            spent = [item for item in self.items[len(kept) :] if item.kind == "count"]
            self.items = [*kept, *spent]

    def end(self, made: Turns) -> End:
        """Returns how the session ended: by its last word on it, else by an answer without calls
        whose model call is known to have ended."""
        if self._ended is not None:
            return self._ended
        return "answered" if made.answered else "unknown"


def _parts(line: Fields) -> tuple[str, Fields]:
    """Returns the kind of a line and its payload; the first versions wrote bare items."""
    if "payload" in line.raw:
        payload = Fields(line.raw["payload"], f"{line.where}.payload", line.losses)
        return line.text("type"), payload
    kind = line.text("type") or line.text("record_type")
    if kind in _ITEMS:
        return "response_item", line
    return ("session_meta" if not kind and "id" in line.raw else kind), line


def _digest(text: str) -> str:
    return xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass"))


def _caller(source: Any) -> str | None:
    """Returns the session whose agent began this one."""
    if not isinstance(source, dict):
        return None
    for inner in source.values():
        spawn = inner.get("thread_spawn") if isinstance(inner, dict) else None
        if isinstance(spawn, dict) and isinstance(spawn.get("parent_thread_id"), str):
            return spawn["parent_thread_id"]
    return None
