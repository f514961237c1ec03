"""Did the tool call run? Read off what the world answered."""

import re
from functools import lru_cache

_ERROR = re.compile(
    r"""\s*(?:
        # a tool's own word; "Errors: 0" and "Error handling: a guide" are no errors
        \[errors?\] | <(?:tool_)?error> | errors?\s*(?:\Z|\n) |
        (?:an\s(?:\w+\s)?)?error\s(?:has\s)?occurred |
        error\s(?!handling|logging|reporting|tracking|messaging)
            (?:\w+ing|in|on|while|when|during)\s |
        errors?\s?(?:\d+\s)?(?:\(\w+\)\s?)?:
            (?!\s*(?:0|none|null|nil|\[\s*\])\s*(?:\Z|[\n,;.])) |
        (?:[\w/]+\s){1,2}error:(?!\s*-?\d) | error\[\w+\]: |
        (?:failed\sto|unable\sto|could\snot|couldn't|cannot|can't)\s(?-i:[a-z]) | no\ssuch\s\w |
        (?:invalid|unknown|unsupported)\s
            (?:tool|function|argument|parameter|action|call|command|input)s?\b
            (?!\s(?:is|are|was|were)\b) |
        (?:your|the|that)\s(?:action|command|tool|call)\sis\s(?:invalid|not\s) |
        tool\s\S+\s(?:not\sfound|does\snot\sexist|failed) |
        (?:access|permission)\sdenied(?:\s*(?:\Z|[.!\n])|:\s['"/]|\s\() |
        (?:(?:the\s)?(?:command|tool|request|operation|execution)\s)?timed\sout\b |
        timeout(?:\serror|\sexpired|\sexceeded|:|\s*\Z) | (?:request|query|assertion)\sfailed |
        nothing\shappens\.?\s*\Z | (?:killed|terminated)\s*\Z | (?:net::)?(?-i:ERR_|E[A-Z]{4,}:) |
        connection\s(?:refused|reset) |
        # stack traces
        traceback\s\(most\srecent | file\s"[^"\n]+",\sline\s\d | panic:\s |
        uncaught\s\(?\w*(?:error|exception) |
        exception(?::(?!\s*none)|\sin\sthread) | thread\s'[^'\n]*'\spanicked | segmentation\sfault |
        (?-i:(?:[\w$]+\.)*[A-Z]\w*(?:Error|Exception))(?:\s*(?:\Z|\n)|:|\(['"]|\s\[) |
        [\w.]+\.errors\.\w+: |
        # shells and programs: "PROGRAM: ...: what the system said"
        fatal:\s | command\snot\sfound | -?(?:[\w./]*/)?(?:ba|z|da|k|fi)?sh:\s | make:\s\*\*\* |
        npm\serr(?:or\b|!) | (?-i:E):\s | curl:\s\( | near\s"[^"\n]*":\ssyntax\serror |
        (?:usage:[^\n]*\n(?:\s[^\n]*\n)*)?[^\s:]+:(?:\d+:)*\s(?:fatal\s)?error\b[^\n:]*: |
        ora-\d+: | msg\s\d+,\slevel\s1[1-9] |
        [\w./+-]+:\s[^\n]*?(?:no\ssuch\sfile\sor\sdirectory|permission\sdenied|
            (?:is|not)\sa\sdirectory|command\snot\sfound|connection\srefused|missing\s[\w\s]+)
            \s*(?:\Z|\n) |
        (?:(?:process|command)\s(?:exited|failed)\swith\s(?:exit\s)?|exit\s?|return\s?)
            code\s?:?\s?-?[1-9] |
        # HTTP
        https?(?:/[\d.]+)?\s[45]\d\d\b |
        (?:<!doctype\shtml>\s*)?<html>\s*<head>\s*<title>[45]\d\d\s |
        [45]\d\d:?\s(?:client\serror|server\serror|bad\srequest|unauthori[sz]ed|forbidden|not\sfound|
            method\snot|conflict|too\smany|internal\sserver|bad\sgateway|service\sunav|gateway\st) |
        # a JSON object with one of its first keys saying so
        \{\s*(?:"\w+"\s*:\s*(?:null|true|false|-?[\d.]+|"[^"\\]*"|\[\s*\])\s*,\s*){0,3}(?:
            "(?:errors?|is_?error|error_?message)"\s*:(?!\s*(?:null|false|0|""|\[\s*\]|\{\s*\})) |
            "(?:success|ok)"\s*:\s*false |
            "status(?:_?code)?"\s*:\s*(?:"(?:error|fail)"|[45]\d\d\s*[,}]) |
            "(?:message|detail)"\s*:\s*"(?:not\sfound\.?"|unauthori[sz]ed|forbidden|bad\srequest|
                internal\sserver|method\snot|too\smany|authentication\scred) )
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_LOOKED_AT = 200


def is_error(text: str) -> bool:
    """Returns whether an observation starts the way errors start.

    Only the beginning is read: a page that mentions an error further down ran, and so did a test
    run with failures. A source that says so itself (`ToolStep.error`) is always preferred to this.
    """
    return _starts_so(text[:_LOOKED_AT])


@lru_cache(maxsize=1 << 14)
def _starts_so(beginning: str) -> bool:
    """Siblings make the same calls and are answered alike: most beginnings come again."""
    return _ERROR.match(beginning) is not None
