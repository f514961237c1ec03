// What if: two methods on the same steps, where their signs differ and where most else.

const MOST_DIFFERENCES = 12;

/** Returns the method that the address sets beside the chosen one, or null. */
function besideMethod() {
  const asked = methods.get(route.params.get("beside"));
  return asked && asked !== currentMethod() ? asked : null;
}

/** Returns the choice of a second method; a report with one method has none. */
function besideChoice() {
  if (methods.size < 2) return null;
  const chosen = besideMethod();
  const choice = h("select", { id: "beside", "aria-label": "What if another method gave the credit", on: { change: () => {
    setParams({ beside: choice.value });
    say(choice.value ? `${choice.value} beside ${currentMethod().name}` : "one method");
    show({ keepPlace: true }).then(() => $("beside").focus({ preventScroll: true }));
  } } }, h("option", { value: "" }, "another"),
    report.methods.filter((each) => each !== currentMethod()).map((each) => h("option", { value: each.name }, each.name)));
  choice.value = chosen ? chosen.name : "";
  return h("label", { class: "beside" }, `What if: ${currentMethod().name} or `, choice);
}

/** Returns the truth of a step in few words, as a cell. */
const truthCell = (found) => h("span", {}, verdictSign(found), ` ${found.advantage === null ? VERDICT_WORDS.unscored : signed(found.advantage) + between(found)}`);

/**
 * Returns `{ entry, a, b, gap, opposite }` of steps that both methods credit, opposite signs first,
 * then by size: credit over the method's scale, which is where its colours end.
 */
function differences(entries, [first, second]) {
  const found = [];
  let single = 0;
  for (const entry of entries) {
    const [a, b] = entry.values;
    if (a === null || b === null) {
      single += a === b ? 0 : 1;
      continue;
    }
    found.push({ entry, a, b, gap: a / first.scale - b / second.scale, opposite: a * b < 0 });
  }
  found.sort((x, y) => y.opposite - x.opposite || Math.abs(y.gap) - Math.abs(x.gap));
  return { found, single };
}

/** Returns the section about two methods. `entries`: `{ name, href, values }`, and perhaps `truth`. */
function whatIf(entries, pair) {
  const { found, single } = differences(entries, pair);
  const opposite = found.filter((each) => each.opposite).length;
  const other = found.filter((each) => Math.abs(each.gap) > 1e-6);
  const known = entries.some((entry) => entry.truth);
  const row = ({ entry, a, b, opposite: parted }) => [
    h("a", { href: entry.href }, data(entry.name)),
    ...[a, b].map((x, i) => h("span", { class: `value ${shade(x, pair[i].scale)}` }, signed(x))),
    parted ? badge("opposite signs", "other") : "", ...(known ? [entry.truth || ""] : [])];
  const head = ["Step", `#${pair[0].name}`, `#${pair[1].name}`, "", ...(known ? ["Replayed"] : [])];
  const box = h("div", {});
  const put = (most) => clear(box, table("Steps where two methods differ", head, other.slice(0, most).map(row), "what-if"),
    most < other.length && h("button", { type: "button", class: "more", on: { click: () => put(other.length) } }, `Show all ${count(other.length)}`));
  put(MOST_DIFFERENCES);
  return section(`${pair[0].name} or ${pair[1].name}`, whatIfSentence(found.length, opposite, other.length, single), other.length > 0 && box);
}

function whatIfSentence(total, opposite, differing, single) {
  const alone = single ? ` ${plural(single, "step")} only one of them credits.` : "";
  if (!total) return `No step is credited by both.${alone}`;
  if (!differing) return `Divided by the scale of each, their credit of all ${plural(total, "step")} is the same.${alone}`;
  const signs = opposite ? `Their signs differ at ${count(opposite)} of ${plural(total, "step")}` : `Their signs differ at none of ${plural(total, "step")}`;
  return `${signs}; ${opposite ? "these come first, then" : "first come"} the largest differences, credit divided by the scale of its method, where its colours end.${alone}`;
}
