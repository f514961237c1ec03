"""The APIs that clients speak, each to and from the chat shape, in which engines are asked."""

from typing import Final

from assay.live.shapes.base import Shape, Stream
from assay.live.shapes.chat import Chat
from assay.live.shapes.messages import Messages
from assay.live.shapes.responses import Responses

SHAPES: Final[dict[str, Shape]] = {
    "chat/completions": Chat(),
    "responses": Responses(),
    "messages": Messages(),
}
"""By the end of their address."""

__all__ = ["SHAPES", "Shape", "Stream"]
