"""The facts, which are general knowledge, and what the connection refuses."""

import sqlite3

import pytest

from assay.errors import DataError
from assay.world import facts as module
from assay.world.facts import MAX_ROWS, STATEMENTS, Facts, facts

PATH = module.__file__.replace("facts.py", "facts.sqlite")


@pytest.mark.parametrize(
    ("what", "argument", "expected"),
    [
        ("capital", "France", "Paris"),
        ("home", "Lima", "Peru"),
        ("currency", "Japan", "JPY"),
        ("language", "Brazil", "Portuguese"),
        ("region", "Kenya", "Africa"),
        ("biggest", "Portugal", "Spain"),  # its only neighbour
        ("biggest", "Mongolia", "China"),  # of China and Russia
        ("smallest", "Mongolia", "Russia"),
        ("north", "Mongolia", "Russia"),  # Moscow lies further north than Beijing
        ("south", "Mongolia", "China"),
    ],
)
def test_known_facts(what, argument, expected):
    assert facts().one(what, argument) == expected


def test_an_island_has_no_neighbour():
    assert facts().ask("biggest", "Japan") == ()
    assert facts().one("smallest", "Japan") is None


def test_borders_go_both_ways():
    for name in ("Chad", "Peru", "Laos"):
        for neighbour in facts().ask("beside", name):
            assert name in facts().ask("beside", neighbour)


def test_there_are_enough_countries_and_every_one_has_a_part_of_the_world():
    names = facts().ask("countries", "")
    assert len(names) >= 200
    parts = [name for part in facts().ask("parts", "") for name in facts().ask("in_part", part)]
    assert sorted(parts) == sorted(names)


@pytest.mark.parametrize(
    "argument",
    [
        "France'; DROP TABLE country; --",
        "' OR '1'='1",
        "France' UNION SELECT sql FROM sqlite_master --",
        '"; ATTACH DATABASE "/tmp/x" AS x; --',
        "%",
        "France\0",
        "x" * 10_000,
        "",
        "\n",
    ],
)
@pytest.mark.parametrize("what", ["capital", "home", "biggest", "beside", "in_region", "peopled"])
def test_what_is_written_never_becomes_part_of_a_statement(what, argument):
    found = facts().ask(what, argument)
    # a text that is no number counts as 0 millions: everybody, and no more than that
    assert found == () or (what == "peopled" and len(found) <= MAX_ROWS)
    assert facts().one("capital", "France") == "Paris"


def test_an_unknown_statement_is_refused():
    with pytest.raises(DataError, match="no statement 'DROP TABLE country'"):
        facts().ask("DROP TABLE country", "")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM country WHERE name = ?",
        "INSERT INTO source VALUES (?, '', '')",
        "UPDATE country SET capital = ?",
        "ATTACH DATABASE ? AS other",
        "SELECT load_extension(?)",
        "SELECT randomblob(1000000000) || ?",
        "PRAGMA query_only = ?",
        "CREATE TABLE more AS SELECT ?",
        "SELECT writefile('/tmp/x', ?)",
    ],
)
def test_the_connection_refuses_everything_but_reading(statement):
    with pytest.raises(DataError):
        Facts(module.Path(PATH))._run(statement, "x")


def test_a_statement_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr(module, "MAX_SECONDS", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n "
    source = Facts(module.Path(PATH))
    with pytest.raises(DataError, match="interrupted"):
        source._run(endless + "WHERE i < 0 AND ? = ''", "")
    assert source.one("capital", "France") == "Paris"  # the next one runs


def test_too_many_answers_are_refused():
    many = "SELECT a.name FROM country a, country b WHERE ? = ''"
    with pytest.raises(DataError, match=f"more than {MAX_ROWS} answers"):
        facts()._run(many, "")


def test_every_statement_has_one_argument_and_runs():
    for what, statement in STATEMENTS.items():
        assert statement.count("?") == 1
        assert isinstance(facts().ask(what, "France"), tuple)


def test_the_file_is_not_written_to(tmp_path):
    with sqlite3.connect(f"file:{PATH}?mode=ro&immutable=1", uri=True) as connection:
        assert connection.execute("SELECT name, licence FROM source").fetchall() == [
            ("countryinfo", "MIT")
        ]
    connection.close()
    with pytest.raises(DataError, match="no such file; install Assay anew"):
        Facts(tmp_path / "none.sqlite")


def test_the_build_script_gives_the_file_that_ships(tmp_path):
    pytest.importorskip("countryinfo", reason="needs countryinfo")
    from tools.facts import build

    count = build(tmp_path / "facts.sqlite")
    rebuilt = Facts(tmp_path / "facts.sqlite")
    assert count == len(facts().ask("countries", ""))
    for what in ("countries", "capitals", "currencies", "languages", "parts"):
        assert rebuilt.ask(what, "") == facts().ask(what, "")
    for name in rebuilt.ask("countries", ""):
        for what in ("capital", "currency", "language", "biggest", "south"):
            assert rebuilt.ask(what, name) == facts().ask(what, name)
