"""Games of textarena through the real package; expected values read off the rules of the games."""

import random
import re
import sys
import warnings

import numpy as np
import pytest

from assay.errors import DataError, MissingExtraError, UnknownNameError, UsageError
from assay.rollout.checking import check
from assay.rollout.recording import Recorder
from assay.world import load


@pytest.fixture(scope="module", autouse=True)
def textarena():
    with warnings.catch_warnings():  # what the library's own import warns of
        warnings.simplefilter("ignore")
        return pytest.importorskip("textarena", reason="needs the extra assay[textarena]")


HANOI = ("[A C]", "[A B]", "[C B]", "[A C]", "[B A]", "[B C]", "[A C]")  # 2^3 - 1 moves


def played(environment, seed, moves):
    environment.reset(seed)
    return [environment.step(move) for move in moves]


def test_three_disks_are_moved_in_seven_moves():
    replies = played(load("textarena:TowerOfHanoi-v0"), 0, HANOI)
    assert [reply.done for reply in replies] == [False] * 6 + [True]
    assert (replies[-1].score, dict(replies[-1].parts)) == (1.0, {"reward": 1.0})
    assert replies[-1].end == "answered"
    assert all(reply.ran for reply in replies)


def test_a_forbidden_move_is_answered_once_and_the_second_ends_the_game():
    first, second = played(load("textarena:TowerOfHanoi-v0"), 0, ("[A D]", "nonsense"))
    assert (first.ran, first.done, second.ran, second.done) == (False, False, False, True)
    assert "invalid move" in first.text
    assert 0 <= second.score < 1


def test_a_policy_reads_what_is_new_and_not_what_it_wrote():
    environment = load("textarena:TowerOfHanoi-v0")
    assert environment.reset(0).count("You are playing Tower of Hanoi") == 1
    text = environment.step("#a thought\n[A C]").text
    assert "You are playing" not in text
    assert "thought" not in text
    assert "[A C]" not in text


def test_a_budget_ends_a_game_without_a_score():
    replies = played(load("textarena:TowerOfHanoi-v0", steps=3), 0, HANOI[:3])
    assert (replies[-1].done, replies[-1].score, replies[-1].end) == (True, 0.0, "budget")


def test_a_seed_is_a_task_whatever_else_is_drawn():
    """The library draws from the generators of the whole process, at the start and in play."""
    name, moves = "textarena:2048-v0-ultra-easy", ("[up]", "[left]", "[down]", "[right]") * 2
    alone = [reply.text for reply in played(load(name), 5, moves)]
    one, other = load(name), load(name)
    random.seed(1)
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    other.reset(6)
    one.reset(5)
    mixed = []
    for move in moves:
        other.step("[left]") if not other._state.done else None
        mixed.append(one.step(move).text)
    assert mixed == alone
    assert np.random.get_state()[1].tolist() == before
    random.seed(2)  # beartype draws from it in tests: its state is looked at without a call between
    before = random.getstate()
    with one._alone():
        random.random()
    assert random.getstate() == before
    assert [reply.text for reply in played(load(name), 5, moves)] == alone
    assert [reply.text for reply in played(load(name), 6, moves)] != alone


def test_what_can_be_played_passes_the_check():
    for name, dials in (
        ("textarena:FrozenLake-v0", {}),
        ("textarena:TwentyQuestions-v0", {"master": "words"}),
        ("textarena:TicTacToe-v0", {"opponent": "random"}),
    ):
        lines = list(check(lambda name=name, dials=dials: load(name, **dials), range(3)))
        assert [line for line in lines if line.verdict == "finding"] == []


def test_one_task_for_every_seed_is_found():
    lines = check(lambda: load("textarena:TowerOfHanoi-v0"), range(3))
    assert [line.rule for line in lines if line.verdict == "finding"] == ["prompts"]


def test_a_random_opponent_keeps_to_the_rules_and_to_the_seed():
    def boards(seed):
        environment = load("textarena:TicTacToe-v0", opponent="random")
        said = [environment.reset(seed)]
        while True:
            free = re.findall(r"\[\d\]", said[-1].rpartition("Available Moves")[2])
            reply = environment.step(free[0])
            said.append(reply.text)
            if reply.done:
                return said, reply

    endings = [boards(seed)[1] for seed in range(12)]
    assert {reply.score for reply in endings} <= {0.0, 0.5, 1.0}
    assert all(reply.score == (reply.parts["reward"] + 1) / 2 for reply in endings)
    assert all(reply.ran for reply in endings)
    assert not any("invalid" in text for seed in range(12) for text in boards(seed)[0])
    assert boards(3)[0] == boards(3)[0]
    assert len({"".join(boards(seed)[0]) for seed in range(12)}) > 1


def test_a_fixed_opponent_says_one_thing():
    """Against one that always cooperates: 5 a round for a defector, 50 to 0 in ten rounds."""
    name = "textarena:IteratedPrisonersDilemma-v0"
    environment = load(name, opponent="[cooperate]")
    environment.reset(0)
    for _ in range(60):
        reply = environment.step("[defect]")
        if reply.done:
            break
    assert (reply.score, dict(reply.parts)) == (1.0, {"reward": 1.0})
    assert "50 - 0" in reply.text


def test_a_game_for_several_asks_who_plays_the_others():
    with pytest.raises(UsageError, match=r"for 2 players; .*--set opponent=random"):
        load("textarena:TicTacToe-v0")


def test_a_master_that_knows_words_answers_truly():
    environment = load("textarena:TwentyQuestions-v0", master="words")
    environment.reset(0)
    word = environment._inner.game_word
    assert environment.step(f"Does it start with the letter {word[0]}?").text == "Yes"
    assert environment.step("Does it start with the letter q?").text == "No"
    assert environment.step("Does it contain the letters qqq?").text == "No"
    assert environment.step("Is it bigger than a house?").text == "I don't know"
    assert environment.step(f"Is it a {word}?").text == "Yes"
    reply = environment.step(f"[{word}]")
    assert (reply.done, reply.score) == (True, 1.0)
    environment.reset(0)
    assert environment.step("[not that]").score == 0.0


def test_guess_who_is_answered_by_the_description():
    environment = load("textarena:GuessWho-v0", master="words")
    environment.reset(1)
    who = environment._inner.target_character
    assert environment.step(f"Is the character {who['gender']}?").text.endswith("\nYes")
    assert environment.step("Does the character have purple antlers?").text.endswith("\nNo")
    assert environment.step(f"[{who['name']}]").score == 1.0


def test_what_a_game_lacks_is_said_in_one_line(monkeypatch, textarena):
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    with pytest.raises(UsageError, match=r"OPENROUTER_API_KEY is not set.*master=words"):
        load("textarena:TwentyQuestions-v0")
    with pytest.raises(UsageError, match="expected words, of a game that has a master"):
        load("textarena:TowerOfHanoi-v0", master="words")
    with pytest.raises(UnknownNameError, match=r"no game 'TowerOfHanoy-v0'. Did you mean 'Tower"):
        load("textarena:TowerOfHanoy-v0")

    def lacking(error):
        def make(*_, **__):
            raise error

        monkeypatch.setattr(textarena, "make", make)
        with pytest.raises(UsageError) as raised:
            load("textarena:Wordle-v0")
        assert "\n" not in str(raised.value)
        return str(raised.value)

    nltk = "\n*****\n  Resource \x1b[93mwords\x1b[0m not found.\n  Use the NLTK Downloader"
    assert "python -m nltk.downloader words" in lacking(LookupError(nltk))
    assert "later Python" in lacking(SyntaxError("f-string"))
    assert "not installed (ImportError: no gym)" in lacking(ImportError("no gym"))
    assert "cannot be made: KeyError: 'x'" in lacking(KeyError("x"))


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "textarena", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'assay\[textarena\]'"):
        load("textarena:PegJump-v0")


def test_a_reward_that_is_no_number_is_a_fault_of_the_game():
    environment = load("textarena:TowerOfHanoi-v0")
    environment.reset(0)
    environment._state.set_outcome("well done", "swapped")
    with pytest.raises(DataError, match="paid player 0 'well done'; expected a number"):
        environment.step("[A C]")


def test_a_forbidden_move_whose_reward_was_swapped_with_its_reason_is_a_loss():
    """ThreeCardMonte calls set_invalid_move(0.0, "why") where (reason, reward) is expected."""
    replies = played(load("textarena:ThreeCardMonte-v0"), 0, ("what?", "what?"))
    assert (replies[-1].score, dict(replies[-1].parts)) == (0.0, {"reward": -1.0})


def test_a_played_game_becomes_a_record():
    recorder = Recorder(load("textarena:TowerOfHanoi-v0"), 0)
    for move in HANOI:
        recorder.act(f"{move}\n")
    record = recorder.trajectory()
    assert (record.outcome, record.rewards) == (1.0, {"reward": 1.0})
    assert record.task == "textarena[game=TowerOfHanoi-v0]/0"
