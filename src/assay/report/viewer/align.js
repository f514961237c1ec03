// Which step of one attempt is the same as which step of another.

/** Returns pairs [i, j] of a longest common subsequence; `same(i, j)` is 0 (no) or a weight. */
function alignment(n, m, same) {
  const best = Array.from({ length: n + 1 }, () => new Float64Array(m + 1));
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      const weight = same(i, j);
      best[i][j] = Math.max(best[i + 1][j], best[i][j + 1], weight ? weight + best[i + 1][j + 1] : 0);
    }
  }
  const pairs = [];
  let i = 0;
  let j = 0;
  while (i < n && j < m) {
    const weight = same(i, j);
    if (weight && best[i][j] === weight + best[i + 1][j + 1]) pairs.push([i++, j++]);
    else if (best[i][j] === best[i + 1][j]) i++;
    else j++;
  }
  return pairs;
}

const MOST_STEPS = 400; // beyond, the square of it takes too long

/** Weight of two steps being the same: equal calls much, two steps of mere text a little. */
function sameStep(a, b) {
  if (a.key && a.key === b.key) return 4;
  return !a.key && !b.key ? 1 : 0;
}

/**
 * Returns, per member, the column of each of its steps, such that equal calls share a column.
 * All members are aligned to the longest successful one (or the longest, if none passes).
 */
function columnsOf(members) {
  const long = members.map((m) => m.steps.length);
  let model = 0;
  members.forEach((m, i) => {
    const better = m.passed === members[model].passed ? long[i] > long[model] : m.passed;
    if (better) model = i;
  });
  const base = members[model].steps;
  const width = new Array(base.length + 1).fill(0); // extra columns before each step of the model
  const pairsOf = members.map((m, i) => {
    if (i === model || Math.max(m.steps.length, base.length) > MOST_STEPS) return null;
    const pairs = alignment(m.steps.length, base.length, (a, b) => sameStep(m.steps[a], base[b]));
    let before = -1;
    let last = -1;
    for (const [a, b] of [...pairs, [m.steps.length, base.length]]) {
      width[b] = Math.max(width[b], a - before - 1 - Math.max(0, b - last - 1));
      before = a;
      last = b;
    }
    return pairs;
  });
  const start = [];
  let at = 0;
  for (let b = 0; b <= base.length; b++) start.push((at += width[b] > 0 ? width[b] : 0) + b);
  return { width: start[base.length], columns: members.map((m, i) => placed(m, i === model ? null : pairsOf[i], start, i === model)) };
}

/** Puts steps between two aligned ones right after the earlier, where there is room for them. */
function placed(member, pairs, start, isModel) {
  if (isModel) return start.slice(0, -1);
  if (!pairs) return member.steps.map((_, i) => i);
  const columns = new Array(member.steps.length);
  let before = -1;
  let column = -1;
  for (const [a, b] of [...pairs, [member.steps.length, start.length - 1]]) {
    for (let i = before + 1; i < a; i++) columns[i] = ++column;
    if (a < member.steps.length) columns[a] = column = start[b];
    before = a;
  }
  return columns;
}
