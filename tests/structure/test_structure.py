"""What keeps the code readable: who may import whom, how long things get, what is never used."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests import mutations

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "assay"
MODULES = sorted(SOURCE.rglob("*.py"))
STANDARD = sys.stdlib_module_names


def name_of(path):
    """assay.kernels.term for src/assay/kernels/term.py."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path):
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def imports_of(path):
    """(module, names) of every absolute import of a file, at any depth."""
    return tuple(_imports_of(path))


def _imports_of(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", tuple(alias.name for alias in node.names)


def below(module, *packages):
    return any(module == each or module.startswith(f"{each}.") for each in packages)


def foreign(path):
    """Imports of a file that are neither ours nor the standard library's, by top-level name."""
    tops = {module.split(".")[0] for module, _ in imports_of(path)}
    return tops - STANDARD - {"assay"}


def ours(path):
    return {module for module, _ in imports_of(path) if below(module, "assay")}


def in_package(name):
    return [path for path in MODULES if below(name_of(path), f"assay.{name}")]


# --- layers


@pytest.mark.parametrize("path", in_package("kernels"), ids=name_of)
def test_kernels_import_numpy_and_errors_only(path):
    assert foreign(path) <= {"numpy", "jaxtyping"}


@pytest.mark.parametrize("path", in_package("records"), ids=name_of)
def test_records_import_no_numpy(path):
    assert foreign(path) <= {"msgspec", "zstandard"}
    assert all(
        below(module, "assay.records", "assay.files", "assay.errors") for module in ours(path)
    )


@pytest.mark.parametrize("path", [*in_package("credit"), *in_package("gate")], ids=name_of)
def test_credit_and_gates_are_functions_of_arrays(path):
    assert foreign(path) <= {"numpy", "jaxtyping", "msgspec"}
    io = ("assay.importers", "assay.files", "assay.records.codec")
    assert not [module for module in ours(path) if below(module, *io)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_are_absolute(path):
    assert not [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.ImportFrom) and n.level]


HEAVY = ("torch", "transformers", "trl", "verl", "ray", "datasets", "pandas", "pyarrow", "scipy")


def loaded_by(statement):
    """Top-level modules in memory after a statement, in a fresh interpreter."""
    script = f"{statement}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_offline_half_loads_nothing_heavy():
    offline = "audit batch cli.verbs credit demo gate importers pipeline records report runs.audit"
    statement = "; ".join(f"import assay.{name}" for name in offline.split())
    assert not loaded_by(statement) & set(HEAVY)


def test_the_check_above_would_see_a_heavy_module():
    assert "wave" not in loaded_by("import assay")
    assert "wave" in loaded_by("import assay, wave")


# --- sizes


def limit_of(path):
    return 200 if below(name_of(path), "assay.kernels") else 400


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_short(path):
    assert len(path.read_text("utf-8").splitlines()) <= limit_of(path)


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_no_file_is_longer_than_600_lines(folder):
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in (".py", ".js", ".css", ".html") and "fixtures" not in path.parts:
            assert len(path.read_text("utf-8").splitlines()) <= 600, path


def functions_of(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function):
    """Lines of a body, docstring excluded."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_bodies_are_counted_without_signature_and_docstring():
    signature, docstring = "def f(\n    a,\n):\n", '    """One.\n\n    Two.\n    """\n'
    source = f"{signature}{docstring}    if a:\n        return 1\n    return 2"
    assert body_lines(ast.parse(source).body[0]) == 3


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_function_bodies_stay_short(path):
    long = {f.name: body_lines(f) for f in functions_of(path) if body_lines(f) > 40}
    assert not long


def test_every_mutation_breaks_a_line_that_is_still_there():
    assert all(list(mutations.broken(name)) for name in mutations.TABLE)


# --- names and words


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_things_are_documented(path):
    tree = tree_of(path)
    if path.read_text("utf-8").strip():
        assert ast.get_docstring(tree), "the module"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert node.name.startswith("_") or ast.get_docstring(node), node.name


def exported_by(path):
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def used_from_outside(package):
    """Names that files outside a package take from its __init__."""
    taken = set()
    for path in [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]:
        if path.parent != package.parent:
            for module, names in imports_of(path):
                taken |= set(names) if module == name_of(package) else set()
    return taken


@pytest.mark.parametrize("path", [p for p in MODULES if exported_by(p) is not None], ids=name_of)
def test_exports_are_sorted_and_complete(path):
    exported = exported_by(path)
    kind = {True: 0, False: 1}

    def order(name):  # CONSTANTS, Classes, functions: as ruff sorts them
        return (kind[name.isupper()], kind[name[0].isupper()], name)

    assert exported == sorted(exported, key=order)
    assert len(exported) == len(set(exported))
    submodules = {p.stem for p in path.parent.glob("*.py")} | {
        p.name for p in path.parent.iterdir() if p.is_dir()
    }
    assert used_from_outside(path) - submodules <= set(exported)


UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"torch.load", "eval", "exec", "pickle.loads", "os.system"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_unpickles_or_evaluates(path):
    assert not {module.split(".")[0] for module, _ in imports_of(path)} & UNSAFE_MODULES
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in UNSAFE_CALLS
            assert not [k for k in node.keywords if k.arg in ("allow_pickle", "shell")]


def tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


# Composed, so that this file does not contain them.
PRIVATE = re.compile(
    "|".join(
        (
            r"(?<![\w.])/wo" + r"rk\b",
            r"/tmp/e" + "nv",
            r"/opt/(py" + "pi|whe" + "els)",
            r"\b(this|our|previous|earlier|later|next) ses" + r"sions?\b",
            r"\bhel" + r"pers?\b",
            r"\bsub-?age" + r"nts?\b",
        )
    ),
    re.IGNORECASE,
)


def test_the_text_speaks_of_the_project_only():
    found = []
    for path in tracked():
        quoted = "fixtures" in path.parts or path.name.startswith("claim_messages")
        if quoted or not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if word := PRIVATE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {word[0]}")
    assert not found


@pytest.mark.parametrize(
    "text",
    ["see /wo" + "rk/main", "in this ses" + "sion", "two hel" + "pers", "/tmp/e" + "nv/x"],
)
def test_the_check_above_would_see_such_a_word(text):
    assert PRIVATE.search(text)
    assert not PRIVATE.search("framework/mainly obsession, session_id, helpful")
