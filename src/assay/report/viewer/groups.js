// The table of groups: sorted, filtered, of any length.

const ROW = 44;
const COLUMNS = [
  ["id", "Group", (g) => g, ""],
  ["fate", "Fate", (g) => Object.keys(GROUP_WORDS).indexOf(G.fate[g]), ""],
  ["outcomes", "Outcomes", null, ""],
  ["passed", "Passed", (g) => (G.scored[g] ? -G.passed[g] / G.scored[g] : 1), "n", "Attempts that passed, of those with an outcome"],
  ["steps", "Steps", (g) => -stepsOf(g), "n wide"],
  ["signal", "Signal", (g) => -signalOf(g), "", "Mean absolute advantage of what was written, by the method chosen above"],
  ["punished", "Punished correct", (g) => -G.punished[g], "n", "Calls that evidence says are right, with an advantage below 0 under GRPO"],
];

const stepsOf = (g) => G.members[g].reduce((sum, k) => sum + T.steps[k], 0) / G.members[g].length;
const signalOf = (g) => G.signal[currentMethod().name][g] || 0;

function chosenGroups(params) {
  const fate = params.get("fate");
  const wanted = (params.get("q") || "").toLowerCase();
  const column = COLUMNS.find(([name]) => name === params.get("sort")) || COLUMNS[0];
  const back = params.get("down") ? -1 : 1;
  const found = [];
  for (let g = 0; g < G.id.length; g++) {
    if (fate && G.fate[g] !== fate) continue;
    if (wanted && !G.id[g].toLowerCase().includes(wanted) && !G.task[g].toLowerCase().includes(wanted)) continue;
    found.push(g);
  }
  if (column[2]) {
    const key = new Map(found.map((g) => [g, column[2](g)]));
    found.sort((a, b) => back * (key.get(a) - key.get(b)) || a - b);
  }
  return found;
}

pages.groups = (root, { params }) => {
  const method = currentMethod();
  const most = Math.max(1e-12, ...G.signal[method.name].map((x) => x || 0));
  const box = h("div", { role: "rowgroup" });
  const shown = h("p", { class: "note", role: "status" });
  const head = h("div", { class: "row head", role: "row" });
  let found = [];
  let list = null;
  let at = -1;

  const row = (i) => groupRow(found[i], i, most, i === at);
  function refill() {
    found = chosenGroups(params);
    at = -1;
    clear(box);
    if (list) list.stop();
    list = virtualRows(box, found.length, ROW, row);
    list.update();
    clear(shown, found.length === G.id.length ? plural(found.length, "group")
      : `${count(found.length)} of ${plural(G.id.length, "group")}`, found.length === 0 && ": nothing fits this filter");
    clear(head, COLUMNS.map((column) => headCell(column, params, refill)));
  }
  const grid = h("div", { class: creditsAny ? "grid" : "grid quiet", role: "table", "aria-label": "groups", "aria-rowcount": G.id.length + 1 },
    h("div", { role: "rowgroup" }, head), box);
  add(root, [h("h1", {}, "Groups"), filters(params, refill), shown, G.id.length > 0 ? grid : h("p", { class: "plain" }, "There is no group in this set.")]);
  return {
    placed: () => (refill(), performance.mark("assay:groups")),
    move(by) {
      if (!found.length) return;
      at = Math.max(0, Math.min(found.length - 1, at + by));
      const link = list.reveal(at).querySelector("a");
      link.focus({ preventScroll: true });
    },
    find: () => $("filter").focus(),
    up: to("waste"),
  };
};

function headCell([name, title, key, kind, why], params, refill) {
  const sorted = (params.get("sort") || "id") === name;
  const down = Boolean(params.get("down"));
  const sort = () => {
    setParams({ sort: name === "id" ? null : name, down: sorted && !down ? "1" : null });
    refill();
    $("sort-" + name).focus();
  };
  return h("div", { role: "columnheader", title: why, class: kind + " c-" + name, "aria-sort": sorted && key ? (down ? "descending" : "ascending") : null },
    key ? h("button", { id: "sort-" + name, type: "button", on: { click: sort } }, title, sorted && h("span", { "aria-hidden": "true" }, down ? " ↑" : " ↓")) : title);
}

function filters(params, refill) {
  const text = h("input", { id: "filter", type: "search", placeholder: "Group or task", "aria-label": "Filter by group or task", value: params.get("q") || "",
    on: { input: () => (setParams({ q: text.value }), refill()) } });
  const present = Object.keys(GROUP_WORDS).filter((fate) => G.fate.includes(fate));
  const chips = [["", "All"], ...present.map((fate) => [fate, groupName(fate)])].map(([fate, name]) => {
    const chip = h("button", { type: "button", class: "chip", "aria-pressed": String((params.get("fate") || "") === fate), on: { click: () => {
      setParams({ fate });
      for (const each of chips) each.setAttribute("aria-pressed", String(each === chip));
      refill();
    } } }, name);
    return chip;
  });
  return h("div", { class: "filters" }, text, h("div", { class: "chips", role: "group", "aria-label": "Fate" }, chips));
}

/** Returns how many passed of those with an outcome, and how many have none. */
function passes(g) {
  if (!G.scored[g]) return "–";
  const unscored = G.sessions[g] - G.scored[g];
  return [`${G.passed[g]} / ${G.scored[g]}`, unscored > 0 && h("small", {}, `${count(unscored)} unscored`)];
}

function groupRow(g, i, most) {
  const cell = (name, kind, ...inside) => h("div", { role: "cell", class: `${kind} c-${name}` }, inside);
  const same = G.task[g] === G.id[g];
  return h("div", { class: "row", role: "row", "aria-rowindex": i + 2 },
    cell("id", "", h("a", { href: toGroup(g), title: G.id[g] }, data(G.id[g] || "(no name)")), !same && h("small", { class: "data" }, G.task[g])),
    cell("fate", "", fateBadge(G.fate[g])),
    cell("outcomes", "", squares(g)),
    cell("passed", "n", passes(g)),
    cell("steps", "n wide", num(stepsOf(g))),
    cell("signal", "", h("span", { class: "measure" }, bar(signalOf(g) / most), num(signalOf(g)))),
    cell("punished", "n", G.punished[g] ? count(G.punished[g]) : h("span", { class: "faint" }, "0")));
}
