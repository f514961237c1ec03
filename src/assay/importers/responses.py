"""Items of OpenAI's Responses API to steps: messages, reasoning, calls and their results.

What the model wrote in one call are several items; what follows the last of them is the world's.
Where the items have token ids, as engines add them to the last item of a model call, they say where
it ends.
"""

from collections.abc import Iterable
from typing import Any

from assay.importers.fields import Fields
from assay.importers.messages import Steps, arguments_text, as_text, content_of
from assay.importers.tokens import Turn
from assay.records import Call, ModelStep, Span

_TOKENS = "generation_token_ids"


class Items(Steps):
    """Steps in the making, from items."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[Turn] = []
        """The model calls that have tokens."""
        self._thought, self._texts, self._calls = "", list[str](), list[Call]()
        self._begun = False

    def take(self, items: Iterable[Fields], *, copied: bool = False) -> None:
        """Adds items; `copied`: what the model says there was not sampled for this trajectory."""
        for item in items:
            kind = item.text("type") or "message"
            if kind == "function_call_output":
                self._end(copied=copied)
                output = item.raw.get("output")
                text = content_of(item, "output") if isinstance(output, list) else as_text(output)
                self.answer(item, text or "", item.maybe("call_id", str))
            elif kind == "message" and item.text("role", "assistant") != "assistant":
                self._end(copied=copied)
                self.say(item, content_of(item), item.need("role", str))
            else:
                self._wrote(item, kind)
                if item.raw.get(_TOKENS):
                    self._end(copied=copied, tokens=item)
        self._end(copied=copied)

    def _wrote(self, item: Fields, kind: str) -> None:
        """Takes a part of what the model wrote."""
        self._begun = True
        if kind == "message":
            self._texts.append(content_of(item))
        elif kind == "reasoning":
            key = "summary" if item.raw.get("summary") else "content"
            self._thought += content_of(item, key)
        elif kind == "function_call":
            arguments = arguments_text(item.raw.get("arguments"))
            call = Call(
                name=item.need("name", str), arguments=arguments, id=item.maybe("call_id", str)
            )
            self._calls.append(call)
        else:
            item.lose(f"item:{kind}")

    def _end(self, *, copied: bool, tokens: Fields | None = None) -> None:
        """Adds the turn that was begun, if one was."""
        if not self._begun:
            return
        thought = self._thought
        spans = (Span(role="think", start=0, end=len(thought)),) if thought else ()
        step = ModelStep(
            text=thought + "\n".join(self._texts),
            calls=tuple(self._calls),
            spans=spans,
            untrainable="copied" if copied else None,
        )
        if tokens is not None and not copied:
            self.turns.append(_turn(len(self), tokens))
        self.act(step)
        self._thought, self._texts, self._calls, self._begun = "", [], [], False


def _turn(step: int, item: Fields) -> Turn:
    """Returns the tokens of the model call that an item ends."""
    prompt = item.ids("prompt_token_ids") if item.raw.get("prompt_token_ids") else None
    logprobs = item.floats("generation_log_probs") if item.raw.get("generation_log_probs") else None
    return Turn(step, prompt, item.ids(_TOKENS), logprobs, item)


def flat(output: list[Any], at: Fields) -> list[Any]:
    """Returns items of which some are lists, one a turn: each repeats the ones before and goes on,
    else what it adds is counted as a history that was rewritten."""
    if not any(isinstance(item, list) for item in output):
        return output
    found: list[Any] = []
    for item in output:
        if not isinstance(item, list):
            found.append(item)
        elif item[: len(found)] == found:
            found = list(item)
        else:
            at.lose("history_rewritten")
            found += item
    return found
