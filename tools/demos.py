"""Noisy demonstrations of all families: what the starting policy is trained on.

An expert plays with slips: calls that lead nowhere, calls that are badly written, answers given too
early. Some demonstrations carry advice, and what it says is then worth reading: a right hint tells
how tasks are solved that are too long for the policy alone, a critique names the mistake of an
earlier attempt, and after a lesson the expert slips less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, final

from assay.rescue.critique import critique
from assay.rollout.protocols.line import LINE
from assay.rollout.recording import Recorder
from assay.world.countdown import Countdown
from assay.world.facts import facts
from assay.world.family import Family
from assay.world.lake import WAYS, Lake
from assay.world.line import GIVE_UP, answer_text, call_text, parse
from assay.world.lookup import TOOLS, Lookup
from assay.world.report import ASPECTS, Report
from assay.world.twenty import Twenty, questions

SLIP: Final = 0.12
CAREFUL: Final = 0.03
"""Share of turns that go wrong, without and with a lesson above them."""
FIRST_SEED: Final = 2**32
"""Seeds of demonstrations start here; the tasks of smaller seeds are drawn apart from them."""
_KINDS: Final = {"none": 44, "right": 24, "neutral": 8, "wrong": 4, "critique": 8, "lesson": 12}
"""Kinds of advice, in percent."""
_LESSONS: Final = {
    "lookup": "start with the last word, use what you read",
    "countdown": "use only numbers that are left, look one step ahead",
    "twenty": "halve what is left, guess when one is left",
    "report": "look up every fact, then write one sentence for each",
    "lake": "never step on a star, move down and right",
}
"""What is true of all tasks of a family: how to go about them."""


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a demonstration's text."""

    text: str
    written: bool
    """The expert wrote it; else it is only read."""
    follows: bool = False
    """It was read, but follows from what was read before: what the world does with numbers and
    with steps on the ice can be foreseen, and foreseeing it helps to plan."""


def demonstrations(rng: Random) -> Iterator[tuple[Piece, ...]]:
    """Yields demonstrations of random families, difficulties and kinds of advice, without end."""
    while True:
        kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
        environment = _drawn(rng, told=kind == "right")
        seed = FIRST_SEED + rng.randrange(2**31)
        notes = _notes(environment, seed, kind, rng)
        slip = {"lesson": CAREFUL, "right": SLIP / 2}.get(kind, SLIP)
        yield _played(environment, seed, notes, slip, rng)


def repetition(rng: Random) -> tuple[Piece, ...]:
    """Returns an exercise in copying: a list of names, and the same list as the answer."""
    names = [
        name for what in ("countries", "capitals", "languages") for name in facts().ask(what, "")
    ]
    said = ", ".join(rng.sample(names, rng.randint(3, 10)))
    return Piece(f"?say {said}\n", False), Piece(f"={said}", True)


def _drawn(rng: Random, *, told: bool) -> Family:
    """Returns a family with dials; tasks of which the way is told are longer."""
    flaky = rng.choice((0.0, 0.0, 0.1, 0.3))
    match rng.randrange(12):
        case 0 | 1 | 2 | 3 | 4:
            hops = rng.choice((2, 3, 4, 5)) if told else rng.choices((1, 2, 3), (2, 5, 4))[0]
            return Lookup(hops=hops, flaky=flaky)
        case 5 | 6 | 7:
            numbers = rng.choice((2, 3, 3, 4)) if told else rng.choices((2, 3, 4), (2, 6, 1))[0]
            return Countdown(numbers=numbers, flaky=flaky)
        case 8:
            return Twenty(pool=rng.choice((4, 8, 16, 32, 64)), flaky=flaky)
        case 9 | 10:
            many = rng.choice((2, 3, 4, 5)) if told else rng.choice((1, 2, 2, 3))
            return Report(facts=many, flaky=flaky)
        case _:
            size = rng.choice((3, 4, 5, 6)) if told else rng.choice((3, 4, 4, 5))
            return Lake(size=size, holes=rng.choice((0.1, 0.2, 0.3)), flaky=flaky)


def _notes(environment: Family, seed: int, kind: str, rng: Random) -> tuple[str, ...]:
    if kind == "critique":
        failed = _played(environment, seed, (), 2 * SLIP, rng)
        written = [piece.text for piece in failed if piece.written]
        said = critique(environment, seed, written, LINE)
        return (f"!{said}",) if said else ()
    environment.reset(seed)
    match kind:
        case "right" | "neutral" | "wrong":
            return (environment.hint(kind),)
        case "lesson":
            return (f"!lesson {_LESSONS[environment.name]}",)
        case _:
            return ()


def _played(
    environment: Family, seed: int, notes: tuple[str, ...], slip: float, rng: Random
) -> tuple[Piece, ...]:
    """Returns an attempt of an expert that slips in a share `slip` of its turns."""
    recorder = Recorder(environment, seed, notes=notes)
    pieces = [Piece(recorder.prompt, False)]
    last, done = "", False
    while not done:
        turn = environment.best()
        if turn is None:
            turn = _guess(environment, last, rng)
        elif rng.random() < slip:
            turn = _slipped(environment, turn, last, rng)
        turn += _confidence(environment, turn, rng) if turn.startswith("=") else "\n"
        done = recorder.act(turn).done
        pieces.append(Piece(turn, True))
        if not done:
            follows = isinstance(environment, Countdown | Lake) and recorder.last.ran is True
            pieces.append(Piece(recorder.observation, False, follows))
            last = recorder.last.text if recorder.last.found else last
    return tuple(pieces)


def _slipped(environment: Family, turn: str, last: str, rng: Random) -> str:
    """Returns what is written instead of the right turn."""
    chance = rng.random()
    if chance < 0.1 and turn.startswith(">"):
        return rng.choice((turn[:-1], turn[1:], turn.replace("(", " ", 1), turn.replace("(", "((")))
    if chance < 0.3 and last:
        return _guess(environment, last, rng)
    return _stray(environment, turn, rng)


def _stray(environment: Family, turn: str, rng: Random) -> str:
    """Returns a call that is well formed and need not lead anywhere."""
    about = parse(turn).argument
    match environment:
        case Lookup():
            return call_text(rng.choice(TOOLS), about or rng.choice(facts().ask("countries", "")))
        case Countdown():
            moves = environment.moves()
            return call_text("calc", rng.choice(moves)) if moves else turn
        case Twenty():
            return call_text("ask", " ".join(rng.choice(questions())))
        case Report():
            return call_text(rng.choice(ASPECTS), about) if about else turn
        case Lake():
            return call_text("go", rng.choice(WAYS))
        case _:
            return turn


def _guess(environment: Family, last: str, rng: Random) -> str:
    """Returns an answer given too early, from what was read last."""
    if rng.random() < 0.1:
        return answer_text(GIVE_UP)
    match environment:
        case Lookup():
            return answer_text(last.lstrip("<"))
        case Countdown():
            return answer_text(environment.target)
        case Twenty():
            named = [name for name in last.split(" ", 2)[2:] for name in name.split(", ")]
            return answer_text(rng.choice(named or facts().ask("countries", "")))
        case Report():
            sentences = environment.answer().split(". ")
            kept = [s for s in sentences if rng.random() < 0.7] or sentences[:1]
            return answer_text(". ".join(kept).rstrip(".") + ".")
        case _:
            return call_text("go", rng.choice(WAYS))


def _confidence(environment: Family, turn: str, rng: Random) -> str:
    """Returns a stated confidence that tends to be higher where the answer is right."""
    parts = environment.grade(parse(turn).answer).values()
    sure = (4, 5, 6, 7, 7, 8, 8, 9) if min(parts) == 1 else (1, 2, 3, 3, 4, 5, 6, 8)
    return f" ~{rng.choice(sure)}"
