"""Secrets out of what gets published. Lengths stay, so that offsets still hold."""

import re
from functools import partial
from typing import Any, Final, final

import msgspec

from assay.records import Trajectory
from assay.records.codec import decode, encode

_NAMES: Final = "api,access,secret,private"
_KINDS: Final[dict[str, tuple[str, str]]] = {
    "private_key": (
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]{1,20000}?"
        r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----",
    ),
    "api_key": ("sk-", r"sk-(?<![A-Za-z0-9_]sk-)[A-Za-z0-9_\-]{16,}"),
    "stripe_key": ("k_live_,k_test_", r"\b[srp]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    "aws_key": ("akia,asia", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "github_token": (
        "ghp_,gho_,ghu_,ghs_,ghr_,github_pat_",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    "gitlab_token": ("glpat-", r"glpat-[A-Za-z0-9_\-]{20,}"),
    "slack_token": ("xox", r"xox[abeoprs]-[A-Za-z0-9\-]{10,}"),
    "google_key": ("aiza", r"AIza[A-Za-z0-9_\-]{35}"),
    "huggingface_token": ("hf_", r"\bhf_[A-Za-z0-9]{30,}"),
    "package_token": ("npm_,pypi-", r"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_\-]{50,})"),
    "web_token": ("eyj", r"eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}"),
    "bearer_token": ("bearer ", r"[Bb]earer (?P<secret>[A-Za-z0-9._~+/\-]{16,}={0,2})"),
    "basic_auth": ("basic ", r"[Aa]uthorization: Basic (?P<secret>[A-Za-z0-9+/]{12,}={0,2})"),
    "url_password": (
        "://",
        r"://(?P<secret>[^\s/:@\"'<>]{1,100}:[^\s/@\"'<>]{3,200})(?=@[A-Za-z0-9\[])",
    ),
    "named_secret": (
        ",".join(f"{n}{sep}key" for n in _NAMES.split(",") for sep in ("_", "-", ""))
        + ",passw,client_secret,auth_token",
        r"(?i:(?:api|access|secret|private)[_\-]?key|passw(?:or)?d|client_secret|auth_token)"
        r"\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?"
        r"(?P<secret>[A-Za-z0-9_.~+/!@#$%^&*\-]{8,}={0,2})",
    ),
}
"""Per kind: markers in lower case, and the pattern that is tried where one of them occurs. What is
hidden is the group `secret`, or the whole match where there is none."""

_TRIED: Final = [
    (kind, tuple(markers.split(",")), re.compile(pattern))
    for kind, (markers, pattern) in _KINDS.items()
]
_BLOCK = "█"
_SHORTEST = 10
"""Characters that a text must have to hold a secret at all."""


@final
class Redactor:
    """Replaces what looks like a secret, and counts by kind."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def text(self, text: str) -> str:
        """Returns the text, each secret replaced by "[redacted KIND]███" of the same length."""
        lower = text.lower()
        for kind, markers, pattern in _TRIED:
            if any(marker in lower for marker in markers):
                text = pattern.sub(partial(self._replace, kind), text)
        return text

    def _replace(self, kind: str, found: re.Match[str]) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        whole = found.group()
        secret = found.groupdict().get("secret", whole)
        before, _, after = whole.rpartition(secret)
        return before + f"[redacted {kind}]".ljust(len(secret), _BLOCK)[: len(secret)] + after

    def record(self, trajectory: Trajectory) -> Trajectory:
        """Returns the trajectory with every secret in every text of it replaced."""
        lower = encode(trajectory).decode().lower()
        if not any(marker in lower for _, markers, _ in _TRIED for marker in markers):
            return trajectory
        before = sum(self.counts.values())
        clean = self._walk(msgspec.to_builtins(trajectory))
        if sum(self.counts.values()) == before:
            return trajectory
        return decode(msgspec.json.encode(clean), where="redacted record")

    def _walk(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value) if len(value) >= _SHORTEST else value
            case list() | tuple():
                if value and isinstance(value[0], int | float):
                    return value
                return [self._walk(item) for item in value]
            case dict():
                return {self._walk(key): self._walk(item) for key, item in value.items()}
            case _:
                return value
