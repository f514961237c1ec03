// Groups in which every attempt failed without help: what was tried on each, what came of it.

const MOST_DEAD = 40;
const FATES_OF_DEAD = {
  rescued: ["Rescued", "an attempt with help passed"],
  relabelled: ["Another goal", "a failure was set as a success at the goal that it did reach"],
  vain: ["Tried in vain", "no attempt with help passed"],
  untried: ["Nothing tried", "nobody helped"],
};

/** Returns `{ g, rows, fate, alone }` of each dead group. */
function deadGroups() {
  const rowsOf = new Map(report.dead.map((g) => [g, []]));
  const alone = new Map(report.dead.map((g) => [g, []]));
  for (const row of rescueRows) rowsOf.get(row.group)?.push(row);
  others.id.forEach((_, x) => others.helped[x] || alone.get(others.group[x])?.push(attemptAt(null, x)));
  return report.dead.map((g) => {
    const rows = rowsOf.get(g);
    const own = G.members[g].filter((k) => !rescueAt.has(k)).map((k) => attemptAt(k));
    const passed = rows.filter((row) => attemptAt(row.k, row.other).passed);
    const fate = rows.length === 0 ? "untried" : !passed.length ? "vain" : passed.every((row) => row.goal) ? "relabelled" : "rescued";
    return { g, rows, fate, alone: [...own, ...alone.get(g)] };
  });
}

pages.dead = (root, { params }) => {
  const all = deadGroups();
  const total = G.id.length;
  const of = (...fates) => all.filter((each) => fates.includes(each.fate)).length;
  const tried = all.length - of("untried");
  add(root, [h("h1", {}, "Dead groups")]);
  if (!all.length) {
    add(root, [h("p", { class: "plain" }, "In no group of two or more did every attempt fail.")]);
    return { up: to("waste") };
  }
  const spent = costOf(all.flatMap((each) => each.rows));
  add(root, [
    (report.trouble || []).map((line) => h("p", { class: "plain trouble", role: "alert" }, data(line))),
    h("p", { class: "lede" }, `In ${count(all.length)} of ${plural(total, "group")} every attempt without help failed: ${comparing(all)}. `,
      tried === 0 ? "Nothing was tried on any." : `Help was tried on ${count(tried)}, and ${plural(of("rescued"), "group was", "groups were")} rescued${of("relabelled") ? `; ${count(of("relabelled"))} more at another goal` : ""}. Cost of it: ${costText(spent)}.`),
    rescueRows.length > 0 && rungSection(all),
    deadSection(all, params.get("fate")),
  ]);
  const links = () => [...root.querySelectorAll(".dead-list tbody th a")];
  return { move: (by) => moveFocus(links(), by), up: to("waste") };
};

/** Says what comparing the attempts of dead groups teaches: nothing, where no outcome differs. */
function comparing(all) {
  const apart = all.filter(({ alone }) => new Set(alone.map(({ outcome }) => outcome).filter((x) => x !== null)).size > 1).length;
  return apart ? `in ${count(apart)} outcomes below a pass differ, comparing the others teaches nothing` : "comparing them teaches nothing";
}

/** Returns the kinds of help among some rows, in the order of the ladder, strange ones last. */
const rungsOf = (rows) => {
  const seen = new Set(rows.map((row) => row.rung));
  return [...new Set([...Object.keys(RUNG_WORDS).filter((rung) => seen.has(rung)), ...seen])];
};

function rungSection(all) {
  const rows = all.flatMap((each) => each.rows);
  const later = rungsOf(rows).some((rung) => lastOf(`rescue/${rung}/later`) !== null);
  return section("What each way of helping brought",
    "Success with help is not yet success: what counts is whether the task is solved without help later.",
    table("Ways of helping", ["Help", "#Groups", "#Attempts", "#Passed", "#Tokens", "#Tokens a success", ...(later ? ["#Later, alone"] : [])], rungsOf(rows).map((rung) => {
      const mine = rows.filter((row) => row.rung === rung);
      const passed = mine.filter((row) => attemptAt(row.k, row.other).passed).length;
      const { tokens } = costOf(mine);
      const elsewhere = passed > 0 && mine.every((row) => row.goal);
      return [h("span", { class: "kind" }, h("span", {}, data(words(rung)), h("small", {}, rungWords(rung) || ""))), count(new Set(mine.map((row) => row.group)).size),
        count(mine.length), [count(passed), elsewhere && h("small", {}, " another goal")], tokens === null ? "–" : count(tokens), tokens === null || !passed ? "–" : count(Math.round(tokens / passed)), ...(later ? [h("span", { title: "passes without help at the visit after it had rescued a task" }, percent(lastOf(`rescue/${rung}/later`)))] : [])];
    }), "rungs"));
}

function deadSection(all, asked) {
  const chosen = Object.hasOwn(FATES_OF_DEAD, asked || "") ? asked : "";
  const order = Object.keys(FATES_OF_DEAD);
  const found = all.filter((each) => !chosen || each.fate === chosen).sort((a, b) => order.indexOf(a.fate) - order.indexOf(b.fate) || a.g - b.g);
  const chip = (fate, name) => h("a", { class: "chip", href: to("dead", { fate }), "aria-current": fate === chosen ? "true" : null }, name);
  const kinds = Object.keys(FATES_OF_DEAD).filter((fate) => all.some((each) => each.fate === fate));
  const box = h("div", { class: "dead-list" });
  const head = ["Group", "Without help", "Tried", "Came of it", "#Cost"];
  const put = (most) => clear(box, table("Dead groups", head, found.slice(0, most).map(deadRow)),
    most < found.length && h("button", { type: "button", class: "more", on: { click: () => put(found.length) } }, `Show all ${count(found.length)}`));
  put(MOST_DEAD);
  return section("Group by group", null, kinds.length > 1 && h("div", { class: "chips verdicts", role: "group", "aria-label": "What came of it" },
    chip("", "All"), kinds.map((fate) => chip(fate, `${FATES_OF_DEAD[fate][0]} (${count(all.filter((each) => each.fate === fate).length)})`))), box);
}

function deadRow({ g, rows, fate, alone }) {
  const own = alone.slice(0, 16);
  return [
    [h("a", { href: toGroup(g) }, data(G.id[g] || "(no name)")), !G.id[g].endsWith(G.task[g]) && h("small", { class: "data below" }, G.task[g])],
    h("span", { class: "squares linked" }, own.map(linkedSquare),
      alone.length > own.length && h("small", {}, `+${alone.length - own.length}`)),
    rows.length ? rungsOf(rows).map((rung) => triedLine(rung, rows.filter((row) => row.rung === rung))) : couldBeTried(g),
    badge(FATES_OF_DEAD[fate][0].toLowerCase(), `dead-${fate}`, FATES_OF_DEAD[fate][1]),
    rows.length ? costText({ tokens: costOf(rows).tokens }) : "–",
  ];
}

const missingAt = new Map(report.missing);

/** Says what could be tried on a group that nobody helped, and what the log lacks for the rest. */
function couldBeTried(g) {
  const said = missingAt.get(g) || {};
  const lacks = rungsOf(Object.keys(said).map((rung) => ({ rung }))).map((rung) => [rung, said[rung]]);
  if (!lacks.length) return "nothing";
  const able = lacks.filter(([, why]) => why === null).map(([rung]) => words(rung));
  const rest = lacks.filter(([, why]) => why !== null);
  return [h("div", {}, able.length ? [h("small", {}, "could be tried: "), data(able.join(", "))] : h("small", {}, "nothing could be tried with what the log holds")),
    rest.length > 0 && h("details", {}, h("summary", {}, h("small", {}, able.length ? "and for the others it lacks" : "it lacks")),
      h("ul", { class: "lacks" }, rest.map(([rung, why]) => h("li", {}, data(words(rung)), h("small", {}, ": ", data(why))))))];
}

const triedLine = (rung, rows) => h("div", { class: "tried" }, h("span", { title: rungWords(rung) }, data(words(rung))), " ",
  h("span", { class: "squares linked" }, rows.map((row) => linkedSquare(attemptAt(row.k, row.other)))));
