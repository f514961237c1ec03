"""The package `renderers`, where it is installed and knows the model: hand-written templates."""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, final

from assay.rollout.protocols.base import Asked
from assay.rollout.protocols.template import Message


@final
class Known:
    """One of its renderers."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer

    @staticmethod
    def of(tokenizer: Any) -> "Known | None":
        """Returns the renderer of a tokenizer's model. None: not installed, or not known.

        A template that was changed, or is given arguments, is not the one that it knows.
        """
        if find_spec("renderers") is None:
            return None
        from renderers.base import (  # pyright: ignore[reportMissingImports]
            MODEL_RENDERER_MAP,
            create_renderer,
        )

        known: Mapping[str, Any] = MODEL_RENDERER_MAP
        changed = "apply_chat_template" in vars(tokenizer)
        if changed or getattr(tokenizer, "name_or_path", "") not in known:
            return None
        return Known(create_renderer(tokenizer))

    @property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end a turn."""
        return tuple(map(int, self._renderer.get_stop_token_ids()))

    def prompt(self, messages: Sequence[Message], tools: Sequence[Any]) -> list[int]:
        """Returns the ids of a prompt."""
        made = self._renderer.render_ids(
            list(messages), tools=_plain(tools), add_generation_prompt=True
        )
        return list(made)

    def after(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any],
        *,
        before: Sequence[int],
        turn: Sequence[int],
    ) -> list[int] | None:
        """Returns the ids that follow a sampled turn. None: it cannot say."""
        made = self._renderer.bridge_to_next_turn(
            list(before), list(turn), list(messages), tools=_plain(tools)
        )
        ids = None if made is None else list(getattr(made, "token_ids", made))
        fed = [*before, *turn]
        return ids[len(fed) :] if ids is not None and ids[: len(fed)] == fed else None

    def calls(
        self, ids: Sequence[int], text: str, tools: Sequence[Any]
    ) -> tuple[Asked, ...] | None:
        """Returns the calls of a turn. None: what it read is not found in the text."""
        said = self._renderer.parse_response(list(ids), tools=_plain(tools))
        found: list[Asked] = []
        at = 0
        for call in said.tool_calls:
            start = text.find(call.raw, at)
            if start < 0:
                return None
            at = start + len(call.raw)
            values = _values(call.arguments) if str(call.status) == "ok" else None
            written = call.raw if values is None else json.dumps(values, ensure_ascii=False)
            found.append(
                Asked(
                    name=call.name or "", arguments=written, values=values, start=start, end=at,
                    why=str(call.status),
                )
            )  # fmt: skip
        return tuple(found)


def _plain(tools: Sequence[Any]) -> list[dict[str, Any]] | None:
    return [dict(tool) for tool in tools] or None


def _values(arguments: Any) -> Mapping[str, Any] | None:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return None
    return arguments if isinstance(arguments, dict) else None
