// Who was helped where all others failed: by what, from which failure, at what cost. A number of
// the log is `k`; of a record that a run keeps beside it, `other`.

const rescues = report.rescues || { k: [], other: [], group: [] };
const others = report.others || { id: [], group: [], helped: [] };
const rescueRows = rescues.k.map((_, n) => Object.fromEntries(Object.entries(rescues).map(([name, column]) => [name, column[n]])));
const rescueAt = new Map(rescueRows.filter((row) => row.k !== null).map((row) => [row.k, row]));
const rescueBeside = new Map(rescueRows.filter((row) => row.k === null).map((row) => [row.other, row]));
const RUNG_WORDS = {
  prefix: "went on from the first turns of an earlier success",
  handicap: "went on from the first turns of an earlier failure",
  feedback: "went on behind an error message of the world",
  wrong_answers: "was told which answers are wrong",
  critique: "was told of the first mistake of a failure",
  self_hint: "was told a hint that the policy wrote itself",
  oracle: "was told a right hint, or went on from the first turns of a solution",
  relabel: "was given the goal that it did reach",
  scaffold: "read part of the rubric under its task",
};
const rungWords = (rung) => (Object.hasOwn(RUNG_WORDS, rung) ? RUNG_WORDS[rung] : null);
const COST_WORDS = [["tokens", "token"], ["calls", "call"], ["scoring_forwards", "scoring forward"]];

const helpBadge = (rung) => badge(`helped: ${words(rung)}`, "helped", rungWords(rung));
const helpedBadge = (k) => rescueAt.has(k) && [helpBadge(rescueAt.get(k).rung), " "];

/** Says how many of a group's attempts with help passed: ", with help 1 of 2"; "" where none was helped. */
function withHelp(g) {
  const helped = G.members[g].filter((k) => rescueAt.has(k));
  return helped.length ? `, with help ${count(helped.filter((k) => T.passed[k]).length)} of ${count(helped.length)}` : "";
}

/** Returns where an attempt is and what came of it, whether it is of the log or beside it. */
function attemptAt(k, other) {
  if (k !== null && k !== undefined) return { href: toTrajectory(k), name: T.id[k], grade: outcomeClass(k), outcome: T.outcome[k], passed: T.passed[k], helped: rescueAt.has(k) };
  return { href: to(`other/${other}`), name: others.id[other], grade: gradeOf(others.outcome[other], others.passed[other]), outcome: others.outcome[other], passed: others.passed[other], helped: rescueBeside.has(other) };
}

const gradeSquare = ({ grade, helped }) => h("i", { class: `square ${grade}${helped ? " helped" : ""}`, "aria-hidden": "true" });
const attemptLink = ({ href, name, ...more }) => [gradeSquare(more), " ", h("a", { href }, data(name || "(no name)"))];

/** Adds up what some rows cost; what nobody counted stays null. */
const costOf = (rows) => Object.fromEntries(COST_WORDS.map(([name]) => {
  const known = rows.map((row) => row[name]).filter((x) => x !== null);
  return [name, known.length ? known.reduce((sum, x) => sum + x, 0) : null];
}));

/** Says what something cost: "1,204 tokens, 3 calls"; what was not counted is left out. */
function costText(found) {
  const parts = COST_WORDS.filter(([name]) => found[name]).map(([name, one]) => plural(found[name], one));
  if (parts.length) return parts.join(", ");
  return COST_WORDS.some(([name]) => found[name] === 0) ? "nothing more" : "not counted";
}

/** Returns what the head of an attempt says of help: what it got, and what was made of it. */
function rescueBox(found, record, made) {
  const then = made.length > 0 && h("div", { class: "rescue" }, h("p", {}, "Made from this one:"),
    h("ul", {}, made.map((row) => attemptAt(row.k, row.other)).map((each, n) => h("li", {}, attemptLink(each), " ", helpBadge(made[n].rung), " ", GRADE_WORDS[each.grade]))));
  if (!found || !record.rescue) return then;
  const { rung, of, given, goal } = record.rescue;
  const from = found.of !== null || found.of_other !== null ? ["made from ", attemptLink(attemptAt(found.of, found.of_other))]
    : of ? ["made from ", data(of), ", which this log does not hold"] : ["made from its group as a whole"];
  return h("section", { class: "rescue", "aria-label": "Help" },
    h("p", {}, helpBadge(rung), " ", rungWords(rung) && `It ${rungWords(rung)}; `, from, ". ", `Cost: ${costText(found)}.`),
    goal && h("p", {}, "Its goal was changed to: ", data(goal)),
    given && h("div", { class: "given" }, h("p", { class: "note" }, "Given to it, and never trained:"), longText(given, 300)), then);
}

const madeFrom = (k) => rescueRows.filter((row) => row.of === k);

/** Returns links to the attempts at a group that lie beside the log. */
function besideGroup(g) {
  const list = others.id.map((_, x) => x).filter((x) => others.group[x] === g).map((x) => attemptAt(null, x));
  return list.length > 0 && h("p", { class: "note linked" }, "Beside these, and not trained: ", list.map(linkedSquare));
}

const linkedSquare = (each) => h("a", { href: each.href, "aria-label": `${each.name}, ${GRADE_WORDS[each.grade]}`, title: each.name }, gradeSquare(each));

// An attempt that is not in the log: its steps, without credit.
pages.other = async (root, { index: x }) => {
  if (x === null || x >= others.id.length) return notThere(root, "attempt");
  const record = await recordAt(others.chunk[x], others.slot[x]);
  const here = attemptAt(null, x);
  const found = rescueBeside.get(x);
  const view = { shape: { steps: [] }, record, errors: new Set(), pick: () => {}, scale: 1, about: { evidence: [], correct: [] }, runs: [] };
  add(root, [
    crumbs([["Dead groups", to("dead")], [G.id[others.group[x]] || "(no name)", toGroup(others.group[x])]]),
    h("div", { class: "trajectory-head" }, h("h1", {}, "Attempt ", data(others.id[x] || "(no name)")),
      h("p", { class: "lede" }, gradeSquare(here), ` ${GRADE_WORDS[here.grade]} · `, found ? "a try that is not among those trained" : "its place in the group was taken by a rescued attempt", "; no method credits it"),
      rescueBox(found, record, rescueRows.filter((row) => row.of_other === x)), aboutRecord(record)),
    h("div", { class: "cards" }, record.steps.map((step, i) => stepCard(step, i, view))),
  ]);
  return { move: (by) => moveFocus([...root.querySelectorAll(".card")], by), up: toGroup(others.group[x]) };
};
