"""A policy of this process behind the gateway: the one that ships, or any causal language model.

It answers as vLLM does, with the ids that it sampled and their exact log-probs. One request at a
time; temperature alone shapes what it samples. A base model without a chat template gets a plain
dialogue, and the policy that ships its own language: the first thing that a user says is a task
(`?...`), the rest is advice (`!...`), and what it calls is a call of the request's tools.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec
import torch

from assay.errors import AssayError, UsageError
from assay.live.answers import DONE
from assay.live.engines import NEUTRAL, Engine
from assay.live.sessions import text_of
from assay.live.shapes.base import event
from assay.live.upstream import Reply
from assay.policy.loading import START, load
from assay.policy.sampling import sample
from assay.rollout.protocols.syntax import calls
from assay.rollout.protocols.template import Template
from assay.world import line

TOKENS: Final = 256
"""Tokens of an answer whose request does not say."""
_HELD: Final = 3
"""Versions that are kept in memory."""
_NEUTRAL: Final = {key: value for key, value in NEUTRAL.items() if key != "temperature"}
Piece = tuple[int, float, str]
"""A token: its id, its log-prob, the text that it adds."""


@final
@dataclass(slots=True)
class _Loaded:
    model: Any
    tokenizer: Any
    template: Template | None
    """None: the policy that ships, which has a language of its own."""


@final
class Embedded:
    """An engine in this process."""

    def __init__(self, name: str = START, *, seed: int = 0) -> None:
        """Opens a policy.

        Args:
            name: "start", a folder, or a name on Hugging Face.
            seed: of all chance.

        Raises:
            UsageError: there is no such policy.
            MissingExtraError: torch or transformers is not installed.
        """
        self.name = name
        self.goes_by = name
        """What answers call the policy that was given: who trains it in place names it anew."""
        self.where: Callable[[str], str | None] = lambda _: None
        """Where the weights of a version lie; None: it is none, and the policy that was given
        answers."""
        self._seed, self._asked = seed, 0
        self._worker = ThreadPoolExecutor(1, "live-policy")
        self._held: dict[str, _Loaded] = {name: _opened(name, line=name == START)}

    @property
    def policy(self) -> tuple[Any, Any]:
        """The policy that was given, which may be trained where nothing is sampled meanwhile, and
        its tokenizer."""
        held = self._held[self.name]
        return held.model, held.tokenizer

    async def engine(self) -> Engine:
        """Returns "embedded"."""
        return "embedded"

    async def models(self) -> bytes:
        """Returns the one model."""
        model = {"id": self.name, "object": "model", "created": 0, "owned_by": "assay"}
        return msgspec.json.encode({"object": "list", "data": [model]})

    async def close(self) -> None:
        """Ends what is under way."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def ask(self, body: bytes) -> AbstractAsyncContextManager[Reply]:
        """Samples an answer; a request that it cannot be true to is refused."""
        return self._ask(msgspec.json.decode(body))

    @asynccontextmanager
    async def _ask(self, body: dict[str, Any]) -> AsyncGenerator[Reply]:
        try:
            _check(body)
            loaded, name = await self._run(self._of, str(body.get("model", "")))
            prompt = await self._run(_prompt, loaded, body)
            room = int(getattr(loaded.model.config, "max_position_embeddings", 1 << 20))
            if len(prompt) >= room:
                raise UsageError(f"messages: {len(prompt)} tokens; the policy holds {room}")
        except (AssayError, ValueError, TypeError) as error:
            said = {"error": {"message": str(error)[:500], "type": "invalid_request_error"}}
            yield Reply(400, "application/json", _once(msgspec.json.encode(said)))
            return
        answer = _Answer(loaded, name, body, prompt, room)
        self._asked += 1
        pieces = self._pieces(answer, self._seed + self._asked)
        if body.get("stream"):
            yield Reply(200, "text/event-stream", answer.events(pieces))
        else:
            yield Reply(200, "application/json", answer.whole(pieces))

    async def _run(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *given)

    def _of(self, model: str) -> tuple[_Loaded, str]:
        """Returns the weights of a version and its name; of a name that is none, those that were
        given."""
        where = self.where(model)
        if where is None:
            return self._held[self.name], self.goes_by
        if model not in self._held:
            ours = self._held[self.name].template is None
            self._held[model] = _opened(where, line=ours, base=self.name)
            old = [name for name in self._held if name != self.name]
            for name in old[:-_HELD]:
                del self._held[name]
        return self._held[model], model

    async def _pieces(self, answer: "_Answer", seed: int) -> AsyncGenerator[Piece]:
        """Yields tokens as they are sampled."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Piece | None]()
        left = False

        def told(piece: Piece | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, piece)

        def work() -> None:
            try:
                answer.sample(seed, told, lambda: left)
            finally:
                told(None)

        done = loop.run_in_executor(self._worker, work)
        try:
            while (piece := await queue.get()) is not None:
                yield piece
            await done
        finally:
            left = True


@final
class _Answer:
    """One answer, while it is sampled."""

    def __init__(
        self, loaded: _Loaded, name: str, body: Mapping[str, Any], prompt: list[int], room: int
    ) -> None:
        self._of, self._body, self._prompt = loaded, body, prompt
        asked = body.get("max_tokens") or body.get("max_completion_tokens") or TOKENS
        self._most = max(1, min(int(asked), room - len(prompt)))
        self._room, self._ended = room, False
        template = loaded.template
        self._ends = {int(loaded.tokenizer.eos_token_id), *(template.ends if template else ())}
        self._lines = template is None or template.plain
        self._name = f"{time.time_ns():x}"
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{self._name}",
            "created": int(time.time()),
            "model": name,
        }

    def sample(self, seed: int, told: Callable[[Piece], None], left: Callable[[], bool]) -> None:
        """Samples it; tells each token."""
        ids: list[int] = []
        said = ""

        def reader(_: int, fresh: Sequence[int], nats: Sequence[float]) -> Sequence[int] | None:
            nonlocal said
            ids.append(fresh[-1])
            self._ended = fresh[-1] in self._ends
            shown = [each for each in ids if each not in self._ends]
            text = self._of.tokenizer.decode(shown)
            if self._lines and text.strip() and "\n" in text[len(text) - len(text.lstrip()) :]:
                self._ended = True
                text = text.rstrip("\n")
            if not text.endswith("\ufffd"):  # half a character
                told((fresh[-1], nats[-1], text[len(said) :]))
                said = text
            else:
                told((fresh[-1], nats[-1], ""))
            return None if self._ended or left() else ()

        temperature = self._body.get("temperature")
        sample(
            self._of.model,
            [self._prompt],
            reader,
            max_tokens=self._most,
            max_length=self._room + 1,
            temperature=1.0 if temperature is None else float(temperature),
            generator=torch.Generator(self._of.model.device).manual_seed(seed),
        )

    @property
    def _reason(self) -> str:
        return "stop" if self._ended else "length"

    def _said(self, text: str) -> tuple[dict[str, Any], str]:
        """Returns the message of a text, and why it ended."""
        message: dict[str, Any] = {"role": "assistant", "content": text}
        template = self._of.template
        syntax = None if template is None else template.syntax
        found = called(text, syntax) if self._body.get("tools") else []
        if not found:
            return message, self._reason
        message["tool_calls"] = [
            {
                "id": f"call_{self._name}_{at}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for at, (name, arguments) in enumerate(found)
        ]
        return message, "tool_calls"

    async def whole(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
        """Yields the answer in one piece."""
        all_ = [piece async for piece in pieces]
        message, reason = self._said("".join(text for _, _, text in all_))
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": reason,
            "token_ids": [id for id, _, _ in all_],
            "logprobs": _logprobs(all_),
        }
        yield msgspec.json.encode(
            {
                **self._head,
                "object": "chat.completion",
                "prompt_token_ids": self._prompt,
                "choices": [choice],
                "usage": self._usage(len(all_)),
            }
        )

    async def events(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
        """Yields the answer token by token; calls come whole, with the end."""
        first = {"role": "assistant", "content": ""}
        yield self._chunk(first, prompt_token_ids=self._prompt)
        all_: list[Piece] = []
        async for piece in pieces:
            all_.append(piece)
            more = {"token_ids": [piece[0]], "logprobs": _logprobs([piece])}
            yield self._chunk({"content": piece[2]}, choice=more)
        message, reason = self._said("".join(text for _, _, text in all_))
        calls_ = [{**each, "index": at} for at, each in enumerate(message.get("tool_calls", ()))]
        delta = {"tool_calls": calls_} if calls_ else {}
        yield self._chunk(delta, choice={"finish_reason": reason}, usage=self._usage(len(all_)))
        yield DONE + b"\n\n"

    def _chunk(
        self, delta: dict[str, Any], *, choice: dict[str, Any] | None = None, **top: Any
    ) -> bytes:
        made = {"index": 0, "delta": delta, "finish_reason": None, **(choice or {})}
        kind = "chat.completion.chunk"
        return event(None, {**self._head, "object": kind, "choices": [made], **top})

    def _usage(self, wrote: int) -> dict[str, int]:
        read = len(self._prompt)
        return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def _opened(name: str, *, line: bool, base: str | None = None) -> _Loaded:
    """Opens a policy; with a base a version of it, which may be adapters."""
    if base is None:
        model, tokenizer = load(name)
    else:
        from assay.live.training import opened  # what trains is loaded once there is a version

        model, tokenizer = opened(name, base, device="cpu")
    return _Loaded(model, tokenizer, None if line else Template(tokenizer))


def _check(body: Mapping[str, Any]) -> None:
    """Raises UsageError where a request asks for what would not be sampled."""
    for key, neutral in _NEUTRAL.items():
        value = body.get(key)
        if value is not None and value != neutral and not (key == "top_k" and value == 0):
            raise UsageError(f"{key}: the embedded policy samples with temperature alone")
    if body.get("n") not in (None, 1):
        raise UsageError("n: the embedded policy gives one answer")
    if body.get("stop"):
        raise UsageError("stop: the embedded policy ends its answers itself")
    heat = body.get("temperature")
    if heat is not None and (type(heat) not in (int, float) or not heat >= 0):
        raise UsageError("temperature: expected a number from 0")
    if not all(isinstance(each.get("function"), dict) for each in body.get("tools") or ()):
        raise UsageError("tools: expected a function in each")


def _prompt(loaded: _Loaded, body: Mapping[str, Any]) -> list[int]:
    messages = [{**each, "content": text_of(each)} for each in body["messages"]]
    if loaded.template is None:
        return list(loaded.tokenizer(_lines(messages), add_special_tokens=False).input_ids)
    tools = [each["function"] for each in body.get("tools") or ()]
    return loaded.template.prompt(messages, tools if loaded.template.has_tools else [])


def _lines(messages: Sequence[Mapping[str, Any]]) -> str:
    """Returns a conversation in the language of the policy that ships."""
    made, asked = list[str](), False
    for message in messages:
        text, role = " ".join(str(message["content"]).split()), message.get("role")
        called = message.get("tool_calls")
        if role == "assistant" and called:
            function = called[0].get("function") or {}
            made.append(line.call_text(str(function.get("name")), _argument(function)))
        elif role == "assistant":
            made.append(text)
        elif role == "tool":
            made.append(f"<{text.removeprefix('<')}")
        elif role == "user" and not asked:
            made.append(f"?{text.removeprefix('?')}")
            asked = True
        else:
            made.append(f"!{text.removeprefix('!')}")
    return "".join(each.rstrip("\n") + "\n" for each in made)


def _argument(function: Mapping[str, Any]) -> str:
    """Returns the one argument of a call."""
    try:
        values = msgspec.json.decode(str(function.get("arguments") or "{}"))
    except msgspec.MsgspecError:
        return ""
    return " ".join(map(str, values.values())) if isinstance(values, dict) else str(values)


def called(text: str, syntax: str | None) -> list[tuple[str, str]]:
    """Returns the calls in an answer: names, and arguments as JSON. Without a syntax those of the
    language of the policy that ships."""
    if syntax is None:
        turn = line.parse(text)
        return [(turn.tool, line.arguments(turn.argument))] if turn.kind == "call" else []
    return [(each.name, each.arguments) for each in calls(text, syntax)]


def _logprobs(pieces: Sequence[Piece]) -> dict[str, Any]:
    """Returns them as OpenAI's schema has them: LiteLLM takes none that lacks a field."""
    more = {"bytes": None, "top_logprobs": []}
    return {"content": [{"token": text, "logprob": nats, **more} for _, nats, text in pieces]}


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
