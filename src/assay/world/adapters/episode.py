"""One task of verifiers while it is played: our rollout is the agent that its environment talks to.

The library's coroutines run in one thread of their own, so that a notebook's running loop is no
obstacle; between two turns of the policy they wait.
"""

import asyncio
import atexit
import json
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from inspect import isawaitable
from types import SimpleNamespace
from typing import Any, TypeVar, final

from assay.errors import UsageError

T = TypeVar("T")


@cache
def _thread() -> tuple[ThreadPoolExecutor, asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    atexit.register(_end, loop)
    return ThreadPoolExecutor(1), loop


def _end(loop: asyncio.AbstractEventLoop) -> None:
    async def ended() -> None:
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    loop.run_until_complete(ended())
    loop.close()


def within(coroutine: Coroutine[Any, Any, T]) -> T:
    """Returns what a coroutine comes to, in the thread of all of them."""
    pool, loop = _thread()
    return pool.submit(loop.run_until_complete, coroutine).result()


@final
class Episode:
    """Plays one task. `None` in place of what the policy reads next means: over, and scored."""

    def __init__(self, task: Any, taskset: Any, env: Any, seats: Sequence[str]) -> None:
        """Begins nothing yet.

        Args:
            task: a `Task`.
            taskset: the `Taskset` that it is of, for the tools that all of its tasks share.
            env: the `Env`; None: the agent plays the task once.
            seats: names of the environment's one agent.
        """
        self._vf = import_module("verifiers.v1")
        self._graph = import_module("verifiers.v1.graph")
        self._task, self._taskset, self._env = task, taskset, env
        state = import_module("verifiers.v1.state").state_cls(type(task))()
        named = {"type": type(task).__name__, "key": task.key, "hash": task.hash}
        self.trace = self._vf.Trace(
            task=self._vf.TraceTask(data=task.data, **named),
            state=state,
            agent=self._vf.AgentInfo(config=self._vf.AgentConfig()),
        )
        self._agents = SimpleNamespace(**dict.fromkeys(seats, self))
        self.tools: list[Mapping[str, Any]] = []
        self._servers: dict[str, tuple[Any, str]] = {}
        self._messages: list[Any] = []
        self._new = self._calls = 0
        self._last: Any = None

    def begin(self) -> str | None:
        """Starts the task and returns what the policy reads first."""
        return within(self._begin())

    def say(self, text: str) -> str | None:
        """Ends what the policy does in this turn of the environment; returns its answer."""
        self._sampled(text, None)
        return within(self._next(over=False))

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str | None, bool]:
        """Calls a tool; returns its answer, and whether it ran."""
        return within(self._call(name, arguments))

    def rewards(self, *, cut: bool) -> Mapping[str, tuple[float, float]]:
        """Returns value and weight of every reward that was given.

        Args:
            cut: whether the budget ended the task, of which the library hears first.
        """
        if cut:
            self.trace.stop("max_turns")
            within(self._next(over=True))
        given = self.trace.rewards.items()
        return {name: (each.score, each.weight) for name, each in given if each is not None}

    def close(self) -> None:
        """Ends a task that is not over."""
        if not self._run.done():
            within(self._cancelled())

    async def _cancelled(self) -> None:
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)

    async def _begin(self) -> str | None:
        shared = [] if self._taskset is None else self._taskset.toolsets(self._taskset.config)
        for toolset in (*self._task.toolsets(self._task.config), *shared):
            await self._serve(toolset)
        self._out, self._in = asyncio.Queue[str | None](), asyncio.Queue[Any]()
        self._run = asyncio.create_task(self._play())
        return await self._asked()

    async def _serve(self, toolset: Any) -> None:
        """Serves tools in this process; their state is the trace's, as the library keeps it."""

        async def pull() -> Any:
            return self.trace.state

        async def push(before: bytes) -> None:
            pass

        toolset._pull_state, toolset._push_state = pull, push
        await toolset.setup()
        await toolset.setup_task(self._task.data)
        prefix = f"{toolset.server_name}_" if toolset.server_name else ""
        server = import_module("mcp.server.mcpserver").MCPServer(toolset.server_name or "tools")
        toolset.register(server)
        for tool in await server.list_tools():
            self._servers[f"{prefix}{tool.name}"] = server, tool.name
            function = {"name": f"{prefix}{tool.name}", "description": tool.description or ""}
            self.tools.append({**function, "parameters": tool.input_schema})

    async def _play(self) -> None:
        try:
            if self._env is None:
                await self.run(self._task)
                return
            await self._env.setup(self._agents)
            await self._env.run(self._task, self._agents)
            episode = self._vf.Episode(
                env=self._vf.EnvInfo(id=self._env.config.env_id),
                task=self.trace.task,
                traces=[self.trace],
            )
            await self._env.finalize(self._task, episode)
        finally:
            self._out.put_nowait(None)

    async def _asked(self) -> str | None:
        said = await self._out.get()
        if said is None:
            await self._run  # raises what it raised
        return said

    async def _next(self, *, over: bool) -> str | None:
        said = [] if over else self._messages[self._new :]
        self._in.put_nowait(self._vf.Segment(messages=said, terminated=over))
        return await self._asked()

    def _sampled(self, text: str | None, calls: list[Any] | None) -> None:
        """Writes a turn of the policy into the trace."""
        message = self._vf.AssistantMessage(content=text, tool_calls=calls)
        self._last = self._vf.Response(
            id=str(len(self._messages)),
            created=0,
            model="policy",
            message=message,
            finish_reason="tool_calls" if calls else "stop",
        )
        self._graph.prepare_turn(self.trace, self._messages).commit(self._last)
        self._messages.append(message)

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str | None, bool]:
        self._calls += 1
        call = self._vf.ToolCall(
            id=f"call_{self._calls}", name=name, arguments=json.dumps(arguments)
        )
        self._sampled(None, [call])
        server, tool = self._servers.get(name, (None, ""))
        try:
            if server is None:
                raise UsageError(f"no tool {name!r}; there are {', '.join(self._servers)}")
            done = await server.call_tool(tool, dict(arguments))
            ran = not done.is_error
            said = "\n".join(part.text for part in done.content if part.type == "text")
        except Exception as error:  # wrong arguments, or whatever a tool raises
            ran, said = False, str(error)
        self._messages.append(self._vf.ToolMessage(tool_call_id=call.id, content=said, name=name))
        if not await self._stopped():
            return said, ran
        return await self._next(over=True), ran

    async def _stopped(self) -> bool:
        """Asks the task's own `@stop` functions, as the library does before it asks a model."""
        request = self._vf.Request(messages=self._messages)
        known = {self._vf.Trace: self.trace, self._vf.Request: request}
        known |= {self._vf.Response: self._last}
        invoke = import_module("verifiers.v1.utils.decorators").invoke
        for stop in self._task.hooks("stop"):
            found = invoke(stop, known)
            if await found if isawaitable(found) else found:
                self.trace.stop(stop.__name__)
                return True
        return False

    # What the library's environments use of an agent.

    async def run(self, task: Any) -> Any:
        """Plays a task once; returns the trace."""
        async with self.interaction(task) as interaction:
            await interaction.turn()
        return self.trace

    @asynccontextmanager
    async def interaction(self, task: Any) -> AsyncGenerator["Episode"]:
        """Holds a conversation open; scores the task after it."""
        data, vf = task.data, self._vf
        if data.system_prompt is not None:
            self._messages.append(vf.SystemMessage(content=data.system_prompt))
        prompt = data.prompt or []
        self._messages += [vf.UserMessage(content=prompt)] if isinstance(prompt, str) else prompt
        yield self
        self.trace.is_completed = self.trace.ok = True
        await task.score(self.trace)

    async def turn(self, message: Any = None) -> Any:
        """Says something to the policy and returns what it does."""
        if self._last is not None and await self._stopped():
            return self._vf.Segment(messages=[], terminated=True)
        if message is not None:
            said = [self._vf.UserMessage(content=message)] if isinstance(message, str) else message
            self._messages += said
        shown = self._messages[self._new :]
        text = import_module("verifiers.v1.types").content_text
        self._new = len(self._messages)
        self._out.put_nowait("\n\n".join(filter(None, (text(each.content) for each in shown))))
        segment = await self._in.get()
        self._new = len(self._messages)
        return segment
