"""Did the tool call run? Read off what the world answered."""

import re

_ERROR = re.compile(
    r"""\s*(?:
        \[?error\b | errors?: | exception\b | traceback\s\(most\srecent |
        fatal:\s | (?:ba)?sh:\s | command\snot\sfound | <error> | <tool_error> |
        invalid\s(?:tool|function|arguments|action|call) | tool\serror |
        [A-Za-z_.]*(?:Error|Exception):\s |
        \{\s*"(?:error|isError|errors)"\s*:\s*(?!null|false|\[\s*\]|"")
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_LOOKED_AT = 200


def is_error(text: str) -> bool:
    """Returns whether an observation starts the way errors start.

    Only the beginning is read: a page that mentions an error further down ran. A source that says
    so itself (`ToolStep.error`) is always preferred to this.
    """
    return _ERROR.match(text[:_LOOKED_AT]) is not None
