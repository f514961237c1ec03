"""A client of any server that speaks OpenAI's chat completions. Standard library alone."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final, final

from assay.files.web import check_address, refusal, sent

LARGEST: Final = 1 << 22
"""Bytes of an answer."""
Message = Mapping[str, str]
"""`role` and `content`."""
_USAGE: Final = ("prompt_tokens", "completion_tokens")


class NoAnswer(Exception):
    """The server gave nothing to read; says why in one word and in full."""

    def __init__(self, word: str, said: str) -> None:
        super().__init__(said)
        self.word = word


@final
class Spent:
    """Tokens that a model read and wrote, where it says how many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.read = self.wrote = self.told = 0
        """`told`: answers whose tokens were counted."""

    def add(self, read: int, wrote: int) -> None:
        """Counts an answer."""
        with self._lock:
            self.read, self.wrote, self.told = self.read + read, self.wrote + wrote, self.told + 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is asked."""

    url: str
    """Up to and with its version, as in http://127.0.0.1:8000/v1."""
    model: str
    key: str | None = None
    """Sent as a bearer token; never logged."""
    timeout: float = 60.0
    """Seconds of one request."""
    temperature: float = 0.6
    max_tokens: int = 1024
    spent: Spent = field(default_factory=Spent, compare=False)
    """What its answers say that they took."""

    def __post_init__(self) -> None:
        """Refuses what is no http address, and a key that no header can hold."""
        check_address("judge", self.url, self.key)

    def __call__(self, messages: Sequence[Message]) -> str:
        """Returns the text of the model's answer.

        Raises:
            NoAnswer: "timeout", "refused" (by its status, or sent elsewhere), "unreachable", or
                "malformed".
        """
        body = {
            "model": self.model,
            "messages": list(messages),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            said: Any = json.loads(sent(request, timeout=self.timeout, most=LARGEST))
            text = _text(said)
        except urllib.error.HTTPError as error:
            raise NoAnswer("refused", refusal(error)) from None
        except TimeoutError:
            raise NoAnswer("timeout", f"no answer in {self.timeout:g} s") from None
        except (OSError, HTTPException) as error:
            late = isinstance(getattr(error, "reason", None), TimeoutError)
            word = "timeout" if late else "unreachable"
            raise NoAnswer(word, " ".join(str(error).split())[:200]) from None
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise NoAnswer("malformed", f"expected choices[0].message.content; {error!r}") from None
        self._count(said)
        return text

    def _count(self, said: Any) -> None:
        """Counts the tokens that an answer says it took."""
        usage = said.get("usage")
        if isinstance(usage, dict):
            read, wrote = (usage.get(name) for name in _USAGE)
            if type(read) is int and type(wrote) is int and min(read, wrote) >= 0:
                self.spent.add(read, wrote)


def _text(answer: Any) -> str:
    text = answer["choices"][0]["message"]["content"]
    if not isinstance(text, str):
        raise TypeError(f"got {text!r}")
    text.encode()  # half a character, "\\ud800", is none, and no record could hold it
    return text
