"""The language of the embedded world: a turn is thoughts and then one line, a call or an answer."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, final

from assay.errors import UsageError
from assay.records import ExpertCall, ToolStep, UserStep
from assay.rollout.protocols.base import Asked, Protocol, Read, Sampled, Turn, pieces
from assay.world import line
from assay.world.environment import Environment, Reply
from assay.world.line import INSTRUCTIONS


@final
class Line(Protocol):
    """Every turn goes to `Environment.step` as it is written; a world that answers nothing leaves
    the text as it stands."""

    name: ClassVar[str] = "line"
    stop = ("\n",)

    def __init__(self, tokenizer: Any = None) -> None:
        """Takes a tokenizer."""
        super().__init__(tokenizer)
        self._ends_line: dict[int, bool] = {}

    def opening(
        self, environment: Environment, task: str, notes: Sequence[str]
    ) -> tuple[Read, ...]:
        """Returns the task with advice under it."""
        return (UserStep(text=line.prompt(task, notes)),)

    def turn(self, text: str, environment: Environment, ids: Sequence[int] = ()) -> Turn:
        """Returns a turn taken apart; it makes one call at most, badly written ones included."""
        said = line.parse(text)
        parsed = said.kind == "call"
        calls: tuple[Asked, ...] = ()
        if parsed or (said.kind == "malformed" and said.argument.startswith(">")):
            start, end = said.action
            calls = (
                Asked(
                    name=said.tool,
                    arguments=line.arguments(said.argument) if parsed else said.argument,
                    values={"input": said.argument} if parsed else None,
                    start=start,
                    end=end,
                ),
            )
        claim = "none"
        if said.kind == "answer":
            claim = "admitted" if said.answer in ("", line.GIVE_UP) else "claimed"
        return Turn(
            text=text, calls=calls, spans=said.spans, confidence=said.confidence, claim=claim
        )

    def played(self, environment: Environment, turn: Turn) -> Iterator[tuple[int | None, Reply]]:
        """Yields the one reply."""
        yield (0 if turn.calls else None), environment.step(turn.text)

    def heard(self, text: str, asked: Asked | None, reply: Reply) -> Read | None:
        """Returns the world's line. None: it said nothing."""
        if not reply.text:
            return None
        return ToolStep(
            text=line.observation(text, reply.text),
            name=asked.name if asked else "",
            error=None if reply.ran is None else not reply.ran,
        )

    def expert(self, environment: Environment, turns: Sequence[str]) -> Iterator[ExpertCall]:
        """Yields the calls of the lines."""
        for said in map(line.parse, turns):
            if said.kind == "call":
                yield ExpertCall(name=said.tool, arguments=line.arguments(said.argument))

    def prompt_ids(self, read: Sequence[Read], environment: Environment) -> list[list[int]]:
        """Returns the ids of the task."""
        return [self.prompt(each.text) for each in read]

    def prompt(self, text: str) -> list[int]:
        """Returns the ids of a task: by the chat template, with instructions, if there is one.

        Instructions are the system's message; before the task where a template knows no system.

        Raises:
            UsageError: the template refuses that too.
        """
        if getattr(self._tokenizer, "chat_template", None) is None:
            return self.encode(text)
        from jinja2 import TemplateError

        with suppress(TemplateError):
            return self._templated(
                {"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}
            )
        try:
            return self._templated({"role": "user", "content": f"{INSTRUCTIONS}\n\n{text}"})
        except TemplateError as error:
            raise UsageError(f"the tokenizer's chat template refuses a task: {error}") from None

    def _templated(self, *messages: dict[str, str]) -> list[int]:
        made: Any = self._tokenizer.apply_chat_template(
            [*messages], add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(made["input_ids"])

    def is_over(self, ids: Sequence[int]) -> bool:
        """Returns whether the line ended, or the text did."""
        last = ids[-1]
        if last == self._tokenizer.eos_token_id:
            return True
        if last not in self._ends_line:
            self._ends_line[last] = "\n" in self._tokenizer.decode([last])
        return self._ends_line[last] and line.is_complete(self._tokenizer.decode(list(ids)))

    def sampled(self, ids: Sequence[int], logprobs: Sequence[float]) -> Sampled:
        """Returns sampled tokens with their texts; special tokens have none."""
        texts = pieces(self._tokenizer, ids, skip=True)
        return Sampled(ids=tuple(ids), logprobs=tuple(logprobs), pieces=tuple(texts))

    def written(self, turn: str, environment: Environment) -> tuple[str, list[int]]:
        """Returns the line."""
        return f"{turn}\n", self.encode(f"{turn}\n")

    def read_ids(
        self,
        read: Sequence[Read],
        environment: Environment,
        *,
        before: Sequence[int],
        turn: Sequence[int],
    ) -> list[list[int]]:
        """Returns the ids of the world's line."""
        return [self.encode(each.text) for each in read]


LINE: Final = Line()
"""Without a tokenizer."""
