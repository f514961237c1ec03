"""Did the agent say that it was done? About the agent's words, never about the world."""

import re
from collections.abc import Iterable

from assay.records import Claim, ModelStep, Step

# The patterns read lower case, contractions written out ("can't" as "can not").
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CLAUSE = re.compile(
    r"""[\s"*);,](?:(?<=[.!?]\s)\s* | (?<=[.!?]["*)])["*)]*\s+ | (?<=\n)\n* | (?<=;)\s+ |
        (?<=,)\s+(?=(?:would|do|shall|could|should)\s))""",
    re.VERBOSE,
)
"""Where one clause ends. Each way to end begins with one of a few characters, so that `re` tries
the ways at these alone."""
_OPEN = re.compile(
    r"""\b(?:if|unless|once|when|whenever|until|till|whether|in\scase|as\ssoon\sas|must|should|
        would|will|shall|going\sto|about\sto|let\s(?:me|us)|please(?!\snote)|to\sconfirm)\b |
        \b(?:after|before)\b(?![^,]*,)""",
    re.VERBOSE,
)
"""What follows one of these inside a clause is not said to be so."""
_BUT = re.compile(r"\b(?:but|however|unfortunately|regrettably|sorry|afraid|although|except)\b")
_ADVERB = r"(?:(?:now|also|already|just|all|both|successfully|fully|hereby|each|yet)\s+)*"
_IRREGULAR = r"built|done|made|met|paid|(?:re)?wrote|sent|set\sup|taken\scare\sof|(?:re)?written"
_DID = rf"""(?:(?!(?:ask|assum|believ|call|check|click|decid|delay|encounter|expect|hop|identif|
    intend|locat|look|mention|navigat|ne|notic|observ|open|plann?|purchas|receiv|request|retriev|
    review|scroll|search|start|tri|typ|us|visit|want)\w{{0,3}}ed\b)\w+ed | {_IRREGULAR})\b"""
_RESULT = rf"""(?:(?:add|appli|book|cancell?|chang|charg|complet|correct|creat|credit|delet|deploy|
    download|exchang|fix|implement|insert|install|issu|merg|modifi|mov|process|refund|remov|replac|
    resolv|sav|schedul|solv|submitt|updat|upgrad|upload)ed | {_IRREGULAR})\b"""
_NOT_THEN = r"""(?!\s+(?:if|when|once|only|unless|until|within|more|less|over|on|yesterday|
    by\sthe\s(?:airline|seller|store|user|customer))\b)"""
_CLAIMED = re.compile(
    rf"""\b(?:(?:i|we)\s(?:have\s)?{_ADVERB}(?:(?:went|gone)\sahead\sand\s)?{_DID} |
        ha(?:s|ve)\s{_ADVERB}been\s{_ADVERB}{_DID} | w(?:as|ere)\s{_ADVERB}{_RESULT}{_NOT_THEN} |
        (?:is|are)\s{_ADVERB}(?:booked|cancell?ed|complete|completed|confirmed|done|finished|fixed|
            green|paid|resolved|satisfied|solved|taken\scare\sof)\b{_NOT_THEN} |
        (?:task|request|job|work|issue|bug|implementation|refactoring|fix|exchange)\s
            (?:complete|completed|done|finished|satisfied|fixed|resolved)\b |
        all\s(?:set|done|\d*\s?(?:tests|checks)\spass)\b | successfully\s(?!and)\w+(?:ed|t|n)\b |
        (?:tests|checks)\s(?:(?:now|all|have|are)\s)*(?:pass|passed|passing|succeed)\b |
        now\s(?:handles?|loads|passes|returns|runs|works)\b | works\s(?:now|correctly)\b |
        we\scan\s(?:now\s)?conclude\sth | answer\sis\b | boxed\{{ )""",
    re.VERBOSE,
)
_CLAIMED_FIRST = re.compile(
    r"""\W*(?:(?:done|fixed|completed|finished|solved|resolved|implemented|success)\s*(?:[.!:]|\Z) |
        terminate\W*\Z | (?:final\s)?(?:answer|sql|result)\W*:\W*\w | final\sanswer\b) |
        \#{4}\s*\S | .*<answer>\s*\S""",
    re.VERBOSE,
)
_ADMITTED = re.compile(
    r"""\b(?:(?:i|we)\s(?:\w+\s)?(?:can|could|will)\snot\b |
        (?:i|we)\s(?:(?:am|are|was|were|have|been|remain|still|also|simply|currently)\s)*(?:unable |
            failed\sto|give\sup|ran\sout\sof|not\s(?:been\s)?(?:able|allowed|permitted|sure))\b |
        (?:i|we)\s(?:do\snot\s(?:know|have|understand)|(?:did|have)\snot\s\w) |
        (?:i|we)\s(?:have|had|lack|see)\s(?:no|the)\s(?:way|access|permission|tool|means) |
        only\sable\b |
        (?:being|been|am)\stransferred\b | (?:am|are|now)\stransferring\b |
        i\swill\s(?:now\s)?transfer\syou\b |
        have\stransferred\syou\b | handing\s(?:you|this)\sover | agent\swill\stake\sover |
        (?:got|am)\sstuck\b )""",
    re.VERBOSE,
)
_ADMITTED_FIRST = re.compile(r"\W*(?:unable|failed)\sto\b")
_FAILED = re.compile(
    rf"""\b(?:(?:can|could|may)\s(?:not|no\slonger)\s(?:\w+\s)?be\b |
        (?:w(?:ill|ould)\s)?not\s(?:\w+\s)?(?:possible|eligible|allow(?:ed)?|permit(?:ted)?|work|
            handled|compile|load|let\sme)\b |
        not\s(?:yet\s)?(?:been\s)?{_DID} |
        no(?:thing|ne)?\b(?!\s(?:errors?|issues?|problems?|discrepanc))[^,]{{0,40}}\s
            (?:was|were|has\sbeen|have\sbeen)\s(?:found|{_RESULT}) |
        incomplete\b | impossible\b | unsuccessful\b | unsolved\b | unresolved\b |
        can\sonly\b | nothing\s(?:more|else)\si\scan | unclear\b | only\spartial(?:ly)?\b |
        keeps\sfailing\b |
        (?:tests|checks)\s(?:still\s)?fail\b | request\swas\s(?:denied|rejected|declined)\b |
        still\s(?:fails?|failing|broken|not)\b |
        (?:step|payment|request|attempt|download|upload|search|build|installation)\sfailed\b )""",
    re.VERBOSE,
)
"""Rules and failures: an admission where nothing else is claimed, or after a "but"."""
_TELLING = frozenset(
    b"""agent answer built complete conclude done fail fix give green had handing have impossible
    incomplete keeps lack made met no none not nothing now only paid pass passes passing ran result
    rewrote rewritten see sent set sql still stuck succeed success successfully taken terminate
    transfer transferring unable unclear unsuccessful works written wrote""".split()
)
"""Every pattern asks for one of these words, for one in -ed, or for ####: most clauses have none,
and to see that is twenty times quicker than to try the patterns."""
_WORDS = bytes(c if chr(c).isalnum() or c == ord("_") else 32 for c in range(128)) + b" " * 128
"""Of lower case in UTF-8: what parts words becomes a space."""
_WRITTEN_OUT = (
    *(("\u2019", "'"), ("can't", "cannot"), ("cannot", "can not"), ("won't", "will not")),
    *(("n't", " not"), ("'m ", " am "), ("'ve ", " have "), ("'ll ", " will "), ("'d ", " would ")),
)
_LAST, _LONGEST = 3, 2000
"""How many of the last texts are read (agents say goodbye after saying that they are done), and how
much of each: its beginning and its end."""


def claim_of(steps: Iterable[Step]) -> Claim:
    """Returns what the agent said of its own success in its last three texts.

    The latest text that says either decides; inside it, "I could not" outweighs "I have", and "I
    have" outweighs "bags cannot be removed". Questions, offers, plans and conditions say nothing. A
    regular expression reads words: whether they are true is for the outcome to say, and the audit
    prints the two side by side. What was copied into the trajectory, as the examples in a prompt,
    is not its agent's word. Measured in tests/verify/test_claims.py: it finds every claim and four
    of five admissions of real support dialogues, and about three of four in free wording.
    """
    own = (step for step in steps if type(step) is ModelStep and step.untrainable != "copied")
    texts = [step.text for step in own if step.text]
    for text in reversed(texts[-_LAST:]):
        if (said := _said(text)) != "none":
            return said
    return "none"


def _said(text: str) -> Claim:
    """Returns what one text says; code in it says nothing."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n{text[-_LONGEST // 2 :]}"
    text = _CODE.sub("\n", text).lower().strip()
    for short, long in _WRITTEN_OUT:
        text = text.replace(short, long)
    if not _telling(text):
        return "none"
    claimed = failed = False
    for clause in _CLAUSE.split(text):
        if clause.endswith("?") or not _telling(clause):
            continue
        if _ADMITTED_FIRST.match(clause) or _stated(_ADMITTED, clause):
            return "admitted"
        if _stated(_FAILED, clause):
            if _BUT.search(clause):
                return "admitted"
            failed = True
        elif not claimed:
            claimed = _CLAIMED_FIRST.match(clause) is not None or _stated(_CLAIMED, clause)
    if claimed:
        return "claimed"
    return "admitted" if failed and not text.endswith("?") else "none"


def _telling(text: str) -> bool:
    """Returns whether any pattern can match: if not, none does."""
    words = (text.encode("utf-8", "replace") + b" ").translate(_WORDS)
    return b"ed " in words or not _TELLING.isdisjoint(words.split()) or "####" in text


def _stated(pattern: re.Pattern[str], clause: str) -> bool:
    """Returns whether the pattern occurs with nothing before it that leaves it open."""
    found = pattern.search(clause)
    return found is not None and _OPEN.search(clause, 0, found.start()) is None
