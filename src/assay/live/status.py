"""What a store holds, in numbers, and as a page that looks for a newer one itself."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from assay.files.atomic import publish
from assay.files.folders import unfinished
from assay.files.written import marks
from assay.importers.live_outputs import told_only
from assay.live.admission import standings
from assay.live.store import Store
from assay.live.versions import waits
from assay.records.live import Derived, Forgotten, Made, TurnLabel
from assay.records.turns import Seen, Session
from assay.report.template import rendered

GATEWAY: Final = "gateway.json"
"""How the gateway of a store is: its name in the store's folder."""
EVERY: Final = 5
"""Seconds after which the page looks for a newer one."""
SHOWN: Final = 50
"""Sessions on the page: those last heard of."""
_LONG: Final = 2000


def status(store: Store, *, now: float) -> dict[str, Any]:
    """Returns what a store holds, schema "assay.live/1".

    Args:
        store: open to read or to write.
        now: seconds since 1970.
    """
    sessions = store.sessions()
    turns = [turn for each in sessions.values() for turn in each.turns]
    gone = {e.digest: seq for seq, e in store.events("forgotten") if isinstance(e, Forgotten)}
    labels = [label for each in sessions.values() for label in each.labels.values()]
    labels += [label for turn in turns for label in turn.labels.values()]
    return {
        "schema": "assay.live/1",
        "at": now,
        "store": str(store.path),
        "gateway": gateway_of(store.path.parent),
        "sessions": _sessions(sessions.values(), len(gone)),
        "unreached": _unreached(store, gone),
        "turns": _turns(sessions.values()),
        "progress": _counted(turn.progress for turn in turns),
        "refused": {
            "again": sum(turn.progress == "resolved" and turn.tries > 0 for turn in turns),
            "left out": sum(turn.progress == "excluded" and turn.tries > 0 for turn in turns),
        },
        "labels": _labels(labels),
        "hints": _hints(sessions.values()),
        "versions": [
            {
                "name": each.name,
                "state": each.state,
                "waits": waits(each),
                "parent": each.parent,
                "sessions": len(each.sessions),
                "why": each.why,
            }
            for each in store.versions().values()
        ],
    }


def gateway_of(folder: Path) -> dict[str, Any] | None:
    """Returns how the gateway of a store says it is. None: none runs on this machine."""
    with suppress(OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        found: dict[str, Any] = msgspec.json.decode((folder / GATEWAY).read_bytes())
        os.kill(int(found["pid"]), 0)
        return found
    return None


def _sessions(sessions: Collection[Session], forgotten: int) -> dict[str, int]:
    """Returns how many sessions there are, by what they consent to, and how many are no more."""
    return {
        "all": len(sessions),
        **_counted(each.consent for each in sessions),
        "over": sum(each.closed for each in sessions),
        "without main turns": sum(map(_idle, sessions)),
        "forgotten": forgotten,
    }


def _unreached(store: Store, gone: Mapping[str, int]) -> list[str]:
    """Returns files and folders that may still hold a session that was forgotten: what was made of
    it and is not as Assay made it later, and what lies beside that half made."""
    held, made = dict[str, int](), dict[str, tuple[int, Made]]()
    for seq, each in store.events("derived", "made"):
        if isinstance(each, Made):
            made[each.path] = seq, each
        elif isinstance(each, Derived):
            when = [gone[name] for name in each.sessions if name in gone]
            held |= {each.path: max([held.get(each.path, 0), *when])} if when else {}
    left = set[str]()
    for path, forgotten in held.items():
        left |= {str(beside) for beside, _, _ in unfinished(Path(path))}
        now, (seq, ours) = marks(Path(path)), made.get(path, (0, None))
        again = ours is not None and seq > forgotten and ours.files == now
        left |= {path} if now and not again else set()
    return sorted(left)


def _idle(session: Session) -> bool:
    """Has a session no turn of the agent's own? Then it is no trajectory of an audit."""
    return all(each.turn.turn_type != "main" for each in session.turns)


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _turns(sessions: Iterable[Session]) -> dict[str, int]:
    """Returns how many turns there are, how many may be trained on, and why the others may not."""
    found = Counter[str]()
    for session in sessions:
        for turn in session.turns:
            found["all"] += 1
            found[turn.turn.turn_type] += 1
            why = turn.why_not or ("" if session.consent == "train" else "no_consent")
            found[f"not trained on: {why}" if why else "to train on"] += 1
    return dict(sorted(found.items(), key=lambda item: (item[0] != "all", item[0])))


def _labels(labels: Iterable[TurnLabel]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for each in labels:
        row = found.setdefault(
            each.source, {"evidence": each.evidence, "one": 0, "zero": 0, "between": 0, "none": 0}
        )
        name = {None: "none", 1.0: "one", 0.0: "zero"}.get(each.value, "between")
        row[name] += 1
    return dict(sorted(found.items()))


def _hints(sessions: Iterable[Session]) -> dict[str, dict[str, Any]]:
    """Returns how many hints each source gave, and what replays of their turns came to."""
    all_ = [*sessions]
    count = Counter(h.source for each in all_ for turn in each.turns for h in turn.hints)
    return {
        name: {"count": count[name], **each.row(), "said": each.sentence(name or "nobody")}
        for name, each in standings(all_).items()
    }


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Returns a status in sentences."""
    turns, gateway = found["turns"], found["gateway"]
    said = [
        "no gateway runs here"
        if gateway is None
        else f"the gateway listens at {gateway['address']}; it remembers {gateway['sessions']} "
        "conversations to go on with, also some of which nothing is kept",
        _of_sessions(found["sessions"]),
        f"{turns.get('all', 0)} turns, {turns.get('to train on', 0)} to train on",
    ]
    said += [
        f"{path}: may still hold what was forgotten; look at it, and delete it by hand"
        for path in found["unreached"]
    ]
    why = [f"{n} {k.partition(': ')[2]}" for k, n in turns.items() if k.startswith("not trained")]
    said += [] if gateway is None else _failing(gateway)
    if why:
        said.append(f"not trained on: {', '.join(why)}")
    for name, each in found["labels"].items():
        said.append(
            f"labels by {name or 'nobody'} ({each['evidence']}): {each['one']} of 1, "
            f"{each['zero']} of 0, {each['between']} between, {each['none']} not scored"
        )
    for each in found["hints"].values():
        said.append(f"{each['count']} hints by {each['said']}")
    if any(found["refused"].values()):
        again, out = found["refused"]["again"], found["refused"]["left out"]
        said.append(
            f"turns of versions that were refused or taken back: {again} to be trained on again, "
            f"{out} left out for good"
        )
    for each in found["versions"]:
        if each["state"] == "refused":
            said.append(f"{each['name']} was refused: {each['why']}")
        if each["waits"]:
            said.append(f"{each['name']} waits for its canary: assay live publish")
    served = [each["name"] for each in found["versions"] if each["state"] == "served"]
    said.append(f"serves {served[-1]}" if served else "serves the policy as it was given")
    return said


def _failing(gateway: Mapping[str, Any]) -> Iterator[str]:
    if gateway["failing"]:
        yield f"turns are served and not kept: {gateway['failing']}"
    engine = gateway.get("engine")
    if engine is not None and engine["failing"]:
        yield f"versions and the engine: {engine['failing']}"


def _of_sessions(found: Mapping[str, int]) -> str:
    consent = ", ".join(f"{found[k]} {k}" for k in ("train", "record", "none") if k in found)
    idle, gone = found["without main turns"], found["forgotten"]
    none = f"; {idle} of them without a main turn" if idle else ""
    besides = f"; besides, {gone} forgotten" if gone else ""
    return (
        f"the store has {found['all']} sessions (consent: {consent or 'none'}; {found['over']} "
        f"over{none}{besides})"
    )


def write_page(store: Store, path: Path, *, now: float) -> None:
    """Writes the page of a store, and into the store that it holds texts of its sessions.

    Raises:
        DataError: the store cannot be written, or a session was forgotten meanwhile.
    """
    read, found = store.reading(), status(store, now=now)
    shown = sorted(store.sessions().values(), key=lambda each: -each.last_at)[:SHOWN]
    found["at_text"] = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    found["shown"] = [_shown(each) for each in shown]
    page = rendered("live.html", status=found, said=sentences(found), every=EVERY)
    with told_only(replace(read, of=frozenset(each.id for each in shown)), now):
        publish(path, page.encode())


def _shown(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "consent": session.consent,
        "closed": session.closed,
        "labels": list(session.labels.values()) if session.consent != "none" else [],
        "turns": [_turn(each) for each in session.turns if session.consent != "none"],
    }


def _turn(seen: Seen) -> dict[str, Any]:
    answer, state = seen.turn.answer, seen.next_state
    calls = [each.get("function", {}) for each in answer.get("tool_calls") or ()]
    texts = [str(answer.get("content") or "")]
    texts += [f"{each.get('name')}({each.get('arguments')})" for each in calls]
    return {
        "id": seen.turn.id,
        "type": seen.turn.turn_type,
        "rule": seen.turn.rule,
        "progress": seen.progress,
        "why_not": seen.why_not,
        "text": "\n".join(text for text in texts if text)[:_LONG],
        "role": None if state is None else state.role,
        "next": None if state is None else state.text[:_LONG],
        "labels": list(seen.labels.values()),
        "hints": seen.hints,
    }
