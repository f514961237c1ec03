"""How failures are worded: what is read of an answer whose form does not say how the call ended.

`BEGINS` (of lower case) and `BEGINS_CASED` are beginnings that only failures have, whatever
follows. `FAILS` are predicates of a failure ("does not exist", "has been denied"): these count in
the first line of a short answer alone, since a page or a file may say them of anything. They ask
for lower case where a title has capitals ("Cannot Stop Running").
"""

import re
from typing import Final

_NOT_A_TITLE = r"(?!\s*(?:an?|the|how|why|what|\d+)\s)"

_OWN_WORD = rf"""
    # a tool's own word; "Errors: 0" and "Error handling: a guide" are no errors
    (?:<\w+>\s*){{0,3}}<(?:tool_(?:use_)?|system_)?(?:error|exception)> |
    <\w+[^>\n]*\s(?:is_?error=["']?true|status=["']?(?:error|failed|refused|rejected|denied)) |
    \[(?:\w+\s)?errors?\](?![^\n]*\s@\shttps?://) |
    (?:authentication|authori[sz]ation|permission|login)\s(?:is\s)?required\s*[:.] |
    \[[\w\s]{{1,30}}\s(?:rejected|refused|failed)\] | \#+\serror\s*\n |
    \#+\sresult\s*\nerror:\s | usage:(?:[^\n]*\n){{1,4}}?error:\s |
    errors?\s*(?:\Z|\n(?!\w+\s*(?:\n|\Z))) | error\[\w+\]: | error\s\d{{4}}: |
    error\scode:?\s-?[1-9] |
    error\ (?!handling|logging|reporting|tracking|messaging)
        (?:\w+ing|in|on|while|when|during|from|occurred)\s |
    \[(?:errno|winerror)\s-?\d+\] | <urlopen\serror\s |
    errors?\s?(?:-?\d+:?\s)?(?:\(\w+\)\s?)?:(?<!s:)
        (?!\s*(?:0|none|null|nil|\[\s*\])\s*(?:\Z|[\n,;.]))(?!\s\w+\[)(?![\w.]+:\S) |
    errors:(?!\s*(?:0|none|null|nil|\[\s*\])\s*(?:\Z|[\n,;.]))(?:[^\S\n]*\S|\s*\n\s*[-*\d]) |
    (?:[\w/>-]+\s){{1,2}}error(?:\s-?\d+)?:(?!\s*-?\d+(?:\.\d+)?\s*(?:\Z|\n)) |
    (?:an\s(?:\w+\s)?)?error\s(?:has\s)?occurred | something\swent\swrong\b |
    (?:there\swas|encountered|got|raised|received)\san?\s(?:\w+\s)?(?:error|exception|problem)\s |
    (?:unhandled|uncaught)\s\(?\w*(?:error|exception|rejection) |
    (?:invalid|illegal|unsupported|unrecogni[sz]ed|malformed)\s
        (?:[`'"][^`'"\n]{{1,60}}[`'"]\s|\w+\s){{0,2}}\w+\s*(?:!|\.\s*\Z|:{_NOT_A_TITLE}|\s['"`]) |
    (?:invalid|unknown|unsupported|illegal|unrecogni[sz]ed|unexpected|missing|malformed|bad)\s
        (?:[`'"][^`'"\n]{{1,60}}[`'"]\s|\d+\s|(?:required|positional|keyword|json|api|
            input)\s){{0,3}}
        (?:tool|function|argument|param(?:eter)?|action|call|command|input|move|path|option|column|
        table|key|selector|index|url|syntax|credentials?|token|request|operation|query|predicate|
        method|format|json|identifier|field|date|value|type|switch|flag|api|expression|regex|
        database|host|object|keyword|property|attribute|end\sof|eof|indent|character|literal|node|
            operand|locale|load\skey|start\sbyte)s?\b
        (?!\s(?:is|are|was|were|and|or|errors?|handling|types?|lists?|in\sthe)\b) |
    <?\w+>?\(\)\s(?:got|missing|takes)\s | expected\s['"] | badly\sformed\s |
    while\s(?:parsing|scanning)\s |
    [^\n]{{0,80}}\bline\s\d+,?\scol(?:umn)?\s\d+(?:\s\(char\s\d+\))?\s*\Z | https?connectionpool\( |
    wrong\s(?:number|type|format|password|arguments?)\b | sorry[,.!]\s |
    (?:your|the|that)\s(?:\w+\s)?(?:action|command|tool|call)\sis\s(?:invalid|not\s) |
    tool\s\S+\s(?:(?:is\s)?not\s(?:found|available)|does\snot\sexist|failed) |
    (?:access|permission)\s(?:is\s)?denied(?:\s*(?:\Z|[.!\n])|:\s['"/]|\s[-(]|
        \sfor\s\w+\s\w+\s*\Z) |
    (?:(?:the\s)?(?:\w+\s)?(?:command|tool|request|operation|execution)\s)?timed\sout\b |
    timeout(?:\serror|\sexpired|\sexceeded|:|\s*\Z) | (?:failure|abort):\s |
    (?:request|query|parse|assertion|execution|compilation|evaluation|validation|navigation|build|merge|
        automatic\smerge|authentication|fetch)\sfailed\b |
    (?:killed|terminated|aborted)\s*(?:\Z|:\s\d) |
    connection\s(?:refused|reset|aborted|timed) |
    \[?(?:command|process)\s(?:was\s)?(?:killed|terminated)\b |
    \d+\svalidation\serrors?\sfor\s |
    # a harness about the turn itself
    no\s[\w\s]{{1,30}}\s(?:was\s|were\s)?found\sin\syour\s |
    your\s(?:\w+\s)?(?:output|response|reply|answer|message)\s(?:was|is|did|does|could|must)\s
        (?:not|only|contain|have)\b | (?:please\s)?(?:always\s)?provide\sexactly\s |
    (?:unauthori[sz]ed|forbidden|bad\srequest|not\sfound|not\sconnected|not\sauthenticated|internal
        \sserver\serror|service\sunavailable|network\serror|access\sforbidden)\s*
        (?:[.!]?\s*\Z|:{_NOT_A_TITLE}\s)"""

_EDITOR = r"""
    (?:\#\s)?\d+\ssearch/replace\sblocks?\sfailed |
    no\s(?:replacements?|edits?|changes?)\s(?:(?:was|were)\s(?:performed|made|applied)|to\smake) |
    edit\s(?:was\s)?(?:rejected|refused)\b |
    nothing\swas\s(?:changed|replaced|edited) | your\s(?:proposed\s)?edit\shas\sintroduced |
    (?:old|new)_?(?:string|str|text)\s[^.\n]{0,60}\b(?:same|identical|not\sfound|empty) |
    (?:string|text)\sto\sreplace\s(?:was\s)?not\sfound | search\sblock\sfailed |
    no\sfile\s(?:is\s)?open | (?:this\s|the\s)?file\s(?:was|has\sbeen)\s\w+\ssince\s |
    found\s\d+\smatches\sof\sthe\s(?:old\s)?(?:string|text) | patch:\s\*{4} |
    apply_patch\s(?:verification\s)?failed | (?:hunk|edit|patch)\s(?:\#?\d+\s)?failed"""

_PROGRAMS = r"""
    ls|cat|cp|mv|rm|mkdir|rmdir|touch|chmod|chown|ln|find|grep|rg|sed|awk|
    sort|head|tail|wc|cut|tr|tar|unzip|zip|gzip|curl|wget|ssh|scp|rsync|git|
    make|gcc|cc|ld|python|python3|pip|pip3|node|npm|npx|yarn|pnpm|cargo|rustc|
    go|java|javac|docker|kubectl|apt|apt-get|dpkg|psql|mysql|sqlite3|sudo|su|
    env|xargs|tee|diff|patch|date|seq|expr|split|base64|openssl|dd|merge|file|
    jq|perl|ruby|php|kill|mount|ping|nc|ffmpeg|conda|pytest|cmake|timeout|cd|
    source|stat|realpath|readlink|open|tsc|eslint"""

_PROGRAM = rf"""
    # stack traces
    traceback\s\(most\srecent | node:internal/ | file\s"[^"\n]+",\sline\s\d | panic:\s |
    goroutine\s\d+\s\[ |
    -{{20,}}\s*\n\w+\s+traceback\s\(most | \w+(?:error|exception)\s+traceback\s\(most |
    exception(?::(?!\s*none)|\sin\sthread) | thread\s'[^'\n]*'\spanicked |
    segmentation\sfault | bus\serror\b | stack\soverflow\s*\Z | out\sof\smemory\b |
    \(?[\w.]+\.err(?:ors)?\.\w+(?::|\)\s) | code\sexecution\sfailed |
    runtime\serror\s(?:on|at|in)\s |
    [\w./-]+:\d+:in\s | undefined\s(?:function|variable|reference|symbol|method|local)\b |
    # shells and programs: "PROGRAM: ...: what the system said"
    fatal:\s | command\snot\sfound | -?(?:[\w./]*/)?(?:ba|z|da|k|fi|a)?sh:\s | make:\s\*\*\* |
    npm\serr(?:or\b|!) | curl:\s\( | ssl:\s | conflict\s\( |
    (?:usage:[^\n]*\n(?:\s[^\n]*\n)*)?[^\s:]+:(?:\d+:)*\s(?:fatal\s)?error\b[^\n:]*: |
    [\w./-]+\(\d+,\d+\):\s(?:fatal\s)?error\b |
    [\w./-]+:\d+:\d+:\s(?:undefined|expected|cannot|syntax|missing|no|imported|declared)\b |
    [\w./+-]+:\s\s?[^\n]*?(?:no\ssuch\sfile\sor\sdirectory|permission\sdenied|(?:is|not)\sa\s
        directory|command\snot\sfound|connection\srefused|missing\s[\w\ ]+|file\sexists|operation\s
        not\spermitted|not\sspecified[^\n]*|no\sspace\sleft\son\sdevice|directory\snot\sempty|
            no\smodule\snamed\s\S+|
        read-only\sfile\ssystem|broken\spipe|resource\sbusy|no\sroute\sto\shost)\s*(?:\Z|\n) |
    (?:{_PROGRAMS})(?:\s\(\w+\))?:\s\s?(?!warning)(?:[^\n:]*[:,]\s)?[^\n]{{0,80}}\b(?:cannot|can't|
        could\s
        not|unable|no\ssuch|is\snot|not\s(?:found|a)|invalid|unknown|unrecogni[sz]ed|illegal|
            missing|
        failed|denied|error|unexpected|too\smany|extra\soperand|unterminated|unmatched|required|bad|
        unsupported|must|only|does\snot|not\ssomething|exiting)\b |
    (?!(?:status|state|name|title|note|type|result|answer|value|label|reason|message):)[\w./+-]+:\s
        (?:'[^'\n]*':\s)?(?:invalid|unrecogni[sz]ed|illegal|missing|cannot|can't|could\snot|unable|
        no\ssuch|no\smatching|unknown\soption|extra\soperand|too\smany|not\sa)\s\S |
    [^\s:]+:\sin\s(?:function|member|constructor)[^\n]*\n[^\n]*\berror: |
    # databases
    near\s"[^"\n]*":\ssyntax\serror | ora-\d+: | msg\s\d+,\slevel\s1[1-9] | sqlstate\[ |
    \d{{4}}\s\(\w{{5}}\):\s | \w+\sconstraint\sfailed | duplicate\s(?:key|entry)\s |
    you\shave\san\serror | deadlock\s(?:found|detected) | cancel+ing\sstatement |
    ambiguous\scolumn | misuse\sof\s\w+: |
    incorrect\s(?:syntax|integer|number|padding|format|password|usage) | incomplete\sinput |
    datatype\smismatch | lock\swait |
    # HTTP
    http\s(?:status|error)\s[45]\d\d\b |
    (?:get|head|post|put|patch|delete)\s\S+\s(?:[-=]+>\s)?[45]\d\d\b |
    (?:client|server)\serror\s['"(]?[45]\d\d |
    (?:<!doctype\shtml>\s*)?<html>\s*<head>\s*<title>[45]\d\d\s | <h1>[45]\d\d\s |
    (?:api\serror:\s)?[45]\d\d:?\s(?:client\serror|server\serror|bad\srequest|unauthori[sz]ed|
        forbidden|not\sfound|method\snot|conflict|too\smany|internal\sserver|bad\sgateway|
        service\sunav|gateway\st)(?!:\s\w+\s\w+\s\w+\s\w+\s\w) |
    upstream\sconnect\serror | max\sretries\sexceeded | socket\shang\sup | getaddrinfo\s |
    (?:\w+\s)?(?:rate|usage|quota)\slimit(?:ed)?\s(?:was\s|has\sbeen\s)?(?:exceeded|reached|hit) |
    too\smany\srequests | (?:time|memory|output|quota|recursion)\slimit\sexceeded |
    message:\sno\ssuch |
    # games
    nothing\shappen(?:s|ed)\.?\s*(?:\Z|\n) |
    i\s(?:do\snot|don't|did\snot|didn't|only)\s(?:understand|understood|know\s(?:the\sword|how)|
        recogni[sz]e|see) | (?:huh|pardon|i\sbeg\syour\spardon)\b[?.!,] |
    you\s(?:can't|can\snot|cannot|don't|do\snot|didn't|aren't|are\snot|have\sto|must\sfirst|
        need\sto|are\sunable|are\salready)\s | that(?:'s|\sis)\snot\s(?:a|an|your|something)\s |
    it(?:'s|\sis)\snot\s(?:your\sturn|clear\swhat\syou) | there\sis\sno\sexit\b |
    ambiguous\s(?:request|command):"""

_LAST_LINE = rf"""e:\s | error:\s(?:no|could|failed|cannot|unable)\s | curl:\s\(\d |
make(?:\[\d+\])?:\s\*\*\* | collect2:\serror | fatal:\s |
    (?:{_PROGRAMS})(?:\s\(\w+\))?:\s\s?(?!warning)[^\n]*\b(?:cannot|could\snot|unable|no\ssuch|
        not\sfound|invalid|unrecogni[sz]ed|failed|denied|not\srecoverable)\b"""
ENDS: Final = re.compile(_LAST_LINE, re.VERBOSE)
"""Matched where the last line begins, in lower case: what a shell's last command said."""

BEGINS: Final = re.compile("|".join((_OWN_WORD, _EDITOR, _PROGRAM)), re.VERBOSE)
"""Matched where a text begins, in lower case."""

BEGINS_CASED: Final = re.compile(
    r"""(?:[Ff]ailed\sto|[Uu]nable\sto|[Cc]ould\snot|[Cc]ouldn't|[Cc]annot|[Cc]an't)\s[a-z] |
    [Nn]o\ssuch\s(?!luck|thing)\w | (?:net::)?(?:ERR_|E[A-Z]{4,}:) | E:\s | FATAL:?\s+\w+: |
    (?:[\w$]+\.)*[A-Z]\w*(?:Error|Exception|Fault|Interrupt|Exit)(?:\s*(?:\Z|\n)|:|\(['"]|\s\[) |
    (?:[a-z]\w*\.)+exceptions\.\w+:\s | Code:\s\d+\.\s[\w:]*Exception\b |
    (?:[Pp]age|[Ll]ocator|[Ff]rame|[Kk]eyboard|[Mm]ouse|[Bb]rowser\w*|\w+Handle)\.\w+:\s |
    CMake\sError\b |
    [A-Z][\w-]+\s:\s[A-Z][^\n]*\b(?:not|[Cc]annot)\s""",
    re.VERBOSE,
)
"""Matched where a text begins, as it is written."""

FAILS: Final = re.compile(
    rf"""\b(?:(?:do(?:es)?|did|could|was|were|has|have|is|are)(?:\snot|n't)\s(?:been\s)?(?:exist|
            match|conform|appear|compile|parse|support|contain\sthe|recogni[sz]ed?|found|applied|
            performed|executed|loaded|saved|opened|changed|defined|declared|implemented|installed|
            connected|running|authori[sz]ed|permitted|allowed|valid|callable|visible|enabled|
            reachable|provided|given|specified|supplied|clickable|interactable|read\syet|respond|
            (?:an?\s)?(?:valid|legal|absolute|known|recogni[sz]ed|directory|function|file|number|
            member|supported|regular)|\w+ed\sas\s)\b |
        (?:cannot|can't|can\snot|could\snot|couldn't)\sbe\s\w+ |
        (?:could\snot|couldn't|unable\sto|(?<!you\s)failed\sto)\s[a-z] |
        (?:cannot|can't)\s(?:find|open|read|write|access|connect|resolve|parse|load|create|delete|
            remove|move|apply|convert|import|assign|divide|overwrite|modify|locate|reach|perform|
            execute|run|use|call|add|update)\b |
        (?<!\b\d\d\d\s)(?:not\s(?:found|recogni[sz]ed|permitted|authori[sz]ed|authenticated|connected|
            implemented|supported|executable))\s*(?:[.!;]?\s*\Z|[.!]\s|:{_NOT_A_TITLE}\s|
            \s-\s|\s(?:in|by|for|on|because|due|as|from|when)\b) |
        (?<!are\s)(?:denied|rejected|refused|disallowed|interrupted|declined|blocked|aborted)\s*
            (?:[.!;]?\s*\Z|[.!]\s|:{_NOT_A_TITLE}\s|\s-\s|\s(?:because|due\sto)\b|\sby\s(?:the\s|
                your\s)?
            (?:user|server|host|remote|peer|policy|operator|admin|system|hook|sandbox|robots)) |
        (?:tool|action|command|function|option|model|method)\s(?:\S+\s)?(?:is\s)?not\savailable |
        (?<!\d\s)(?<!nothing\s)(?<!none\s)(?<!you\s)(?<!may\shave\s)(?:failed|
            crashed)(?:[.!;]?\s*\Z|[:;]\s|
            \s(?:to(?=\s[a-z])|with|at|because|due|while|for)\s) |
        (?:is|are|was|were)\s(?:required|missing|locked|read-?only|invalid|unavailable|undefined|
            unreachable|unauthori[sz]ed|incorrect|ambiguous|disabled|closed\sby)\b(?!,)\s*
            (?:[.!:;]|\Z|\s(?:for|before|in)\s) |
        (?:temporarily|currently)\s(?:unavailable|locked|disabled|down) |
        already\s(?:exists|taken|in\suse|registered|defined|occupied|running)\b |
        has\sno\s(?:attribute|column|property|method|member|field)\b |
        expected\s\S+(?:\s\w+)?,?\s(?:but\s)?(?:got|found|received|was)\b |
        timed\sout\b | (?:[Tt]imeout|limit|quota|retries|budget)\s(?:\S+\s)?(?:exceeded|reached) |
        (?:token|session|key|certificate|password|link)\s(?:has\s|is\s)?expired\b |
        exceed(?:s|ed)\s(?:the\s)?(?:\w+\s)*(?:limit|maximum|size|quota)\b |
        is\sa\sdirectory\sand\sonly\b | appears\sto\shave\s(?:died|crashed) |
        (?:file|input|payload|response|output|request|query|prompt|message)\s(?:is\s)?too\s
            (?:large|long|big|short) |
        too\s(?:many|few)\s(?:arguments|open|redirects|values|columns|levels|connections|tokens) |
        (?:must|should)\s(?:not\sbe|be\s(?:an?\s(?:integer|number|string|list|valid|absolute|
            positive)|less|greater|smaller|larger|unique|within|one\sof|between|positive|in\s|
                of\s)|have\sits|
            start\swith|contain\sonly|provide|specify|supply|appear) |
        only\s\S+\s(?:\S+\s)?(?:are|is)\s(?:allowed|permitted|supported) |
        unexpected\s(?:keyword|token|end|eof|indent|character|symbol|argument|status) |
        missing\s(?:\d+\s)?required | positional\sarguments?\sbut |
        (?:validation|syntax|parse|protocol|internal|server|connection|network|integrity)\serrors?\b
            (?!\s*[:=]\s*(?:0|none)\b) | violat(?:es|ion|ed)\b | mismatch\b |
            un(?:terminated|balanced|matched)\b | non-?zero\s(?:exit|return) |
        not\s(?:iterable|callable|subscriptable|hashable|in\slist|serializable|
            json\sserializable)\b |
        (?:died|terminated|exited)\sunexpectedly\b |
        codec\scan't | domain\serror | not\sdefined\sfor | (?:is|was)\san\sempty\s |
        must\s(?:match|be\s(?:integers|strings|numbers|real)|have\sthe\ssame|have\ssame) |
        (?:number|integer|string)\sis\srequired, |
        requires\s(?:an?\s|at\sleast|exactly|approval|authentication|login) |
        not\san?\s(?:\w+\s)?(?:file|archive|directory|repository|database)\b |
        no\selement\sfound | from\sempty\s |
        can\sonly\s(?:concatenate|join|be)\b | has\sno\slen |
        (?:status|returned|responded\swith|http)\s(?:code\s)?:?\s?[45]\d\d\b |
        E(?:CONN|NO|ACC|PERM|TIMED|PIPE|EXIST|ISDIR)[A-Z]*\b |
        (?:syntax|incorrect)\s(?:\w+\s)?near\b | please\s(?:try\sagain|make\ssure) |
        (?:connection|session|socket|browser|page|target)\s(?:\w+\s){{0,3}}(?:closed|lost|crashed)
            (?:[.!]?\s*\Z|[:;]|\s(?:by|before|unexpectedly)) |
        (?:closed|lost|dropped)\sthe\sconnection |
        no\s(?:element|tab|file|module|tool|action|handler|command|key|known|matching|valid|such|
            open|running|active|more\stries)\s(?:\w+\s){{0,3}}(?:match(?:es)?|with|named|open|here|
            index|for|called|actions?|selected)\b |
        there\s(?:is|are)\sno\s[\w\s]+\s(?:here|to\s\w+|by\sthat\sname)\s*[.!]?\s*\Z |
        resolved\sto\s\d+\selements | intercepts?(?:ed)?\b[^.]*click | click\sintercepted |
        (?:detached|outside)\s(?:from|of)\sthe\s(?:dom|viewport|page|workspace) |
        out\sof\s(?:memory|range|bounds|space)\b | (?:insufficient|not\senough)\s\w+ |
        read-?only\s(?:database|file) | (?:division|divided?|modulo)\sby\szero |
        permission\sdenied\b(?!\s\w) | access\sdenied\s-\s |
        occurrences?\sfound\sfor | appears\s0\stimes |
        undefined\s(?:method|reference|variable|function|symbol) | core\sdumped |
        doesn't\swant\sto\sproceed |
        forbidden\s*(?:[.!:]|\Z) | database\sis\slocked )""",
    re.VERBOSE,
)
"""Searched for in the first line of a short text, its first letter in lower case."""

_FAIL_WORDS = """
    aborted access already ambiguous appears blocked bounds budget can cannot closed codec core
    crashed currently declined defined denied detached disabled disallowed domain dropped eacces
    econnrefused econnreset eexist eisdir empty enoent enotfound enough eperm epipe died directory
    error errors etimedout exceed exceeded exceeds expected expired failed forbidden has http
    incorrect
    insufficient intercept intercepted intercepts interrupted invalid limit locked lost memory
    mismatch missing must near no nonzero not occurrence occurrences only outside permission
    please positional quota range readonly refused rejected required requires resolved responded
    retries returned should space status t temporarily timed timeout too unable unauthorised
    unauthorized unavailable unbalanced undefined unexpected unexpectedly unmatched unreachable
    unterminated violated violates violation zero
"""
FAIL_WORDS: Final = frozenset(_FAIL_WORDS.split())
"""`FAILS` asks for one of these words: to see that none is there is ten times quicker."""

_DONE = r"""(?:run|sent|made|done|written|built|taken|kept|put|set|paid|moved|saved|created|changed|
    charged|booked|cancell?ed|deleted|removed|updated|applied|executed|performed|processed|fetched|
    loaded|started|opened|closed|installed|published|submitted|uploaded|downloaded|added|merged|
    carried\sout|completed|accepted|modified|replaced)"""

UNDONE: Final = re.compile(
    rf"""\b(?:(?:nothing|no\s(?:\w+\s){{1,2}})\s?(?:was|were|has\sbeen|have\sbeen)\s{_DONE}\b |
        (?:was|were|has|have)\s(?:therefore\s)?not\s(?:been\s)?{_DONE}\b |
        (?:\w{{3,}}\s)not\s(?:moved|processed|performed|executed|carried\sout|fetched|sent)\b |
        did\snot\s(?:happen|move|run|take\splace|go\sthrough|complete)\b |
        (?:is|are|stays?|remains?|left)\sunchanged\b |
        (?:was|were|been)\s(?:discarded|refused|rejected|rolled\sback) |
        (?:rejected|refused)\sbefore\s | stays\s(?:shut|closed|locked)\b | (?:gave|given)\sup\s |
        no\s[^;\n]*;\snothing\sto\s\w+\s*[.!]?\s*\Z |
        did\snot\sfind\b | you\smust\s[^.\n]*\sbefore\s | you\swould\shave\sto\s |
        found\s\d+\s(?:occurrences|matches)\b[^.\n]*\bexpected\b |
        (?:^|[.;]\s)no\s(?:open|active|selected)\s\w+\s*(?:[.;]|\Z) |
        (?:is|are)\sfull\.\s )""",
    re.VERBOSE | re.IGNORECASE,
)
"""Searched for in a whole short answer: what was asked did not happen."""

UNDONE_SIGNS: Final = (
    "not",
    "Not",
    "no ",
    "No ",
    "nothing",
    "Nothing",
    "unch",
    "discarded",
    "refused",
    "rejected",
    "rolled",
    "stays",
    "given up",
    "gave up",
)
"""`UNDONE` asks for one of these."""
