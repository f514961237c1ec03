"""Messages through a model's own chat template, tool calls as that template writes them.

The prompt is rendered once. What the policy samples stays as it was sampled; what the world says is
rendered behind it (see `template`) and never joined with it. Where the package `renderers` knows
the model, it renders and takes turns apart; else the tokenizer's template does; a base model
without one gets a plain dialogue in which a turn is one line.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, final

from assay.records import ExpertCall, Role, Span, SystemStep, ToolStep, UserStep
from assay.rollout.protocols.base import Asked, Protocol, Read, Sampled, Turn, pieces
from assay.rollout.protocols.known import Known
from assay.rollout.protocols.line import LINE
from assay.rollout.protocols.syntax import EXAMPLES, calls
from assay.rollout.protocols.template import Message, Template, calling, result, same
from assay.world.environment import Environment, Reply
from assay.world.several import in_lines

_THOUGHT: Final = re.compile(r"\s*<think>(.*?)(?:</think>|\Z)", re.DOTALL)
STRIPPED: Final = (
    "its chat template rewrites earlier turns (it takes their thoughts out); records and training "
    "keep every turn as it was sampled, so from its second turn on the policy reads more than it "
    "would if the conversation were rendered anew"
)


@final
class Chat(Protocol):
    """Any chat model. Without a tokenizer calls are written as bare JSON."""

    name: ClassVar[str] = "chat"

    def __init__(self, tokenizer: Any = None, *, ends: Sequence[int] = ()) -> None:
        """Takes a tokenizer, and tokens that end a turn besides its own (generation_config's).

        Raises:
            UsageError: it has no end token.
        """
        super().__init__(tokenizer)
        self._template = None if tokenizer is None else Template(tokenizer, ends)
        self._known = None if tokenizer is None else Known.of(tokenizer)
        self.syntax = "llama" if self._template is None else self._template.syntax
        if self._template is not None:
            known = () if self._known is None else self._known.ends
            self.ends = tuple(dict.fromkeys([*self._template.ends, *known]))
            self.stop = ("\n",) if self._template.plain else ()

    @property
    def warning(self) -> str | None:
        """What to know of its template. None: nothing, it never rewrites what it wrote."""
        if self._template is None or self._template.is_stable:
            return None
        return STRIPPED

    # texts

    def opening(
        self, environment: Environment, task: str, notes: Sequence[str]
    ) -> tuple[Read, ...]:
        """Returns instructions, where there are any, and the task with advice under it."""
        said = [environment.system()]
        native = self._template is not None and self._template.has_tools
        if environment.tools() and not native:
            said.append(told(environment.tools(), self.syntax))
        system = "\n\n".join(filter(None, said))
        text = "\n".join(filter(None, (task, *notes)))
        if system and (self._template is None or self._template.has_system):
            return SystemStep(text=system), UserStep(text=text)
        return (UserStep(text="\n\n".join(filter(None, (system, text)))),)

    def turn(self, text: str, environment: Environment, ids: Sequence[int] = ()) -> Turn:
        """Returns a turn taken apart: thoughts, then calls, or an answer where nothing is called.

        A call inside a thought is a thought. An environment without tools is called nothing.
        """
        begins = self._thought(text)
        asked: tuple[Asked, ...] = ()
        if tools := environment.tools():
            by_package = self._known.calls(ids, text, tools) if self._known and ids else None
            asked = calls(text, self.syntax, begins) if by_package is None else by_package
        spans = [_span("think", 0, begins)]
        at = begins
        for call in asked:
            spans += [_span("text", at, call.start), _span("call", call.start, call.end)]
            at = call.end
        spans.append(_span("text" if asked else "answer", at, len(text)))
        rest = text[begins:].strip()
        return Turn(
            text=rest,
            calls=asked,
            spans=tuple(span for span in spans if span.start < span.end),
            claim="claimed" if rest and not asked else "none",
        )

    def _thought(self, text: str) -> int:
        """Returns where the thoughts at the beginning end; a turn may begin inside one."""
        if self._template is not None and self._template.opens_thought and "<think>" not in text:
            end = text.find("</think>")
            return len(text) if end < 0 else end + len("</think>")
        found = _THOUGHT.match(text)
        return found.end() if found else 0

    def played(self, environment: Environment, turn: Turn) -> Iterator[tuple[int | None, Reply]]:
        """Yields a reply for each call, in order, up to the end of the task; one that cannot be
        read is answered here, and what was not read was not played."""
        for number, asked in enumerate(turn.calls):
            if asked.values is None:
                wrong = f"error: this call could not be read ({asked.why}); expected "
                text = f"{wrong}{EXAMPLES[self.syntax]}"
                reply = Reply(text=text, ran=False, found=False)
            else:
                reply = environment.call(asked.name, asked.values)
            yield number, reply
            if reply.done:
                return
        if not turn.calls:
            yield None, environment.step(turn.text)

    def heard(self, text: str, asked: Asked | None, reply: Reply) -> Read | None:
        """Returns a call's result, or what is said to a text; a turn is always answered, if with
        nothing, until the task is over."""
        if reply.done and not reply.text:
            return None
        if asked is None:
            return UserStep(text=reply.text)
        error = None if reply.ran is None else not reply.ran
        return ToolStep(text=reply.text, name=asked.name, error=error)

    def expert(self, environment: Environment, turns: Sequence[str]) -> Iterator[ExpertCall]:
        """Yields the calls that the turns stand for."""
        for turn in turns:
            if (call := environment.as_call(turn)) is not None:
                yield ExpertCall(name=call[0], arguments=json.dumps(call[1], ensure_ascii=False))

    # tokens

    def prompt_ids(self, read: Sequence[Read], environment: Environment) -> list[list[int]]:
        """Returns the ids of the whole prompt at its last message: templates may mix messages."""
        messages: list[Message] = [
            {"role": "system" if type(each) is SystemStep else "user", "content": each.text}
            for each in read
        ]
        made = self._made() if self._known is None else self._known
        return [*([] for _ in read[1:]), made.prompt(messages, self._tools(environment))]

    def _made(self) -> Template:
        assert self._template is not None, "a protocol without a tokenizer has no ids"
        return self._template

    def _tools(self, environment: Environment) -> Sequence[Any]:
        return environment.tools() if self._made().has_tools else ()

    def is_over(self, ids: Sequence[int]) -> bool:
        """Returns whether the turn's end was sampled; of a plain dialogue, whether a line ended."""
        if ids[-1] in self.ends:
            return True
        if not self._made().plain or "\n" not in self._tokenizer.decode([ids[-1]]):
            return False
        return bool(self._tokenizer.decode(list(ids)).strip())

    def sampled(self, ids: Sequence[int], logprobs: Sequence[float]) -> Sampled:
        """Returns sampled tokens with their texts, special ones included; the end has none."""
        ended = bool(ids) and ids[-1] in self.ends
        texts = pieces(self._tokenizer, ids[:-1] if ended else ids, skip=False)
        texts += [""] if ended else []
        return Sampled(ids=tuple(ids), logprobs=tuple(logprobs), pieces=tuple(texts))

    def read_ids(
        self,
        read: Sequence[Read],
        environment: Environment,
        *,
        before: Sequence[int],
        turn: Sequence[int],
    ) -> list[list[int]]:
        """Returns the ids of the answers, each as far as what follows does not change them; the
        last one's go up to where the next turn begins."""
        messages, names = self._messages(read)
        tools, template = self._tools(environment), self._made()
        if self._known is not None:
            whole = self._known.after(messages, tools, before=before, turn=turn)
            if whole is not None:
                return [*([] for _ in read[1:]), whole]
        whole = template.after(messages, names, tools, turn)
        cuts = [0]
        for count in range(1, len(messages)):
            part = template.after(messages[:count], names, tools, turn)
            cuts.append(max(cuts[-1], same(whole, part)))
        return [whole[a:b] for a, b in zip(cuts, [*cuts[1:], len(whole)], strict=True)]

    def _messages(self, read: Sequence[Read]) -> tuple[list[Message], list[str]]:
        """Returns what was read as messages, and the names of the calls that were answered."""
        names = [each.name for each in read if type(each) is ToolStep]
        if not names:
            return [{"role": "user", "content": each.text} for each in read], []
        if not self._made().has_tools:
            shown = [
                f"{name or 'call'}: {each.text}" for name, each in zip(names, read, strict=True)
            ]
            return [{"role": "user", "content": "\n".join(shown)}], names
        return [
            result(each.text, n, i) for i, (n, each) in enumerate(zip(names, read, strict=True))
        ], names

    def written(self, turn: str, environment: Environment) -> tuple[str, list[int]]:
        """Returns an expert's turn as the template would have the policy write it."""
        ids = self._written(turn, environment)
        return "".join(self.sampled(ids, [0.0] * len(ids)).pieces), ids

    def _written(self, turn: str, environment: Environment) -> list[int]:
        template, call = self._made(), environment.as_call(turn)
        if call is not None and template.has_tools:
            return template.written(calling("", [call]), self._tools(environment))
        if call is not None:
            fenced = self.syntax == "fenced"
            name, given = call
            said = {"name": name, "arguments" if fenced else "parameters": given}
            turn = json.dumps(said, ensure_ascii=False)
            turn = f"```json\n{turn}\n```" if fenced else turn
        return self.encode(turn) + (self.encode("\n") if template.plain else [template.end])


def spoken(environment: Environment) -> Protocol:
    """Returns how people and experts play: in lines, or with JSON calls where there are tools that
    no family has."""
    return Chat() if environment.tools() and not in_lines(environment) else LINE


def told(tools: Sequence[Any], syntax: str) -> str:
    """Returns tools in words, for templates that know none."""
    listed = "\n".join(json.dumps(dict(tool), ensure_ascii=False) for tool in tools)
    return f"You have these tools:\n{listed}\nTo call one, write:\n{EXAMPLES[syntax]}"


def _span(role: Role, start: int, end: int) -> Span:
    return Span(role=role, start=start, end=end)
