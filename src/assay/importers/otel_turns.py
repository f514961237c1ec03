"""Model calls of one trace to conversations: every call repeats its history, turns come out once.

A call goes on with the conversation that its inputs begin with. Where they begin with none, the one
whose last answer they hold, or whose first request they share, was rewritten; a call that is sent
what an earlier one was sent already begins a conversation of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, final

from xxhash import xxh3_64_intdigest

from assay.importers.otel_messages import Message, Said, form_of
from assay.importers.otel_spans import Span

Form = tuple[Any, ...]


@dataclass(slots=True)
class Turn:
    """One message of a conversation."""

    message: Message
    sampled: bool
    """A model call of this conversation answered it."""
    rewritten: bool = False
    """The history that it was answered to is not the one before it."""
    at: int = 0
    """When the model began to answer it, in nanoseconds."""
    span: str = ""
    """That of the model call that answered it."""


@dataclass(slots=True)
class Conversation:
    """What one agent and one model said to each other."""

    owner: str
    """The span of the agent; "" for none."""
    turns: list[Turn] = field(default_factory=list[Turn])
    spans: list[Span] = field(default_factory=list[Span])
    finish: str = ""
    lost: bool = False
    """The messages of a model call of it are cut to a length."""


@final
class Conversations:
    """Those of one trace, or of the traces of one conversation id, in the making."""

    def __init__(self) -> None:
        self.all: list[Conversation] = []
        self._ending: dict[int, list[Conversation]] = {}
        """By the key of all that the last call was sent and answered."""
        self._known: set[int] = set()
        """Keys of beginnings that some call was sent."""
        self._last: dict[tuple[str, Form], Conversation] = {}
        """By agent and by what the model answered last."""
        self._first: dict[tuple[str, Form], Conversation] = {}
        """By agent and by the first thing that a user said."""

    def cut(self, span: Span, owner: str) -> None:
        """Takes a model call whose messages are not whole, so that its conversation is not."""
        for each in reversed(self.all):
            if each.owner == owner:
                each.lost = True
                each.spans.append(span)
                return
        self.all.append(Conversation(owner, spans=[span], lost=True))

    def add(self, span: Span, owner: str, said: Said) -> None:
        """Takes a model call, in the order of time."""
        forms = [form_of(message) for message in said.inputs]
        keys = list(accumulate(forms, _key, initial=0))
        to, fresh, rewritten = self._where(owner, forms, keys)
        to.spans.append(span)
        to.finish = said.finish
        # what was answered by no call of this conversation was not sampled for it
        to.turns += [Turn(message, sampled=False) for message in said.inputs[fresh:]]
        to.turns += [Turn(each, True, rewritten, span.start, span.id) for each in said.outputs]
        self._known.update(keys[1:])
        key = keys[-1]
        for form in map(form_of, said.outputs):
            key = _key(key, form)
            self._last[owner, form] = to
        self._ending.setdefault(key, []).append(to)
        if not rewritten and (asked := _asked(forms)) is not None:
            self._first[owner, asked] = to

    def _where(
        self, owner: str, forms: list[Form], keys: list[int]
    ) -> tuple[Conversation, int, bool]:
        """Returns the conversation that goes on, from where its inputs are new, and whether its
        history was rewritten."""
        for count in range(len(forms), 0, -1):
            if same := self._ending.get(keys[count]):
                return same.pop(0), count, False
        if keys[-1] not in self._known:
            for at in range(len(forms) - 1, -1, -1):
                if (found := self._last.get((owner, forms[at]))) is not None:
                    return found, at + 1, True
            asked = _asked(forms)
            if asked is not None and (found := self._first.get((owner, asked))) is not None:
                return found, _unlike(forms, found.turns), True
        made = Conversation(owner)
        self.all.append(made)
        return made, 0, False


def _asked(forms: Iterable[Form]) -> Form | None:
    return next((form for form in forms if form[0] not in ("system", "developer")), None)


def _unlike(forms: list[Form], turns: list[Turn]) -> int:
    """Returns from where a rewritten history is new: after its last answer, and not before it
    differs from what was said."""
    shared = 0
    for form, turn in zip(forms, turns, strict=False):
        if form != form_of(turn.message):
            break
        shared += 1
    answers = [at + 1 for at, form in enumerate(forms) if form[0] in ("assistant", "model")]
    return max(shared, *answers, 0)


def _key(before: int, form: Form) -> int:
    """Returns the key of messages that end in `form`, from that of those before: 64 bits, the same
    in every process."""
    return xxh3_64_intdigest(repr(form).encode("utf-8", "surrogatepass"), seed=before)
