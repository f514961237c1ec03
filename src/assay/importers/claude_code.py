"""Claude Code sessions: `~/.claude/projects/<project>/<session>.jsonl`, as they lie.

The format has no specification; this reads what versions 2.0 and 2.1 write. A session file is a
tree of records by `uuid` and `parentUuid`: the branch that ends in the last message is read, the
others are counted. One model call is one record for each block of its answer, joined here by
`message.id`; every one repeats the usage. A result is a record of the user, paired by id. What an
agent that was called did is a file of its own (`agent-ID.jsonl`) or lies between the lines
(`isSidechain`): a session of its own here.
"""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

from assay.files.packed import plain_name
from assay.files.probe import Probe
from assay.importers.base import Importer, Log, Rank, ends, keys
from assay.importers.claude_code_steps import Node, Turns, copy_of
from assay.importers.fields import Fields
from assay.importers.sessions import Session, result_of
from assay.importers.tree import Tree
from assay.records import End, Trajectory

_SAID = keys("user assistant")
_BOOKKEEPING = keys(
    "summary file-history-snapshot queue-operation permission-mode last-prompt custom-title"
    " ai-title agent-name agent-color agent-setting tag progress mode pr-link worktree-state"
    " content-replacement bridge-session speculation-accept attribution-snapshot"
)
"""Lines that hold nothing that was said, asked or answered."""
_ENDS: dict[str, End] = ends(
    answered="end_turn stop_sequence refusal",
    budget="max_tokens model_context_window_exceeded",
)


@final
class ClaudeCode(Importer):
    """A session file, a project's folder, or all of `~/.claude/projects`."""

    name = "claude_code"
    title = "Claude Code sessions"
    record = "a session record"
    needs = "uuid:text sessionId:text message:object"

    def rank(self, seen: Probe) -> Rank:
        rows = [row for row in seen.few if isinstance(row, dict)]
        if any(_own(row) for row in rows):
            return Rank.CERTAIN
        known = all(str(row.get("type")) in _BOOKKEEPING for row in rows)
        return (
            Rank.SHAPE if rows and known and plain_name(seen.path).endswith(".jsonl") else Rank.NO
        )

    def beside(self, file: Path) -> tuple[Path, ...]:
        """Returns the verdict, long results in files of their own, and the project's index."""
        folder = file.with_name(plain_name(file).removesuffix(".jsonl"))
        kept = [file.with_name("sessions-index.json"), result_of(file)]
        kept += [file.with_name(f"{folder.name}.meta.json"), *(file.parent / "memory").rglob("*")]
        kept += [one for one in folder.rglob("*") if not plain_name(one).endswith(".jsonl")]
        return tuple(one for one in kept if one.is_file())

    def parts(self, file: Path) -> tuple[Path, ...]:
        return file, result_of(file)

    def late(self, file: Path) -> bool:
        """Agents that were called come last: what they begin with may be copied from their
        caller."""
        return file.name.startswith("agent-")

    def read(self, log: Log) -> Iterator[Trajectory]:
        seen = log.groups.seen
        for place, file in enumerate(log.files):
            read = _File(file, log)
            if not read.nodes:
                log.losses.add("no_messages", str(file))
            turns: set[str] = set()
            for part in read.parts():
                yield self._session(log, place, part, seen, turns)
            seen.update(dict.fromkeys(turns, 0))

    def _session(
        self, log: Log, place: int, part: "_Part", seen: Container[str], turns: set[str]
    ) -> Trajectory:
        """Returns one line of talk; what its model calls are is added to `turns`."""
        session = part.session
        for turn in part.calls:
            if turn.id not in seen:
                session.spent(turn.tokens)
            if turn.model:
                session.models[turn.model] = None
            turns.add(turn.id)
        made = Turns(part.chain, seen)
        last = made.last
        end: End = "unknown"
        if last is not None and last.failed:
            end = "infra"
        elif last is not None and not made.steps.waiting:
            end = "answered" if part.over and not last.stop else _ENDS.get(last.stop, "unknown")
        return session.trajectory(log, self, place, made.steps, marks=tuple(made.marks), end=end)


def _own(row: dict[str, Any]) -> bool:
    """Does a line say that it is of a session of Claude Code?"""
    named = all(isinstance(row.get(key), str) for key in ("uuid", "sessionId", "type"))
    return named and "parentUuid" in row and row["type"] in {*_SAID, "system", "attachment"}


class _Call(NamedTuple):
    """One model call."""

    id: str
    model: str
    tokens: int | None


class _Part(NamedTuple):
    """One line of talk in a file: the session itself, or an agent that was called."""

    session: Session
    chain: list[Node]
    calls: list[_Call]
    over: bool
    """The last turn is known to have ended."""


class _File:
    """The records of one file."""

    def __init__(self, file: Path, log: Log) -> None:
        self.file, self.log = file, log
        self.nodes: list[Node] = []
        self.links: dict[str, str | None] = {}
        self.facts: dict[str, str] = {}
        self.over: dict[str, bool] = {}
        self._last: dict[bool, str | None] = {}
        for where, value in log.documents(file):
            self._take(Fields(value, where, log.losses, "a session record"))

    def _take(self, at: Fields) -> None:
        """Keeps what one line says."""
        kind = at.text("type")
        for key in ("sessionId", "cwd", "version", "gitBranch"):
            if key not in self.facts and (value := at.maybe(key, str)):
                self.facts[key] = value
        if kind in _BOOKKEEPING and kind != "progress":
            return
        uuid = at.maybe("uuid", str) or at.where
        if uuid in self.links:
            at.lose("repeated_line")
            return
        parent = at.maybe("parentUuid", str) or at.maybe("logicalParentUuid", str)
        side = bool(at.maybe("isSidechain", bool))
        if parent is None and (at.raw.get("isCompactSummary") or "uuid" not in at.raw):
            parent = self._last.get(side)
        self.links[uuid] = parent
        self._last[side] = uuid
        node = copy_of(at, kind, uuid, side)
        if node is not None:
            self.nodes.append(node)
            self.over[self._line(node)] = False
        elif kind == "system" and at.text("subtype") in ("turn_duration", "stop_hook_summary"):
            self.over[""] = True

    @staticmethod
    def _line(node: Node) -> str:
        """Returns which line of talk a record belongs to; the session itself is ""."""
        return (node.agent or "side") if node.side else ""

    def parts(self) -> Iterator[_Part]:
        """Yields the session, then each agent that it called within this file."""
        lines: dict[str, list[Node]] = {}
        alone = all(node.side for node in self.nodes)
        for node in self.nodes:
            root = "" if alone else self._line(node)
            if root == "side":
                root = f"side-{self._root(node.uuid)[:8]}"
            lines.setdefault(root, []).append(node)
        name = plain_name(self.file).removesuffix(".jsonl")
        session = self.facts.get("sessionId") or name
        for root, nodes in lines.items():
            own = name if alone and name != session else root
            identity = f"{session}/{own}" if own else session
            yield self._part(identity, root, nodes)

    def _root(self, uuid: str) -> str:
        """Returns the first record of a line of talk that has no name."""
        seen: set[str] = set()
        while (parent := self.links.get(uuid)) in self.links and uuid not in seen:
            seen.add(uuid)
            uuid = str(parent)
        return uuid

    def _part(self, identity: str, root: str, nodes: list[Node]) -> _Part:
        chain = Tree(self.links, [(n.uuid, n.at) for n in nodes]).chain()
        kept = _with_parallel(nodes, chain)
        left = len(nodes) - len(kept)
        if left:
            nodes[0].at.lose("other_branch", left)
        told = {key: self.facts.get(key) for key in ("version", "gitBranch")}
        if (caller := self.facts.get("sessionId")) != identity:
            told["called_by"] = caller
        session = Session(
            id=identity,
            at=nodes[0].at,
            verdict=result_of(self.file) if not root else Path(),
            folder=self.facts.get("cwd", ""),
            facts={key: value for key, value in told.items() if value},
        )
        return _Part(session, kept, _calls(nodes), self.over.get(root, False))


def _with_parallel(nodes: list[Node], chain: dict[str, int]) -> list[Node]:
    """Returns the records of a branch in its order, those beside it that belong to it included:
    parallel calls and their results branch off, because each result follows its own call."""
    places: dict[str, float] = {}
    calls: dict[str, float] = {}
    for node in nodes:
        if node.turn and node.uuid in chain:
            places[node.turn] = max(places.get(node.turn, 0), chain[node.uuid])
    for node in nodes:
        if node.turn in places:
            calls.update(dict.fromkeys(node.calls, places[node.turn]))
    found: list[tuple[float, int, Node]] = []
    for index, node in enumerate(nodes):
        at: float | None = chain.get(node.uuid)
        if at is None and node.turn:
            at = places.get(node.turn)
        elif at is None and node.answers:
            at = max((calls.get(call, -1) + 0.5 for call in node.answers), default=-1)
            at = None if at < 0 else at
        if at is not None:
            found.append((at, index, node))
    return [node for *_, node in sorted(found, key=lambda one: one[:2])]


def _calls(nodes: list[Node]) -> list[_Call]:
    """Returns the model calls, each with its usage, which every record of it repeats, once."""
    found: dict[str, _Call] = {}
    for node in nodes:
        if node.turn and not node.harness:
            before = found.get(node.turn)
            tokens = node.tokens if node.tokens is not None else before and before.tokens
            key = before.id if before else node.turn + node.when
            found[node.turn] = _Call(key, node.model, tokens)
    return list(found.values())
