"""Secrets out of what gets published. Lengths stay, so that offsets still hold."""

import re
from typing import Any, Final, final

import msgspec

from assay.records import Trajectory
from assay.records.codec import decode, encode

_KINDS: Final[dict[str, str]] = {
    "private_key": r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]{1,20000}?"
    r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----",
    "api_key": r"\bsk-[A-Za-z0-9_\-]{16,}",
    "stripe_key": r"\b[srp]k_(?:live|test)_[A-Za-z0-9]{16,}",
    "aws_key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "github_token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    "gitlab_token": r"\bglpat-[A-Za-z0-9_\-]{20,}",
    "slack_token": r"\bxox[abeoprs]-[A-Za-z0-9\-]{10,}",
    "google_key": r"\bAIza[A-Za-z0-9_\-]{35}",
    "huggingface_token": r"\bhf_[A-Za-z0-9]{30,}",
    "package_token": r"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_\-]{50,})",
    "web_token": r"\beyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}",
    "bearer_token": r"(?<=[Bb]earer )[A-Za-z0-9._~+/\-]{16,}={0,2}",
    "basic_auth": r"(?<=[Aa]uthorization: Basic )[A-Za-z0-9+/]{12,}={0,2}",
    "url_password": r"(?<=://)[^\s/:@\"'<>]{1,100}:[^\s/@\"'<>]{3,200}(?=@[A-Za-z0-9\[])",
    "named_secret": r"(?i:(?:api|access|secret|private)[_\-]?key|passw(?:or)?d|client_secret"
    r"|auth_token)\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?(?P<secret>[A-Za-z0-9_.~+/!@#$%^&*\-]{8,}={0,2})",
}
_SECRET: Final = re.compile("|".join(f"(?P<{kind}>{regex})" for kind, regex in _KINDS.items()))
_MARKERS: Final = tuple(
    b"private key,sk-,sk_,rk_,pk_,akia,asia,ghp_,gho_,ghu_,ghs_,ghr_,github_pat_,glpat-,xox,aiza,"
    b"hf_,npm_,pypi-,eyj,bearer ,basic ,://,key,passw,client_secret,auth_token".split(b",")
)
"""Lower case; a record in which none of them occurs holds no secret, and is not searched."""
_BLOCK = "█"


@final
class Redactor:
    """Replaces what looks like a secret, and counts by kind."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def text(self, text: str) -> str:
        """Returns the text, each secret replaced by "[redacted KIND]███" of the same length."""
        return _SECRET.sub(self._replace, text)

    def _replace(self, found: re.Match[str]) -> str:
        kind = next(name for name in _KINDS if found.group(name) is not None)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        whole = found.group()
        secret = whole if kind != "named_secret" else found.group("secret")
        label = f"[redacted {kind}]"
        cover = label.ljust(len(secret), _BLOCK) if len(label) <= len(secret) else ""
        return whole[: len(whole) - len(secret)] + (cover or _BLOCK * len(secret))

    def record(self, trajectory: Trajectory) -> Trajectory:
        """Returns the trajectory with every secret in every text of it replaced."""
        line = encode(trajectory)
        lower = line.lower()
        if not any(marker in lower for marker in _MARKERS):
            return trajectory
        before = sum(self.counts.values())
        clean = self._walk(msgspec.to_builtins(trajectory))
        if sum(self.counts.values()) == before:
            return trajectory
        return decode(msgspec.json.encode(clean), where="redacted record")

    def _walk(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                if value and isinstance(value[0], (int, float)):
                    return value
                return [self._walk(item) for item in value]
            case dict():
                return {self.text(key): self._walk(item) for key, item in value.items()}
            case _:
                return value
