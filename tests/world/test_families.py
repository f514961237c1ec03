"""Each family by hand: verifier, expert, facts of every step, limits.

A task is put in place where what is to be checked must be known in advance; its facts are general
knowledge (Peru: Lima, PEN, borders Brazil, Ecuador, Colombia, Bolivia, Chile).
"""

import subprocess
import sys
from math import log

import pytest

from assay.errors import MissingExtraError, UsageError
from assay.rollout.recording import solve
from assay.world import BUILT_IN, LEVELS, load
from assay.world.countdown import Countdown
from assay.world.facts import facts
from assay.world.lake import Lake, distances
from assay.world.lookup import RENAMED, TOOLS, Lookup
from assay.world.report import Report, sentence
from assay.world.twenty import Twenty, questions

ALL = [f"{name}/{level}" for name in BUILT_IN for level in LEVELS[name]]


@pytest.fixture
def lookup():
    """`?currency of home of Lima`."""
    environment = Lookup(hops=2)
    environment.reset(0)
    environment._relations, environment._chain = ("home", "currency"), ("Lima", "Peru", "PEN")
    return environment


def test_lookup_says_of_every_call_what_it_did(lookup):
    expected = [
        (">capital(Peru)\n", "<Lima", True, True, False),  # true, but no step towards the answer
        (">home(Lima)\n", "<Peru", True, True, True),
        (">home(Lima)\n", "<Peru", True, True, False),  # known already
        (">biggest(Japan)\n", "<none", True, False, None),  # an island: it ran and found nothing
        (">capital(Perou)\n", "<error no country Perou", False, False, None),
        (">home(Peru)\n", "<error no city Peru", False, False, None),
    ]
    for turn, text, ran, found, on_path in expected:
        reply = lookup.step(turn)
        assert (reply.text, reply.ran, reply.found, reply.on_path) == (text, ran, found, on_path)
        assert (reply.done, reply.score) == (False, None)


def test_lookup_s_expert_goes_on_from_where_the_attempt_stands(lookup):
    assert lookup.best() == ">home(Lima)"
    lookup.step(">smallest(Peru)\n")
    assert lookup.best() == ">home(Lima)"
    lookup.step(">home(Lima)\n")
    assert lookup.best() == ">currency(Peru)"
    assert lookup.state_key() == "home(Lima) smallest(Peru)"
    lookup.step(">currency(Peru)\n")
    assert lookup.best() == "=PEN"


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("PEN", 1),
        ("pen", 1),
        (" PEN ", 1),
        ("PEN ~3", 1),
        ("EUR", 0),
        ("PENN", 0),
        ("?", 0),
        ("", 0),
    ],
)
def test_lookup_s_verifier(lookup, answer, score):
    reply = lookup.step(f"={answer}")
    assert (reply.done, reply.score, reply.end) == (True, score, "answered")


def test_unknown_tools_and_malformed_turns_cost_a_step_and_end_nothing(lookup):
    assert lookup.step(">fly(Peru)\n").text == "<error no tool fly"
    assert lookup.step("home(Lima)\n").text == "<error write >tool(x) or =answer"
    assert lookup.step(">home(Lima\n").ran is False
    assert lookup.step("=PEN\n").score == 1


def test_the_budget_ends_a_task_as_a_failure():
    environment = Lookup(hops=1, steps=2)
    environment.reset(0)
    assert not environment.step(">x(y)\n").done
    reply = environment.step(">x(y)\n")
    assert (reply.done, reply.score, reply.end, reply.text) == (True, 0.0, "budget", "")


def test_an_answer_with_the_last_step_counts():
    environment = Lookup(hops=1, steps=1)
    environment.reset(0)
    assert environment.step(f"={environment.answer()}").score == 1


def test_every_hop_of_a_chain_is_new():
    for hops in (1, 2, 3, 4, 5):
        environment = Lookup(hops=hops)
        for seed in range(40):
            prompt = environment.reset(seed)
            assert prompt.endswith(f" of {environment._chain[0]}")
            assert len(set(environment._chain)) == hops + 1
            assert environment.best() != f"={environment.answer()}"


def test_no_shorter_chain_has_the_same_answer():
    environment = Lookup(hops=4)
    for seed in range(40):
        environment.reset(seed)
        asked = environment._relations[-1]
        for link in environment._chain[:-2]:
            assert facts().one(asked, link) != environment.answer()


def test_renamed_questions_have_the_same_chains_in_words_of_their_own():
    plain, renamed = Lookup(hops=3), Lookup(hops=3, renamed=True)
    for seed in range(20):
        words = renamed.reset(seed).removeprefix("?").split(" of ")[:3]
        tools = plain.reset(seed).removeprefix("?").split(" of ")[:3]
        assert words == [RENAMED[tool] for tool in tools]
        assert renamed.answer() == plain.answer()
        assert renamed.hint("right") == plain.hint("right")  # which names the tools
    assert not set(RENAMED.values()) & set(TOOLS)
    assert set(RENAMED) == set(TOOLS)


def test_lookup_s_hints(lookup):
    assert lookup.hint("right") == "!first home then currency"
    wrong = lookup.hint("wrong").removeprefix("!first ").split(" then ")
    assert len(wrong) == 2
    assert wrong[0] != "home"
    assert wrong[1] != "currency"
    assert lookup.hint("neutral").startswith("!")
    assert "home" not in lookup.hint("neutral")


def put(given, target):
    environment = Countdown(numbers=len(given))
    environment.reset(0)
    environment._target, environment._given = target, tuple(given)
    environment._have = tuple(sorted(given))
    return environment


def test_countdown_by_hand():
    # 24 from 2 3 5 7: 7 - 5 = 2, 2 * 2 = 4 ... a way of three is 5 + 7 = 12, 12 * 2 = 24: two steps
    environment = put([3, 5, 7, 2], 24)
    assert environment.state_key() == "2 3 5 7"
    assert len(environment.answer().split(" then ")) == 2
    reply = environment.step(">calc(5+7)\n")
    assert (reply.text, reply.ran, reply.on_path) == ("<12 2 3", True, True)
    assert environment.state_key() == "2 3 12"
    assert environment.best() == ">calc(12*2)"
    assert environment.step(">calc(12*2)\n").on_path
    assert environment.best() == "=24"
    assert environment.step("=24").score == 1


@pytest.mark.parametrize(
    ("turn", "text", "ran"),
    [
        (">calc(3*8)\n", "<error no 8 left", False),
        (">calc(3*3)\n", "<error no 3 left", False),  # there is one 3
        (">calc(2-5)\n", "<none", True),  # not above 0
        (">calc(5/2)\n", "<none", True),  # not whole
        (">calc(2/0)\n", "<error no 0 left", False),
        (">calc(3+5+7)\n", "<error write calc(3*7)", False),
        (">calc(__import__('os'))\n", "<error write calc(3*7)", False),
        (">calc(9999999999*2)\n", "<error write calc(3*7)", False),
        (">make(24)\n", "<error no tool make", False),
    ],
)
def test_countdown_refuses_what_cannot_be_done(turn, text, ran):
    environment = put([3, 5, 7, 2], 24)
    reply = environment.step(turn)
    assert (reply.text, reply.ran, reply.found) == (text, ran, False)
    assert environment.state_key() == "2 3 5 7"


def test_a_claim_without_the_number_is_worth_nothing():
    assert put([3, 5, 7, 2], 24).step("=24").score == 0
    assert put([3, 5, 7, 2], 24).step("=7").score == 0  # it is there, but it is not the target


def test_a_way_that_leads_nowhere_is_off_the_path_and_known_to_be():
    environment = put([2, 3], 6)
    reply = environment.step(">calc(3-2)\n")
    assert (reply.text, reply.on_path) == ("<1", False)
    assert environment.best() is None


def test_countdown_s_wrong_hint_never_makes_the_target():
    for seed in range(20):
        environment = Countdown(numbers=3)
        environment.reset(seed)
        for step in environment.hint("wrong").removeprefix("!do ").split(" then "):
            environment.step(f">calc({step})\n")
        assert environment.target not in environment.state_key().split()


def test_countdown_s_targets_take_all_the_numbers():
    for numbers in (2, 3, 4):
        environment = Countdown(numbers=numbers)
        for seed in range(10):
            environment.reset(seed)
            assert len(environment.answer().split(" then ")) == numbers - 1


@pytest.fixture
def twenty():
    """Peru among Peru, Chile, Japan, France."""
    environment = Twenty(pool=4)
    environment.reset(0)
    environment._secret = "Peru"
    environment._left_over = frozenset({"Peru", "Chile", "Japan", "France"})
    return environment


def test_twenty_by_hand(twenty):
    assert twenty.belief() == pytest.approx(-log(4))
    reply = twenty.step(">ask(region Europe)\n")  # not France: three are left
    assert (reply.text, reply.on_path) == ("<no 3 Chile, Japan, Peru", False)  # still two halvings
    assert twenty.belief() == pytest.approx(-log(3))
    reply = twenty.step(">ask(language Spanish)\n")  # Chile and Peru
    assert (reply.text, reply.on_path) == ("<yes 2 Chile, Peru", True)
    assert twenty.step(">ask(region Americas)\n").on_path is False  # both are
    assert twenty.step(">ask(letter P)\n").text == "<yes 1 Peru"
    assert twenty.belief() == 0
    assert twenty.best() == "=Peru"
    assert twenty.state_key() == "Peru"
    assert twenty.step("=peru ~9").score == 1


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        (">ask(colour red)\n", "<error ask what"),
        (">ask(region)\n", "<error ask what"),
        (">ask(region Atlantis)\n", "<none"),
        (">ask(millions many)\n", "<error millions is a number"),
        (">guess(Peru)\n", "<error no tool guess"),
    ],
)
def test_twenty_refuses_what_is_no_question(twenty, turn, text):
    reply = twenty.step(turn)
    assert (reply.text, reply.found) == (text, False)
    assert twenty.belief() == pytest.approx(-log(4))


def test_the_expert_needs_few_questions():
    # 2^6 = 64: six even splits would do; attributes are not even, so one or two more
    environment = Twenty(pool=64)
    lengths = [len(solve(environment, seed) or ()) for seed in range(20)]
    assert max(lengths) <= 6 + 1 + 4
    assert min(lengths) >= 4


def test_questions_tell_countries_apart():
    assert ("region", "Africa") in questions()
    assert len(questions()) == len(set(questions())) > 50


PERU = {("Peru", "capital"): "Lima", ("Peru", "currency"): "PEN"}


@pytest.fixture
def report():
    """`?report Peru: capital, currency`."""
    environment = Report(facts=2)
    environment.reset(0)
    environment._wanted = dict(PERU)
    return environment


@pytest.mark.parametrize(
    ("text", "capital", "currency"),
    [
        ("The capital of Peru is Lima. The currency of Peru is PEN.", 1, 1),
        ("Its capital is Lima; its currency is PEN", 1, 1),
        ("The capital of Peru is Lima.", 1, 0),
        ("The capital of Peru is Quito. The currency of Peru is PEN.", 0, 1),
        ("Lima. PEN.", 0, 0),  # names no aspect
        ("The capital of Peru is Lima or Quito. Its currency is PEN.", 0, 1),  # hedging
        ("The capital is Lima. The capital is Quito. The currency is PEN.", 0, 1),  # contradiction
        ("The capital is Limassol. The currency is PENS.", 0, 0),  # whole words only
        ("The currency is Lima. The capital is PEN.", 0, 0),
        ("Its capital is the city of Lima. The currency is PEN.", 1, 1),  # of no country
        ("Peru has as its capital the city of Lima.", 1, 0),
        ("Its capital is 'Lima'.", 1, 0),
        ("The capital of Lima is Lima.", 0, 0),
        ("The capital of Chile is the city of Lima.", 0, 0),
    ],
)
def test_the_rubric(report, text, capital, currency):
    reply = report.step(f"={text} ~5")
    assert (reply.parts["capital"], reply.parts["currency"]) == (capital, currency)
    assert reply.parts["short"] == (1 if capital or currency else 0)
    assert reply.score == pytest.approx(sum(reply.parts.values()) / 3)


def test_a_long_text_fails_the_item_short(report):
    text = "The capital of Peru is Lima. The currency of Peru is PEN. " + "It is a big place. " * 6
    reply = report.step(f"={text}")  # 12 words and 30 more; two facts may take 30
    assert reply.parts == {"capital": 1, "currency": 1, "short": 0}


@pytest.mark.parametrize(
    ("country", "aspect", "text", "holds"),
    [
        # a name that begins another one, or stands in it
        ("Mexico", "capital", "Its capital is Mexico City.", 1),
        ("Guatemala", "capital", "Guatemala's capital is Guatemala City.", 1),
        ("Niger", "biggest", "Nigeria is the biggest neighbour of Niger.", 1),
        ("Egypt", "biggest", "The biggest neighbour of Egypt is Sudan.", 1),
        ("Egypt", "biggest", "The biggest neighbour of Egypt is South Sudan.", 0),
        ("Sierra Leone", "biggest", "The biggest neighbour of Sierra Leone is Guinea.", 1),
        ("Sierra Leone", "biggest", "Its biggest neighbour is Equatorial Guinea.", 0),
        ("Sierra Leone", "biggest", "Its biggest neighbour is Guinea-Bissau.", 0),
        # a capital that is called like its country
        ("Luxembourg", "capital", "The capital of Luxembourg is Luxembourg.", 1),
        ("Luxembourg", "capital", "Luxembourg's capital is Luxembourg.", 1),
        ("Luxembourg", "capital", "The capital of Luxembourg is unknown.", 0),
        ("Luxembourg", "capital", "Luxembourg\u2019s capital is unknown.", 0),
        # sentences end before any capital, but not within a name
        ("Chile", "biggest", "Its biggest neighbour is Argentina. Brazil is nice.", 1),
        ("Chile", "biggest", "Its biggest neighbour is Argentina. Yes! Bolivia? No.", 1),
        ("United States", "capital", "Its capital is Washington D.C. It pays in USD.", 1),
        ("United States", "capital", "The capital of United States is Washington D.C.", 1),
        ("Guernsey", "capital", "St. Peter Port is its capital.", 1),
        # of whom it is said
        ("Peru", "biggest", "Peru has Brazil as its biggest neighbour.", 1),
        ("Peru", "biggest", "The biggest neighbour of Chile is Brazil.", 0),
        ("Peru", "biggest", "Its biggest neighbour is Brazil or Chile.", 0),
    ],
)
def test_names_are_read_whole(country, aspect, text, holds):
    environment = Report(facts=1)
    environment.reset(0)
    environment._wanted = {(country, aspect): facts().one(aspect, country) or ""}
    assert environment.step(f"={text}").parts[aspect] == holds


def test_a_country_that_is_another_s_neighbour_is_not_spoken_of():
    environment = Report(countries=2)
    environment.reset(0)
    environment._wanted = {
        ("Sierra Leone", "biggest"): "Guinea",
        ("Guinea", "biggest"): "Ivory Coast",
        ("Guinea", "capital"): "Conakry",
    }
    said = "The biggest neighbour of Sierra Leone is Guinea. Guinea has the capital Conakry."
    parts = environment.step(f"={said}").parts
    assert parts["biggest of Sierra Leone"] == parts["capital of Guinea"] == 1
    assert parts["biggest of Guinea"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "dials",
    [*LEVELS["report"].values(), {"facts": 6, "countries": 2}, {"facts": 6, "countries": 3}],
)
def test_every_reference_is_perfect(dials):
    environment = Report(**dials)
    for seed in range(100):
        environment.reset(seed)
        assert environment.step(f"={environment.answer()}").score == 1, seed


def test_the_reference_is_perfect_and_so_is_any_order():
    environment = Report(facts=6, countries=2)
    for seed in range(10):
        environment.reset(seed)
        assert environment.step(f"={environment.answer()}").score == 1
        environment.reset(seed)
        turned = " ".join(sentence(n, a, v) for (n, a), v in reversed(environment._wanted.items()))
        assert environment.step(f"={turned}").score == 1


def test_report_counts_a_call_that_was_asked_for_once(report):
    assert report.step(">capital(Peru)\n").on_path is True
    assert report.step(">capital(Peru)\n").on_path is False
    assert report.step(">region(Peru)\n").on_path is False
    assert report.best() == ">currency(Peru)"
    report.step(">currency(Peru)\n")
    assert report.best() == "=The capital of Peru is Lima. The currency of Peru is PEN."


@pytest.fixture
def lake():
    """S F      with 'down' a hole: right, down is the only way.
    H G"""
    pytest.importorskip("gymnasium", reason="needs the extra assay[train]")
    environment = Lake(size=2, holes=0.0)
    environment.reset(0)
    environment._rows = ("SF", "HG")
    made = __import__("gymnasium").make(
        "FrozenLake-v1", desc=["SF", "HG"], is_slippery=False, disable_env_checker=True
    )
    made.reset(seed=0)
    environment._ice = made
    return environment


def test_lake_by_hand(lake):
    assert distances(("SF", "HG")) == {3: 0, 1: 1, 0: 2}
    assert lake.answer() == "right then down"
    assert lake.best() == ">go(right)"
    assert lake.step(">go(up)\n").found is False  # a wall: nothing moves
    reply = lake.step(">go(right)\n")
    # up and right are walls, down is the goal, left the start
    assert (reply.text, reply.on_path, reply.found) == ("<0,1 ##$@", True, True)
    assert lake.state_key() == "0,1"
    reply = lake.step(">go(down)\n")
    assert (reply.done, reply.score, reply.on_path, reply.end) == (True, 1, True, "answered")


def test_a_hole_ends_the_attempt_as_a_failure(lake):
    reply = lake.step(">go(down)\n")
    assert (reply.done, reply.score, reply.on_path) == (True, 0, False)
    with pytest.raises(UsageError, match="after the end"):
        lake.step(">go(right)\n")


def test_lake_takes_no_answer(lake):
    assert lake.step("=right then down").score == 0


def test_a_slippery_lake_slides_the_same_way_twice():
    pytest.importorskip("gymnasium", reason="needs the extra assay[train]")
    environment = Lake(size=5, holes=0.0, slip=0.6)

    def walk(seed):
        environment.reset(seed)
        return [environment.step(f">go({way})\n").text for way in ("right", "down") * 5]

    assert walk(3) == walk(3)
    assert any(walk(seed)[0] != "<0,1 #..@" for seed in range(6))  # now and then it slides


def test_without_gymnasium_the_lake_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)
    with pytest.raises(MissingExtraError, match=r"gymnasium.*pip install 'assay\[train\]'"):
        Lake()


@pytest.mark.parametrize("name", ALL)
def test_the_expert_solves_every_level_and_never_leaves_the_path(name):
    # where chance and tight limits are part of a level, even an expert fails now and then
    sure = {"slip": 0.0} if name.startswith("lake") else {}
    environment = load(name, flaky=0.0, steps=60, **sure)
    for seed in range(6):
        turns = solve(environment, seed)
        assert turns is not None
        environment.reset(seed)
        for turn in turns:
            reply = environment.step(f"{turn}\n")
            assert reply.ran is not False
        assert (reply.done, reply.score) == (True, 1.0)


@pytest.mark.parametrize("name", BUILT_IN)
def test_tools_that_fail_on_demand_fail_as_often_as_the_dial_says(name):
    environment = load(name, flaky=0.5, steps=40)
    busy = calls = 0
    for seed in range(12):
        environment.reset(seed)
        for _ in range(20):
            best = environment.best()
            assert best is not None
            if best.startswith("="):
                break
            reply = environment.step(f"{best}\n")
            calls += 1
            busy += reply.text == "<error busy, try again"
            if reply.done:
                break
    assert 0.35 < busy / calls < 0.65  # half, within four deviations of 60 or more calls


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_task_before_reset_or_after_the_end_is_refused(name):
    environment = load(name)
    with pytest.raises(UsageError, match="call reset first"):
        environment.step("=x")
    environment.reset(0)
    environment.step("=x")
    with pytest.raises(UsageError, match="call reset first"):
        environment.step("=x")


@pytest.mark.parametrize(
    ("name", "dials"),
    [
        ("lookup", {"hops": 9}),
        ("lookup", {"hops": 0}),
        ("lookup", {"flaky": 1.0}),
        ("lookup", {"steps": 0}),
        ("countdown", {"numbers": 9}),
        ("countdown", {"top": 1}),
        ("twenty", {"pool": 1}),
        ("twenty", {"pool": 10_000}),
        ("report", {"facts": 7}),
        ("report", {"countries": 0}),
        ("lake", {"size": 1}),
        ("lake", {"slip": 1.0}),
        ("lookup", {"hopps": 2}),
    ],
)
def test_dials_out_of_range_are_a_usage_error(name, dials):
    with pytest.raises(UsageError):
        load(name, **dials)


NOT_WHOLE = [
    ("lookup", "steps", 1.5),  # counted down by ones it never is 0
    ("lookup", "hops", 2.5),
    ("lookup", "hops", True),
    ("countdown", "numbers", 2.5),
    ("countdown", "largest", 9.5),
    ("countdown", "top", 50.5),
    ("twenty", "pool", 16.5),
    ("report", "facts", 2.5),
    ("report", "countries", 1.5),
    ("lake", "size", 4.5),
]
LOADS = """
from assay.errors import UsageError
from assay.world import load
for name, dial, value in {}:
    try:
        load(name, **{{dial: value}})
        print("made")
    except UsageError as error:
        print(error)
"""


def test_dials_that_count_are_whole_numbers():
    """In a process of its own: in this one arguments are refused by their annotation."""
    pytest.importorskip("gymnasium", reason="needs the extra assay[train]")
    done = subprocess.run(
        [sys.executable, "-c", LOADS.format(NOT_WHOLE)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"{name}: got {dial}={value!r}; expected a whole number" for name, dial, value in NOT_WHOLE
    ]
