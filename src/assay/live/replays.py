"""Recorded turns, answered again: told a source's hints, and told nothing. It happens beside the
gateway and never within a request.

    Replayer(store, check).step(backend, ...)     measures what is new of every source

Told is what the teacher of an update is told, in its form (`assay.rollout.teaching.Blocks`), in the
same place of the recorded ids; the other answer is to a block that says nothing: of the shipped
policy a line that it knows, of others as many tokens. Both draw by the same chance. Turns are
played that may teach now and whose label says that they were wrong, once for each source and for
good; of them no user has more than a share. Needs torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, final

from assay.live.checks import Answer, Check, Told
from assay.live.embedded import called
from assay.live.learning import agrees
from assay.live.selection import BASE, Picked, Rules, selected, within
from assay.live.store import Store
from assay.policy.loading import START
from assay.records import Call, ModelStep
from assay.records.live import Replayed
from assay.records.turns import Seen, Session
from assay.rollout.backends.base import Backend, Sampling, number
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.line import Line
from assay.rollout.teaching import Blocks
from assay.world.family import NEUTRAL

LONGEST: Final = 256
"""Tokens of an answer, at most."""
ROOM: Final = 1 << 15
"""Tokens of a prompt and its answer, at most, and as many as the policy holds: a turn that needs
more is not played."""
ROWS: Final = 32
"""Answers of one pass."""


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A turn to be answered again."""

    picked: Picked
    source: str
    told: Told


@final
class Replayer:
    """Measures sources of hints on the turns of a store."""

    def __init__(
        self, store: Store, check: Check, rules: Rules, clock: Callable[[], float]
    ) -> None:
        """Takes a store that is open to write.

        Args:
            store: whose turns are played again.
            check: what tells good answers from bad ones.
            rules: which turns may teach; `turns` and `sessions` are not asked for.
            clock: seconds since 1970, for the events.
        """
        self._store, self._check, self._clock = store, check, clock
        self._rules = rules

    def step(
        self, backend: Backend, *, base: str, version: str = BASE, pairs: int, seed: Sequence[int]
    ) -> dict[str, int]:
        """Plays turns that were not played before; returns how many pairs each source got.

        Args:
            backend: samples, with the version that serves.
            base: name of the policy before any version, which decides how it is talked to.
            version: that serves.
            pairs: of each source, at most.
            seed: names the chance, and which turns are drawn.

        Raises:
            DataError: the check, or the engine, failed.
            StoreError: the store cannot be written.
        """
        asked = self._asked(version, pairs, seed)
        form = _Form(backend, start=base == START)
        played = [each for each in asked if form.fits(each)]
        answers = form.answers(played, seed)
        at, made = self._clock(), list[Replayed]()
        for each, (told, bare) in zip(played, answers, strict=True):
            values = each.told(told), each.told(bare)
            if values[0] is not None and values[1] is not None:
                made.append(
                    Replayed(
                        session=each.picked.session, at=at, turn=each.picked.record.id,
                        source=each.source, told=values[0], neutral=values[1],
                        check=self._check.name, policy_version=version,
                    )
                )  # fmt: skip
        self._store.append(*made, durable=True).result()
        return {name: sum(e.source == name for e in made) for name in {e.source for e in made}}

    def _asked(self, version: str, pairs: int, seed: Sequence[int]) -> list[Asked]:
        """Returns the turns to be played, by source."""
        sessions = self._store.sessions()
        turns = {each.turn.id: each for it in sessions.values() for each in it.turns}
        known = [*self._store.versions().values()]
        fit = selected(sessions.values(), known, version, self._rules).turns
        wrong = [each for each in fit if agrees(each.record)]
        sources = {hint.source for each in wrong for hint in _said(each).hints}
        return [
            each
            for source in sorted(sources)
            for each in self._of(source, wrong, sessions, turns, pairs, seed)
        ]

    def _of(
        self,
        source: str,
        wrong: Sequence[Picked],
        sessions: Mapping[str, Session],
        turns: Mapping[str, Seen],
        pairs: int,
        seed: Sequence[int],
    ) -> list[Asked]:
        """Returns the turns of one source: new ones, of which the check knows what is good."""
        found: dict[str, Told] = {}
        for each in wrong:
            seen = turns[each.record.id]
            if source in seen.replays or not _hints(each, source):
                continue
            if (told := self._check.of(sessions[each.session], seen)) is not None:
                found[each.record.id] = told
        fair = within([each for each in wrong if each.record.id in found], self._rules.share)
        drawn = Random(f"{source}/{number(seed)}").sample(fair, min(pairs, len(fair)))
        return [Asked(each, source, found[each.record.id]) for each in drawn]


def _said(picked: Picked) -> ModelStep:
    return next(each for each in picked.record.steps if type(each) is ModelStep)


def _hints(picked: Picked, source: str) -> list[str]:
    return [each.text for each in _said(picked).hints if each.source == source]


@final
class _Form:
    """How a policy is told things, and how its answers end and are read."""

    def __init__(self, backend: Backend, *, start: bool) -> None:
        self._backend, self._tokenizer = backend, backend.tokenizer
        self._blocks = Blocks.of(self._tokenizer)
        self._talk: Line | Chat = Line(self._tokenizer) if start else Chat(self._tokenizer)
        config = getattr(getattr(backend, "model", None), "config", None)
        self._room = min(ROOM, int(getattr(config, "max_position_embeddings", ROOM)))

    def fits(self, asked: Asked) -> bool:
        """Returns whether prompt, block and an answer have room."""
        return all(len(ids) + LONGEST <= self._room for ids in self._prompts(asked))

    def _prompts(self, asked: Asked) -> tuple[list[int], list[int]]:
        """Returns the recorded prompt with the source's hints in it, and with what says nothing."""
        prompt = asked.picked.record.steps[0]
        ids = list(prompt.token_ids or ())
        told = self._blocks.told(_hints(asked.picked, asked.source))
        bare = self._blocks.neutral(len(told))
        if isinstance(self._talk, Line):
            bare = self._blocks.told([Random(prompt.text).choice(NEUTRAL)])
        cut = self._blocks.cut(ids, len(ids), len(ids))
        return ([*ids[:cut], *told, *ids[cut:]], [*ids[:cut], *bare, *ids[cut:]])

    def answers(self, asked: Sequence[Asked], seed: Sequence[int]) -> list[tuple[Answer, Answer]]:
        """Returns what is answered to each, told and not, by the same chance."""
        prompts = [ids for each in asked for ids in self._prompts(each)]
        names = [each.picked.record.id for each in asked for _ in range(2)]
        found = list[Answer]()
        for at in range(0, len(prompts), ROWS):
            found += self._sampled(prompts[at : at + ROWS], names[at : at + ROWS], seed)
        return list(zip(found[::2], found[1::2], strict=True))

    def _sampled(
        self, prompts: Sequence[Sequence[int]], names: Sequence[str], seed: Sequence[int]
    ) -> list[Answer]:
        sampled: list[list[int]] = [[] for _ in prompts]

        def reader(row: int, ids: Sequence[int], _: Sequence[float]) -> Sequence[int] | None:
            sampled[row] = [*ids]
            return None if self._talk.is_over(ids) else ()

        sampling = Sampling(
            max_tokens=LONGEST, turn_tokens=LONGEST, max_length=self._room, apart=True,
            stop=self._talk.stop, ends=self._talk.ends, names=tuple(names),
        )  # fmt: skip
        self._backend.run(prompts, reader, sampling=sampling, seed=seed)
        return [self._answer(ids) for ids in sampled]

    def _answer(self, ids: Sequence[int]) -> Answer:
        """Returns an answer and the calls in it, as the gateway finds them."""
        if isinstance(self._talk, Line):
            text, syntax = self._tokenizer.decode(list(ids), skip_special_tokens=True), None
        else:
            text = self._tokenizer.decode([each for each in ids if each not in self._talk.ends])
            syntax = self._talk.syntax
        found = called(text, syntax)
        return Answer(text, tuple(Call(name=name, arguments=given) for name, given in found))
