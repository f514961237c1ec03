"""How models write tool calls, and which way a template does: shown a call, it shows its syntax.

hermes    <tool_call>{"name": "f", "arguments": {...}}</tool_call>         Hermes, Qwen
xml       <tool_call><function=f><parameter=x>1</parameter></function></tool_call>
mistral   [TOOL_CALLS][{"name": "f", "arguments": {...}}]                  also [TOOL_CALLS]f{...}
llama     {"name": "f", "parameters": {...}}, several with ";"       also after <|python_tag|>
gemma     <start_function_call>call:f{x:<escape>1<escape>}<end_function_call>
fenced    ```json, the same object, ```                                  where nothing else is known
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from assay.rollout.protocols.base import Asked

EXAMPLES: Final[Mapping[str, str]] = {
    "hermes": '<tool_call>\n{"name": "NAME", "arguments": {}}\n</tool_call>',
    "xml": "<tool_call>\n<function=NAME>\n<parameter=KEY>\nVALUE\n</parameter>\n</function>\n"
    "</tool_call>",
    "mistral": '[TOOL_CALLS][{"name": "NAME", "arguments": {}}]',
    "llama": '{"name": "NAME", "parameters": {}}',
    "gemma": "<start_function_call>call:NAME{KEY:<escape>VALUE<escape>}<end_function_call>",
    "fenced": '```json\n{"name": "NAME", "arguments": {}}\n```',
}
_TAGGED: Final = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FENCED: Final = re.compile(r"```(?:json|tool_call|tool_code)?[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_GEMMA: Final = re.compile(
    r"<start_function_call>\s*(?:call:)?(.*?)(?:<end_function_call>|\Z)", re.DOTALL
)
_PAIR: Final = re.compile(r"(\w+):(?:<escape>(.*?)<escape>|([^,{}]*))(?:,|\Z)", re.DOTALL)
_FUNCTION: Final = re.compile(r"\s*<function=([^>\s]+)>(.*?)</function>\s*\Z", re.DOTALL)
_PARAMETER: Final = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_NAME: Final = re.compile(r"[\"']?name[\"']?\s*:\s*[\"']([^\"']+)[\"']|(?:function=)([^>\s]+)")
_DECODER: Final = json.JSONDecoder()


def syntax_of(shown: str) -> str:
    """Returns the syntax of a call as a template wrote it; "fenced" where it is none we know."""
    if "<tool_call>" in shown:
        return "xml" if "<function=" in shown else "hermes"
    if "[TOOL_CALLS]" in shown:
        return "mistral"
    if "<start_function_call>" in shown:
        return "gemma"
    bare = "<|python_tag|>" in shown or re.search(r"\{\s*\"(?:name|type)\"", shown)
    return "llama" if bare and "```" not in shown else "fenced"


def calls(text: str, syntax: str, start: int = 0) -> tuple[Asked, ...]:
    """Returns the calls of a turn in their order, those that cannot be read included.

    Args:
        text: the turn.
        syntax: a key of `EXAMPLES`.
        start: where calls may begin: after the thoughts.
    """
    match syntax:
        case "hermes" | "xml":
            return tuple(_tagged(m) for m in _TAGGED.finditer(text, start))
        case "gemma":
            return tuple(_gemma(m) for m in _GEMMA.finditer(text, start))
        case "fenced":
            found = (m for m in _FENCED.finditer(text, start) if '"name"' in m[1])
            return tuple(_json(m[1], m.start(), m.end()) for m in found)
        case "mistral":
            return tuple(_mistral(text, start))
        case _:
            return tuple(_bare(text, start))


def _tagged(found: re.Match[str]) -> Asked:
    if "<function=" not in found[1]:
        return _json(found[1], found.start(), found.end())
    function = _FUNCTION.match(found[1])
    if function is None:
        return _unread(found[1], found.start(), found.end(), "its function is not closed")
    values = {key: _value(value) for key, value in _PARAMETER.findall(function[2])}
    return _read(function[1], values, found.start(), found.end())


def _gemma(found: re.Match[str]) -> Asked:
    name, brace, rest = found[1].partition("{")
    if not brace or not rest.rstrip().endswith("}"):
        return _unread(found[1], found.start(), found.end(), "expected call:NAME{KEY:VALUE}")
    body = rest.rstrip()[:-1]
    values: dict[str, Any] = {}
    for key, escaped, plain in _PAIR.findall(body):
        values[key] = escaped or _value(plain)
    return _read(name.strip(), values, found.start(), found.end())


def _mistral(text: str, start: int) -> Iterator[Asked]:
    mark = "[TOOL_CALLS]"
    at = text.find(mark, start)
    while at >= 0:
        following = text.find(mark, at + len(mark))
        end = following if following >= 0 else len(text)
        body = text[at + len(mark) : end]
        named = re.match(r"\s*([\w.-]+)\s*(?:\[ARGS\])?\s*(?=\{)", body)
        if named:
            yield _json(body[named.end() :], at, end, name=named[1])
        elif body.lstrip().startswith("["):
            yield from _listed(body, at, end)
        else:
            yield _json(body, at, end)
        at = following


def _listed(body: str, at: int, end: int) -> Iterator[Asked]:
    """Yields the calls of a JSON list; they share its stretch of text out between them."""
    inside = at + len("[TOOL_CALLS]") + body.index("[") + 1
    text = body[body.index("[") + 1 :]
    begin, place = at, 0
    while True:
        place += len(text[place:]) - len(text[place:].lstrip(" \n\t,"))
        if place >= len(text) or text[place] == "]":
            return
        try:
            _, stop = _DECODER.raw_decode(text, place)
        except ValueError:
            yield _json(text[place:], begin, end)
            return
        last = text[stop:].lstrip().startswith("]")
        yield _json(text[place:stop], begin, end if last else inside + stop)
        begin, place = inside + stop, stop


def _bare(text: str, start: int) -> Iterator[Asked]:
    tag = text.find("<|python_tag|>", start)
    begin = tag if tag >= 0 else start
    place = begin + (len("<|python_tag|>") if tag >= 0 else 0)
    if not text[place:].lstrip().startswith("{"):
        if tag >= 0:
            yield _unread(text[place:], begin, len(text), "expected a JSON object")
        return
    while place < len(text):
        place += len(text[place:]) - len(text[place:].lstrip(" \n\t;"))
        if place >= len(text) or text[place] != "{":
            return
        try:
            _, stop = _DECODER.raw_decode(text, place)
        except ValueError:
            yield _json(text[place:], begin, len(text))
            return
        yield _json(text[place:stop], begin, stop)
        begin = place = stop


def _json(body: str, start: int, end: int, name: str = "") -> Asked:
    """Returns the call that a JSON text makes: name and arguments, or arguments alone."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        return _unread(body, start, end, f"no JSON: {error}", name)
    if not isinstance(said, dict):
        return _unread(body, start, end, "expected a JSON object", name)
    given: Any = said if name else said.get("arguments", said.get("parameters", {}))
    if isinstance(given, str):  # OpenAI writes them as text
        try:
            given = json.loads(given)
        except ValueError as error:
            return _unread(body, start, end, f"arguments are no JSON: {error}", name)
    name = name or said.get("name", "")
    if not isinstance(name, str) or not name:
        return _unread(body, start, end, "it has no name")
    if not isinstance(given, dict):
        return _unread(body, start, end, "arguments are no JSON object", name)
    return _read(name, cast("dict[str, Any]", given), start, end)


def _read(name: str, values: Mapping[str, Any], start: int, end: int) -> Asked:
    written = json.dumps(values, ensure_ascii=False)
    return Asked(name=name, arguments=written, values=values, start=start, end=end)


def _unread(body: str, start: int, end: int, why: str, name: str = "") -> Asked:
    named = _NAME.search(body)
    name = name or ((named[1] or named[2]) if named else "")
    return Asked(name=name, arguments=body.strip(), start=start, end=end, why=why)


def _value(text: str) -> Any:
    """Returns a value that stands without quotes: a number, true, an object; else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
