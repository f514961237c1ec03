"""What tools answer, and whether it is an error: recall and precision.

`errors.toml` was written for this test, by hand; the half whose hash says so was held out. On it
the former reader had recall .373 and precision .946. The present one, made on the other half,
was scored once: recall .993, precision .979 (1 of 142 missed, 3 of 130 named wrongly). Then those
four were read and mended, so that the table below no longer measures what was not seen.

`fresh_1.toml` to `fresh_3.toml` (680 texts) were written by others who had not seen the reader.
Each was scored once, before it was read, and mended on then: recall and precision .92 and .979,
.925 and .974, .925 and .974. `fresh_4.toml` (240 texts) was asked to be harder: 95 of its
120 failures lack the word "error": .783 and .979. These say what to expect of texts that nobody
has seen.

`programs.jsonl` is what programs printed (shells, git, compilers, SQLite, browsers, Python's
libraries), cut where the reader stops reading; the label is their exit code, which the text does
not show, or that a library raised. Three parts, each scored once before it was read, and mended
on then: recall and precision .66 and .93 (a), .72 and .97 (b), .80 and .96 (c); the former reader
.41 and .92, .48 and .97, .39 and .98. So expect four of five failures of programs that give no
code, and nearly all where a code, a status or a flag is given.

`python -m pytest tests/verify/test_errors.py -s` prints the figures of today.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from assay.verify import is_error

HERE = Path(__file__).parent
Labelled = tuple[str, bool]


def written() -> Iterable[tuple[str, str, bool]]:
    """Yields (text, kind, error) of what was written by hand."""
    for kind, table in tomllib.loads((HERE / "errors.toml").read_text()).items():
        for label in ("errors", "ran"):
            yield from ((text, kind, label == "errors") for text in table[label])


def held_out(text: str) -> bool:
    return hashlib.sha256(text.encode()).hexdigest()[0] < "8"


def printed(part: str) -> list[Labelled]:
    lines = map(json.loads, (HERE / "programs.jsonl").read_text().splitlines())
    return [(line["text"], line["error"]) for line in lines if line["part"] == part]


def rates(name: str, texts: Iterable[Labelled]) -> tuple[float, float]:
    """Recall and precision, which are printed too."""
    pairs = [(error, is_error(text)) for text, error in texts]
    both = sum(error and said for error, said in pairs)
    recall = both / sum(error for error, _ in pairs)
    precision = both / sum(said for _, said in pairs)
    print(f"{name}: {len(pairs)} texts, recall {recall:.3f}, precision {precision:.3f}")
    return recall, precision


@pytest.mark.parametrize("held", [False, True], ids=["made on", "held out"])
def test_texts_written_by_hand(held: bool):
    texts = [(text, error) for text, _, error in written() if held_out(text) == held]
    assert len(texts) > 250
    recall, precision = rates("held out" if held else "made on", texts)
    assert recall >= 0.95
    assert precision >= 0.98


@pytest.mark.parametrize("name", ["fresh_1", "fresh_2", "fresh_3", "fresh_4"])
def test_texts_of_somebody_who_had_not_seen_the_code(name: str):
    texts = tomllib.loads((HERE / f"{name}.toml").read_text())["text"]
    recall, precision = rates(name, [(each["text"], each["error"]) for each in texts])
    assert recall >= 0.95
    assert precision >= 0.98


def test_half_of_them_are_no_errors_and_every_kind_has_both():
    kinds: dict[str, list[bool]] = {}
    for _, kind, error in written():
        kinds.setdefault(kind, []).append(error)
    assert set(kinds) == {"shell", "editor", "sql", "http", "mcp", "browser", "game", "code"}
    assert all(0.4 < sum(labels) / len(labels) < 0.6 for labels in kinds.values())
    assert len({text for text, _, _ in written()}) == sum(map(len, kinds.values()))


@pytest.mark.parametrize(("part", "least"), [("a", 0.93), ("b", 0.86), ("c", 0.89)])
def test_what_programs_printed(part: str, least: float):
    recall, precision = rates(f"programs {part}", printed(part))
    assert recall >= least
    assert precision >= 0.96


# A form decides, whatever the words beside it say.
@pytest.mark.parametrize(
    "code",
    [
        "<returncode>{}</returncode>\n<output>\nfatal: x\n</output>",
        "Exit code: {}\nfatal: x",
        "exitcode: {} (execution failed)\nCode output: fatal: x",
        "Process exited with code {}\nOutput:\nfatal: x",
        "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code {}\nOutput:\nfatal: x",
        "The script ran, then exited with Unix exit code: {}\nIts output was:\nfatal: x",
        "fatal: x\n[Command finished with exit code {}]",
        "fatal: x\n[The command completed with exit code {}.]\n",
        "Output: fatal: x\nError: (none)\nExit Code: {}\nSignal: 0",
        '{{"output": "fatal: x", "metadata": {{"exit_code": {}, "duration_seconds": 0.1}}}}',
        '{{"stdout": "", "stderr": "fatal: x", "returncode": {}}}',
        "{{'stdout': '', 'stderr': 'fatal: x', 'exit_code': {}}}",
        "x" * 5000 + "\n[Command finished with exit code {}]",
        '{{"output": "' + "x" * 5000 + '", "metadata": {{"exit_code": {}}}}}',
    ],
)
def test_a_code_decides(code: str):
    assert not is_error(code.format(0))
    assert is_error(code.format(1))
    assert is_error(code.format(-9))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{'error': 'no such city'}", True),  # as TRL writes what a tool raised
        ("{'error': \"it's gone\"}", True),
        ("{'error': None, 'city': 'Error'}", False),
        ("{'ok': True, 'n': 3}", False),
        ('{"city": {"name": "X"}, "error": "no such city"}', True),
        ('{"rows": [{"error": "of this row"}], "n": 1}', False),
        ('{"data": {"error": "the name of a band"}}', False),
        ('{"rows": [' + '"x", ' * 900 + '"x"], "error": "cut off"}', True),
        ('{"rows": [' + '"x", ' * 900 + '"x"], "error": null}', False),
        ('{"content": [' + '{"type": "text"}, ' * 90 + '{}], "isError": true}', True),
        ('{"content": [' + '{"type": "text"}, ' * 90 + '{}], "isError": false}', False),
        ('[{"type": "text", "text": "Error: no such page"}]', True),
        ('[{"type": "text", "text": "Errors: 0"}]', False),
        ('"Error: a text as JSON"', True),
        ("<tool_use_error>String to replace not found in file.</tool_use_error>", True),
        ("HTTP/2 204", False),
        ("<Response [503]>", True),
    ],
)
def test_objects_tags_and_statuses(text: str, error: bool):
    assert is_error(text) is error


def test_an_end_is_read_for_a_crash_and_for_nothing_else():
    crash = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nKeyError: 1\n'
    assert is_error("line\n" * 5000 + crash)
    assert not is_error("line\n" * 5000 + crash + "and the page goes on")
    assert not is_error("line\n" * 5000 + "Error: said at last")
    assert not is_error("line\n" * 5000 + "tests/test_a.py F\n1 failed, 2 passed")


@pytest.mark.parametrize(
    "text",
    [
        "No SQL code was found in your last response.\n\nYour response should be a command.",
        "No tool call found in your message.",
        "Your output was not formatted correctly. Exactly one command is expected.",
        "Your last response did not contain a code block.",
        "Please always provide EXACTLY ONE action in triple backticks, found 0 actions.",
    ],
)
def test_what_a_harness_says_of_a_turn_is_an_error(text: str):
    assert is_error(text)


def test_what_a_person_says_is_no_error():
    assert not is_error("I can't find the order. Could you please provide your user id?")
    assert not is_error("Is the file not found in the folder?")
