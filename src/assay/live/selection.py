"""Which turns of a store may teach now, and what is missing where they are too few.

A turn teaches if its session consents, it is the agent's own (main), its ids and log-probs are
those that were sampled, it is resolved, a label or a hint says something of it, its version is at
most `age` versions old, nobody spoke to a judge in its session, and the same words of the same user
were not counted before. Of what is left no user has more than `share`: the newest turns stay.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, final

from msgspec import Meta

from assay.live.resolver import record_of
from assay.live.versions import NAMED
from assay.recipes.settings import Count, Settings, Whole
from assay.records import ModelStep, Trajectory
from assay.records.live import Moved, Version
from assay.records.turns import Seen, Session

BASE: Final = "start"
"""The policy before its first version."""
_OTHERWISE: Final = {"trained": "trained already", "excluded": "in versions that did not last"}


@final
class Rules(Settings, frozen=True):
    """How much it takes, and how much of one user, or of the past."""

    at: ClassVar[str] = "live"

    turns: Count = 32
    """Fewest turns of an update."""
    sessions: Count = 8
    """Fewest sessions that they come from."""
    share: Annotated[float, Meta(gt=0, le=1)] = 0.25
    """Most of the turns that are one user's."""
    age: Whole = 2
    """Versions by which the policy of a turn may be older than the one that is trained."""
    most: Count = 512
    """Most turns of an update, the newest."""


@final
@dataclass(frozen=True, slots=True)
class Picked:
    """A turn that teaches."""

    session: str
    user: str
    record: Trajectory


@final
@dataclass(frozen=True, slots=True)
class Selection:
    """What was picked, what was not and why, and what is missing."""

    turns: tuple[Picked, ...]
    """The oldest first."""
    left_out: Mapping[str, int]
    """Main turns that do not teach, by reason."""
    missing: str
    """One line; empty: there is enough."""

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions that are trained on, by name."""
        return tuple(sorted({each.session for each in self.turns}))

    def trained(self, version: str, *, at: float) -> list[Moved]:
        """Returns the events that say that a version was trained on them."""
        return [
            Moved(session=e.session, at=at, turn=e.record.id, to="trained", why=version)
            for e in self.turns
        ]

    def facts(self) -> dict[str, Any]:
        """Returns the numbers of it; `share` is the largest of one user."""
        users = Counter(each.user for each in self.turns)
        return {
            "turns": len(self.turns),
            "sessions": len(self.sessions),
            "users": len(users),
            "share": max(users.values(), default=0) / max(len(self.turns), 1),
            "left_out": dict(sorted(self.left_out.items())),
        }


def selected(
    sessions: Iterable[Session], versions: Sequence[Version], serving: str, rules: Rules
) -> Selection:
    """Returns the turns that teach the version that serves.

    Args:
        sessions: of the store.
        versions: all that there were.
        serving: name of the version that is trained on; `BASE`: there was none yet.
        rules: what is asked of them.
    """
    left, fit = Counter[str](), list[tuple[float, Picked]]()
    seen = set[bytes]()
    chain = descent(serving, versions)
    for session in sorted(sessions, key=lambda each: (each.opened_at, each.id)):
        records = [(each, record_of(session, each)) for each in session.turns]
        poisoned = any(record.marks for _, record in records)
        for turn, record in records:
            if turn.turn.turn_type != "main":
                continue
            why = _why_not(session, turn, record, chain, rules)
            why = why or ("session speaks to a judge" if poisoned else "")
            content = _content(session, turn)
            if not why and content in seen:
                why = "replayed"
            if why:
                left[why] += 1
                continue
            seen.add(content)
            user = session.user or session.id
            fit.append((turn.turn.at, Picked(session.id, user, record)))
    fit.sort(key=lambda each: (each[0], each[1].record.id))
    newest = [each for _, each in fit[-rules.most :]]
    left["more than one batch takes"] += len(fit) - len(newest)
    picked = within(newest, rules.share)
    left["more than one user's share"] += len(newest) - len(picked)
    said = _missing(picked, newest, +left, rules)
    return Selection(tuple(picked), +left, said)


def _why_not(
    session: Session,
    turn: Seen,
    record: Trajectory,
    chain: Sequence[str],
    rules: Rules,
) -> str:
    """Returns why a turn does not teach; empty: it may."""
    if session.consent != "train":
        return "no consent"
    if turn.why_not is not None:
        return f"untrainable ({turn.why_not})"
    if turn.progress != "resolved":
        return _OTHERWISE.get(turn.progress, "not resolved yet")
    step = next(each for each in record.steps if type(each) is ModelStep)
    if len(step.token_ids or ()) != len(step.logprobs or ()) or not step.token_ids:
        return "untrainable (lengths)"
    if not (record.marks or step.scores or step.hints):
        return "unscorable"
    version = version_of(turn.turn.policy_version)
    if version not in chain:
        return "of a version that this one does not come from"
    return "too old" if chain.index(version) > rules.age else ""


def descent(serving: str, versions: Sequence[Version]) -> list[str]:
    """Returns a version and those that it was made from, the nearest first, down to the base: the
    place of one is its age. Versions that were refused or taken back are in no other's way."""
    parents = {each.name: each.parent or BASE for each in versions}
    chain = [serving]
    while chain[-1] in parents and parents[chain[-1]] not in chain:
        chain.append(parents[chain[-1]])
    return chain


def version_of(said: str | None) -> str:
    """Returns the version that a turn is of: what an engine calls the policy that it began with is
    any name but that of a version."""
    return said if said is not None and NAMED.fullmatch(said) else BASE


def _content(session: Session, turn: Seen) -> bytes:
    """Returns what a turn is, whatever it is called: whose, its prompt, its answer."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (session.user or session.id).encode(), _bytes(turn.prompt_ids):
        digest.update(b"%d:" % len(part) + part)
    digest.update(_bytes(turn.completion_ids))
    return digest.digest()


def _bytes(ids: Any) -> bytes:
    return b"" if ids is None else ids.tobytes()


def within(turns: Sequence[Picked], share: float) -> list[Picked]:
    """Returns turns of which no user has more than a share: of each the newest `cap`, where

        cap = the largest c with  c <= share * sum_u min(n_u, c);    none: nobody may have one

    Args:
        turns: oldest first.
        share: in (0, 1].
    """
    count = Counter(each.user for each in turns)
    cap = max(
        (
            c
            for c in range(1, max(count.values(), default=0) + 1)
            if c <= share * sum(min(n, c) for n in count.values()) + 1e-9
        ),
        default=0,
    )
    kept, taken = list[Picked](), Counter[str]()
    for each in reversed(turns):
        if taken[each.user] < cap:
            taken[each.user] += 1
            kept.append(each)
    return kept[::-1]


def _missing(
    picked: Sequence[Picked], newest: Sequence[Picked], left: Counter[str], rules: Rules
) -> str:
    sessions, users = {each.session for each in picked}, {each.user for each in newest}
    enough = len(picked) >= rules.turns and len(sessions) >= rules.sessions
    if enough:
        return ""
    why = ", ".join(f"{word} {n}" for word, n in left.most_common())
    return (
        f"live: {len(picked)} turns of {len(sessions)} sessions may teach, of {len(users)} users "
        f"of whom none may have more than {rules.share:.0%}; expected {rules.turns} turns of "
        f"{rules.sessions} sessions{f'; left out: {why}' if why else ''}"
    )
