// Which attempts were helped where all others failed: by what, from which failure, at what cost.

const rescues = report.rescues || null;
const rescueAt = new Map(rescues ? rescues.k.map((k, n) => [k, n]) : []);
const RUNG_WORDS = {
  prefix: "went on from the first turns of an earlier success",
  handicap: "went on from the first turns of an earlier failure",
  feedback: "went on behind an error message of the world",
  wrong_answers: "was told which answers are wrong",
  critique: "was told of the first mistake of a failure",
  self_hint: "was told a hint that the policy wrote itself",
  oracle: "was told a right hint, or went on from the first turns of a solution",
  relabel: "was given the goal that it did reach",
};
const rungWords = (rung) => (Object.hasOwn(RUNG_WORDS, rung) ? RUNG_WORDS[rung] : null);
const COST_WORDS = [["tokens", "token"], ["calls", "call"], ["scoring_forwards", "scoring forward"]];

/** Returns what the index has of a helped attempt: `{ rung, of, goal, tokens, ... }`; null of others. */
function rescueOf(k) {
  const n = rescueAt.get(k);
  return n === undefined ? null : Object.fromEntries(Object.entries(rescues).map(([name, column]) => [name, column[n]]));
}

const helpedBadge = (k) => {
  const found = rescueOf(k);
  return found && [badge(`helped: ${words(found.rung)}`, "helped", rungWords(found.rung)), " "];
};

const attemptLink = (k) => [square(k), " ", h("a", { href: toTrajectory(k) }, data(T.id[k] || "(no name)"))];

/** Says what something cost: "1,204 tokens, 3 calls"; what was not counted is left out. */
function costText(found) {
  const parts = COST_WORDS.filter(([name]) => found[name]).map(([name, one]) => plural(found[name], one));
  if (parts.length) return parts.join(", ");
  return COST_WORDS.some(([name]) => found[name] === 0) ? "nothing more" : "not counted";
}

/** Returns what the head of an attempt says of help: what it got, or what was made of it. */
function rescueBox(k, record) {
  const made = rescues ? rescues.k.filter((_, n) => rescues.of[n] === k) : [];
  const found = rescueOf(k);
  const then = made.length > 0 && h("div", { class: "rescue" }, h("p", {}, "Made from this one:"),
    h("ul", {}, made.map((each) => h("li", {}, attemptLink(each), " ", helpedBadge(each), outcomeWord(each)))));
  if (!found || !record.rescue) return then;
  const { rung, of, given, goal } = record.rescue;
  const from = found.of !== null && found.of !== undefined ? ["made from ", attemptLink(found.of)]
    : of ? ["made from ", data(of), ", which this log does not hold"] : ["made from its group as a whole"];
  return h("section", { class: "rescue", "aria-label": "Help" },
    h("p", {}, badge(`helped: ${words(rung)}`, "helped"), " ", rungWords(rung) && `It ${rungWords(rung)}; `, from, ". ", `Cost: ${costText(found)}.`),
    goal && h("p", {}, "Its goal was changed to: ", data(goal)),
    given && h("div", { class: "given" }, h("p", { class: "note" }, "Given to it, and never trained:"), longText(given, 300)), then);
}
