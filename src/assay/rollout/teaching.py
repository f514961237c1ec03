"""What a teacher says of the steps that hints are about, by forwards that train nothing.

The teacher is the policy itself, or its average, told a hint: a block of tokens in front of what
was sampled. The ids of the trajectory stay as they are and the block stands between two steps, so
that no token boundary moves. A step is scored with its own hints and no others, and once more with
a block of as many tokens that says nothing.

    front     block, prompt, first turn, ... , the step      as a system message of a chat template
    prompt    prompt, block, first turn, ... , the step      as advice under a task, "!like this"
    step      prompt, first turn, ... , block, the step      what was before the step is read once
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

from msgspec import structs

from assay.policy.scoring import Asked, Read, Table, scanned
from assay.records import ModelStep, Step, Trajectory
from assay.rollout.scoring import cuts, ids_of, spent

Place = Literal["front", "prompt", "step"]
NOTHING: Final = "this line says nothing about the task and changes nothing of it, "
"""What a neutral hint says, again and again and up to the length of the hint."""
ROWS: Final = 64
"""Steps of one pass."""


@final
@dataclass(frozen=True, slots=True)
class Blocks:
    """How hints are told: in whose form, and where."""

    encode: Callable[[str], Sequence[int]]
    """The ids of a text as a block."""
    place: Place
    first: int | None = None
    """The token that begins every text of the model and stays its first; None: there is none."""
    _known: dict[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])

    @staticmethod
    def of(tokenizer: Any, place: Place | None = None) -> "Blocks":
        """Returns the blocks of a model: a system message in front where it has a chat template,
        else a line of advice, "!hint", under the task. `place` moves them."""
        if getattr(tokenizer, "chat_template", None) is None:
            return Blocks(_lines(tokenizer), place or "prompt", tokenizer.bos_token_id)
        return Blocks(_message(tokenizer), place or "front", tokenizer.bos_token_id)

    def told(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Returns the ids that tell hints; of none, none."""
        said = "\n".join(" ".join(text.split()) for text in texts)
        return tuple(self.encode(said)) if said else ()

    def neutral(self, size: int) -> tuple[int, ...]:
        """Returns as many ids that tell nothing, or as near to it as the tokenizer comes."""
        if size not in self._known:
            self._known[size] = self._sized(size)
        return self._known[size]

    def _sized(self, size: int) -> tuple[int, ...]:
        words, best = NOTHING * (size // 4 + 1), tuple[int, ...]()
        for length in range(1, len(words) + 1):
            made = self.told([words[:length]])
            if abs(len(made) - size) < abs(len(best) - size):
                best = made
            if len(made) >= size:
                break
        return best

    def cut(self, ids: Sequence[int], prompt: int, step: int) -> int:
        """Returns how many of a trajectory's tokens stand before the block.

        Args:
            ids: the trajectory's.
            prompt: tokens before its first model step.
            step: tokens before the step that is scored.
        """
        if self.place == "front":
            return int(self.first is not None and ids[0] == self.first)
        return prompt if self.place == "prompt" else step


def _lines(tokenizer: Any) -> Callable[[str], Sequence[int]]:
    def encode(text: str) -> Sequence[int]:
        advice = "".join(f"!{line.removeprefix('!')}\n" for line in text.splitlines())
        return tokenizer(advice, add_special_tokens=False)["input_ids"]

    return encode


def _message(tokenizer: Any) -> Callable[[str], Sequence[int]]:
    def encode(text: str) -> Sequence[int]:
        from jinja2 import TemplateError

        for role in ("system", "user"):
            said = [{"role": role, "content": text}]
            try:
                made = tokenizer.apply_chat_template(said, tokenize=True, return_dict=True)
            except TemplateError:
                continue
            ids = list(made["input_ids"])
            return ids[1:] if ids[:1] == [tokenizer.bos_token_id] else ids
        return tokenizer(f"{text}\n\n", add_special_tokens=False)["input_ids"]

    return encode


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One step under one block."""

    record: int
    step: int
    history: tuple[int, ...]
    """What is read before the block, at least one token, or all up to the step."""
    given: tuple[int, ...]
    scored: tuple[int, ...]


def hinted(step: Step) -> bool:
    """Returns whether a teacher is asked about a step: hints are about it, it may be trained, and
    some of its tokens were sampled."""
    return (
        type(step) is ModelStep
        and bool(step.hints and step.token_ids)
        and step.untrainable is None
        and step.sampled != ()
    )


def taught(
    records: Sequence[Trajectory],
    model: Any,
    blocks: Blocks,
    *,
    neutral: bool = True,
    temperature: float = 1.0,
) -> list[Trajectory]:
    """Returns the records with what the teacher says of each hinted step: `told`, and `neutral`.

    log p(token | block, everything before it), nats, one a sampled token, in place of what was
    there. Other steps stay as they are. The ledger counts a scoring forward for each step and
    block.

    Args:
        records: with token ids of every step.
        model: the teacher, a causal language model.
        blocks: how it is told.
        neutral: ask under a block that says nothing as well.
        temperature: logits are divided by it, as where the tokens were sampled.

    Raises:
        DataError: a step has no token ids, or nothing stands before the first model step.
    """
    asked = [*_asked(records, blocks, neutral=neutral)]
    kinds = [kind for kind, _ in asked]
    answers = answered(model, [question for _, question in asked], temperature=temperature)
    found: dict[tuple[int, int], dict[str, tuple[float, ...]]] = {}
    for kind, (_, question), values in zip(kinds, asked, answers, strict=True):
        found.setdefault((question.record, question.step), {})[kind] = values
    return [_with(record, at, found) for at, record in enumerate(records)]


def _asked(
    records: Sequence[Trajectory], blocks: Blocks, *, neutral: bool
) -> Iterator[tuple[str, Question]]:
    for at, record in enumerate(records):
        for index, step in enumerate(record.steps):
            if type(step) is ModelStep and hinted(step):
                block = blocks.told([hint.text for hint in step.hints])
                yield "told", question(record, at, index, block, blocks)
                if neutral:
                    silent = blocks.neutral(len(block))
                    yield "neutral", question(record, at, index, silent, blocks)


def question(
    record: Trajectory, at: int, index: int, block: tuple[int, ...], blocks: Blocks
) -> Question:
    """Returns what is asked of a step of the record, which is number `at`, under a block."""
    ids = ids_of(record)
    start = sum(len(step.token_ids or ()) for step in record.steps[:index])
    cut = blocks.cut(ids, cuts(record)[0], start)
    before, given = ids[:cut], (*block, *ids[cut:start])
    if not before:  # nothing is shared: all that is read first is
        before, given = [*given], ()
    return Question(at, index, tuple(before), given, tuple(record.steps[index].token_ids or ()))


def answered(
    model: Any, questions: Sequence[Question], *, temperature: float = 1.0, rows: int = ROWS
) -> list[tuple[float, ...]]:
    """Returns log p of all tokens of each step asked about, nats, in order."""

    def read(at: int, logp: Table) -> tuple[float, ...]:
        places = range(len(questions[at].scored))
        return tuple(logp[places, questions[at].scored].tolist())

    return looked(model, questions, read, temperature=temperature, rows=rows)


def looked(
    model: Any,
    questions: Sequence[Question],
    read: Callable[[int, Table], Read],
    *,
    temperature: float = 1.0,
    rows: int = ROWS,
) -> list[Read]:
    """Returns what `read` makes of each question, in order: of its number, and of the
    log-probabilities of all tokens at those of the step, nats.

    What questions share is read once.
    """
    order = sorted(dict.fromkeys(question.history for question in questions), key=len)
    place = {history: at for at, history in enumerate(order)}
    asked = [
        Asked(place[each.history], len(each.history), each.given, each.scored) for each in questions
    ]
    return scanned(model, order, asked, read, temperature=temperature, batch=rows)


def _with(
    record: Trajectory, at: int, found: dict[tuple[int, int], dict[str, tuple[float, ...]]]
) -> Trajectory:
    steps, forwards = list(record.steps), 0
    for index, step in enumerate(record.steps):
        values = found.get((at, index))
        if values is not None and type(step) is ModelStep:
            steps[index] = structs.replace(
                step, **{kind: of_sampled(step, each) for kind, each in values.items()}
            )
            forwards += len(values)
    if not forwards:
        return record
    return structs.replace(record, steps=tuple(steps), ledger=spent(record.ledger, forwards))


def of_sampled(step: ModelStep, values: Sequence[float]) -> tuple[float, ...]:
    """Returns the values of a step's sampled tokens, of those of all its tokens."""
    ranges = ((0, len(values)),) if step.sampled is None else step.sampled
    return tuple(value for start, end in ranges for value in values[start:end])
