"""Versions in an engine: what vLLM and SGLang are asked, and what becomes of what they answer.

The stubs answer as vLLM 0.32's server did when it was run on a CPU (status and text, word by word),
and as SGLang 0.5's sources say.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from assay.errors import UsageError
from assay.live.adapters import FILES, AdapterError, Adapters
from assay.live.embedded import Embedded
from assay.live.keeper import Keeper
from assay.live.learning import Learnt
from assay.live.publisher import Publisher, serving
from assay.live.selection import BASE
from assay.live.store import Store
from assay.live.suites import Suite
from assay.live.training import _adapted, _saved, opened  # pyright: ignore[reportPrivateUsage]
from assay.live.versions import Versions
from assay.policy.loading import load
from assay.policy.scoring import Asked, score
from assay.records.live import Version
from tests.live.engines import Stub, served
from tests.live.running import ask, running

SUITE = Suite(name="tasks", env="lookup/even", tasks=100)
RANK = 16
"""The largest that the stub takes."""


class Engine(Stub):
    """An engine with adapters, in memory: started anew it has none."""

    def __init__(self, kind: str = "vllm", *, updating: bool = True) -> None:
        super().__init__(kind)
        self.has: dict[str, str] = {}
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.updating = updating

    @property
    def app(self) -> Starlette:
        root = "" if self.kind == "sglang" else "/v1"
        more = [
            Route(f"{root}/load_lora_adapter", self.load, methods=["POST"]),
            Route(f"{root}/unload_lora_adapter", self.unload, methods=["POST"]),
        ]
        chat = Route("/v1/chat/completions", self.chat, methods=["POST"])
        listed = Route("/v1/models", self.models)
        return Starlette(routes=[chat, listed, *(more if self.updating else [])])

    async def models(self, _: Request) -> JSONResponse:
        card = {"object": "model", "owned_by": self.kind}
        base = {"id": "base", "root": "/model", "parent": None, **card}
        mine = [{"id": k, "root": v, "parent": "base", **card} for k, v in self.has.items()]
        return JSONResponse({"object": "list", "data": [base, *mine]})

    def refusal(self, code: int, text: str, kind: str = "NotFoundError") -> JSONResponse:
        if self.kind == "sglang":
            said = {"success": False, "error_message": text, "loaded_adapters": self.has}
            return JSONResponse(said, 400)
        said = {"message": text, "type": kind, "param": None, "code": code}
        return JSONResponse({"error": said}, code)

    async def load(self, request: Request) -> Response:
        body = await request.json()
        self.posts.append(("load", body))
        name, path = body["lora_name"], Path(body["lora_path"])
        if name in self.has:
            text = f"The lora adapter '{name}' has already been loaded. If you want to load the "
            return self.refusal(400, f"{text}adapter in place, set 'load_inplace' to True.")
        if not (path / FILES[0]).is_file():
            return self.refusal(404, f"Loading lora {name} failed: No adapter found for {path}")
        rank = json.loads((path / FILES[0]).read_text())["r"]
        if rank > RANK:
            text = f"LoRA rank {rank} is greater than max_lora_rank {RANK}."
            text = f"Call to add_lora method failed: Worker failed with error '{text}'"
            return self.refusal(500, text, "InternalServerError")
        self.has[name] = str(path)
        if self.kind == "sglang":
            return JSONResponse({"success": True, "loaded_adapters": self.has})
        return PlainTextResponse(f"Success: LoRA adapter '{name}' added successfully.")

    async def unload(self, request: Request) -> Response:
        body = await request.json()
        self.posts.append(("unload", body))
        if body["lora_name"] not in self.has:
            return self.refusal(404, f"The lora adapter '{body['lora_name']}' cannot be found.")
        del self.has[body["lora_name"]]
        return JSONResponse({"success": True, "loaded_adapters": self.has})


class Forgetful(dict[str, str]):
    def __setitem__(self, key: str, value: str) -> None:
        pass


def adapter(folder: Path, rank: int = 8) -> Path:
    folder.mkdir(parents=True)
    (folder / FILES[0]).write_text(json.dumps({"r": rank}))
    (folder / FILES[1]).write_bytes(b"x")
    return folder


@contextmanager
def engine(kind: str = "vllm", **more: Any) -> Iterator[tuple[Engine, Adapters]]:
    stub = Engine(kind, **more)
    with served(stub.app) as url:
        yield stub, Adapters(f"{url}/v1", key="k")


def made(store: Store, number: int, rank: int = 8) -> Version:
    """A version that is waiting, made from the one that serves."""
    now, name = serving(store), f"pol-{number:06d}"
    folder = adapter(store.path.parent.resolve() / "versions" / name, rank)
    parent = now.name if now else BASE
    version = Version(at=1.0, name=name, state="made", parent=parent, path=str(folder))
    store.append(version, durable=True).result(timeout=30)
    return version


def publish(store: Store, engine: Adapters, version: Version, passed: int = 50) -> str:
    Publisher(store, lambda: 2.0, engine).publish(
        version,
        (SUITE,),
        lambda suite: [n < 50 for n in range(suite.tasks)],
        lambda suite: [n < passed for n in range(suite.tasks)],
    )
    return store.versions()[version.name].state


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_an_adapter_is_loaded_once_and_taken_out(kind: str, tmp_path: Path) -> None:
    folder = str(adapter(tmp_path / "a"))
    with engine(kind) as (stub, adapters):
        assert (adapters.which(), adapters.base(), adapters.loaded()) == (kind, "base", set())
        adapters.load("pol-000001", folder)
        adapters.load("pol-000001", folder)
        assert stub.posts == [("load", {"lora_name": "pol-000001", "lora_path": folder})]
        assert adapters.loaded() == {"pol-000001"}
        by = {"model": "pol-000001"} if kind == "vllm" else {
            "model": "base", "lora_path": "pol-000001"
        }  # fmt: skip
        assert adapters.asked("pol-000001") == by
        assert adapters.asked(None) == {"model": "base"}
        adapters.unload("pol-000001")
        adapters.unload("pol-000001")
        assert stub.posts[1:] == [("unload", {"lora_name": "pol-000001"})]


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_refusal_is_one_line_in_the_engine_s_own_words(kind: str, tmp_path: Path) -> None:
    with engine(kind) as (_, adapters), pytest.raises(AdapterError) as found:
        adapters.load("pol-000002", str(adapter(tmp_path / "a", rank=64)))
    said = str(found.value)
    assert "refuses pol-000002: " in said
    assert "LoRA rank 64 is greater than max_lora_rank 16." in said
    assert "--enable-lora" in said
    assert "\n" not in said


def test_updating_that_is_off_a_path_that_is_not_seen_and_nobody_there_are_said(
    tmp_path: Path,
) -> None:
    folder = adapter(tmp_path / "a")
    with engine(updating=False) as (_, adapters):
        with pytest.raises(
            AdapterError, match="does not offer load_lora_adapter; start it with VL"
        ):
            adapters.load("pol-000001", str(folder))
        url = adapters.url
    with pytest.raises(AdapterError, match=f"engine {url}: .*refused"):
        Adapters(url).loaded()
    with engine() as (stub, adapters):
        stub.load = lambda _: None  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(UsageError, match="an engine loads adapters alone"):
            adapters.load("pol-000001", str(tmp_path))
    with engine("plain") as (_, adapters), pytest.raises(UsageError, match="vLLM and SGLang"):
        adapters.keep({})


def test_what_an_engine_says_and_does_not_do_is_no_success(tmp_path: Path) -> None:
    folder = str(adapter(tmp_path / "a"))
    with engine() as (stub, adapters), pytest.MonkeyPatch.context() as patch:
        patch.setattr(stub, "has", Forgetful())
        with pytest.raises(AdapterError, match="says that it has pol-000001, and does not list"):
            adapters.load("pol-000001", folder)


def test_a_version_that_its_owner_serves_under_its_name_is_there(tmp_path: Path) -> None:
    """A whole policy, which could not be loaded."""
    with engine() as (stub, adapters):
        stub.has["pol-000001"] = "/model"
        assert adapters.keep({"pol-000001": str(tmp_path)}) == []
        (wrong,) = adapters.keep({"pol-000001": "", "pol-000002": str(tmp_path)})
        assert wrong.startswith("live: pol-000002: ")


def test_an_engine_on_another_machine_that_does_not_see_the_path(tmp_path: Path) -> None:
    with engine() as (stub, adapters):
        folder = adapter(tmp_path / "a")
        (folder / FILES[0]).rename(folder / "away")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("assay.live.adapters.check_adapter", lambda *_: None)
            with pytest.raises(AdapterError, match="No adapter found for"):
                adapters.load("pol-000001", str(folder))
        assert not stub.has


def test_a_version_serves_once_the_engine_has_it_and_its_suites_hold(store: Store) -> None:
    with engine() as (stub, adapters):
        assert publish(store, adapters, made(store, 1)) == "served"
        assert publish(store, adapters, made(store, 2), passed=0) == "refused"
        assert {*stub.has} == {"pol-000001"}
        stub.has.clear()  # it was started anew
        assert publish(store, adapters, made(store, 3)) == "served"
        assert {*stub.has} == {"pol-000001", "pol-000003"}


def test_what_the_engine_refuses_waits_and_the_old_version_goes_on(store: Store) -> None:
    with engine() as (stub, adapters):
        publish(store, adapters, made(store, 1))
        large = made(store, 2, rank=64)
        with pytest.raises(AdapterError, match="LoRA rank 64"):
            publish(store, adapters, large)
        now = serving(store)
        assert now is not None
        assert (now.name, store.versions()["pol-000002"].state) == ("pol-000001", "made")
        assert Path(large.path).is_dir()
        assert {*stub.has} == {"pol-000001"}


def test_a_canary_that_is_stopped_leaves_nothing_in_the_engine(store: Store) -> None:
    with engine() as (stub, adapters):
        version = made(store, 1)
        (store.path.parent / "STOP").touch()
        with pytest.raises(UsageError):
            publish(store, adapters, version)
        (store.path.parent / "STOP").unlink()

        def stopped(_: Suite) -> list[bool]:
            assert "pol-000001" in stub.has
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Publisher(store, lambda: 2.0, adapters).publish(version, (SUITE,), stopped, stopped)
        assert not stub.has
        assert store.versions()["pol-000001"].state == "made"


def test_the_keeper_loads_what_serves_and_takes_out_what_does_not(store: Store) -> None:
    with engine() as (stub, adapters):
        versions = Versions(store)
        keeper = Keeper(versions, adapters)
        keeper.look()
        assert not stub.asked
        for number in range(1, 5):
            assert publish(store, adapters, made(store, number)) == "served"
        waiting = made(store, 5)
        adapters.load(waiting.name, waiting.path)
        assert len(stub.has) == 5
        versions.refresh()
        free = Versions(store)
        free.refresh()
        found = [free.of(f"pol-{n:06d}") for n in (1, 2)]
        assert [each and each.name for each in found] == ["pol-000004", "pol-000002"]
        assert versions.current is None  # nobody has looked yet
        keeper.look()
        assert sorted(stub.has) == [f"pol-{n:06d}" for n in (2, 3, 4, 5)]
        assert keeper.status() == {
            "has": ["pol-000002", "pol-000003", "pol-000004"], "failing": ""
        }  # fmt: skip
        Publisher(store, lambda: 3.0).rollback("worse")
        versions.refresh()
        assert versions.current is not None
        assert versions.current.name == "pol-000003"
        keeper.look()
        assert "pol-000004" not in stub.has
        stub.has.clear()
        keeper.look()
        assert sorted(stub.has) == ["pol-000002", "pol-000003"]


def test_a_session_keeps_what_it_began_with_until_three_came_after(store: Store) -> None:
    versions, seen = Versions(store), list[tuple[str | None, ...]]()
    for n in range(1, 4):
        version = Version(at=float(n), name=f"pol-00000{n}", state="served")
        store.append(version, durable=True).result(timeout=30)
        versions.refresh()
        had = [versions.of(None), versions.of("pol-000001"), versions.current]
        seen.append(tuple(each and each.name for each in had))
    assert seen == [
        (None, "pol-000001", "pol-000001"),
        (None, "pol-000001", "pol-000002"),
        ("pol-000003", "pol-000001", "pol-000003"),
    ]
    back = Version(at=9.0, name="pol-000003", state="rolled_back")
    store.append(back, durable=True).result(timeout=30)
    versions.refresh()
    assert versions.current is not None
    assert versions.of(None) == versions.current, "nor does it go back"


def test_an_engine_that_is_away_or_refuses_has_what_it_has(store: Store) -> None:
    versions = Versions(store)
    with engine() as (stub, adapters):
        publish(store, adapters, made(store, 1))
        publish(store, adapters, made(store, 2))
        versions.refresh()
        keeper = Keeper(versions, adapters)
        gone = Path(stub.has.pop("pol-000002")) / FILES[0]
        gone.write_text(json.dumps({"r": 64}))
        keeper.look()
        assert "LoRA rank 64" in keeper.why
        assert versions.current is not None
        assert versions.current.name == versions.of("pol-000002").name == "pol-000001"  # pyright: ignore[reportOptionalMemberAccess]
    keeper.look()
    assert "refused" in keeper.why
    assert versions.current is None
    with engine("plain") as (_, other):
        keeper = Keeper(versions, other)
        keeper.look()
        assert versions.current is not None
        assert versions.current.name == "pol-000002"
        assert keeper.status()["has"] is None


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_the_gateway_asks_for_the_version_that_serves(kind: str, tmp_path: Path) -> None:
    stub = Engine(kind)
    with running(tmp_path, kind, stub=stub) as it:
        publish(it.store, Adapters(it.gateway.upstream._url), made(it.store, 1))
        it.gateway.versions.refresh()
        ask(it.openai(), "hello")
        said = stub.asked[-1]
        assert (said["model"], said.get("lora_path")) == (
            ("pol-000001", None) if kind == "vllm" else ("m", "pol-000001")
        )
        assert it.turns()[0].turn.policy_version == "pol-000001"
        Publisher(it.store, lambda: 3.0).rollback()
        it.gateway.versions.refresh()
        ask(it.openai(), "another")
        assert stub.asked[-1]["model"] == "m"
        assert "lora_path" not in stub.asked[-1]


def test_the_embedded_policy_serves_adapters(tmp_path: Path) -> None:
    model, tokenizer = opened("start", "start", device="cpu")
    model = _adapted(model, 4)
    for name, each in model.named_parameters():
        if "lora_B" in name:
            each.data.fill_(0.02)
    _saved(model, tokenizer, tmp_path / "v", "start", Learnt({}, {}))
    engine = Embedded()
    engine.where = lambda name: str(tmp_path / "v") if name == "pol-000001" else None

    async def answered(name: str) -> Any:
        body = {"model": name, "messages": [{"role": "user", "content": "currency of Peru?"}]}
        async with engine.ask(json.dumps({**body, "max_tokens": 6}).encode()) as reply:
            return json.loads(b"".join([each async for each in reply.chunks]))

    for name, policy in (("pol-000001", model), ("start", load()[0])):
        made = asyncio.run(answered(name))
        prompt, choice = made["prompt_token_ids"], made["choices"][0]
        found = [each["logprob"] for each in choice["logprobs"]["content"]]
        told = Asked(0, len(prompt), (), tuple(choice["token_ids"]))
        assert found == pytest.approx(score(policy, [prompt], [told])[0], abs=1e-4)
    asyncio.run(engine.close())


def test_what_is_trained_with_lora_is_a_folder_as_peft_names_it(tmp_path: Path) -> None:
    """vLLM 0.32 loaded such a folder; what it reads of one is held here: `r`, `lora_alpha`, the
    names of the modules, and of each a pair of tensors under PEFT's names."""
    model, tokenizer = opened("start", "start", device="cpu")
    _saved(_adapted(model, 4), tokenizer, tmp_path, "start", Learnt({}, {}))
    config = json.loads((tmp_path / FILES[0]).read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 8)
    assert (config["bias"], config["modules_to_save"], config["use_dora"]) == ("none", None, False)
    attention, mlp = ("q", "k", "v", "o"), ("gate", "up", "down")
    modules = [f"{each}_proj" for each in (*attention, *mlp)]
    assert sorted(config["target_modules"]) == sorted(modules)
    with safe_open(tmp_path / FILES[1], "np") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    at = "base_model.model.model.layers.0.self_attn.q_proj"
    assert shapes[f"{at}.lora_A.weight"] == [4, 128]
    assert shapes[f"{at}.lora_B.weight"] == [128, 4]
    assert len(shapes) == 4 * len(modules) * 2
