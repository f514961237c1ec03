"""Environments with one planted defect each, and one without."""

from random import Random

from assay.errors import UsageError
from assay.world import Environment, Reply

CALLS = [0]


class Good(Environment):
    """Guess a number; one turn."""

    def __init__(self):
        self.secret: int | None = None

    def reset(self, seed):
        self.secret = Random(seed).randint(100, 999)
        return f"?which number follows {self.secret - 1}"

    def step(self, text):
        if self.secret is None:
            raise UsageError("call reset first")
        right, self.secret = str(self.secret), None
        return Reply(done=True, score=float(text.strip().split("~")[0].strip() == f"={right}"))

    def best(self):
        return f"={self.secret}"

    def answer(self):
        return str(self.secret)


class Twin(Good):
    """Its copies share a counter with it."""

    def __init__(self, shared=None):
        super().__init__()
        self.shared = [0] if shared is None else shared

    def step(self, text):
        self.shared[0] += 1
        reply = super().step(text)
        return Reply(done=True, score=reply.score, parts={"turns": float(self.shared[0])})

    def fork(self):
        made = Twin(self.shared)
        made.secret = self.secret
        return made


class Random_(Good):
    def reset(self, seed):
        CALLS[0] += 1
        return super().reset(seed + CALLS[0])


class Stained(Good):
    """An environment that was used plays another task."""

    def __init__(self):
        super().__init__()
        self.times = 0

    def reset(self, seed):
        self.times += 1
        return super().reset(seed + 1000 * (self.times > 6))


class Leaking(Good):
    def reset(self, seed):
        return f"{super().reset(seed)} (it is {self.secret})"


class Strict(Good):
    def step(self, text):
        super().step(text)
        return Reply(done=True, score=0.0)


class Generous(Good):
    def step(self, text):
        super().step(text)
        return Reply(done=True, score=1.0)


class Endless(Good):
    def step(self, text):
        if text.startswith("="):
            return super().step(text)
        return Reply(text="<go on")


class Forgiving(Good):
    def step(self, text):
        self.secret = self.secret or 1
        return super().step(text)


class Crashing(Good):
    def step(self, text):
        if text.startswith(">"):
            raise KeyError(text)
        return super().step(text)


class OutOfRange(Good):
    def step(self, text):
        reply = super().step(text)
        return Reply(done=True, score=reply.score if text.startswith("=") else -1.0)


class Lavish(Good):
    """Pays the right answer five times over."""

    def step(self, text):
        reply = super().step(text)
        return Reply(done=True, score=5.0 * (reply.score or 0.0))


class Partless(Good):
    """A part of the right answer's score is no number."""

    def step(self, text):
        reply = super().step(text)
        return Reply(done=True, score=reply.score, parts={"tone": float("inf")})


class Late(Good):
    """Its own expert runs out of steps: always, or on every second task."""

    def __init__(self, every=1):
        super().__init__()
        self.every = every

    def reset(self, seed):
        self.seed = seed
        return super().reset(seed)

    def step(self, text):
        reply = super().step(text)
        late = self.seed % self.every == 0
        return Reply(done=True, score=0.0, end="budget") if late else reply


class Unscored(Good):
    """Ends, and says nothing of the attempt."""

    def step(self, text):
        super().step(text)
        return Reply(done=True, end="infra")


class Needy(Good):
    """Cannot be made without being told where."""

    def __init__(self, where):
        super().__init__()
        self.where = where


class Same(Good):
    def reset(self, seed):
        return super().reset(1)


class Silent(Good):
    def best(self):
        return None

    def answer(self):
        return None


class NaN(Good):
    def step(self, text):
        reply = super().step(text)
        return Reply(done=True, score=reply.score or float("nan"))


NOT_A_CLASS = 3
