// What was said about a step from outside, and what it makes a teacher think of the step's tokens.

const SOURCE_WORDS = { env: "the environment", judge: "a judge", file: "a file", human: "a person" };
const NOT_TRAINED = ["masked", "copied", "drifted"];
const SHIFT_ENDS = 1; // nats of a token at which the colours end
const SHIFT_SUM_ENDS = 5; // of a step
const SHIFT_NONE = 0.005; // less than this either way is drawn as zero
const MOST_QUOTED = 2000; // characters of a quote that is looked for with any white space

/** Returns what hints of a step quote; an observation is quoted by the model step before it. */
function quotesAt(record, i) {
  for (let j = i - 1; j >= 0; j--) {
    if (record.steps[j].kind === "model") return (record.steps[j].hints || []).filter((hint) => hint.quote);
  }
  return [];
}

/** Returns `[start, end]` of a quote in a text, white space alike; null: it is not there. */
function placeOf(text, quote) {
  const at = text.indexOf(quote);
  if (at >= 0) return [at, at + quote.length];
  const pieces = quote.trim().split(/\s+/).map((piece) => piece.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  const found = quote.length <= MOST_QUOTED && pieces[0] ? new RegExp(pieces.join("\\s+")).exec(text) : null;
  return found && [found.index, found.index + found[0].length];
}

/** Returns where quotes stand, ascending; those that overlap are one. */
function quotedPlaces(text, hints) {
  const found = hints.map((hint) => placeOf(text, hint.quote)).filter(Boolean).sort((a, b) => a[0] - b[0]);
  return found.reduce((list, [start, end]) => {
    const last = list[list.length - 1];
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else list.push([start, end]);
    return list;
  }, []);
}

/** Returns a text that folds, what hints quote of it marked and in sight. */
function observed(text, folded, hints) {
  const places = hints.length ? quotedPlaces(text, hints) : [];
  if (!places.length) return longText(text, folded);
  const reach = Math.min(places[places.length - 1][1], MOST_SHOWN);
  const draw = (shown) => {
    const box = h("span", {});
    let at = 0;
    for (const [start, end] of places.filter(([begin]) => begin < shown.length)) {
      add(box, [shown.slice(at, start), h("mark", { class: "quoted", title: "a hint about the step before rests on this" }, shown.slice(start, end))]);
      at = end;
    }
    add(box, [shown.slice(at)]);
    return box;
  };
  return longText(text, Math.max(folded, reach), draw);
}

/** Returns the hints of a step as a box, by source, each with what it rests on. */
function hintsBox(step, i, record) {
  const hints = step.hints || [];
  if (!hints.length) return null;
  const after = [];
  for (let j = i + 1; j < record.steps.length && record.steps[j].kind !== "model"; j++) after.push(j);
  const rests = (hint) => {
    if (!hint.quote) return null;
    const there = after.find((j) => placeOf(record.steps[j].text || "", hint.quote));
    return h("p", { class: "note" }, "It rests on ", h("q", { class: "quoted data" }, hint.quote.slice(0, 300), hint.quote.length > 300 && "…"),
      there === undefined ? [" ", badge("not in what came next", "error", "the quote does not stand in the next state")] : ` in step ${there}.`);
  };
  const sources = [...new Set(hints.map((hint) => hint.source))];
  return h("div", { class: "hints" }, sources.map((source) => [
    h("p", { class: "strip-name" }, "Hint by ", Object.hasOwn(SOURCE_WORDS, source) ? SOURCE_WORDS[source] : data(source)),
    hints.filter((hint) => hint.source === source).map((hint) => [longText(hint.text, 600), rests(hint)])]));
}

/**
 * Returns what telling the hint changes, `{ values, over, sum, known }`, in nats per sampled token:
 * the teacher told the hint less the teacher told a neutral one; where no neutral one was scored,
 * less the policy's own. Of a step sampled with help that no teacher was asked about: with it, less
 * without.
 * Null: there is nothing to compare.
 */
function shiftOf(step) {
  const over = !step.told ? "help" : step.neutral ? "neutral" : "itself";
  const one = step.told || step.helped;
  const other = (step.told && step.neutral) || step.logprobs;
  if (!one || !other) return null;
  const values = one.map((value, n) => (value === null || (other[n] ?? null) === null ? null : value - other[n]));
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : { values, over, sum: known.reduce((sum, value) => sum + value, 0), known: known.length };
}

const nats = (x) => (Math.abs(x) < SHIFT_NONE ? "" : x > 0 ? "+" : "−") + Math.abs(x).toFixed(2);
const OVER_WORDS = {
  neutral: "less a neutral hint",
  itself: "less the policy by itself: no neutral hint was scored",
  help: "less the policy that reads it without",
};
const toldName = (shift) => (shift.over === "help" ? "Sampled with help" : "Told the hint");

const shiftSum = (shift) => h("span", { class: "told", title: `${toldName(shift)}, nats over the step, ${OVER_WORDS[shift.over]}` }, shift.over === "help" ? "helped " : "told ",
  h("span", { class: `value ${shade(shift.sum, SHIFT_SUM_ENDS)}` }, nats(shift.sum)));

/** Returns the tokens of a step in the colours of the shift, under a line that sums it up. */
function shiftStrip(step, i, shift, runs, pick) {
  const values = shift.values.filter((value) => value !== null);
  const n = (step.token_ids || []).length;
  const cells = [];
  const ranges = step.sampled || [[0, n]];
  let seen = 0;
  for (let t = 0; t < n; t++) {
    const own = ranges.some(([a, b]) => t >= a && t < b);
    const exact = own ? shift.values[seen++] ?? null : null;
    const value = exact !== null && Math.abs(exact) < SHIFT_NONE ? 0 : exact;
    cells.push({ run: -2, step: 0, call: -1, role: 0, fate: own ? 0 : -1, start: t, length: 1, value,
      said: own ? `token ${t}, ${value === null ? "not scored" : `${nats(exact)} nats`}` : `token ${t}, not sampled` });
  }
  const places = runs.reduce((list, run) => [...list, [run, list.length ? list[list.length - 1][1] + list[list.length - 1][0].length : 0]], []);
  const pickToken = (_, t) => {
    const found = places.find(([run, from]) => t >= from && t < from + run.length);
    if (unit === "tokens" && found) pick(found[0], found[0].start + t - found[1]);
  };
  return h("div", { class: "shift" }, h("p", { class: "strip-name" }, `${toldName(shift)}: `,
    h("b", {}, `${nats(shift.sum)} nats`), ` over ${plural(shift.known, "token")}, ${nats(values.reduce((a, b) => Math.min(a, b)))} to ${nats(values.reduce((a, b) => Math.max(a, b)))} a token, `,
    OVER_WORDS[shift.over]),
  n > 0 && tokenStrip(cells, SHIFT_ENDS, pickToken, `what the hint changes in step ${i}`));
}

/** Returns the whole attempt as one bar of shifts, where any step has one. */
function shiftOverview(record, view, chosen) {
  const shifts = view.shape.steps.map((step) => shiftOf(record.steps[step.index]));
  const name = shifts.filter(Boolean).map(toldName)[0];
  return name && [h("p", { class: "strip-name" }, `${name}, nats of each step`),
    overview(view.shape, view.runsOfStep, shifts.map((shift) => shift && shift.sum), SHIFT_SUM_ENDS, chosen, name.toLowerCase())];
}
