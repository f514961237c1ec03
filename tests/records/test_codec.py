"""Bytes and back: the same bytes, and one clear line for everything that is no record."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings

from assay.errors import AlignmentError, DataError
from assay.records import (
    Call,
    Grade,
    Ledger,
    Mark,
    ModelStep,
    Rescue,
    Span,
    ToolStep,
    Trajectory,
    UserStep,
    codec,
    decode,
    encode,
    read,
    write,
)
from tests.processes import process
from tests.records.strategies import trajectories

NAN, INF = float("nan"), float("inf")
HEAD = b'{"schema":"assay.trajectory/1","id":"a","task":"t","group":"g"'


def of(*steps, **fields):
    return Trajectory(**{"id": "a", "task": "t", "group": "g", "steps": steps, **fields})


def some(n):
    """n small records that compress badly enough to fill several zstd blocks."""
    return [of(UserStep(text=f"{i * 2654435761 % 2**32:x}" * 20), id=str(i)) for i in range(n)]


# --- the same bytes


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trajectories())
def test_any_record_survives_the_way_to_disk_and_back(trajectory):
    line = encode(trajectory)
    back = decode(line)
    assert back == trajectory
    assert encode(back) == line
    assert b"\n" not in line


def test_a_whole_number_given_for_a_float_is_written_as_a_float():
    assert encode(of(outcome=1)) == HEAD + b',"outcome":1.0}'


def test_defaults_are_not_written():
    assert encode(of()) == HEAD + b"}"


def test_a_file_of_several_frames_is_read_to_its_end(tmp_path):
    path = tmp_path / "two.jsonl.zst"
    frames = [b"".join(encode(r) + b"\n" for r in part) for part in (some(3), some(2))]
    path.write_bytes(b"".join(zstandard.ZstdCompressor().compress(frame) for frame in frames))
    assert list(read(path)) == some(3) + some(2)


def test_plain_and_compressed_hold_the_same(tmp_path):
    assert write(tmp_path / "a.jsonl", some(500)) == 500
    assert write(tmp_path / "a.jsonl.zst", some(500)) == 500
    assert list(read(tmp_path / "a.jsonl")) == list(read(tmp_path / "a.jsonl.zst")) == some(500)
    assert (tmp_path / "a.jsonl.zst").read_bytes()[:4] == b"\x28\xb5\x2f\xfd"


# --- what is no record


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (HEAD + b',"txt":1}', "unknown field `txt`"),
        (HEAD + b',"steps":[{"kind":"user","text":"x","txt":1}]}', "`txt` - at `$.steps[0]`"),
        (HEAD + b',"ledger":{"token":1}}', "`token` - at `$.ledger`"),
        (HEAD + b',"id":"b"}', "key 'id' occurs twice"),
        (HEAD + b',"rewards":{"x":1.0,"x":0.0}}', "key 'x' occurs twice"),
        (HEAD + b',"steps":[{"kind":"user","text":"x","text":"y"}]}', "key 'text' occurs twice"),
        (b'{"id":"a","task":"t","group":"g"}', ".schema: missing"),
        (HEAD.replace(b"/1", b"/6") + b"}", "assay.trajectory/6"),
        (b'{"schema":"assay.trajectory/1","id":"a","task":"t"}', "missing required field `group`"),
        (HEAD + b',"outcome":"1"}', "Expected `float | null`, got `str` - at `$.outcome`"),
        (HEAD + b',"outcome":true}', "`$.outcome`"),
        (HEAD + b',"outcome":NaN}', "malformed"),
        (HEAD + b',"outcome":Infinity}', "malformed"),
        (HEAD + b',"outcome":1e999}', "out of range - at `$.outcome`"),
        (HEAD + b',"trial":1.5}', "`$.trial`"),
        (HEAD + b',"end":"crashed"}', "'crashed' - at `$.end`"),
        (HEAD + b',"steps":[{"kind":"thought","text":""}]}', "'thought' - at `$.steps[0].kind`"),
        (HEAD, "truncated"),
        (b"", "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"\x80\x04\x95", "malformed"),
        (HEAD + b',"policy_version":"\xff"}', "utf-8"),
        (HEAD + b',"policy_version":"\\ud800"}', "truncated"),
        (HEAD + b',"trial":' + b"9" * 5000 + b"}", "record"),
        (b"[" * 100_000, "record"),
    ],
)
def test_what_is_no_record_is_named_in_one_line(line, says):
    with pytest.raises(DataError) as caught:
        decode(line, where="log.jsonl line 3")
    message = str(caught.value)
    assert says in message
    assert message.startswith("log.jsonl line 3")
    assert "\n" not in message
    assert len(message) < 300


def test_keys_in_another_order_and_defaults_spelled_out_are_the_same_record():
    record = json.loads(encode(of(UserStep(text="x"), outcome=1.0)))
    record = {"outcome": 1, "claim": None, "marks": [], **record}
    assert decode(json.dumps(record, indent=2).encode()) == of(UserStep(text="x"), outcome=1.0)


IDS = (5, 6, 7)


@pytest.mark.parametrize(
    ("step", "error", "says"),
    [
        (ModelStep(token_ids=IDS, logprobs=(0.0,)), AlignmentError, "logprobs: got 1 values"),
        (ModelStep(token_ids=IDS, entropies=(0.0,) * 4), AlignmentError, "entropies: got 4 values"),
        (
            ModelStep(token_ids=IDS, sampled=((0, 2),), logprobs=(0.0,) * 3),
            AlignmentError,
            "expected one per sampled token, 2",
        ),
        (ModelStep(token_ids=IDS, sampled=((0, 4),)), AlignmentError, "sampled: got [0, 4)"),
        (ModelStep(token_ids=IDS, sampled=((2, 1),)), AlignmentError, "sampled: got [2, 1)"),
        (ModelStep(token_ids=IDS, sampled=((0, 2), (1, 3))), AlignmentError, "got [1, 3)"),
        (ModelStep(token_ids=IDS, sampled=((-1, 2),)), AlignmentError, "got [-1, 2)"),
        (ModelStep(sampled=((0, 0),)), AlignmentError, "token_ids: null"),
        (ModelStep(logprobs=()), AlignmentError, "token_ids: null"),
        (ModelStep(text="abc", entropies=(0.0,)), AlignmentError, "token_ids: null"),
        (
            ModelStep(token_ids=IDS, spans=(Span(role="think", start=0, end=4),)),
            AlignmentError,
            "spans[0]: got [0, 4); expected it in its 3 tokens",
        ),
        (
            ModelStep(text="ab", spans=(Span(role="think", start=0, end=3),)),
            AlignmentError,
            "expected it in its 2 characters of text",
        ),
        (
            ModelStep(text="ab", spans=(Span(role="think", start=2, end=1),)),
            AlignmentError,
            "got [2, 1)",
        ),
        (
            ModelStep(token_ids=IDS, calls=(Call(name="f", arguments="", start=1, end=4),)),
            AlignmentError,
            "calls[0]: got [1, 4)",
        ),
        (
            ModelStep(token_ids=IDS, calls=(Call(name="f", arguments="", start=0),)),
            AlignmentError,
            "calls[0]: got [0, None)",
        ),
        (
            ModelStep(text="abc", calls=(Call(name="f", arguments="", start=0, end=1),)),
            AlignmentError,
            "calls[0]: got [0, 1)",
        ),
        (ModelStep(token_ids=(1, -1)), DataError, "token_ids: got -1"),
        (UserStep(text="", token_ids=(2**31,)), DataError, "token_ids: got 2147483648"),
        (ModelStep(confidence=1.5), DataError, "confidence: got 1.5"),
        (ToolStep(text="", call=(0, 0)), DataError, "call: got [0, 0]"),
        (ToolStep(text="", call=(-1, 0)), DataError, "call: got [-1, 0]"),
    ],
)
def test_what_does_not_fit_together_is_neither_written_nor_read(step, error, says):
    with pytest.raises(error) as caught:
        encode(of(step))
    assert says in str(caught.value)
    assert "trajectory 'a' steps[0]." in str(caught.value)
    with pytest.raises(error, match=r"steps\[0\]"):
        decode(codec._encoder.encode(of(step)))


@pytest.mark.parametrize("call", [(1, 0), (0, 1), (0, -1), (2, 0)])
def test_a_result_answers_a_call_that_was_made_before_it(call):
    asked = ModelStep(calls=(Call(name="f", arguments="{}"),))
    encode(of(asked, ToolStep(text="", call=(0, 0))))
    with pytest.raises(DataError, match=r"steps\[1\].call"):
        encode(of(asked, ToolStep(text="", call=call), asked))


def test_a_mark_points_at_a_step():
    with pytest.raises(DataError, match=r"marks\[1\].step: got 1; expected an index below 1"):
        encode(of(UserStep(text=""), marks=(Mark(kind="x", step=0), Mark(kind="x", step=1))))


@pytest.mark.parametrize("number", [NAN, INF, -INF])
@pytest.mark.parametrize(
    ("record", "where"),
    [
        (lambda x: of(outcome=x), "outcome"),
        (lambda x: of(rewards={"style": x}), "rewards['style']"),
        (lambda x: of(grades=(Grade(level="E1", value=x),)), "grades[0].value"),
        (lambda x: of(ledger=Ledger(wall_seconds=x)), "ledger.wall_seconds"),
        (lambda x: of(prior=x), "prior"),
        (lambda x: of(ModelStep(reward=x)), "steps[0].reward"),
        (lambda x: of(ModelStep(belief=x)), "steps[0].belief"),
        (lambda x: of(ModelStep(confidence=x)), "steps[0].confidence"),
        (lambda x: of(ModelStep(token_ids=(1,), logprobs=(x,))), "steps[0], logprobs"),
        (
            lambda x: of(ModelStep(token_ids=(1,), entropies=(x,))),
            "steps[0], logprobs, entropies, told, neutral, helped",
        ),
    ],
)
def test_nan_and_infinity_are_refused_rather_than_written_as_null(record, where, number):
    with pytest.raises(DataError) as caught:
        encode(record(number))
    assert where in str(caught.value)
    assert f"got {number}" in str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        lambda: of(id="\ud800"),
        lambda: of(id=5),
        lambda: of(UserStep(text=None)),
        lambda: of(outcome="1"),
        lambda: of(trial=1.5),
        lambda: of(steps=["x"]),
        lambda: of(policy_version={1, 2}),
    ],
)
def test_what_could_not_be_read_back_is_not_written(record):
    with pytest.raises(DataError):
        encode(record())


# --- files


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none.jsonl: No such file"):
        list(read(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="Is a directory"):
        list(read(tmp_path))


def test_a_bad_line_is_named_by_its_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(encode(of()) + b"\n\n{}\n")
    rows = read(path)
    assert next(rows) == of()
    with pytest.raises(DataError, match=r"a.jsonl line 3"):
        next(rows)


def test_a_compressed_file_cut_anywhere_is_an_error(tmp_path):
    whole = tmp_path / "a.jsonl.zst"
    write(whole, some(200))
    data = whole.read_bytes()
    cut = tmp_path / "cut.jsonl.zst"
    for size in [*range(1, 40), *range(40, len(data), 97), len(data) - 1]:
        cut.write_bytes(data[:size])
        with pytest.raises(DataError, match=r"cut.jsonl.zst line"):
            list(read(cut))


def test_a_compressed_file_with_one_wrong_byte_is_an_error_or_the_same_records(tmp_path):
    whole = tmp_path / "a.jsonl.zst"
    write(whole, some(200))
    data = whole.read_bytes()
    changed = tmp_path / "changed.jsonl.zst"
    refused = 0
    for at in [*range(12), *range(12, len(data), 61), *range(len(data) - 6, len(data))]:
        changed.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            assert list(read(changed)) == some(200)
        except DataError:
            refused += 1
    assert refused > 40


@pytest.mark.slow
def test_a_small_file_that_unfolds_to_much_is_read_in_pieces(tmp_path):
    """A gigabyte of one letter is 32 KB of zstd: it must be refused without ever being held."""
    path = tmp_path / "bomb.jsonl.zst"
    with path.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as sink:
        for _ in range(1024):
            sink.write(b"a" * (1 << 20))
    script = (
        "import re, sys\n"
        "from assay.records import read\n"
        "from assay.errors import DataError\n"
        "try: list(read(sys.argv[1]))\n"
        "except DataError as error: print(error)\n"
        # not ru_maxrss: it starts at what the parent held when it started this process
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())\n"
        "print(int(peak[1]) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    says, megabytes = done.stdout.splitlines()
    assert "longer than" in says
    assert int(megabytes) < 600


# --- whole or not at all


def test_a_failure_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, some(2))

    def broken():
        yield from some(1)
        raise RuntimeError("the source broke")

    for name in ("a.jsonl", "b.jsonl", "c.jsonl.zst"):
        with pytest.raises(RuntimeError, match="the source broke"):
            write(tmp_path / name, broken())
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]
    assert list(read(path)) == some(2)


def test_missing_folders_are_made_and_impossible_ones_are_named(tmp_path):
    write(tmp_path / "x" / "y" / "a.jsonl", some(1))
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "x" / "y" / "a.jsonl" / "b.jsonl", some(1))


WRITER = """
import sys
from assay.records import Trajectory, UserStep, write
sets = {n: [Trajectory(id=str(n), task="t", group="g", steps=(UserStep(text="x" * 2000),))] * n
        for n in (300, 700)}
print("ready", flush=True)
while True:
    for records in sets.values():
        write(sys.argv[1], records)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.zst"])
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    for kill in range(6):
        with process([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.03 + 0.017 * kill)
            os.kill(writer.pid, signal.SIGKILL)
        if path.exists():
            records = list(read(path))
            assert len(records) == int(records[0].id)
    assert path.exists()


def test_a_folder_is_named_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for name, said in (("folder", "folder"), ("link", "link"), ("", r"\.")):
        with pytest.raises(DataError, match=f"^{said}: is a folder; name a file$"):
            write(name, some(1))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "link"]


SCORED = b',"steps":[{"kind":"model","text":"x","scores":{"judge":0.5}}]}'


def test_scores_are_of_version_2_and_of_no_other():
    second = HEAD.replace(b"trajectory/1", b"trajectory/2")
    record = decode(second + SCORED)
    assert record.steps[0].scores == {"judge": 0.5}
    assert type(record) is Trajectory
    assert encode(record) == second + SCORED
    assert encode(decode(second + b"}")) == HEAD + b"}", "the first version that has all keys"
    with pytest.raises(DataError, match=r"scores: not a key of assay.trajectory/1; write it as /2"):
        decode(HEAD + SCORED)


def test_a_score_is_a_finite_number_or_none():
    step = ModelStep(scores={"judge": float("inf"), "rule": None})
    with pytest.raises(DataError, match=r"steps\[0\].scores\['judge'\]: got inf"):
        encode(Trajectory(id="a", task="t", group="g", steps=(step,)))


def test_a_session_is_of_version_3_and_of_no_other():
    third = HEAD.replace(b"trajectory/1", b"trajectory/3") + b',"session":"s"'
    record = decode(third + b"}")
    assert (record.session, type(record)) == ("s", Trajectory)
    assert encode(record) == third + b"}"
    assert decode(third + SCORED).steps[0].scores == {"judge": 0.5}
    second, bare = HEAD.replace(b"/1", b"/2"), HEAD.replace(b"/1", b"/3")
    assert encode(decode(bare + b"}")) == HEAD + b"}"
    assert encode(decode(bare + SCORED)) == second + SCORED
    for version in (1, 2):
        older = third.replace(b"/3", f"/{version}".encode())
        told = rf"session: not a key of assay.trajectory/{version}; write it as /3"
        with pytest.raises(DataError, match=told):
            decode(older + b"}")
        with pytest.raises(DataError, match=told):
            decode(older + SCORED)


def test_a_prior_is_of_version_4_and_of_no_other():
    fourth = HEAD.replace(b"trajectory/1", b"trajectory/4")
    record = decode(fourth + b',"prior":-1.5}')
    assert (record.prior, type(record)) == (-1.5, Trajectory)
    assert encode(record) == fourth + b',"prior":-1.5}'
    assert decode(fourth + SCORED[:-1] + b',"prior":-1.5}').steps[0].scores == {"judge": 0.5}
    session = b',"session":"s"}'
    assert encode(decode(fourth + b"}")) == HEAD + b"}", "the first version that has all keys"
    assert encode(decode(fourth + session)) == HEAD.replace(b"/1", b"/3") + session
    for version in (1, 2, 3):
        older = HEAD.replace(b"/1", f"/{version}".encode())
        told = rf"prior: not a key of assay.trajectory/{version}; write it as /4"
        with pytest.raises(DataError, match=told):
            decode(older + b',"prior":-1.5}')


def test_hints_and_rescue_are_of_version_5_and_of_no_other():
    fifth = HEAD.replace(b"trajectory/1", b"trajectory/5")
    rescued = b',"rescue":{"rung":"oracle","of":"a","given":"try 7"}}'
    hinted = b',"steps":[{"kind":"model","text":"x","hints":[{"text":"no","source":"env"}]}]}'
    told = (
        b',"steps":[{"kind":"model","token_ids":[1,2],"told":[-1.5,null],"neutral":[-1.0,-2.0]}]}'
    )
    helped = b',"steps":[{"kind":"model","token_ids":[1],"helped":[-0.5]}]}'
    tails = ((rescued, "rescue"), (hinted, "hints"), (told, "told"), (helped, "helped"))
    for tail, key in tails:
        record = decode(fifth + tail)
        assert type(record) is Trajectory
        assert encode(record) == fifth + tail
        for version in (1, 2, 3, 4):
            older = HEAD.replace(b"/1", f"/{version}".encode())
            says = rf"{key}: not a key of assay.trajectory/{version}; write it as /5"
            with pytest.raises(DataError, match=says):
                decode(older + tail)
    assert decode(fifth + rescued).rescue == Rescue(rung="oracle", of="a", given="try 7")
    assert encode(decode(fifth + b"}")) == HEAD + b"}", "the first version that has all keys"


@pytest.mark.parametrize("name", ["told", "neutral", "helped"])
def test_what_a_teacher_or_helper_says_lines_up_with_sampled_tokens(name):
    with pytest.raises(AlignmentError, match=f"{name}: got 1 values; expected one per sampled"):
        encode(of(ModelStep(token_ids=(1, 2), **{name: (-1.0,)})))
    with pytest.raises(AlignmentError, match="token_ids: null; expected the ids"):
        encode(of(ModelStep(text="ab", **{name: (-1.0, -2.0)})))
