"""Real processes under the rules of `assay.cluster`: workers play, a trainer updates; each has one
thread, and all share this machine. What happens is written down as the model writes it down.

The embedded world (lookup/even) and the shipped policy; GRPO, AdamW at a rate so low that lengths
stay what they were. Nothing of TRL: an update is signal -> rows -> clipped loss -> optimiser step.
"""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from assay.cluster import Dispatch, History, Piece, Plan
from assay.cluster.history import End, Played, Updated

ENVIRONMENT: Final = "lookup/even"
TOKENS, TURN, RATE, MICRO = 160, 32, 1e-6, 8
RECIPE: Final = {"gates": ["integrity"], "methods": [{"name": "grpo"}]}
FIRST: Final = 500_000
"""Seed of the task of group 0."""
PATIENCE: Final = 120.0
"""Seconds without a message after which a run is given up."""


class Stopped(Exception):
    """The piece that is played is not wanted any more."""


class Watched:
    """A backend that counts, and that can be stopped at any token."""

    def __init__(self, inner: Any, stop: Any) -> None:
        self._inner, self._stop, self.tokenizer = inner, stop, inner.tokenizer
        self.order, self.world = 0, 0.0
        self.written, self.read = [0], [0]

    def run(self, prompts: Any, reader: Any, *, sampling: Any, seed: Any) -> None:
        self.written, self.read, self.world = [0] * len(prompts), [0] * len(prompts), 0.0

        def watched(at: int, ids: Any, logprobs: Any) -> Any:
            if self._stop.value == self.order:
                raise Stopped
            began = time.perf_counter()
            more = reader(at, ids, logprobs)
            self.world += time.perf_counter() - began
            self.written[at] += 1
            self.read[at] += len(more or ())
            return more

        self._inner.run(prompts, watched, sampling=sampling, seed=seed)


@dataclass(frozen=True)
class Order:
    """What a worker is to play."""

    number: int
    task: int
    first: int
    rows: int
    version: int
    seed: int


@dataclass(frozen=True)
class Answer:
    """What it played; nothing, where it was stopped."""

    number: int
    lines: Sequence[bytes] = ()
    tokens: Sequence[int] = ()
    """Written by the policy, by trajectory."""
    forwards: Sequence[int] = ()
    """Written or read after the prompt."""
    seconds: float = 0.0
    """Of the whole."""
    world: float = 0.0
    """Of which of tools, verifier and recording."""
    load: float | None = None
    """Seconds until newer weights were there. None: they were."""


def worker(channel: Connection, stop: Any, folder: Path) -> None:
    """Plays what it is told, until it is told None."""
    import torch
    from safetensors.torch import load_file

    from assay.policy import loading
    from assay.records.codec import encode
    from assay.rollout.backends.base import Sampling
    from assay.rollout.backends.local import Transformers
    from assay.rollout.chain import collect, tasks
    from assay.world import load

    torch.set_num_threads(1)
    model, tokenizer = loading.load()
    backend, held = Watched(Transformers(model, tokenizer), stop), 0
    sampling = Sampling(max_tokens=TOKENS, turn_tokens=TURN)

    def play(order: Order) -> Any:
        planned = [
            replace(each, trial=order.first + at, id=f"{each.group}/{order.first + at}")
            for at, each in enumerate(tasks(lambda: load(ENVIRONMENT), [order.task], order.rows))
        ]
        seed = (order.seed, order.task, order.first)
        return [*collect(backend, planned, sampling=sampling, seed=seed)]

    play(Order(0, FIRST - 1, 0, 4, 0, 0))  # what is imported late is there
    channel.send("ready")
    while (order := channel.recv()) is not None:
        backend.order, loaded, started = order.number, None, time.perf_counter()
        if order.version > held:
            began, held = time.perf_counter(), order.version
            model.load_state_dict(load_file(folder / f"{held}.safetensors"), strict=False)
            loaded = time.perf_counter() - began
        try:
            records = play(order)
        except Stopped:
            channel.send(Answer(order.number))
            continue
        lines = [encode(record) for record in records]
        forwards = [a + b for a, b in zip(backend.written, backend.read, strict=True)]
        spent = time.perf_counter() - started, backend.world, loaded
        channel.send(Answer(order.number, lines, backend.written, forwards, *spent))


def trainer(channel: Connection, folder: Path) -> None:
    """Updates the policy on the records that it is sent, and writes its weights."""
    import torch
    from safetensors.torch import save_file

    from assay.policy import loading
    from assay.records.codec import decode

    torch.set_num_threads(1)
    model, _ = loading.load()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    channel.send("ready")
    while (given := channel.recv()) is not None:
        version, lines = given
        spent = updated(model, optimizer, [decode(line) for line in lines])
        began = time.perf_counter()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        save_file(state, folder / f"{version}.part")
        (folder / f"{version}.part").rename(folder / f"{version}.safetensors")
        channel.send({**spent, "publish": time.perf_counter() - began})


def updated(model: Any, optimizer: Any, records: Sequence[Any]) -> dict[str, float]:
    """Makes a step of GRPO on records; returns the seconds of its parts."""
    import torch

    from assay.batch import Batch
    from assay.recipes import Recipe
    from assay.signal.origins import columns
    from assay.signal.signal import signal
    from assay.trainers.losses import rl

    clock, recipe = Clock(), Recipe.of(RECIPE)
    batch = Batch.of(records, measure="tokens", pass_at=recipe.pass_at)
    clock("evidence")
    made = signal(batch, recipe)
    advantage, weight = (torch.from_numpy(each).float() for each in made.rows())
    clock("gate and credit")
    rows = columns(records)
    ids, old = torch.zeros(advantage.shape, dtype=torch.long), torch.zeros(advantage.shape)
    widths: list[int] = []
    for k, (prompt, completion) in enumerate(
        zip(rows["prompt_ids"], rows["completion_ids"], strict=True)
    ):
        widths.append(len(prompt) + len(completion))
        ids[k, : widths[k]] = torch.tensor(prompt + completion)
        old[k, len(prompt) : widths[k]] = torch.tensor(rows["logprobs"][k])
    model.train()
    count = (advantage * weight != 0).sum()
    for at in range(0, len(ids), MICRO):
        part = slice(at, at + MICRO), slice(max(widths[at : at + MICRO]))
        read, given = ids[part], (advantage * weight)[part][:, 1:]
        logits = model(input_ids=read).logits[:, :-1].float()
        new = torch.log_softmax(logits, -1).gather(2, read[:, 1:, None])[..., 0]
        rl(new, old[part][:, 1:], given, low=0.2, high=0.28, count=count).backward()
    clock("forward and backward")
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    clock("optimiser")
    return clock.spent


class Clock:
    """Seconds between calls, by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._since = time.perf_counter()

    def __call__(self, name: str) -> None:
        now = time.perf_counter()
        self.spent[name] = self.spent.get(name, 0.0) + now - self._since
        self._since = now


class Process:
    """One process of ours, its channel, and the flag that stops it."""

    def __init__(self, target: Callable[..., None], folder: Path, *, stops: bool) -> None:
        context = multiprocessing.get_context("spawn")  # as on another machine: from nothing
        self.flag: Any = context.Value("q", -1, lock=False)
        self.channel, theirs = context.Pipe()
        given = (theirs, self.flag, folder) if stops else (theirs, folder)
        self.process: Any = context.Process(target=target, args=given, daemon=True)
        self.process.start()
        theirs.close()

    def answer(self, patience: float = PATIENCE) -> Any:
        if not self.channel.poll(patience):
            raise TimeoutError(f"no word from {self.process.name} within {patience:g} s")
        return self.channel.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(PATIENCE)
        self.channel.close()

    def end(self) -> None:
        with suppress(OSError):
            self.channel.send(None)
        self.process.join(10.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(PATIENCE)
        self.channel.close()


class Cluster:
    """Workers and a trainer, under the rules of a plan."""

    def __init__(self, plan: Plan, folder: Path, seed: int = 0) -> None:
        self.plan, self._folder, self._seed = plan, folder, seed
        self._workers = [Process(worker, folder, stops=True) for _ in range(plan.workers)]
        self._trainer = Process(trainer, folder, stops=False)
        try:
            for each in (*self._workers, self._trainer):
                each.answer()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        for each in (*self._workers, self._trainer):
            each.end()

    def cpu_seconds(self) -> float:
        """Returns what this process and those that are there, or were killed, have used."""
        spent = resource.getrusage(resource.RUSAGE_SELF)
        gone = resource.getrusage(resource.RUSAGE_CHILDREN)
        whole = spent.ru_utime + spent.ru_stime + gone.ru_utime + gone.ru_stime
        for each in (*self._workers, self._trainer):
            fields = Path(f"/proc/{each.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            whole += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return whole

    def queued_seconds(self) -> float:
        """Returns what the processes that are there have waited for a core, being able to go on."""
        return sum(
            int((thread / "schedstat").read_text().split()[1]) / 1e9
            for each in (*self._workers, self._trainer)
            for thread in Path(f"/proc/{each.process.pid}/task").iterdir()
        )

    def run(self, updates: int, losses: Sequence[tuple[float, int]] = ()) -> History:
        """Returns what happened until so many updates were made."""
        self._rules, self.history = Dispatch(self.plan), History(self.plan)
        self._open: dict[int, tuple[Piece, int, float]] = {}
        self._down: dict[int, float] = {}
        self._lines: dict[int, list[bytes]] = {}
        self._sent, self._taken = 0, (0.0, list[int]())
        self._start, coming = time.perf_counter(), sorted(losses)
        while len(self.history.updates) < updates:
            self._go_on()
            left = coming[0][0] - self._now() if coming else PATIENCE
            channels = [each.channel for each in (*self._workers, self._trainer)]
            for channel in wait(channels, max(0.0, left)) or ([] if coming else [None]):
                if channel is None:
                    raise TimeoutError(f"nothing happened for {PATIENCE:g} s")
                self._heard(channels.index(channel))
            while coming and coming[0][0] <= self._now():
                self._lose(coming.pop(0)[1])
        now = self._now()
        for number in list(self._open):
            self._ended(number, "open", now)
        self.history.down += [(at, fell, now) for at, fell in self._down.items()]
        return self.history

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _go_on(self) -> None:
        """Gives everyone who has nothing to do what there is to be done."""
        if self._rules.ready:
            groups = [group.number for group in self._rules.take()]
            lines = [line for number in groups for line in self._lines.pop(number)]
            self._taken = self._now(), groups
            self._trainer.channel.send((self._rules.version + 1, lines))
            self.history.drop(self._now(), self._rules.dropped[len(self.history.dropped) :])
            for piece in self._rules.stopped():
                number, at = next((n, w) for n, (p, w, _) in self._open.items() if p is piece)
                self._workers[at].flag.value = number
        busy = {at for _, at, _ in self._open.values()} | set(self._down)
        for at in sorted(set(range(self.plan.workers)) - busy):
            if (piece := self._rules.begin()) is None:
                return
            self._sent += 1
            self._open[self._sent] = piece, at, self._now()
            task = FIRST + piece.group.number
            self._workers[at].channel.send(
                Order(self._sent, task, piece.first, piece.rows, piece.version, self._seed)
            )

    def _heard(self, at: int) -> None:
        if at == self.plan.workers:
            self._trainer.answer()
            begun, groups = self._taken
            version = self._rules.version
            self.history.updates.append(Updated(begun, self._now(), groups, version))
            self._rules.updated()
        elif at in self._down:
            self._workers[at].answer()
            self.history.down.append((at, self._down.pop(at), self._now()))
        else:
            self._played(self._workers[at].answer())

    def _played(self, answer: Answer) -> None:
        piece, _, _ = self._open[answer.number]
        if not answer.lines or piece.group.dropped is not None:
            self._ended(answer.number, "stopped", self._now())
            return
        self._ended(answer.number, "done", self._now(), sum(answer.tokens))
        self._lines.setdefault(piece.group.number, []).extend(answer.lines)
        self._rules.played(piece)

    def _lose(self, at: int) -> None:
        """Kills a worker, and begins it anew."""
        self._workers[at].kill()
        self._down.setdefault(at, self._now())
        for number, (piece, who, _) in list(self._open.items()):
            if who == at:
                self._ended(number, "lost", self._now())
                self._rules.lost(piece)
        self._workers[at] = Process(worker, self._folder, stops=True)

    def _ended(self, number: int, end: End, now: float, tokens: float = 0.0) -> None:
        piece, at, begun = self._open.pop(number)
        played = Played(piece.group.number, at, piece.rows, tokens, piece.version, begun, now, end)
        self.history.pieces.append(played)
