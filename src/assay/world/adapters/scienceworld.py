"""Tasks of ScienceWorld (1.2) by name: `scienceworld:boil`. They are played in a Java process.

One process serves all environments of a Python process; each has an interface, and so a world, of
its own in it.
"""

import atexit
import os
from collections.abc import Mapping
from hashlib import md5
from shutil import which
from typing import Any, Final, final

from assay.errors import MissingExtraError, UnknownNameError, UsageError, hint, imported
from assay.world.environment import Environment, Reply
from assay.world.line import parse

PARTS: Final = {"train": "Train", "dev": "Dev", "test": "Test"}
REFUSED: Final = ("No known action matches", "Ambiguous request")
"""How the world begins to answer what it did not do."""
SAME_ORDER: Final = "-XX:+UnlockExperimentalVMOptions -XX:hashCode=2"
"""The world lists things in the order of their identity hashes, which Java draws anew for every
object: the same variation reads differently each time. Where all hashes are equal, it does not."""
_SERVERS: dict[int, Any] = {}
_GOLD: dict[tuple[str, int, str], list[str]] = {}


@final
class ScienceWorld(Environment):
    """A task; its variations are the seeds, modulo their number.

    The score is the world's own: the share of the task's goals that are reached, in [0, 1]; a task
    that is lost (the wrong thing was focused on) is below 0 there, and 0 here. The world's number
    stands in the parts.
    """

    name = "scienceworld"

    def __init__(self, task: str, *, part: str = "train", easy: str = "", steps: int = 100) -> None:
        """Names a task.

        Args:
            task: its name, such as `boil`.
            part: which variations: train, dev or test.
            easy: ScienceWorld's simplifications, joined by commas: `easy`, `openDoors` ...
            steps: turns allowed; a task that is not over by then has failed by budget.

        Raises:
            MissingExtraError: scienceworld, or a Java runtime, is not installed.
            UnknownNameError: there is no such task.
            UsageError: a setting is not one of those allowed.
        """
        if part not in PARTS:
            raise UsageError(f"scienceworld:{task}: got part={part}; expected train, dev or test")
        self._world = _interface(f"scienceworld:{task}")
        tasks = list(self._world.getTaskNames())
        if task not in tasks:
            raise UnknownNameError(f"scienceworld has no task {task!r}.{hint(task, tasks)} "
                                   f"Known: {', '.join(tasks)}")  # fmt: skip
        known = ["easy", *str(self._world.getPossibleSimplifications()).split(", ")]
        if wrong := set(filter(None, easy.split(","))) - set(known):
            raise UsageError(f"scienceworld:{task}: got easy={', '.join(sorted(wrong))}; "
                             f"expected some of {', '.join(known)}")  # fmt: skip
        self._task, self._part, self._easy = task, part, easy
        self._steps, self._left, self._variations = steps, 0, list[int]()
        self._done: list[str] = []

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the task and what it was given."""
        given = {"task": self._task, "part": self._part, "easy": self._easy}
        return {name: value for name, value in given.items() if value}

    def system(self) -> str:
        """Returns the actions that the world knows, as it writes them."""
        if not self._variations:
            self._load(0)
        actions = ", ".join(self._world.getPossibleActions())
        return f"Write one action a turn. OBJ stands for a thing that you see: {actions}"

    def reset(self, seed: int) -> str:
        """Starts a variation; returns the task and what is seen around."""
        if not self._variations:
            self._load(0)
            named = f"getVariations{PARTS[self._part]}"
            self._variations = [int(each) for each in getattr(self._world, named)()]
        self._variation = self._variations[seed % len(self._variations)]
        self._load(self._variation)
        self._left, self._done, self._reached = self._steps, [], 0.0
        return f"{self._world.getTaskDescription()}\n\n{self._world.freeActionLook()}"

    def _load(self, variation: int, *, gold: bool = False) -> None:
        self._world.load(self._task, variation, self._easy, gold)
        self._world.reset()

    def step(self, text: str) -> Reply:
        """Takes an action.

        Raises:
            UsageError: the task is over, or none was started.
        """
        if not self._left:
            raise UsageError("scienceworld: step after the end of the task; call reset first")
        self._left -= 1
        action = text[parse(text).action[0] :].strip()
        self._done.append(action)
        seen = str(self._world.step(action)).strip()
        ran = not seen.startswith(REFUSED)
        self._reached = reached = float(self._world.getScore())
        over = bool(self._world.getCompleted()) or reached < 0
        if not over and self._left:
            return Reply(text=seen, ran=ran)
        self._left = 0
        parts, score = {"score": reached}, min(1.0, max(0.0, reached))
        end = "answered" if over else "budget"
        return Reply(text=seen, done=True, score=score, parts=parts, end=end, ran=ran)

    def best(self) -> str | None:
        """Returns the next action of the world's own solution, while it was followed so far.

        The world works one out when it is asked first: seconds, and minutes for genetics.
        """
        key = self._task, self._variation, self._easy
        if key not in _GOLD:
            self._load(self._variation, gold=True)
            _GOLD[key] = [str(action) for action in self._world.getGoldActionSequence()]
            for action in self._done:
                self._world.step(action)
        gold, at = _GOLD[key], len(self._done)
        return gold[at] if self._done == gold[:at] and at < len(gold) else None

    def state_key(self) -> str:
        """Returns a digest of what is seen, carried and reached; nothing of what lies elsewhere."""
        seen = self._world.freeActionLook(), self._world.freeActionInventory()
        return md5("\0".join((*seen, str(self._reached))).encode()).hexdigest()


def _interface(to: str) -> Any:
    """Returns a world of its own in the Java process, which is started if there is none."""
    process = os.getpid()
    if process not in _SERVERS:
        library = imported("scienceworld", extra="scienceworld", to=to)
        if which("java") is None:
            raise MissingExtraError(f"{to} needs a Java runtime (8 or later): no `java` is on the "
                                    "path; install one, such as openjdk")  # fmt: skip
        given = os.environ.get("JAVA_TOOL_OPTIONS")
        os.environ["JAVA_TOOL_OPTIONS"] = f"{given or ''} {SAME_ORDER}".strip()
        try:
            _SERVERS[process] = server = library.ScienceWorldEnv()
        finally:
            del os.environ["JAVA_TOOL_OPTIONS"]
            os.environ.update({"JAVA_TOOL_OPTIONS": given} if given else {})
        atexit.register(_closed, server)
    return _SERVERS[process]._gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()


def _closed(server: Any) -> None:
    """Ends the Java process; what is left of the library would end it once more, and fail."""
    server.close()
    server.close = str
