"""Which protocol a policy and an environment talk by."""

from typing import Any

from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.line import Line
from assay.world.environment import Environment
from assay.world.several import in_lines


def protocol_of(
    name: str, tokenizer: Any, environment: Environment, *, model: Any = None, start: bool = False
) -> Protocol:
    """Returns how a policy and an environment talk.

    "auto" is chat where the environment is no line family and the tokenizer has a chat template, or
    the environment tools that only chat can call; the shipped policy (`start`) speaks in lines.

    Args:
        name: "auto", "line" or "chat".
        tokenizer: the model's own.
        environment: what is played.
        model: its generation_config may name more tokens that end a turn.
        start: it is the shipped policy.
    """
    if name == "auto":
        templated = getattr(tokenizer, "chat_template", None) is not None
        able = templated or bool(environment.tools())
        name = "chat" if able and not start and not in_lines(environment) else "line"
    if name == "line":
        return Line(tokenizer)
    ends: Any = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = [] if ends is None else list(ends) if isinstance(ends, list | tuple) else [ends]
    return Chat(tokenizer, ends=tuple(map(int, listed)))
