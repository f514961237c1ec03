"""Did the tool call run? Read off what the world answered: its form first, its words last.

A form says how a call ended: an exit code, an HTTP status, `is_error`, an `error` key, a tag.
Where it says 0 or false no word counts: "fatal: ..." with code 0 was printed by what ran.
"""

import re
from functools import lru_cache

from assay.verify.wording import BEGINS, BEGINS_CASED, ENDS, FAIL_WORDS, FAILS, UNDONE, UNDONE_SIGNS

_FIRST, _LAST = 160, 100
"""How much of an answer is read: its beginning, and of a longer one its end."""
_CODE = r"""(?:(?:exit|return)[\s_]?(?:code|status)|(?:exited|finished|failed|completed|terminated)
    \swith\s(?:exit\s)?(?:code|status))"""
_CODE_FIRST = re.compile(
    rf"""(?=[<\[chprestwo])(?:(?:chunk\sid|wall\stime|original\stoken\scount):[^\n]*\n)*(?:
        (?:<returncode> | (?:\[?(?:the\s)?(?:process|command|script|program|task)\s
            (?:[\w,]+\s){{0,6}}?)? {_CODE}\s?:?\s*) (-?\d+)\s*(?:\Z|[\n.,;()<\]]) |
        (?:https?(?:/[\d.]+)?\s | <response\s\[ | status(?:\scode)?:\s) ([1-5])\d\d\b)""",
    re.VERBOSE,
)
_CODE_LAST = re.compile(
    rf"""(?:\[[^\]\n]*\b{_CODE}\s?:?\s(-?\d+)\.?\]\s*\Z |
        \nexit\scode:\s(-?\d+)\s*(?:\Z|\nsignal:) | <(?:return|exit)_?code>(-?\d+)</\w+>\s*\Z)""",
    re.VERBOSE,
)
_CRASHED = re.compile(
    r"""File\s["<][^\n]+,\sline\s\d+[^\n]*\n(?:\s[^\n]*\n)*
        (?:\w+\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)(?::[^\n]*)?\s*\Z""",
    re.VERBOSE,
)
_THROWN = re.compile(
    r"(?:\A|\n)(?:Uncaught\s)?\w*(?:Error|Exception)\b[^\n]*\n(?:[^\n]+\n){0,3}?\s+at\s"
)
_DIED = (
    (", line ", _CRASHED),
    ("\n    at ", _THROWN),
    ("help' for more", re.compile(r"help' for more information\.\s*\Z")),
    ("\nfatal: ", re.compile(r"\nfatal: [^\n]")),
    (": error: ", re.compile(r"(?:\A|\n)[\w./-]+:\d+(?::\d+)?: (?:fatal )?error: ")),
    ("\nerror: ", re.compile(r"\nerror: (?:failed|could not|cannot|unable|no|pathspec)\b")),
    (".go:", re.compile(r"\A# [^\n]+\n[\w./-]+\.go:\d+:\d+: ")),
    (" FAILED at ", re.compile(r"(?:\A|\n)Hunk #\d+ FAILED at \d")),
    (": *** ", re.compile(r"(?:\A|\n)make(?:\[\d\])?: \*\*\* ")),
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_FLAT = r"""(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z) | '[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\Z) | [\w.+-]++ |
    \[[^\[\]]*+\] | \{[^{}]*+\})"""
_PAIR = re.compile(rf"""[\s,]*+["'](\w+)["']\s*:\s*({_FLAT}|[\[{{])""", re.VERBOSE)
_TELLING = re.compile(
    rf"""\{{\s*+(?:["']\w++["']\s*+:\s*+{_FLAT}\s*+,\s*+){{0,3}}?(?:["']\w++["']\s*+:\s*+false\s*+,\s*+["']reason|["'](?=[EMcdeimorst])
        (?:[eE]rror|is_?[eE]rr|exit|retu|succ|ok|status|cod|[mM]ess|msg|detail|result|output|
        content|text))""",
    re.VERBOSE,
)
"""An object with a key that may say how a call ended, among its first."""
_OBJECT_LAST = re.compile(
    r"""["'](?:is_?error["']\s*:\s*(?:(true)|false) |
        (?:exit|return)_?code["']\s*:\s*(?:0|(-?\d+))(?:,\s*["']\w+["']\s*:\s*[\w.]+)*\s*\}? |
        error(?:_?message)?["']\s*:\s*("[^"]+"|'[^']+'))\s*\}\s*\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_EMPTY = re.compile(r"(?:null|none|false|\W*|-?[\d.]+)\Z", re.IGNORECASE)
_TEXT_IN = re.compile(
    r"""[\[(]\s*(?:\{\s*["']type["']:\s*["']text["'],\s*["']text["']:|\d{4},)\s*["']"""
)
_CLIENT_OR_SERVER = re.compile(r"[45]\d\d\Z")
_REJECTED = re.compile(r"""["'](?:rejected|denied|refused|blocked|failed)["']""")
_FAILED_STATUS = re.compile(r"""["'](?:error|fail|failure)["']|[45]\d\d\Z""")
_DETAILS = re.compile(r"""\[\s*\{\s*["'](?:loc|type|msg)["']""")
_THEN_SAYS = re.compile(
    r"""\s*,\s*["'](?:message|msg|error|reason|detail|cause)["']""", re.IGNORECASE
)
_SAYS = {"message": True, "msg": True, "detail": True} | dict.fromkeys(
    ("result", "output", "content", "text"), False
)
"""Keys that hold an answer's text, and whether it is a short one."""
_LISTED = re.compile(
    r"""\d+(?:[:\t|]|[.)]?\s\s|[.)]\s) | \d{4}-\d\d | [0-9a-f]{7,40}\s | [\w./-]+:\d |
        [-+#/*>|$"] | <[a-z/!] |
        \[\w+\]\s\w+: | [^\n]*\s\|\s | (?:NOTICE|WARNING|INFO|DEBUG|[Nn]otice|[Ww]arning):\s |
        (?:(?:[Pp]age\s)?[Tt]itle|URL|[Ii]ssue|[Rr]esults?|[Ss]earch\sresults|[Ff]ound\s\d|
        [Hh]ere\s|[Cc]onsole)\b(?!\sfor\s)""",
    re.VERBOSE,
)
"""How lines of files, logs and lists of results begin."""
_NUMBER = re.compile(r"-?[\d.,]*\s*\Z")
_APART = str.maketrans(dict.fromkeys("'`\".,:;!?()[]{}<>=/|_-", " "))
_CLOSING = "\"'}]) \n"
_QUOTED = re.compile(r""""[^"\n]*"|(?<!\w)'[^'\n]*'(?!\w)|https?://\S+""")
"""What a text names and does not say: quotations and addresses."""
_MEANT = re.compile(r"\b(?:[Dd]id|[Mm]aybe|[Pp]erhaps) you (?:mean|meant)\b[^?]*\?")
_SPOKEN = re.compile(r"\?|\b[Ii](?:'m|'ll|'ve)?\s")
"""Somebody speaks: a tool asks nothing and is no I."""
_HELPS = re.compile(
    r"""(?:[Aa]vailable|[Vv]alid|[Aa]llowed|[Ss]upported|[Pp]ossible)\s\w+(?:\sare)?: | Did\syou\s |
        Please\s | [Tt]ry\s | [Uu]sage:""",
    re.VERBOSE,
)


def is_error(text: str) -> bool:
    """Returns whether an observation says that the call failed or was refused.

    Its beginning is read, and its end for an exit code, a crash or an error key: a page that
    mentions an error ran, and so did tests that name what failed without a code. An empty result
    is no error. A source that says so itself (`ToolStep.error`) is always preferred to this.
    Measured in tests/verify/test_errors.py.
    """
    if len(text) > _FIRST + _LAST:
        text = text[:_FIRST] + text[-_LAST:]
    return _judged(text)


@lru_cache(maxsize=1 << 14)
def _judged(text: str) -> bool:
    """Siblings make the same calls and are answered alike: most answers come again."""
    first, short = text[:_FIRST].lstrip(), len(text) <= _FIRST
    opening = first[:1]
    if opening == "{":
        return _of_object(first, text) is True
    if opening in ("[", "(") and not first[1:2].isalpha():
        inside = _TEXT_IN.match(first)
        return inside is not None and _worded(first[inside.end() :].rstrip(_CLOSING), short=False)
    if _NUMBER.match(first):
        return False
    if opening == "\x1b":
        first = _COLOUR.sub("", first).lstrip()
    elif opening == '"':
        first = first.strip('" \n')
    said = _of_form(first.lower(), text)
    if said is not None:
        return said
    return _worded(first, short=short) or (short and _undone(first))


def _undone(text: str) -> bool:
    """Returns whether a short answer says that what was asked did not happen."""
    if not any(sign in text for sign in UNDONE_SIGNS) or _LISTED.match(text):
        return False
    said = _QUOTED.sub("", text)
    return _SPOKEN.search(said) is None and UNDONE.search(said) is not None


def _of_form(first: str, text: str) -> bool | None:
    """Returns whether a code, a status or a stack trace at the end says that a call failed."""
    if code := _CODE_FIRST.match(first):
        return code[2] in ("4", "5") if code[1] is None else int(code[1]) != 0
    if (text[-1:] in "]>\n" or "\nSig" in text) and (
        code := _CODE_LAST.search(text[-_LAST:].lower())
    ):
        return int(code[code.lastindex or 0]) != 0
    if "\n" not in text.rstrip():
        return None
    if any(sign in text and pattern.search(text) for sign, pattern in _DIED):
        return True
    last = text.replace("\r", "\n").rstrip().rpartition("\n")[2]
    return True if ENDS.match(last.lower()) else None


def _of_object(first: str, text: str) -> bool | None:
    """Returns whether an object, in the form of JSON or of Python, says that a call failed."""
    last = text[-_LAST:]
    if ("rror" in last or "ode" in last) and (end := _OBJECT_LAST.search(last)):
        return any(end.groups())
    if not _TELLING.match(first):
        return None
    at, told = 1, None
    while pair := _PAIR.match(first, at):
        key, value, at = pair[1].lower().replace("_", ""), pair[2], pair.end()
        said = _of_pair(key, value, first[pair.start(2) :])
        refused = key == "status" and _REJECTED.match(value)
        if (refused or value == "false") and _THEN_SAYS.match(first, at):
            return True
        if said is not None:
            return said
        if value[0] in "\"'" and key in _SAYS and told is not True:
            text = value[1:-1].lstrip()
            told = _worded(text, short=_SAYS[key]) or _worded(text.lower(), short=_SAYS[key])
        elif key in ("code", "cod") and _CLIENT_OR_SERVER.match(value):
            return True if told is not None or _THEN_SAYS.match(first, at) else None
        if value in ("[", "{"):
            break
    return told


def _of_pair(key: str, value: str, rest: str) -> bool | None:
    """Returns what one key of an object says by itself."""
    low = value.lower()
    match key:
        case "iserror":
            return low == "true"
        case "exitcode" | "returncode":
            return value != "0" if value.lstrip("-").isdigit() else None
        case "success" | "ok" if low in ("true", "false"):
            return low == "false"
        case "error" | "errors" | "errormessage":
            if value in ("[", "{") or _CLIENT_OR_SERVER.match(value):
                return True
            return None if _EMPTY.match(value.strip("\"'")) else True
        case "status" | "statuscode":
            return True if _FAILED_STATUS.match(low) else None
        case "detail" if _DETAILS.match(rest):
            return True
        case _:
            return None


def _worded(first: str, *, short: bool) -> bool:
    """Returns whether a text begins as failures are worded, or says one in a line of its own."""
    low = first.lower()
    if BEGINS.match(low) or BEGINS_CASED.match(first):
        return True
    line = low.partition("\n")[0]
    if FAIL_WORDS.isdisjoint(line.translate(_APART).split()) or _LISTED.match(first):
        return False
    if not (short or _HELPS.search(first)):
        return False
    line = _MEANT.sub("", _QUOTED.sub("", first[:1].lower() + first[1 : len(line)]))
    return _SPOKEN.search(line) is None and FAILS.search(line) is not None
