"""Secrets out of what gets published. Lengths stay, so that offsets still hold."""

import re
from collections import Counter
from functools import partial
from typing import Any, Final, final

import msgspec

_TRIED: Final = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "private_key": r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]{1,20000}?"
        r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----",
        "api_key": r"sk-(?<![A-Za-z0-9_]sk-)[A-Za-z0-9_\-]{16,}",
        "stripe_key": r"\b[srp]k_(?:live|test)_[A-Za-z0-9]{16,}",
        "aws_key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        "github_token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
        "gitlab_token": r"glpat-[A-Za-z0-9_\-]{20,}",
        "slack_token": r"xox[abeoprs]-[A-Za-z0-9\-]{10,}",
        "google_key": r"AIza[A-Za-z0-9_\-]{35}",
        "huggingface_token": r"\bhf_[A-Za-z0-9]{30,}",
        "package_token": r"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_\-]{50,})",
        "web_token": r"eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}",
        "bearer_token": r"[Bb]earer (?P<secret>[A-Za-z0-9._~+/\-]{16,}={0,2})",
        "basic_auth": r"[Aa]uthorization: Basic (?P<secret>[A-Za-z0-9+/]{12,}={0,2})",
        "url_password": r"://(?P<secret>[^\s/:@\"'<>]{1,100}:[^\s/@\"'<>]{3,200})(?=@[A-Za-z0-9\[])",
        "named_secret": r"(?i:(?:api|access|secret|private)[_\-]?key|passw(?:or)?d|client_secret|"
        r"auth_token)\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?"
        r"(?P<secret>[A-Za-z0-9_.~+/!@#$%^&*\-]{8,}={0,2})",
    }.items()
}
"""What is hidden, per kind: the group `secret`, or the whole match where there is none."""

_TAIL: Final = r"""[\\"'\snrt]{0,12}[:=]"""
_SIGN: Final = "|".join(
    [
        r"-(?:(?<=sk-)[\w\-]{16}|(?<=glpat-)[\w\-]{20}|(?<=pypi-)AgE|(?<=-----)BEGIN )",
        r"_(?:(?<=k_)(?:live|test)_|(?<=gh[pousr]_)[A-Za-z0-9]{36}|(?<=github_)pat_|"
        r"(?<=hf_)[A-Za-z0-9]{30}|(?<=npm_)[A-Za-z0-9]{36}|"
        r"(?<=[cC][lL][iI][eE][nN][tT]_)[sS][eE][cC]|(?<=[aA][uU][tT][hH]_)[tT][oO][kK])",
        r"A(?:[KS]IA[A-Z0-9]{16}|Iza[\w\-]{35})",
        r"J(?<=eyJ)[\w\-]{10}",
        r"xox[abeoprs]-",
        r"/(?<=://)[^\s/:@\"'<>]{1,600}:[^\s/@\"'<>]{3}",
        *(f"{b}(?:earer |asic )" for b in "bB"),
        *(f"{k}(?<=[iIsStTeE_\\-][kK])[eE][yY]{_TAIL}" for k in "kK"),
        *(f"{w}(?<=[pP][aA][sS][sS][wW])(?:[oO][rR])?[dD]{_TAIL}" for w in "wW"),
    ]
)
"""Where a secret of any kind may be, in a text or in its JSON, found in one quick scan: each choice
begins with a rare letter, and asks for less than the pattern above that it stands for."""
_MAYBE: Final = re.compile(_SIGN)
_MAYBE_JSON: Final = re.compile(_SIGN.encode())
_BLOCK = "█"


@final
class Redactor:
    """Replaces what looks like a secret, and counts by kind."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def text(self, text: str, times: int = 1) -> str:
        """Returns the text, each secret replaced by "[redacted KIND]███" of the same length.

        Args:
            text: what is published.
            times: how often; its secrets count as often.
        """
        if _MAYBE.search(text):
            for kind, pattern in _TRIED.items():
                text = pattern.sub(partial(self._replace, kind, times), text)
        return text

    def _replace(self, kind: str, times: int, found: re.Match[str]) -> str:
        self.counts[kind] += times
        whole = found.group()
        secret = found.groupdict().get("secret", whole)
        before, _, after = whole.rpartition(secret)
        return before + f"[redacted {kind}]".ljust(len(secret), _BLOCK)[: len(secret)] + after

    def line(self, line: bytes) -> bytes:
        """Returns JSON with every secret in every text of it replaced; without one, itself."""
        if not _MAYBE_JSON.search(line):
            return line
        before = self.counts.total()
        clean = self._walk(msgspec.json.decode(line))
        return line if self.counts.total() == before else msgspec.json.encode(clean)

    def _walk(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case list() if value and isinstance(value[0], int | float):
                return value
            case list():
                return [self._walk(item) for item in value]
            case dict():
                return {self._walk(key): self._walk(item) for key, item in value.items()}
            case _:
                return value
