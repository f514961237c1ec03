"""Who opens a file to write: whatever is made of a store is told to it, so that to forget a session
reaches it. `published`, `whole` and `temporary` see to that; what else writes stands here."""

import ast

import pytest

from tests.structure.test_structure import MODULES, name_of, tree_of

OPENS = frozenset({"open", "fdopen"})
WRITES = frozenset({
    "write_text", "write_bytes", "touch", "tofile", "memmap", "open_memmap", "savez", "savetxt",
    "savez_compressed", "save_file", "save_model", "save_pretrained", "save_to_disk", "to_csv",
    "to_parquet", "to_json", "savefig", "FileHandler", "mkstemp", "mkdtemp", "TemporaryFile",
    "NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory", "copy2", "copyfile",
    "copytree", "link", "symlink_to", "hardlink_to", "connect", "append_row",
})  # fmt: skip
"""Names of what writes, whosever: a path, an array, a model, a copy, a database."""

GUARDS = "tells, or is of what does"
NAMELESS = "a file without a name, gone with the process"
WITHIN = "in a folder that `whole` makes and tells, or that goes (`temporary`)"
NUMBERS = "numbers of a run, no text"
OWN = "of tasks of this project, which are nobody's"
ALLOWED = {
    "assay.batch.mapped": (1, NAMELESS),
    "assay.batch.table": (2, f"{NAMELESS}; or {WITHIN}"),
    "assay.claims.runner": (2, OWN),
    "assay.cli.credit": (1, NAMELESS),
    "assay.cli.ending": (1, "os.devnull"),
    "assay.cli.label_judge": (1, "told, and what was added goes with whom it may be about"),
    "assay.demo.arms": (1, OWN),
    "assay.demo.live": (2, "a model that nobody trained yet"),
    "assay.files.atomic": (2, GUARDS),
    "assay.files.event_log": (3, "the store"),
    "assay.files.folders": (6, GUARDS),
    "assay.files.lines": (1, "`append`: who calls it is here too"),
    "assay.importers.units": (1, NAMELESS),
    "assay.judges.ranked": (1, "told at each row"),
    "assay.live.keys": (2, "the secret of keys"),
    "assay.live.training": (5, f"{WITHIN}; the store is told of what a version read"),
    "assay.policy.averaging": (1, f"weights, {WITHIN}"),
    "assay.replay.run": (2, "told; and a probe that is empty"),
    "assay.report.figure": (1, "into a stream that `published` gave"),
    "assay.report.store": (1, NAMELESS),
    "assay.runs.checkpoint": (7, WITHIN),
    "assay.runs.folder": (2, NUMBERS),
    "assay.runs.internalise": (1, WITHIN),
    "assay.runs.loop": (2, WITHIN),
    "assay.runs.reading": (1, WITHIN),
    "assay.runs.sampling": (1, "weights, for a server, in a folder that goes"),
    "assay.runs.sources": (1, WITHIN),
    "assay.skills.export": (1, WITHIN),
    "assay.trainers.trl.metrics": (1, NUMBERS),
    "assay.world.facts": (1, "read only"),
}
"""How many places of a module write, and why nobody is missed."""


def words(call):
    """Texts among a call's arguments that can be a mode."""
    given = [*call.args, *(each.value for each in call.keywords if each.arg in (None, "mode"))]
    return [each.value for each in given if isinstance(each, ast.Constant)]


def opens_to_write(call):
    """Does it open a file in a mode that writes?"""
    modes = [each for each in words(call) if isinstance(each, str) and set(each) <= set("rwxab+tU")]
    flags = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    return bool(flags & {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND"}) or any(
        set(mode) & set("wax+") for mode in modes
    )


def appends(tree):
    """Is `append` the one that adds a line to a file?"""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "assay.files.lines"
        and "append" in {each.name for each in node.names}
        for node in ast.walk(tree)
    )


def writing(tree):
    """Places of a module that write otherwise than by `published` or `whole`."""
    adds = appends(tree)
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        called = call.func
        bare = isinstance(called, ast.Name)
        name = called.id if bare else called.attr if isinstance(called, ast.Attribute) else ""
        line = bare and adds and name == "append"
        if line or name in WRITES or (name in OPENS and opens_to_write(call)):
            yield call


def test_who_writes_otherwise_than_published_is_known_and_told():
    found = {name_of(path): len([*writing(tree_of(path))]) for path in MODULES}
    found = {name: count for name, count in found.items() if count}
    assert found == {name: count for name, (count, _) in ALLOWED.items()}, (
        "write by assay.files.atomic.published or assay.files.folders.whole, which tell the stores "
        "that were read; or within assay.files.outputs.told, and say here why nobody is missed"
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("open('a', 'w')", 1),
        ("path.open('ab', buffering=0)", 1),
        ("path.open(mode='r+b')", 1),
        ("os.open(p, os.O_WRONLY | os.O_CREAT)", 1),
        ("path.open('rb'); open(p); Folder.open(p); os.open(p, os.O_RDONLY)", 0),
        ("path.write_text('x'); np.memmap(p); sqlite3.connect(p)", 3),
        ("from assay.files.lines import append\nappend(p, row); rows.append(row)", 1),
        ("append(p, row)", 0),
    ],
)
def test_what_counts_as_writing(text, count):
    assert len([*writing(ast.parse(text))]) == count
