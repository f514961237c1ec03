"""OpenAI's chat completions: what engines are asked in, so it passes as it is."""

from collections.abc import Sequence
from typing import final

from assay.errors import UsageError
from assay.live.answers import Answer
from assay.live.shapes.base import Body, Stream, items, tokens


@final
class Chat:
    """`POST /v1/chat/completions`."""

    name = "chat"

    def request(self, body: Body) -> Body:
        """Returns the request."""
        for message in items(body, "messages"):
            if not isinstance(message.get("role"), str):
                raise UsageError("messages: one has no role")
            for call in _some(message, "tool_calls"):
                if not isinstance(call.get("function", {}), dict):
                    raise UsageError("tool_calls: expected function to be an object")
        _some(body, "tools")
        return body

    def answer(self, answer: Answer, request: Body, *, id: str, now: float) -> Body:
        """Returns an answer that was kept, for a request that comes again."""
        read, wrote = tokens(answer)
        choice = {
            "index": 0,
            "message": answer.message(),
            "finish_reason": answer.finish_reason,
            "logprobs": None,
        }
        return {
            "id": f"chatcmpl-{id}",
            "object": "chat.completion",
            "created": int(now),
            "model": answer.model or str(request.get("model", "")),
            "choices": [choice],
            "usage": {
                "prompt_tokens": read,
                "completion_tokens": wrote,
                "total_tokens": read + wrote,
            },
        }

    def stream(self, request: Body, *, id: str, now: float) -> Stream | None:
        """Returns None."""
        del request, id, now

    def error(self, status: int, message: str) -> Body:
        """Returns OpenAI's form of an error."""
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": str(status)}}


def _some(body: Body, key: str) -> Sequence[Body]:
    """Returns the objects of a list that need not be there."""
    return () if body.get(key) is None else items(body, key)
