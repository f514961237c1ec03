// What the agents said of themselves against what was verified.

const CELLS = [
  ["claimed_verified", "Said done, and it is", (k) => T.claim[k] === "claimed" && T.passed[k] === 1],
  ["claimed_failed", "Said done, and it is not", (k) => T.claim[k] === "claimed" && T.passed[k] === 0 && T.outcome[k] !== null],
  ["silent_verified", "Did not say so, and it is done", (k) => T.claim[k] !== "claimed" && T.passed[k] === 1],
  ["silent_failed", "Did not say so, and it is not", (k) => T.claim[k] !== "claimed" && T.passed[k] === 0 && T.outcome[k] !== null],
];

const SAID = [
  ["claimed", "Said it is done", (k) => T.claim[k] === "claimed"],
  ["admitted", "Said it is not done", (k) => T.claim[k] === "admitted"],
  ["none", "Said neither", (k) => T.claim[k] === "none"],
];

const toClaims = (cell) => to("claims", { cell });

pages.claims = (root, { params }) => {
  const claims = scoredAny ? report.audit.claims : report.audit.behaviour.claims;
  const cells = scoredAny ? CELLS : SAID;
  const first = cells[scoredAny ? 1 : 0];
  const chosen = cells.find(([name]) => name === params.get("cell"))
    || [first, ...cells].find(([name]) => claims[name] > 0) || first;
  const total = Math.max(1, cells.reduce((sum, [name]) => sum + (claims[name] || 0), 0));
  const cell = ([name, title]) => h("td", {}, h("a", { href: toClaims(name), class: `claim-cell ${name}`, "aria-current": name === chosen[0] ? "true" : null },
    h("b", {}, count(claims[name] || 0)), h("span", {}, title), h("small", {}, part(claims[name] || 0, total))));
  const found = T.id.map((_, k) => k).filter(chosen[2]);
  const links = h("ul", { class: "samples" });
  const shown = found.slice(0, 200);
  add(links, shown.map((k) => h("li", {}, square(k), h("a", { href: toTrajectory(k) }, data(T.id[k] || "(no name)")),
    h("small", {}, CLAIM_WORDS[T.claim[k]], " · ", plural(T.steps[k], "step"), " · ", h("a", { href: toGroup(T.group[k]) }, "group")))));
  add(root, [
    h("h1", {}, scoredAny ? "Claimed and verified" : "Claimed"),
    h("p", { class: "lede" }, "What the agent said of its own success in its last words",
      !scoredAny ? "; nobody scored any outcome." : ", against the outcome. ",
      scoredAny && claims.unscored ? `${plural(claims.unscored, "trajectory", "trajectories")} without an outcome are left out.` : "",
      course && [" ", h("a", { href: to("course") }, "See it over the run.")]),
    h("div", { class: "scroll" }, h("table", { class: "claims" }, h("caption", { class: "unseen" }, "Claims against outcomes"),
      scoredAny && h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "Verified"), h("th", { scope: "col" }, "Failed"))),
      !scoredAny ? h("tbody", {}, h("tr", {}, SAID.map(cell)))
        : h("tbody", {}, h("tr", {}, h("th", { scope: "row" }, "Claimed"), cell(CELLS[0]), cell(CELLS[1])),
          h("tr", {}, h("th", { scope: "row" }, "Silent"), cell(CELLS[2]), cell(CELLS[3]))))),
    h("h2", {}, chosen[1]),
    found.length ? links : h("p", { class: "plain" }, "No trajectory is in this cell."),
    found.length > shown.length && h("p", { class: "note" }, `and ${count(found.length - shown.length)} more`),
  ]);
  return { move: (by) => moveFocus([...links.querySelectorAll("li > a")], by), up: to("waste") };
};
