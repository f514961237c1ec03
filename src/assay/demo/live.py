"""`assay demo live`: a policy serves users through the gateway, and learns their words from what
they say. One process, this machine alone.

The gateway listens on a free port of 127.0.0.1 and the simulated users are its clients
(`assay.live.simulated`): each has a key, asks, reads the answer, and says in plain words whether it
pleased. After each round of 32 sessions the policy is trained on them, and answers the next round.
At the end the version is tried by the canary, and so is one that was spoilt on purpose.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import torch
import uvicorn
from msgspec import structs

from assay.errors import DataError, UsageError
from assay.files.atomic import publish
from assay.live.canary import Seen, played
from assay.live.embedded import Embedded
from assay.live.gateway import Gateway
from assay.live.guard import Guard
from assay.live.keys import Key, minted, secret_of
from assay.live.learning import Learning
from assay.live.publisher import FOLDER, Publisher, next_name
from assay.live.rehearsal import Asked, Rehearsal, Round
from assay.live.selection import BASE
from assay.live.store import Store
from assay.live.suites import SUITES
from assay.policy.loading import load
from assay.records import Trajectory
from assay.records.live import Derived, Event, Moved, Version
from assay.report.figure import Line, curves
from assay.report.template import rendered
from assay.rollout import Planned, Sampling, collect
from assay.rollout.backends.local import Transformers
from assay.world import catalogue

UPDATES: Final = 16
RUN: Final = "demo"
NOISE: Final = 0.05
"""Of the weights of the version that is spoilt."""
KEPT: Final = ("lookup/even", "lookup/hard")
"""Tasks of which the policy keeps what it wrote before; the canary's are others."""
SHOWN: Final = 6
"""Dialogues at either end that the page shows."""
_WAIT: Final = 60.0


@final
class Clients:
    """The users, each with a key of the gateway."""

    def __init__(self, port: int, secret: bytes, engine: Embedded) -> None:
        self._port, self._secret, self._engine = port, secret, engine
        self.said: list[tuple[str, str, str, str]] = []
        """What was asked, answered and said to it, and in which session."""

    def __call__(self, asked: Sequence[Asked], version: str) -> list[str]:
        """Has the conversations, one after the other, and returns the answers."""
        answers, self._engine.goes_by = list[str](), version
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_WAIT)
        try:
            for made, session, user in asked:
                key = minted(self._secret, Key(run=RUN, session=session, user=user))
                told = [{"role": "user", "content": made.text}]
                answer = self._post(connection, key, told, most=24)
                reply = made.reply(answer)
                told += [
                    {"role": "assistant", "content": answer},
                    {"role": "user", "content": reply},
                ]
                self._post(connection, key, told, most=2)
                answers.append(answer)
                self.said.append((made.text, answer.strip(), reply, f"{RUN}/{user}/{session}"))
        finally:
            connection.close()
        return answers

    def _post(
        self,
        connection: http.client.HTTPConnection,
        key: str,
        messages: list[dict[str, str]],
        *,
        most: int,
    ) -> str:
        body = {"messages": messages, "max_tokens": most}
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(
            "POST", f"/r/{RUN}/v1/chat/completions", json.dumps(body).encode(), headers
        )
        reply = connection.getresponse()
        said: Any = json.loads(reply.read())
        if reply.status != 200:
            raise DataError(f"the gateway answered {reply.status}: {str(said)[:200]}")
        return str(said["choices"][0]["message"]["content"])


@contextmanager
def listening(gateway: Gateway) -> Generator[int]:
    """Serves a gateway from a thread; gives its port."""
    config = uvicorn.Config(gateway.app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="gateway", daemon=True)
    thread.start()
    try:
        until = time.monotonic() + _WAIT
        while not server.started:
            if time.monotonic() > until or not thread.is_alive():
                raise DataError("the gateway did not start")
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(_WAIT)


def run(
    out: Path, *, seed: int, say: Callable[[str], None], updates: int = UPDATES, tasks: int = 256
) -> dict[str, Any]:
    """Runs the demo, and returns what `live.json` in `out` holds.

    Args:
        out: a folder that is not there yet, or empty.
        seed: of all chance.
        say: takes a line at a time.
        updates: rounds.
        tasks: of each suite of the canary.

    Raises:
        UsageError: `out` is taken.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists already; choose another --out")
    torch.set_num_threads(max(1, min(2, torch.get_num_threads())))
    with Store.open(out / "store") as store:
        secret = secret_of(out / "store")
        engine = Embedded(seed=seed)
        guard = Guard(secret=secret, needs_key=True, consent="train", hosts=None)
        gateway = Gateway(upstream=engine, store=store, guard=guard, processed=True)
        model, tokenizer = engine.policy
        with listening(gateway) as port:
            say(f"{updates} rounds of users; first what it writes in other tasks is noted")
            clients = Clients(port, secret, engine)
            rehearsal = Rehearsal(
                store,
                model,
                tokenizer,
                Learning(),
                seed=seed,
                through=clients,
                kept=_before(model, tokenizer, seed),
            )
            before, rounds = rehearsal.measured(), list[Round]()
            say(f"before: the words are understood {before:.0%} of the time")
            for each in rehearsal.rounds(updates):
                rounds.append(each)
                say(_sentence(each))
        tried = _published(store, model, tokenizer, seed, say, tasks)
        result = _result(before, rounds, tried, clients, seed)
        _written(store, out, result)
    return result


def _written(store: Store, out: Path, result: dict[str, Any]) -> None:
    """Writes the result and its page, and into the store that they hold texts of sessions."""
    names = tuple(each[3] for key in ("first", "last") for each in result[key])
    made = {"live.json": json.dumps(result, indent=1) + "\n", "live.html": _page(result)}
    for name, text in made.items():
        path = (out / name).resolve()
        event = Derived(at=time.time(), path=str(path), sessions=names, what="demo")
        store.append(event, durable=True).result()
        publish(path, text.encode())


def _before(model: Any, tokenizer: Any, seed: int) -> list[Trajectory]:
    """Returns what the policy writes in other tasks before it learns anything: that is to stay."""
    planned = [
        Planned(environment=catalogue.load(name), seed=task, id=f"{name}/{task}", group=name)
        for name in KEPT
        for task in range(64)
    ]
    sampling = Sampling(apart=True, max_tokens=160, turn_tokens=48)
    backend = Transformers(model, tokenizer)
    return [*collect(backend, planned, sampling=sampling, seed=(seed,), clock=None)]


def _sentence(each: Round) -> str:
    done = f"{each.pleased:.0%} of answers pleased"
    if "missing" in each.facts:
        return f"update {each.number}: none, {each.facts['missing']}"
    return (
        f"update {each.number}: {done}; {each.facts['turns']} turns, {each.facts['hinted']:.0f} "
        f"with hints; understood {each.understood:.0%}"
    )


def _published(
    store: Store, model: Any, tokenizer: Any, seed: int, say: Callable[[str], None], tasks: int
) -> dict[str, Any]:
    """Tries what was learnt, and then the same spoilt by noise; returns what became of both."""
    suites = [structs.replace(each, tasks=tasks) for each in SUITES]
    base, _ = load()
    made: dict[str, Any] = {}
    known: dict[str, Any] = {}
    weights = {name: each.clone() for name, each in model.state_dict().items()}

    def before(suite: Any) -> Sequence[bool]:
        if suite.name not in known:
            known[suite.name] = _played(suite, base, tokenizer, seed)
        return known[suite.name]

    for what in ("spoilt", "learnt"):
        if what == "spoilt":
            _spoil(model, seed)
        version = _version(store, model, tokenizer, learnt=what == "learnt")
        found = Publisher(store, time.time).publish(
            version, suites, before, partial(_played, model=model, tokenizer=tokenizer, seed=seed)
        )
        model.load_state_dict(weights)
        state = store.versions()[version.name].state
        say(f"{what}: {version.name} is {state}")
        for each in found:
            say(f"  {each.sentence()}")
        made[what] = {"version": version.name, "state": state, "suites": _said(found)}
    return made


def _said(found: Sequence[Seen]) -> list[str]:
    return [each.sentence() for each in found]


def _played(suite: Any, model: Any, tokenizer: Any, seed: int) -> Sequence[bool]:
    return played(suite, model=model, tokenizer=tokenizer, name="start", seed=(seed,))


@torch.no_grad()
def _spoil(model: Any, seed: int) -> None:
    """Adds noise to the weights: a regression that a canary must find."""
    chance = torch.Generator().manual_seed(seed)
    for each in model.parameters():
        noise = torch.randn(each.shape, generator=chance).to(each)
        each.add_(NOISE * noise)


def _version(store: Store, model: Any, tokenizer: Any, *, learnt: bool) -> Version:
    """Writes a policy as a version of the store; what was learnt takes the place of the versions of
    the rounds, of which nothing is on the disk."""
    name = next_name(store)
    folder = store.path.parent.resolve() / FOLDER / name
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    version = Version(
        at=time.time(),
        name=name,
        state="made",
        parent=BASE,
        path=str(folder),
        sessions=tuple(store.sessions()),
    )
    store.append(version, *(_taken_over(store, version) if learnt else ()), durable=True).result()
    return version


def _taken_over(store: Store, version: Version) -> Iterator[Event]:
    """Yields what says that a version went on from those of the rounds: none of them waits, and
    their turns are its own, which are trained on again if it does not last."""
    for each in store.versions().values():
        if each.state == "made":
            yield structs.replace(
                each, at=version.at, state="retired", why=f"{version.name} went on from it"
            )
    for seen in store.turns():
        if seen.progress == "trained":
            turn = seen.turn
            yield Moved(
                session=turn.session,
                at=version.at,
                turn=turn.id,
                to="trained",
                why=version.name,
                spared=True,
            )


def _result(
    before: float, rounds: Sequence[Round], tried: Any, clients: Clients, seed: int
) -> dict[str, Any]:
    return {
        "schema": "assay.live-demo/1",
        "seed": seed,
        "understood": [before, *(each.understood for each in rounds)],
        "pleased": [each.pleased for each in rounds],
        "updates": len(rounds),
        "tried": tried,
        "first": clients.said[:SHOWN],
        "last": clients.said[-SHOWN:],
    }


def _page(result: dict[str, Any]) -> str:
    """Returns the demo's page."""
    understood, pleased = result["understood"], result["pleased"]
    steps = [float(n) for n in range(len(understood))]
    figure = curves(
        [
            Line("words understood, held-out requests", steps, understood),
            Line("answers that pleased, while serving", steps[:-1], pleased),
        ],
        title="A policy learns its users' words while it serves them",
        x_label="updates",
        y_label="share",
        y_range=(0.0, 1.0),
        base=False,
    )
    return rendered("demo_live.html", result=result, svg=figure)
