"""Games of the textarena library (0.7) by name: `textarena:TowerOfHanoi-v0`.

A game draws from the generators of `random` and `numpy.random` that a whole process shares. Here
each game keeps states of its own, set in before and put back after everything that it does, so that
a seed gives the same task whatever else runs.
"""

import copy
import io
import json
import random
import re
import threading
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from hashlib import md5
from types import FunctionType
from typing import Any, Final, final

import numpy as np

from assay.errors import DataError, UnknownNameError, UsageError, hint, imported, told
from assay.world.adapters.masters import Master
from assay.world.environment import Environment, Reply
from assay.world.line import parse

MOST_PLAYERS = 15
TRIED = 60
"""Moves that an opponent tries before it plays one that is against the rules."""
_ALONE = threading.RLock()
_FEWEST: dict[str, int] = {}


@final
class TextArena(Environment):
    """A game. The policy is player 0; of a prompt or an answer it reads what is new.

    Rewards: a game for one player pays a share of the goal, and less than nothing for a forbidden
    move: score = reward, held to [0, 1]. A game for several pays -1, 0 or 1 for lost, drawn, won:
    score = (reward + 1) / 2, held to [0, 1]. The reward itself stands in the parts.
    """

    name = "textarena"

    def __init__(
        self,
        game: str,
        *,
        opponent: str = "",
        players: int | None = None,
        master: str = "",
        steps: int = 200,
        **settings: Any,
    ) -> None:
        """Makes a game.

        Args:
            game: its name in textarena's registry.
            opponent: who plays the others: `random` plays one of the moves that its own text names
                and that the rules allow; any other text is what it always says.
            players: all of them; by default the fewest that the game takes.
            master: who answers where the game has a master: `words` knows its letters and words
                alone; by default the model that textarena asks over the network.
            steps: turns allowed; a game that is not over by then has failed by budget.
            settings: of the game itself.

        Raises:
            MissingExtraError: textarena is not installed.
            UnknownNameError: it has no such game.
            UsageError: the game lacks something, or needs an opponent.
        """
        self._game, self._opponent, self._master = game, opponent, master
        self._steps, self._settings, self._left = steps, settings, 0
        self._states = _states(0)
        key = f"{game} {master} {settings}"  # a game may be slow to make
        if players is None and key not in _FEWEST:
            _FEWEST[key] = self._fewest()
        self._players = _FEWEST[key] if players is None else players
        if self._players > 1 and not opponent:
            raise UsageError(
                f"textarena:{game} is for {self._players} players; say who plays the others: "
                "--set opponent=random, or a text that they always say"
            )

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the game and what it was given."""
        given: dict[str, Any] = {"game": self._game, "opponent": self._opponent}
        given |= {"master": self._master, **self._settings}
        return {name: value for name, value in given.items() if value != ""}

    def reset(self, seed: int) -> str:
        """Starts the game of this seed and returns what player 0 reads first."""
        self._states, self._left = _states(seed), self._steps
        self._rng = random.Random(f"{self._game}/{seed}/opponent")
        with self._alone():
            self._env, self._inner = self._made()
            if self._master:
                self._inner.gamemaster = Master(self._inner)
            self._env.reset(num_players=self._players, seed=seed)
        self._last = ""
        self._told = dict.fromkeys(range(1, self._players), "")
        self._key = md5(_facts(self._inner, seed if self._players > 1 else 0))
        self._others()
        if self._state.done:
            raise DataError(f"textarena:{self._game}, seed {seed}: over before the first turn")
        return self._news()

    def step(self, text: str) -> Reply:
        """Plays a move, then those of the others.

        Raises:
            UsageError: the game is over, or none was started.
        """
        if not self._left:
            raise UsageError("textarena: step after the end of the task; call reset first")
        self._left -= 1
        move = text[parse(text).action[0] :].strip()
        self._key.update(f"\0{move}".encode())
        self._last = move
        self._play(move)
        ran = _allowed(self._state, 0)
        self._others()
        if self._state.done or not self._left:
            return self._ended(ran)
        return Reply(text=self._news(), ran=ran)

    def state_key(self) -> str:
        """Returns a digest of what the game began with and of every move since."""
        return self._key.hexdigest()

    def fork(self) -> "TextArena | None":
        """Returns a copy. None: of a game that holds what cannot be copied, or functions that
        would go on in the game that they were made in."""
        with suppress(Exception), self._alone(keep=False):
            made = copy.copy(self)
            made._env = copy.deepcopy(self._env)
            made._inner = _inmost(made._env)
            if _holds_functions(self._env) or _facts(made._inner, 0) != _facts(self._inner, 0):
                return None
            made._rng, made._key = copy.copy(self._rng), self._key.copy()
            made._told = dict(self._told)
            return made
        return None

    @property
    def _state(self) -> Any:
        return self._inner.state

    def _ended(self, ran: bool) -> Reply:
        self._left, state = 0, self._state
        if not state.done:
            return Reply(text=self._news(), done=True, score=0.0, end="budget", ran=ran)
        paid = (state.rewards or {}).get(0)
        if isinstance(paid, str) and state.game_info[0].get("invalid_move"):
            paid = -1.0  # some games hand over reason and reward the wrong way round
        if not isinstance(paid, int | float):
            raise DataError(f"textarena:{self._game} paid player 0 {paid!r}; expected a number")
        score = min(1.0, max(0.0, paid if self._players == 1 else (paid + 1) / 2))
        most = state.max_turns
        late = most is not None and state.turn >= most and score < 1
        reason = str(state.game_info[0].get("reason") or "")
        text = "\n".join(filter(None, (self._news(), reason)))
        end = "budget" if late else "answered"
        return Reply(
            text=text, done=True, score=score, parts={"reward": float(paid)}, end=end, ran=ran
        )

    def _news(self) -> str:
        """Returns what player 0 has not read; it wrote its own moves itself."""
        with self._alone():
            seen = self._state.observations[0]
            self._state.observations[0] = []
        said = [(sender, str(message).strip()) for sender, message, *_ in seen]
        said = [each for each in said if each[1].strip("[]") != self._last.strip("[]")]
        roles = {-1: "", **{i: f"[Player {i}] " for i in range(1, self._players)}}
        named = {i: f"[{role}] " for i, role in self._state.role_mapping.items() if i > 0}
        return "\n".join(f"{(roles | named)[i]}{text}" for i, text in said if i in roles)

    def _others(self) -> None:
        """Lets the others play until it is the turn of player 0."""
        for _ in range(1000):
            player = self._state.current_player_id
            if self._state.done or player == 0:
                return
            with self._alone():
                _, seen = self._inner.get_observation()
            read = "\n".join(str(message) for _, message, *_ in seen)
            self._told[player] = self._told[player] or read
            self._play(self._move(player, f"{self._told[player]}\n{read}"))
        raise DataError(f"textarena:{self._game}: 1000 moves of the others, and none for player 0")

    def _move(self, player: int, read: str) -> str:
        """Returns the next move of an opponent: a fixed one, or an allowed one by chance."""
        if self._opponent != "random":
            return self._opponent
        named = re.findall(r"\[[^\[\]\n]{1,24}\]", read)
        moves = list(dict.fromkeys([*named, *(f"[{number}]" for number in range(10))]))
        self._rng.shuffle(moves)
        for move in moves[:TRIED]:
            with suppress(Exception), self._alone(keep=False):
                trial = copy.deepcopy(self._env)
                trial.step(move)
                if _allowed(_inmost(trial).state, player):
                    return move
        return moves[0]

    def _play(self, move: str) -> None:
        with self._alone():
            self._env.step(move)

    @contextmanager
    def _alone(self, *, keep: bool = True) -> Generator[None]:
        """Gives the game its own random states, silence and no filters of warnings.

        Args:
            keep: whether what is drawn inside counts for what is drawn later.
        """
        quiet = io.StringIO()
        with (
            _ALONE,
            redirect_stdout(quiet),
            redirect_stderr(quiet),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            outside = random.getstate(), np.random.get_state()
            _enter(self._states)
            try:
                yield
            finally:
                if keep:
                    self._states = random.getstate(), np.random.get_state()
                _enter(outside)

    def _made(self) -> tuple[Any, Any]:
        """Returns a new game as textarena wraps it, and without its wrappers."""
        library = partial(imported, extra="textarena", to=f"textarena:{self._game}")
        textarena = library("textarena")
        games = library("textarena.envs.registration").ENV_REGISTRY
        if self._game not in games:
            near = hint(self._game, games)
            raise UnknownNameError(f"textarena has no game {self._game!r}.{near}")
        asked = textarena.agents.OpenRouterAgent
        try:
            if self._master:
                textarena.agents.OpenRouterAgent = lambda *_, **__: None
            made = textarena.make(self._game, **self._settings)
        except Exception as error:  # whatever a game raises
            raise UsageError(_lacking(self._game, error)) from None
        finally:
            textarena.agents.OpenRouterAgent = asked
        inmost = _inmost(made)
        if self._master and (self._master != "words" or not hasattr(inmost, "gamemaster")):
            raise UsageError(f"textarena:{self._game}: got master={self._master}; expected words, "
                             "of a game that has a master")  # fmt: skip
        return made, inmost

    def _fewest(self) -> int:
        """Returns the fewest players that the game takes."""
        wrong: Exception = ValueError("no number of players")
        for players in range(1, MOST_PLAYERS + 1):
            with self._alone():
                made, inmost = self._made()
                try:
                    made.reset(num_players=players, seed=0)
                except Exception as error:  # textarena asserts, raises ValueError, or fails inside
                    wrong = wrong if isinstance(wrong, LookupError | OSError) else error
                    continue
            one = type(inmost.state).__name__ == "SinglePlayerState"
            if players > 1 or one:
                return players
        raise UsageError(_lacking(self._game, wrong))


def _states(seed: int) -> tuple[Any, Any]:
    drawn = np.random.RandomState(seed % 2**32).get_state()
    return random.Random(seed).getstate(), drawn


def _enter(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])


def _facts(game: Any, seed: int) -> bytes:
    """Returns what a game began with, hidden things included: equal ones are one task.

    Args:
        game: just reset.
        seed: of what its state does not hold, such as an opponent that moves by chance.
    """
    kept = {k: v for k, v in vars(game).items() if isinstance(v, str | int | float | list | tuple)}
    facts = [seed, game.state.game_state, kept]
    return json.dumps(facts, default=_stable, skipkeys=True).encode()


def _stable(value: Any) -> object:
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else type(value).__name__


def _inmost(env: Any) -> Any:
    """Returns a game without its wrappers, which repeat all that was said before."""
    while "env" in vars(env):
        env = env.env
    return env


def _holds_functions(env: Any) -> bool:
    """Has a game, or one of its wrappers, a function among its attributes? A copy shares it."""
    while True:
        if any(isinstance(value, FunctionType) for value in vars(env).values()):
            return True
        if "env" not in vars(env):
            return False
        env = env.env


def _allowed(state: Any, player: int) -> bool:
    """Was the last move, one of this player, within the rules?"""
    return not state.error_count and not state.game_info[player].get("invalid_move")


NEEDS: Final[Sequence[tuple[type[Exception], str, str]]] = (
    (ValueError, "API key", "asks a model over the network, and OPENROUTER_API_KEY is not set; "
    "where it is a game master, --set master=words answers in its place"),
    (LookupError, "NLTK", "needs word lists: python -m nltk.downloader words "
    "averaged_perceptron_tagger_eng"),
    (SyntaxError, "", "is written for a later Python than this one"),
    (ImportError, "", "needs a module that is not installed"),
    (OSError, "", "needs a file that its package lacks"),
)  # fmt: skip
"""What a game raises when it is made, words of the message, and what that means."""


def _lacking(game: str, error: Exception) -> str:
    """Returns one line on what a game that cannot be made lacks."""
    for kind, words, means in NEEDS:
        if isinstance(error, kind) and words in str(error):
            named = re.search(r"Resource '?(\w+)", re.sub(r"\x1b\[[\d;]*m", "", str(error)))
            what = f"no {named[1]!r}" if named else told(error)
            return f"textarena:{game} {means} ({what})"
    return f"textarena:{game} cannot be made: {told(error)}"
