"""Tool calls that a policy wrote into its text, in the forms that public sets have.

`<function=NAME><parameter=KEY>VALUE</parameter></function>` (OpenHands, SWE-agent's XML), JSON
within `<tool_call>` (Qwen, Hermes, Harbor's exports), and the last fenced block of a message
(SWE-agent). A fence is also how any text shows code, so it counts only where that is asked for.
"""

import re

from assay.errors import DataError
from assay.files.strict import parse
from assay.importers.fields import Fields
from assay.importers.messages import arguments_text, command_text
from assay.records import Call

_FUNCTION = re.compile(r"<function=([^>\s]{1,200})>(.*?)(</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\s]{1,200})>(.*?)(?:</parameter>|\Z)", re.DOTALL)
_JSON = re.compile(r"<tool_call>(.*?)(</tool_call>|\Z)", re.DOTALL)
_FENCE = "```"


def calls_in(text: str, at: Fields, *, fenced: bool = False) -> tuple[Call, ...]:
    """Returns the calls that a message's text holds, in order; each is counted.

    Args:
        text: of a message that the policy wrote and that has no calls beside it.
        at: where it stands.
        fenced: the last fenced block is a command, where there is no other call.
    """
    calls = [*_functions(text, at), *_json(text, at)]
    if not calls and fenced and (block := _last_block(text)) is not None:
        calls.append(Call(name="bash", arguments=command_text(block)))
    if calls:
        at.lose("call_from_text", len(calls))
    return tuple(calls)


def has_calls(text: str) -> bool:
    """Is a call in tags written in this text?"""
    return "<function=" in text or "<tool_call>" in text


def _last_block(text: str) -> str | None:
    """Returns what stands in the last fenced block that is closed."""
    if _FENCE not in text:
        return None
    found, inside = None, None
    for line in text.split("\n"):
        if inside is None:
            inside = [] if line.startswith(_FENCE) else None
        elif line.rstrip() == _FENCE:
            found, inside = "\n".join(inside), None
        else:
            inside.append(line)
    return found


def _functions(text: str, at: Fields) -> list[Call]:
    if "<function=" not in text:
        return []
    calls: list[Call] = []
    for name, body, end in _FUNCTION.findall(text):
        if not end:
            at.lose("call_not_closed")
            continue
        given = {key: value.strip("\n") for key, value in _PARAMETER.findall(body)}
        calls.append(Call(name=name, arguments=arguments_text(given)))
    return calls


def _json(text: str, at: Fields) -> list[Call]:
    if "<tool_call>" not in text:
        return []
    calls: list[Call] = []
    for body, end in _JSON.findall(text):
        call = _called(body, at.where) if end else None
        if call is None:
            at.lose("call_not_parsed" if end else "call_not_closed")
        else:
            calls.append(call)
    return calls


def _called(body: str, where: str) -> Call | None:
    """Returns the call written as JSON, or None where it is none."""
    try:
        value = parse(body.encode("utf-8", "surrogatepass"), where)
    except DataError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    return Call(name=value["name"], arguments=arguments_text(value.get("arguments")))
