"""A tokenizer's chat template as a rollout needs it: a prompt, and what comes after a turn.

What comes after a turn is found by difference: the template writes a short conversation with a
marked assistant's message in it, and what it writes behind that message's end is the continuation.
What was sampled is never written again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, final

from assay.errors import UsageError
from assay.rollout.protocols.syntax import syntax_of

Message = dict[str, Any]

PLAIN: Final = (
    "{{ bos_token | default('', true) }}{% for m in messages %}{{ '' if loop.first else '\n' }}"
    "{{ m.role | capitalize ~ ': ' if m.role != 'system' else '' }}{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n' }}Assistant:{% endif %}"
)
"""What a base model without a template gets: "User: ...", "Assistant: ..."; a turn is a line."""
_MARK: Final = "assaymark"
_TOOL: Final = {
    "name": "assaytool",
    "description": "none",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}


@final
class Template:
    """What one tokenizer's template can do, found out by trying."""

    def __init__(self, tokenizer: Any, ends: Sequence[int] = ()) -> None:
        """Takes a tokenizer with a chat template, or with none, and more tokens that end a turn."""
        self._tokenizer, self._more_ends = tokenizer, ends
        self.plain = getattr(tokenizer, "chat_template", None) is None

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end a turn: the tokenizer's, the template's own, those given."""
        own = () if self._closing is None else (self._closing,)
        return tuple(dict.fromkeys([int(self._tokenizer.eos_token_id), *own, *self._more_ends]))

    @property
    def end(self) -> int:
        """The token that the template ends a turn with; the tokenizer's where it writes none."""
        return self._closing or int(self._tokenizer.eos_token_id)

    @cached_property
    def _closing(self) -> int | None:
        shown = self.text([_user("?"), _assistant(_MARK)])
        closing = shown[shown.rindex(_MARK) + len(_MARK) :] if _MARK in shown else ""
        known: dict[str, int] = self._tokenizer.get_added_vocab()
        named = [(closing.index(each), -len(each), each) for each in known if each in closing]
        return known[min(named)[2]] if named else None

    @cached_property
    def has_system(self) -> bool:
        """Whether it writes a system message."""
        return _MARK in self._tried([{"role": "system", "content": _MARK}, _user("?")])

    @cached_property
    def has_tools(self) -> bool:
        """Whether it describes tools, and writes calls and results."""
        asked = [_user("?"), _calling(["assaytool"])]
        answered = [*asked, result(_MARK, "assaytool", 0)]
        return (
            "assaytool" in self._tried([_user("?")], tools=[_TOOL])
            and _MARK in self._tried(asked, tools=[_TOOL])
            and self._tried(answered, tools=[_TOOL]).count(_MARK) == 2
        )

    @cached_property
    def syntax(self) -> str:
        """How it writes calls; see `syntax`. Of a plain one: bare JSON, in one line."""
        if self.plain:
            return "llama"
        if not self.has_tools:
            return "fenced"
        before = self.text([_user("?")], tools=[_TOOL], more=True)
        shown = self.text([_user("?"), _calling(["assaytool"])], tools=[_TOOL])
        return syntax_of(shown[same(before, shown) :])

    @cached_property
    def opens_thought(self) -> bool:
        """Whether its prompt ends inside a thought."""
        return self.text([_user("?")], more=True).rstrip().endswith("<think>")

    @cached_property
    def is_stable(self) -> bool:
        """Whether what it wrote stays as it is when messages follow, thoughts included."""
        thought = {"role": "assistant", "content": f"<think>\n{_MARK}\n</think>\n\nyes"}
        first = self.text([_user("?"), thought])
        return self.text([_user("?"), thought, _user("!")]).startswith(first.rstrip())

    def text(
        self, messages: Sequence[Message], *, tools: Sequence[Any] = (), more: bool = False
    ) -> str:
        """Returns messages as the template writes them; `more` opens the assistant's turn."""
        given: dict[str, Any] = {"tools": [_schema(each) for each in tools]} if tools else {}
        if self.plain:
            given["chat_template"] = PLAIN
        return str(
            self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=more, **given
            )
        )

    def prompt(self, messages: Sequence[Message], tools: Sequence[Any]) -> list[int]:
        """Returns the ids of a prompt.

        Raises:
            UsageError: the template refuses it.
        """
        from jinja2 import TemplateError

        try:
            return self.encode(self.text(messages, tools=tools, more=True))
        except TemplateError as error:
            raise UsageError(f"the tokenizer's chat template refuses a task: {error}") from None

    def after(
        self,
        messages: Sequence[Message],
        names: Sequence[str],
        tools: Sequence[Any],
        turn: Sequence[int],
    ) -> list[int]:
        """Returns the ids that follow a sampled turn: its end where it has none, the messages, and
        the opening of the next turn.

        Args:
            messages: the world's.
            names: of the calls that the turn made, which the messages answer.
            tools: the environment's.
            turn: its ids.
        """
        whole, alone = self._answered(messages, names if self.has_tools else (), tools)
        closing = alone[alone.rindex(_MARK) + len(_MARK) :]
        ends = [str(self._tokenizer.decode([end])) for end in self.ends]
        place, end = min(((closing.find(e), e) for e in ends if e in closing), default=(-1, ""))
        at = whole.index(_MARK) + len(_MARK)
        if place < 0:
            ended = str(self._tokenizer.decode(list(turn))).endswith("\n")
            return self.encode(whole[at:].removeprefix("\n") if ended else whole[at:])
        alike = whole.startswith(closing[:place], at)
        ids = self.encode(whole[at + place if alike else whole.index(end, at) :])
        return ids[1:] if turn and turn[-1] in self.ends else ids

    def _answered(
        self, messages: Sequence[Message], names: Sequence[str], tools: Sequence[Any]
    ) -> tuple[str, str]:
        """Returns a marked conversation with and without the world's messages."""
        from jinja2 import TemplateError

        asked = [_calling(names), _calling(names[-1:])] if names else [_assistant(_MARK)]
        for at, said in enumerate(asked, 1):
            begun = [_user("?"), said]
            try:
                alone = self.text(begun, tools=tools)
                return self.text([*begun, *messages], tools=tools, more=True), alone
            except TemplateError as error:  # some take one call a turn
                if at == len(asked):
                    raise UsageError(f"the chat template refuses an answer: {error}") from None
        raise AssertionError

    def written(self, message: Message, tools: Sequence[Any]) -> list[int]:
        """Returns the ids of an assistant's message as the policy would sample it, its end last."""
        before = self.text([_user("?")], tools=tools, more=True)
        whole = self.text([_user("?"), message], tools=tools)
        ids = self.encode(whole[same(before, whole) :])
        last = [at for at, token in enumerate(ids) if token in self.ends]
        return ids[: last[-1] + 1] if last else ids

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a template's text."""
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _tried(self, messages: Sequence[Message], *, tools: Sequence[Any] = ()) -> str:
        """Returns what the template writes; empty where it refuses."""
        with suppress(Exception):  # templates are programs: they fail in any way
            return self.text(messages, tools=tools)
        return ""


def same(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Returns how far two texts, or two lists of ids, begin alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def call_id(number: int) -> str:
    """Returns an id of nine letters and digits, which is what the strictest template takes."""
    return f"call{number:05d}"


def _calling(names: Sequence[str]) -> Message:
    """Returns an assistant's message that calls; the mark is in the last call."""
    last = len(names) - 1
    return calling(
        "",
        [(name or "unknown", {"a": _MARK if at == last else ""}) for at, name in enumerate(names)],
    )


def calling(text: str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Message:
    """Returns an assistant's message with calls."""
    made = [
        {
            "id": call_id(at),
            "type": "function",
            "function": {"name": name, "arguments": dict(values)},
        }
        for at, (name, values) in enumerate(calls)
    ]
    return {"role": "assistant", "content": text, "tool_calls": made}


def result(text: str, name: str, number: int) -> Message:
    """Returns the message that answers a turn's call of this number."""
    return {
        "role": "tool", "content": text, "name": name or "unknown", "tool_call_id": call_id(number)
    }  # fmt: skip


def _schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a tool as templates take it."""
    return {"type": "function", "function": dict(tool)}
