"""Versions as adapters of an engine: loaded under their own names, kept, and taken out again.

    vLLM      POST URL/load_lora_adapter  {"lora_name", "lora_path"}       200, 400, 404, 500
              POST URL/unload_lora_adapter {"lora_name"}                    200, 404 (not there)
              (URL ends in /v1; the two are there with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and
              --enable-lora); a request names the adapter as its `model`
    SGLang    POST ROOT/load_lora_adapter, ROOT/unload_lora_adapter         200, 400, no /v1
              (--enable-lora); a request names the adapter as its `lora_path`: of `model` alone the
              base would answer, and nobody would know

Names are never used twice, so nothing is reloaded in place: an engine may keep the prefix cache of
an adapter of the same name (vLLM issues 42125, 45981). GET URL/models lists what is loaded. As vLLM
0.32, whose server was run, and SGLang 0.5, whose sources were read, have them.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, final

from assay.errors import AssayError, UsageError
from assay.files.web import check_address, refusal, sent
from assay.live.engines import Engine, named, objects, routed
from assay.live.versions import NAMED

FILES: Final = ("adapter_config.json", "adapter_model.safetensors")
"""What an engine reads of a version's folder, as PEFT writes it."""
TIMEOUT: Final = 120.0
"""Seconds in which an engine must have loaded an adapter."""
_LARGEST: Final = 1 << 20
_WHAT: Final[Mapping[Engine, str]] = {
    "vllm": (
        "start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, --enable-lora and --max-lora-rank"
    ),
    "sglang": "start it with --enable-lora, --max-lora-rank and --lora-target-modules all",
}


class AdapterError(AssayError, OSError):
    """An engine did not do what it was asked for with an adapter; what it has it goes on with."""


def check_adapter(name: str, path: str) -> None:
    """Raises UsageError where a version is no folder that an engine could load."""
    if missing := [each for each in FILES if not (Path(path) / each).is_file()]:
        raise UsageError(
            f"live: {name}: {path}: no {missing[0]}; an engine loads adapters alone: assay live "
            "train --lora RANK"
        )


@final
class Adapters:
    """The adapters of one engine, over HTTP."""

    def __init__(self, url: str, *, key: str | None = None, engine: Engine | None = None) -> None:
        """Takes an address.

        Args:
            url: of the engine, up to and with its version, as http://127.0.0.1:8000/v1.
            key: sent as a bearer token.
            engine: which one it is; None: asked of it.

        Raises:
            UsageError: it is no address.
        """
        check_address("--upstream", url, key)
        self.url, self.key = url.rstrip("/"), key
        self._engine = engine

    def which(self) -> Engine:
        """Returns which engine it is: who it says owns its models.

        Raises:
            AdapterError: it cannot be asked.
            UsageError: it is none that takes adapters.
        """
        if self._engine is None:
            self._engine = named(self._models())
        if self._engine not in _WHAT:
            raise UsageError(
                f"--upstream {self.url}: adapters are loaded into vLLM and SGLang, and this is "
                "neither; --engine names it"
            )
        return self._engine

    def base(self) -> str:
        """Returns what the engine calls the policy without adapters."""
        for each in self._models():
            if not each.get("parent"):
                return str(each.get("id"))
        raise AdapterError(f"engine {self.url}: it lists no model")

    def loaded(self) -> set[str]:
        """Returns the versions that the engine has.

        Raises:
            AdapterError: it cannot be asked.
        """
        return {name for each in self._models() if NAMED.fullmatch(name := str(each.get("id")))}

    def load(self, name: str, path: str) -> None:
        """Loads a version under its name; one that is there stays.

        Raises:
            UsageError: it is no adapter.
            AdapterError: the engine refuses it, in its own words, or does not list it afterwards.
        """
        check_adapter(name, path)
        if name in self.loaded():
            return
        self._post("load_lora_adapter", {"lora_name": name, "lora_path": path}, name)
        if name not in self.loaded():
            raise AdapterError(f"engine {self.url}: says that it has {name}, and does not list it")

    def unload(self, name: str) -> None:
        """Takes a version out; one that is not there is out.

        Raises:
            AdapterError: the engine refuses.
        """
        if name in self.loaded():
            self._post("unload_lora_adapter", {"lora_name": name}, name)

    def keep(self, wanted: Mapping[str, str], spared: Iterable[str] = ()) -> list[str]:
        """Loads what is wanted and takes out what is not; returns what went wrong, a line each.

        Args:
            wanted: paths of versions by name.
            spared: names that stay as they are, loaded or not.

        Raises:
            AdapterError: the engine cannot be asked.
            UsageError: it is none that takes adapters.
        """
        self.which()
        there, failed = self.loaded(), list[str]()
        for name, path in wanted.items():
            if name not in there:
                failed += self._tried(self.load, name, path)
        for name in sorted(there - {*wanted} - {*spared}):
            failed += self._tried(self.unload, name)
        return failed

    def _tried(self, work: Any, *given: str) -> list[str]:
        try:
            work(*given)
        except AssayError as error:
            return [str(error)]
        return []

    def asked(self, name: str | None) -> dict[str, str]:
        """Returns the fields of a request that a version answers; None: the base does."""
        return {"model": self.base()} if name is None else routed(self.which(), self.base(), name)

    def _post(self, what: str, body: Mapping[str, str], name: str) -> None:
        root = self.url.removesuffix("/v1") if self.which() == "sglang" else self.url
        try:
            self._sent(f"{root}/{what}", json.dumps(body).encode())
        except urllib.error.HTTPError as error:
            raise AdapterError(self._said(what, error, name)) from None

    def _said(self, what: str, error: urllib.error.HTTPError, name: str) -> str:
        """Returns why an adapter was refused, in a line."""
        said = _reason(error)
        off = error.code in (404, 405) and "adapter" not in said.lower()
        why = f"it does not offer {what}" if off else said or str(error.code)
        to_do = f"; {_WHAT[self.which()]}" if what.startswith("load") else ""
        return f"engine {self.url} refuses {name}: {why}{to_do}"

    def _models(self) -> list[dict[str, Any]]:
        try:
            made: Any = json.loads(self._sent(f"{self.url}/models", None))
        except urllib.error.HTTPError as error:
            raise AdapterError(f"engine {self.url}: {refusal(error)}") from None
        except ValueError:
            raise AdapterError(f"engine {self.url}: its list of models is no JSON") from None
        return objects(made.get("data")) if isinstance(made, dict) else []

    def _sent(self, url: str, body: bytes | None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(url, body, headers)
        try:
            return sent(request, timeout=TIMEOUT, most=_LARGEST)
        except urllib.error.HTTPError:
            raise
        except (OSError, HTTPException) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise AdapterError(f"engine {self.url}: {said}") from None


def _reason(error: urllib.error.HTTPError) -> str:
    """Returns what an engine says of its refusal, on one line; "": nothing that can be read."""
    try:
        made: Any = json.loads(error.read(1 << 16) or b"null")
    except (OSError, ValueError, HTTPException, RecursionError):
        return ""
    if not isinstance(made, dict):
        return ""
    inner = made.get("error")
    told = inner.get("message") if isinstance(inner, dict) else None
    said = told or made.get("error_message") or made.get("message") or inner or made.get("detail")
    return " ".join(str(said or "").split())[:300]
