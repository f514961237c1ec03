"""A gateway whose disk is full, and then has room again: `python -m tests.live.full_disk FOLDER`,
in a small file system of its own. Prints what became of its turns as JSON."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from assay.live.store import FILE, Store
from tests.live.running import running

TEXT = "x" * 20_000


def asked(client, number):
    """Asks once; returns the turn, why it is not trained on ("trainable": it is), the answer."""
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": f"{number} {TEXT}"}]
    )
    answer = raw.parse().choices[0].message.content
    return raw.headers["x-assay-turn"], raw.headers["x-assay-recorded"], answer


def main(folder: Path) -> None:
    filler = folder / "filler"
    filler.write_bytes(bytes(2 << 20))
    kept, lost, answers = list[str](), list[str](), set[str]()

    def more(client, most, until):
        for _ in range(most):
            turn, why, answer = asked(client, len(kept) + len(lost))
            answers.add(answer)
            (kept if why == "trainable" else lost).append(turn)
            if until(why):
                break

    with running(folder) as live:
        client = live.openai()
        more(client, 400, lambda why: why != "trainable")
        more(client, 5, lambda _: False)
        failing, before = live.store.why, len(kept)
        with Store.open(folder / "store", write=False) as reader:
            there_when_full = {seen.turn.id for seen in reader.turns()}
        filler.unlink()
        more(client, 40, lambda why: why == "trainable")
        more(client, 5, lambda _: False)
        kept_when_full = kept[:before]
    with Store.open(folder / "store", write=False) as reader:
        there = [seen.turn.id for seen in reader.turns()]
    with closing(sqlite3.connect(folder / "store" / FILE)) as db:
        check = db.execute("PRAGMA integrity_check").fetchone()[0]
    made = {
        "failing": failing,
        "answers": sorted(answers),
        "kept": len(kept),
        "lost": len(lost),
        "kept_after": len(kept) - before,
        "gone_when_full": len({*kept_when_full} - there_when_full),
        "gone": len({*kept} - {*there}),
        "twice": len(there) - len({*there}),
        "check": check,
    }
    print(json.dumps(made))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
