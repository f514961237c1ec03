"""The gateway under load: what it adds to an engine's latency, what a kill costs, what it keeps.

    python benchmarks/live.py latency          added p50 and p99 at 200 requests/s over 64 streams
    python benchmarks/live.py kills            100 kill -9 under load: turns lost, turns twice
    python benchmarks/live.py soak --minutes 30        memory over time
    python benchmarks/live.py latency --litellm PYTHON     LiteLLM's proxy beside it, also at 20
                                               requests/s, from the environment of that
                                               interpreter: .venv-clients/bin/python, which
                                               make test-clients makes

Each writes its part of results/live.json. The engine is a process of its own that answers at once
with a stream of 26 pieces, ids and log-probs in 24 of them. Bare engine and gateways take turns in
blocks of a few seconds within one run, so that a busy machine hurts all; added latency is the
difference of their medians (or 99th percentiles) block by block, and its median over blocks is
told. All requests are of 7 KB and open loop: one is sent when its time has come, whatever became of
others.

A turn to train on waits for the disk. Blocks between the others say what that takes at least: a
process that does nothing but write what a turn adds to the store's log, and waits for it
(`fdatasync`). The row `memory` is the gateway with its store in memory: what is not the disk.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
sys.path.insert(0, str(REPO))
PIECES = 24
PAD = "x" * 6500
SPREAD = 64
"""Streams."""


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    """Returns one event of the engine's stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("reason", None), **more}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    if "prompt_token_ids" in choice:
        head["prompt_token_ids"] = choice.pop("prompt_token_ids")
    return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"


def answer() -> bytes:
    """Returns the engine's answer, the HTTP around it too."""
    pieces = [chunk({"role": "assistant", "content": ""}, prompt_token_ids=list(range(1600)))]
    for at in range(PIECES):
        row = {"token": "t", "logprob": -0.5, "bytes": [116], "top_logprobs": []}
        pieces.append(chunk({"content": "word "}, token_ids=[at], logprobs={"content": [row]}))
    pieces.append(chunk({}, reason="stop"))
    pieces.append(b"data: [DONE]\n\n")
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head + body + b"0\r\n\r\n"


MODELS = json.dumps({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]}).encode()


async def engine() -> None:
    """Serves as an engine that needs no time, on a free port, which it prints."""
    said = answer()
    listed = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        + str(len(MODELS)).encode() + b"\r\n\r\n" + MODELS
    )  # fmt: skip

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    writer.write(listed)
                    continue
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or b"0"))
                writer.write(said)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def started(*words: str, python: str = sys.executable, **more: Any):
    """Runs a process; gives it and the first line that it prints."""
    process = subprocess.Popen(
        [python, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1", **more},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(30)


def gateway(behind: str, store: Path, consent: str):
    """Runs a gateway; gives its process and its first line."""
    words = ("-m", "assay", "serve", "--upstream", f"http://127.0.0.1:{behind}/v1", "--port", "0")
    return started(*words, "--store", str(store), "--consent", consent)


def port_of(line: str) -> int:
    return int(line.split()[0].rpartition(":")[2])


def body(at: int, **more: Any) -> bytes:
    """Returns a request that no other is like."""
    said = {"role": "user", "content": f"{at} {PAD}"}
    return json.dumps({"model": "m", "stream": True, "messages": [said], **more}).encode()


async def ask(port: int, path: str, data: bytes, headers: str = "") -> tuple[float, float, bytes]:
    """Sends one request over a connection of its own stream; returns the seconds to the first byte
    and to the last, and the answer."""
    reader, writer = await _connection(port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n{headers}\r\n"
    )
    began = time.perf_counter()
    writer.write(head.encode() + data)
    found = await reader.readuntil(b"\r\n\r\n")
    first = time.perf_counter() - began
    if b" 200 " not in found[:20]:
        raise ConnectionError(found[:200])
    length = found.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    if length:  # an answer that was kept, for a request that comes again
        rest = await reader.readexactly(int(length))
    else:
        rest = await reader.readuntil(b"0\r\n\r\n")
    last = time.perf_counter() - began
    _FREE.setdefault(port, []).append((reader, writer))
    return first, last, rest


_FREE: dict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}


async def _connection(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while free := _FREE.get(port):
        if not (pair := free.pop())[0].at_eof():
            return pair
    return await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)


async def block(port: int, path: str, rate: float, seconds: float) -> list[tuple[float, float]]:
    """Returns the times of the requests of one block, sent open loop, 64 under way at most."""
    found: list[tuple[float, float]] = []
    gate, tasks = asyncio.Semaphore(SPREAD), set[asyncio.Task[None]]()

    async def one(at: int) -> None:
        async with gate:
            first, last, _ = await ask(port, path, body(random.getrandbits(60)))
            found.append((first, last))

    begun = time.perf_counter()
    for at in range(int(rate * seconds)):
        wait = begun + at / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.add(asyncio.create_task(one(at)))
    await asyncio.gather(*tasks)
    return found


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def told(blocks: dict[str, list[list[tuple[float, float]]]]) -> dict[str, Any]:
    """Returns what each adds to the bare engine, in milliseconds, to the first byte and to the
    last: medians over blocks."""
    found: dict[str, Any] = {}
    for name, some in blocks.items():
        row: dict[str, float] = {}
        for part, at in (("first", 0), ("last", 1)):
            for label, q in (("p50", 0.5), ("p99", 0.99)):
                mine = [quantile([t[at] for t in each], q) for each in some]
                bare = [quantile([t[at] for t in each], q) for each in blocks["bare"]]
                row[f"{part}_{label}_ms"] = 1000 * statistics.median(mine)
                added = [a - b for a, b in zip(mine, bare, strict=True)]
                row[f"{part}_{label}_added_ms"] = 1000 * statistics.median(added)
                row[f"{part}_{label}_ratio"] = statistics.median(
                    a / b for a, b in zip(mine, bare, strict=True)
                )
        row["requests"] = sum(map(len, some))
        found[name] = row
    return found


LITELLM = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{port}/v1", api_key: x}}
litellm_settings: {{telemetry: false}}
"""


@contextmanager
def litellm(python: str, behind: str, folder: Path):
    """Runs LiteLLM's proxy from an environment of its own; gives its process and port."""
    config = folder / "litellm.yaml"
    config.write_text(LITELLM.format(port=behind))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(Path(python).parent / "litellm"), "--config", str(config), "--port", str(port)]
    process = subprocess.Popen(
        [*words, "--host", "127.0.0.1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=(folder / "litellm.log").open("w"),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "DISABLE_ADMIN_UI": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        },
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise RuntimeError((folder / "litellm.log").read_text()[-2000:])
            time.sleep(0.5)
        yield process, port
    finally:
        process.kill()
        process.wait(30)


@dataclass
class Target:
    """What is measured: where it listens, and its process."""

    port: int
    path: str
    pid: int | None = None


async def measured(
    targets: dict[str, Target], rate: float, blocks: int, seconds: float, folder: Path
) -> tuple[dict[str, list[list[tuple[float, float]]]], dict[str, float], list[list[float]]]:
    """Returns the times of all, block after block in turns; the milliseconds of processor time
    that each took a request; and the times of the bare disk."""
    found: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in targets}
    synced: list[list[float]] = []
    _FREE.clear()  # connections are of the loop that opened them
    for each in targets.values():  # to warm up
        await block(each.port, each.path, min(20, rate), 1.0)
    before = {name: cpu(each.pid) for name, each in targets.items() if each.pid}
    for _ in range(blocks):
        for name, each in targets.items():
            found[name].append(await block(each.port, each.path, rate, seconds))
            await asyncio.sleep(0.2)
        synced.append(disk(folder / "disk", rate, seconds))
    spent = {
        name: 1000 * (cpu(targets[name].pid) - was) / sum(map(len, found[name]))
        for name, was in before.items()
    }
    return found, spent, synced


TURN = 13 * 4120
"""Bytes that a turn adds to the log beside the store: 13 pages, each with its head."""


def disk(path: Path, rate: float, seconds: float) -> list[float]:
    """Returns the seconds of writing so many bytes and waiting for the disk, at a rate, over and
    over a file that is there already, as the log is."""
    handle, found = os.open(path, os.O_RDWR | os.O_CREAT, 0o600), list[float]()
    try:
        data, most = os.urandom(TURN), 16 << 20
        if os.fstat(handle).st_size < most:
            os.pwrite(handle, bytes(most), 0)
            os.fsync(handle)
        begun = time.perf_counter()
        for at in range(int(rate * seconds)):
            time.sleep(max(0.0, begun + at / rate - time.perf_counter()))
            began = time.perf_counter()
            os.pwrite(handle, data, at * TURN % (most - TURN))
            os.fdatasync(handle)
            found.append(time.perf_counter() - began)
    finally:
        os.close(handle)
    return found


def row_of(
    targets: dict[str, Target], rate: float, blocks: int, seconds: float, folder: Path
) -> dict[str, Any]:
    """Measures at one rate; returns what the results file holds of it, and prints it."""
    times, spent, synced = asyncio.run(measured(targets, rate, blocks, seconds, folder))
    made: dict[str, Any] = {
        "rate": rate,
        "blocks": blocks,
        "seconds": seconds,
        "streams": SPREAD,
        "load": os.getloadavg()[0],
        "cpu_ms": spent,
        "added": told(times),
        "fdatasync": {
            f"{name}_ms": 1000 * statistics.median(quantile(each, q) for each in synced)
            for name, q in (("p50", 0.5), ("p99", 0.99))
        },
    }
    print(f"at {rate:g} requests/s, load {made['load']:.1f}")
    for name, row in made["added"].items():
        said = "  ".join(
            f"{part} {label} {row[f'{part}_{label}_ms']:.2f}"
            f" (+{row[f'{part}_{label}_added_ms']:.2f})"
            for part in ("first", "last")
            for label in ("p50", "p99")
        )
        print(f"{name:8} {said} ms, {spent.get(name, 0):.2f} ms of CPU a request")
    bare = made["fdatasync"]
    print(f"the disk alone, {TURN:,} bytes: p50 {bare['p50_ms']:.2f} p99 {bare['p99_ms']:.2f} ms")
    return made


def latency(args: argparse.Namespace) -> dict[str, Any]:
    path = "/r/bench/v1/chat/completions"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=args.folder)))
        _, behind = stack.enter_context(started(__file__, "engine"))
        targets = {"bare": Target(int(behind), "/v1/chat/completions")}
        stores = {consent: (folder / consent, consent) for consent in ("none", "record", "train")}
        if MEMORY.is_dir():
            memory = stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY))
            stores["memory"] = (Path(memory) / "store", "train")
        for name, (store, consent) in stores.items():
            process, line = stack.enter_context(gateway(behind, store, consent))
            targets[name] = Target(port_of(line), path, process.pid)
        if args.litellm:
            process, port = stack.enter_context(litellm(args.litellm, behind, folder))
            targets["litellm"] = Target(port, "/v1/chat/completions", process.pid)
        found = row_of(targets, args.rate, args.blocks, args.seconds, folder)
        if args.litellm:
            found["slow"] = row_of(targets, SLOW, args.blocks, 2 * args.seconds, folder)
            found["slow"]["share"] = shares(found["slow"]["added"])
    return found


MEMORY = Path("/dev/shm")
SLOW = 20.0
"""Requests a second that LiteLLM's proxy keeps up with on two cores."""


def shares(added: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Returns what each gateway adds as a share of what LiteLLM adds, and prints it."""
    parts = [f"{part}_{label}" for part in ("first", "last") for label in ("p50", "p99")]
    of = added["litellm"]
    made = {
        name: {each: row[f"{each}_added_ms"] / of[f"{each}_added_ms"] for each in parts}
        for name, row in added.items()
        if name not in ("bare", "litellm")
    }
    for name, row in made.items():
        said = "  ".join(f"{each.replace('_', ' ')} {row[each]:.2f}" for each in parts)
        print(f"{name:8} of what LiteLLM adds (at most half): {said}")
    return made


# --- kills


async def load(
    port: int, told: dict[str, str], seconds: float, lane: int, twice: list[str]
) -> None:
    """Sends requests until the gateway dies; an answer that came whole is an acknowledged turn.
    What was under way when it died is sent again under its own name."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = twice.pop() if twice else f"{os.getpid()}-{lane}-{random.getrandbits(60)}"
        try:
            headers = f"Idempotency-Key: {name}\r\n"
            data = body(int(name.rpartition("-")[2]))
            _, _, rest = await asyncio.wait_for(
                ask(port, "/r/bench/v1/chat/completions", data, headers), 30
            )
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            twice.append(name)
            return
        if b"data: [DONE]" in rest:
            told[name] = "acknowledged"


def kills(args: argparse.Namespace) -> dict[str, Any]:
    """Kills the gateway again and again while eight clients use it."""
    from assay.live.store import Store, digest

    told: dict[str, str] = {}
    twice: list[str] = []
    chance = random.Random(args.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=args.folder)))
        _, behind = stack.enter_context(started(__file__, "engine"))
        for number in range(args.kills + 1):
            with gateway(behind, folder / "store", "train") as (process, line):
                last = number == args.kills
                wait = 2.0 if last else chance.uniform(0.05, 0.6)
                _FREE.clear()

                async def under_way(port: int = port_of(line), wait: float = wait) -> None:
                    lanes = [load(port, told, wait + 5, lane, twice) for lane in range(8)]
                    tasks = [asyncio.create_task(each) for each in lanes]
                    await asyncio.sleep(wait)
                    process.send_signal(signal.SIGKILL)
                    await asyncio.gather(*tasks)

                asyncio.run(under_way())
            if number % 10 == 9:
                print(f"{number + 1} kills, {len(told):,} turns acknowledged", flush=True)
        with Store.open(folder / "store", write=False) as store:
            found = [seen.turn for seen in store.turns()]
            check = store._log._db.execute("PRAGMA integrity_check").fetchone()[0]
    named = [each.request for each in found]
    names = {digest(f"bench\0\0\0{name}".encode()) for name in told}  # run, user, session
    said = {
        "kills": args.kills,
        "acknowledged": len(told),
        "lost": len(names - set(named)),
        "twice": len(named) - len(set(named)),
        "in_store": len(found),
        "integrity": check,
    }
    print(said)
    return said


# --- soak


def soak(args: argparse.Namespace) -> dict[str, Any]:
    """Sends load for a while and looks at the gateway's memory."""
    rows: list[tuple[float, float]] = []
    path = "/r/bench/v1/chat/completions"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=args.folder)))
        _, behind = stack.enter_context(started(__file__, "engine"))
        process, line = stack.enter_context(gateway(behind, folder / "store", "train"))
        port, begun, served = port_of(line), time.monotonic(), 0
        while (gone := time.monotonic() - begun) < 60 * args.minutes:
            served += len(asyncio.run(_fresh(port, path, args.rate)))
            rows.append((gone, resident(process.pid)))
            print(f"{gone:6.0f} s  {served:,} turns  {rows[-1][1]:.1f} MB", flush=True)
        size = (folder / "store" / "store.sqlite").stat().st_size
    warm = [mb for at, mb in rows if at >= rows[-1][0] / 3]
    found = {
        "minutes": args.minutes,
        "rate": args.rate,
        "turns": served,
        "mb_first": rows[0][1],
        "mb_after_a_third": warm[0],
        "mb_last": rows[-1][1],
        "growth": warm[-1] / warm[0] - 1,
        "kb_a_turn": size / 1024 / served,
    }
    print(found)
    return found


async def _fresh(port: int, path: str, rate: float) -> list[tuple[float, float]]:
    _FREE.clear()
    return await block(port, path, rate, 10.0)


def cpu(pid: int) -> float:
    """Returns the seconds of processor time that a process has used; those of what it started and
    that still runs are not among them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Returns the memory of a process in megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["latency", "kills", "soak", "engine"])
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--litellm", metavar="PYTHON")
    parser.add_argument("--folder", help="Where stores lie: on the disk that is to be measured.")
    parser.add_argument("--publish", action="store_true", help="Write results/live.json.")
    args = parser.parse_args()
    if args.what == "engine":
        asyncio.run(engine())
        return
    found = {"latency": latency, "kills": kills, "soak": soak}[args.what](args)
    if args.publish:
        path = REPO / "benchmarks" / "results" / "live.json"
        all_ = json.loads(path.read_text()) if path.exists() else {}
        all_ |= {args.what: found, "machine": {"cores": os.cpu_count()}}
        path.write_text(json.dumps(all_, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
