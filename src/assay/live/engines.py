"""What each engine must be asked for so that it returns what it sampled, and where it says it.

vLLM        asked for `logprobs` and `return_token_ids`; answers with `prompt_token_ids`, and of a
            choice `token_ids` and `logprobs`, in a stream too
SGLang      asked for `logprobs`, `return_prompt_token_ids` and `return_meta_info`; answers with
            `prompt_token_ids` and `meta_info.output_token_logprobs`; in a stream with neither
embedded    asked for nothing; answers as vLLM does
any other   (transformers serve is one) asked for nothing: its turns are kept and judged, and never
            trained on

Names as vLLM 0.31 and SGLang 0.5.13 have them. Log-probs are those of the policy only where the
sampler is the policy too: temperature 1, nothing cut off and nothing penalised, unless the engine
returns processed log-probs (vLLM's `--logprobs-mode processed_logprobs`), which count the
temperature in.
"""

import math
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, final

from assay.errors import UsageError

Engine = Literal["vllm", "sglang", "embedded", "plain"]
ENGINES: Final[tuple[Engine, ...]] = ("vllm", "sglang", "embedded", "plain")
_OWNERS: Final[Mapping[str, Engine]] = {"vllm": "vllm", "sglang": "sglang", "assay": "embedded"}
NEUTRAL: Final[Mapping[str, float]] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
}
"""At these the sampler is the policy. What a client leaves open an engine would take from the
model's own generation_config, so a turn that is to be trained on asks for them."""
_KEPT: Final = (
    *NEUTRAL,
    *("seed", "n", "stop", "stop_token_ids", "max_tokens", "max_completion_tokens", "logit_bias"),
    *("tool_choice", "response_format", "min_tokens", "ignore_eos", "bad_words"),
)
_ID: Final = re.compile(r"token_id:(\d{1,10})", re.ASCII)


def known(name: str) -> Engine:
    """Returns the engine of a name.

    Raises:
        UsageError: there is none.
    """
    for each in ENGINES:
        if each == name:
            return each
    raise UsageError(f"--engine {name}: expected auto, {', '.join(ENGINES)}")


def named(models: Iterable[Mapping[str, Any]]) -> Engine:
    """Returns the engine of a list of models: who it says owns one of them."""
    owners = {str(each.get("owned_by", "")).lower() for each in models}
    for owner, engine in _OWNERS.items():
        if owner in owners:
            return engine
    return "plain"


def asked(request: Mapping[str, Any], engine: Engine) -> dict[str, Any]:
    """Returns a request with what the engine needs to return ids and log-probs, and with neutral
    values for what the client left open."""
    if engine == "plain":
        return {**request}
    made: dict[str, Any] = {**NEUTRAL, **{k: v for k, v in request.items() if v is not None}}
    made["logprobs"] = True
    if engine == "vllm":
        made |= {"return_token_ids": True, "top_logprobs": request.get("top_logprobs") or 0}
    elif engine == "sglang" and not request.get("stream"):
        made |= {"return_prompt_token_ids": True, "return_meta_info": True}
    return made


def routed(engine: Engine, model: str, name: str) -> dict[str, str]:
    """Returns the fields of a request that a version answers.

    Args:
        engine: who is asked.
        model: as the request has it.
        name: of the version.
    """
    return {"model": model, "lora_path": name} if engine == "sglang" else {"model": name}


def sampler_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a request that shape what is sampled."""
    return {key: request[key] for key in _KEPT if request.get(key) is not None}


def bent(sampler: Mapping[str, Any], *, processed: bool) -> str | None:
    """Returns why log-probs are not those of what was sampled from; None: they are.

    Args:
        sampler: what the engine was asked for.
        processed: it returns log-probs after the temperature, rather than before.
    """
    for key, neutral in NEUTRAL.items():
        value = sampler.get(key, neutral)
        if key == "temperature":
            if value != neutral and (not processed or value == 0):
                return "temperature"
        elif value != neutral and not (key == "top_k" and value in (0, -1)):
            return f"sampler:{key}"
    for key in ("logit_bias", "min_tokens", "ignore_eos", "bad_words"):
        if sampler.get(key):
            return f"sampler:{key}"
    if sampler.get("n", 1) != 1:
        return "several_answers"
    guided = sampler.get("response_format")
    if isinstance(guided, dict) and guided.get("type") not in (None, "text"):
        return "guided"
    return None if sampler.get("tool_choice") in (None, "auto", "none") else "guided"


@final
@dataclass(slots=True)
class Sampled:
    """What an engine said that it sampled, added up over the pieces of a stream."""

    prompt_ids: "array[int] | None" = None
    ids: list[int] | None = None
    logprobs: list[float | None] | None = None
    broken: str = ""
    """Why it cannot be used; empty: it can."""
    _at: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, top: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        """Adds what one answer, or one piece of it, says: itself, and its first choice."""
        if self.prompt_ids is None:
            self.prompt_ids = _prompt(top.get("prompt_token_ids", choice.get("prompt_token_ids")))
        info = choice.get("meta_info")
        if isinstance(info, dict) and isinstance(rows := info.get("output_token_logprobs"), list):
            return self._rows(rows)
        given = choice.get("logprobs")
        content = given.get("content") if isinstance(given, dict) else None
        rows = content if isinstance(content, list) else []
        values = [_nats(each.get("logprob")) for each in rows if isinstance(each, dict)]
        ids = _ids(choice.get("token_ids"))
        if ids is None and rows:
            ids = _named(rows)
        if ids:
            if self.ids is None:
                self.ids = []
            self.ids += ids
        if values:
            if self.logprobs is None:
                self.logprobs = []
            self.logprobs += values
        return None

    def _rows(self, rows: Sequence[Any]) -> None:
        """Takes SGLang's rows: log-prob, id, text."""
        try:
            ids, nats = _ids([row[1] for row in rows]), [_nats(row[0]) for row in rows]
        except (TypeError, IndexError, KeyError):
            ids, nats = None, []
        self.ids, self.logprobs = ids, nats
        self.broken = "unreadable_token_ids" if ids is None else ""

    def why_not(self) -> str | None:
        """Returns why these are no tokens to train on; None: they are."""
        if self.broken:
            return self.broken
        if not self.ids:
            return "no_token_ids"
        if self.prompt_ids is None:
            return "no_prompt_ids"
        if not self.logprobs or None in self.logprobs:
            return "no_logprobs"
        return None if len(self.ids) == len(self.logprobs) else "length_mismatch"


def objects(value: Any) -> list[dict[str, Any]]:
    """Returns the objects of a list; none where it is no list."""
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", each) for each in value if isinstance(each, dict)]


def _ids(value: Any) -> list[int] | None:
    """Returns a list of ids, None where it is none."""
    if not isinstance(value, list) or not all(map(_is_id, value)):
        return None
    return value


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _prompt(value: Any) -> "array[int] | None":
    """Returns the ids of a prompt, None where it is no list of ids."""
    if not isinstance(value, list):
        return None
    try:
        return array("i", cast("list[int]", value))
    except (TypeError, OverflowError):
        return None


def _named(rows: Sequence[Any]) -> list[int] | None:
    """Returns the ids that tokens are named by, as vLLM's return_tokens_as_token_ids has them."""
    names = [str(row.get("token", "")) if isinstance(row, Mapping) else "" for row in rows]
    found = [_ID.fullmatch(name) for name in names]
    return _ids([int(each[1]) if each else None for each in found])


def _nats(value: Any) -> float | None:
    """Returns a log-prob; None where it is none, which it never is above 0 or at an infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if value <= 1e-6 and value > -9000 else None
