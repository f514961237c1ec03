#!/usr/bin/env bash
# textarena 0.7.4, Countdown-v0: the reward of a player who ends on an illegal move is a sentence.
#
# One would guess: an illegal move costs a number, as in the package's other games (-1), and the
#   reason tells what was wrong.
# Behaviour: the game hands its progress over as the reason and the reason as the reward. So close()
#   returns a text where the type says int, the progress stands in the reason, and a mean over
#   rewards raises a TypeError steps later. A move of the right form but with wrong indices ends
#   the same way.
# What follows: check the type of every reward, and count a text as the failure that it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check textarena==0.7.4
"$folder/env/bin/python" - <<'PYTHON'
import textarena as ta


def lose(name, move):
    game = ta.make(name)
    game.reset(num_players=1, seed=1)
    done = False
    while not done:  # one illegal move is forgiven
        game.get_observation()
        done, _ = game.step(move)
    rewards, info = game.close()
    print(f"{name}, {move!r}: {rewards[0]!r}, because: {info[0]['reason']}")
    assert info[0]["invalid_move"]
    return rewards[0], info[0]["reason"]


for move, start in (("I cannot", "Invalid action format"), ("[0 0 +]", "Invalid indices")):
    reward, reason = lose("Countdown-v0", move)
    assert isinstance(reward, str) and reward.startswith(start)
    assert 0 <= float(reason.removeprefix("Invalid Move: ")) < 1
reward, reason = lose("TowerOfHanoi-v0", "I cannot")
assert isinstance(reward, (int, float))
PYTHON
