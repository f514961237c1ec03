// What a method says of each stretch of a trajectory, and of which terms that is the sum.

const reasonCodes = report.reasons;

/**
 * Returns the runs of a trajectory under a method, by model step and for prompts apart:
 * `{ step, call, role, length, start, value, fate }`, cut further where a value changes inside a run.
 */
function runsOf(shape, method) {
  const n = shape.runs.count;
  const column = (name) => unpack(shape.runs[name], n);
  const [step, call, role, length] = ["step", "call", "role", "length"].map(column);
  const fate = unpack(shape.fate, n);
  const given = shape.methods[method.name];
  const names = Object.keys(given.terms);
  const total = unpack(given.total === undefined ? given.terms[names[0]].part : given.total, n);
  const perUnit = total.length !== n;
  const credited = unpack(given.step, shape.steps.length);
  const runs = [];
  let start = 0;
  for (let r = 0; r < n; r++) {
    const run = { run: r, step: step[r], call: call[r], role: role[r], fate: fate[r] };
    if (run.step >= 0 && credited[run.step] === null) runs.push({ ...run, start, length: length[r], value: null }); // unscored: 0 in the sum is no value
    else if (!perUnit) runs.push({ ...run, start, length: length[r], value: total[r] });
    else cutByValue(run, start, length[r], total, runs);
    start += length[r];
  }
  return runs;
}

function cutByValue(run, start, length, total, runs) {
  let from = start;
  for (let i = start + 1; i <= start + length; i++) {
    if (i < start + length && total[i] === total[from]) continue;
    runs.push({ ...run, start: from, length: i - from, value: total[from] });
    from = i;
  }
}

/** Returns one number of a packed column at a run; columns are per run or per token (character). */
function at(packed, shape, run) {
  if (packed === null || typeof packed !== "object") return packed === undefined ? null : packed;
  const list = unpack(packed, shape.runs.count);
  return list.length === shape.runs.count ? list[run.run] : list[run.start];
}

/** Returns the terms that made the value of a run: part, value, what it was compared with. */
function termsOf(shape, method, run) {
  const given = shape.methods[method.name];
  return method.terms.map((term) => {
    const packed = given.terms[term.name];
    const compared = shape.compared[packed.compared] || {};
    const shown = { part: at(packed.part, shape, run) };
    for (const name of ["value", "baseline", "divisor", "peers", "weight"]) shown[name] = at(compared[name], shape, run);
    return { ...shown, name: term.name, taken: term.baseline, over: term.scale, sign: term.sign, cap: term.cap,
      weight: shown.weight === null ? term.weight : shown.weight };
  });
}

/** Says what was taken off a value: what it is called, and its number. */
function comparedWith(term) {
  if (term.taken === undefined || term.value === null) return "–";
  if (!term.taken) return "compared with nobody";
  if (term.baseline === null) return "no peers";
  return `minus ${term.taken}, ${num(term.baseline)}${term.peers ? ` (${plural(term.peers, "peer")})` : ""}`;
}

/** Says what happened to the difference, in order: divided, one side kept, bounded, weighted. */
function howScaled(term) {
  const how = [];
  if (term.over) how.push(`over ${term.over}${term.divisor === null ? "" : `, ${num(term.divisor)}`}`);
  if (term.sign && term.sign !== "both") how.push(`only where ${term.sign}`);
  if (term.cap) how.push(`at most ${num(term.cap)} either way`);
  if (term.weight !== undefined && term.weight !== 1) how.push(`times ${num(term.weight)}`);
  return how.join(", ");
}
