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
  const runs = [];
  let start = 0;
  for (let r = 0; r < n; r++) {
    const run = { run: r, step: step[r], call: call[r], role: role[r], fate: fate[r] };
    if (!perUnit) runs.push({ ...run, start, length: length[r], value: total[r] });
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
    return { ...term, part: at(packed.part, shape, run), value: at(compared.value, shape, run), peers: at(compared.peers, shape, run),
      mean: at(compared.mean, shape, run), given: at(compared.baseline, shape, run) };
  });
}

function comparedWith(term) {
  if (term.given !== null) return `given baseline ${num(term.given)}`;
  if (term.peers) return `mean ${num(term.mean)} of ${plural(term.peers, "peer")}`;
  return term.baseline === undefined || term.value === null ? "–" : "nobody";
}

function howScaled(term) {
  const how = [];
  if (term.baseline && term.baseline !== "none") how.push(`minus ${{ loo: "the others’ mean", given: "the baseline" }[term.baseline] || term.baseline}`);
  if (term.scale && term.scale !== "none") how.push(`over ${term.scale === "std" ? "the deviation" : "the " + term.scale}`);
  if (term.weight !== undefined && term.weight !== 1) how.push(`times ${num(term.weight)}`);
  return how.join(", ");
}
