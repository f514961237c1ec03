// What attempts read of a skill bank: what each skill did, where it is from, what became of it.

const skills = report.skills || null;
const USED_WORDS = {
  helps: "together the skills help",
  harms: "together the skills do harm",
  unclear: "whether they help is not clear: the interval holds 0",
  untold: "whether they help is not known: chance showed nothing or held nothing back",
};
const STATUS_WORDS = { active: "active", candidate: "candidate", unknown: "not in this bank", retired: "retired" };
const STATUS_ORDER = Object.keys(STATUS_WORDS);
const RESTS_SHOWN = 2;
const RETIRED_WORDS = {
  harm: "where it was shown, surely less passes than where chance held it back",
  unused: "no task asked for it for too long",
  cap: "the bank was full, and it surely helped least",
  forgotten: "it rested on an attempt that was forgotten",
};
const STATUS_BADGES = { active: "dead-rescued", candidate: "", retired: "dead-vain", unknown: "" };

pages.skills = (root) => {
  add(root, [h("h1", {}, "Skills")]);
  if (!skills) {
    add(root, [h("p", { class: "plain" }, "No attempt of this log names a skill bank.")]);
    return { up: to("waste") };
  }
  add(root, [
    skills.trouble.map((line) => h("p", { class: "plain trouble", role: "alert" }, data(line))),
    h("p", { class: "lede" }, skillsLede()),
    banksSection(), skillSection(), skillsOverTime(),
  ]);
  return { move: (by) => moveFocus([...root.querySelectorAll("tbody a:not(details:not([open]) a)")], by), up: to("waste") };
};

function skillsLede() {
  const named = sumOf(skills.banks.filter(([name]) => name).map(([, n]) => n));
  const all = sumOf(skills.banks.map(([, n]) => n));
  if (!named) return `None of ${plural(all, "attempt")} names a bank.`;
  const effect = skills.help ? `Passes where a skill was shown less passes where chance held it back: ${pointsWithin(skills.help)}; ${USED_WORDS[skills.used]}.` : `${USED_WORDS[skills.used].replace(/^w/, "W")}.`;
  return `${count(named)} of ${plural(all, "attempt")} name a bank, ${count(skills.read)} read at least one skill. ${effect}${skills.unscored ? ` ${plural(skills.unscored, "attempt")} nobody scored: left out.` : ""}`;
}

/** Returns a share and the ends of its interval in points: +12.0 points [−3.0, +27.0]. */
const pointsWithin = ([value, low, high]) => `${points(value)} [${points(low).replace(" points", "")}, ${points(high).replace(" points", "")}]`;

/** Returns which banks attempts name; nothing where it is one, and the one that is shown. */
function banksSection() {
  const known = skills.banks.filter(([name]) => name);
  if (known.length < 2 && known.every(([, , version]) => version !== null && version === skills.version)) return null;
  return section("Banks", "A bank is never changed: a change is another version, and an attempt names the one that it read.",
    growing("Banks by attempts", ["Bank", "Version", "#Attempts"], known.map(([name, n, version]) => () => [
      h("code", { class: "data" }, name), version === null ? (skills.version === null ? "–" : h("small", {}, "none of the bank below")) : [version, version === skills.version && h("small", {}, " shown below")], count(n)]), "banks"));
}

function skillSection() {
  const { rows, left } = skills;
  const kinds = Object.keys(STATUS_WORDS).filter((status) => rows.some((row) => row.status === status));
  const tally = kinds.map((status) => [rows.filter((row) => row.status === status).length, status])
    .map(([n, status]) => (status === "candidate" ? plural(n, status) : `${count(n)} ${STATUS_WORDS[status]}`)).join(", ");
  const note = [skills.version === null ? "The bank is not beside this log, so that its skills are known by name alone: assay skills audit BANK --log LOG -o FOLDER shows what they say. "
    : h("span", {}, "Bank ", h("code", { class: "data" }, skills.bank), `, version ${skills.version}: ${tally || "empty"}. `),
  "Chance chose who is shown a skill that fits the task, so the difference is the skill’s doing. Of help each attempt weighs one over the probability of what chance chose, and one whose choice was certain nothing; outputs of one session count once. Small: 95 % intervals."];
  if (!rows.length) return section("Skill by skill", note, h("p", { class: "plain" }, "The bank holds no skill."));
  const order = [...rows].sort((a, b) => STATUS_ORDER.indexOf(a.status) - STATUS_ORDER.indexOf(b.status) || (b.shown + b.held) - (a.shown + a.held) || (a.id < b.id ? -1 : 1));
  return section("Skill by skill", note,
    growing("Skills", ["Skill", "State", "#Shown", "#Passed", "#Help", "#Fails where shown"], order.map((row) => () => [
      skillName(row), skillState(row), row.shown + row.held ? `${count(row.shown)} of ${count(row.shown + row.held)}` : "–",
      skillPassed(row), skillHelp(row), within(row.harm)]), "skills"),
    left > 0 && h("p", { class: "note" }, `${plural(left, "further skill")} that fewer attempts could read: assay skills audit names all.`));
}

const skillName = (row) => h("span", { class: "skill" }, data(row.principle || row.id), row.when && h("small", {}, "for: ", data(row.when)),
  h("small", {}, h("code", {}, data(row.id)), ` ${row.kind} `, row.category ? ["on ", data(row.category)] : row.status === "unknown" ? null : "on all tasks", row.writer && [", by ", data(row.writer)]), skillFrom(row));

function skillState({ status, why, trial }) {
  const tried = trial && (trial.pairs ? `${trial.admitted ? "admitted" : "not admitted"} by ${plural(trial.pairs, "pair")}: ${num(trial.told)} pass with it, ${num(trial.bare)} without` : "no task of the trial is like it");
  return [badge(STATUS_WORDS[status] || status, STATUS_BADGES[status]),
    why && h("small", { class: "below wraps" }, h("b", {}, data(why)), Object.hasOwn(RETIRED_WORDS, why) ? `: ${RETIRED_WORDS[why]}` : null),
    (tried || status === "active") && h("small", { class: "below wraps" }, tried || "without a trial")];
}

const skillPassed = (row) => [row.shown ? `${count(row.passed)} of ${count(row.shown)}` : "–", row.held > 0 && h("small", { class: "below" }, `held back ${count(row.held_passed)} of ${count(row.held)}`)];

function skillHelp({ help, shown, held }) {
  if (!help) return h("small", {}, shown && held ? "not known: chance did not choose" : shown ? "not known: never held back" : held ? "not known: never shown" : "–");
  const [value, low, high] = help;
  const kind = low > 0 ? "up" : high < 0 ? "down" : "open";
  return h("span", { class: `effect ${kind}` }, points(value), h("small", { class: "below" }, `${points(low).replace(" points", "")} to ${points(high)}`), intervalBar(help, kind));
}

/** Draws a difference of shares on the line from −1 to 1. */
function intervalBar([value, low, high], kind) {
  const x = (at) => (2 + 58 * (1 + Math.max(-1, Math.min(1, at)))).toFixed(1);
  return svg("svg", { class: `interval ${kind}`, viewBox: "0 0 120 12", role: "img", "aria-label": `from ${points(low)} to ${points(high)}` },
    svg("path", { class: "grid-line", d: "M60 1V11" }), svg("path", { class: "reach", d: `M${x(low)} 6H${x(high)}` }), svg("circle", { cx: x(value), cy: 6, r: 3 }));
}

const within = (found) => (found ? [percent(found[0]), h("small", { class: "below" }, `${percent(found[1])} to ${percent(found[2])}`)] : "–");

/** Returns links to the steps that a skill rests on, as far as the log has them; of more than two it is a line that opens. */
function skillFrom({ from, more }) {
  if (!from.length) return null;
  const list = h("ul", { class: "from", "aria-label": "Rests on" }, from.map(restsOn));
  return from.length + more <= RESTS_SHOWN ? list : h("details", { class: "from" }, h("summary", {}, `rests on ${count(from.length + more)} attempts`), list, more > 0 && h("p", { class: "faint" }, `${count(more)} not listed here`));
}

const OTHER_WORDS = { other: "this log has another attempt of that name", unknown: "this log has an attempt of that name, perhaps another" };
const restsOn = ({ k, id, steps, level, other }) => h("li", {}, "from ",
  k === null ? h("span", { class: "faint", title: other ? null : "not in this log" }, data(id || "(no name)"), steps.length > 0 && ` step ${steps.join(", ")}`)
    : [h("a", { href: toTrajectory(k) }, data(id || "(no name)")), steps.length > 0 && [" step ", steps.map((step, n) => [n > 0 && ", ", h("a", { href: toTrajectory(k, { step }) }, String(step))])]],
  level && level !== "none" && h("small", {}, ` ${level}`), other && h("small", {}, `: ${OTHER_WORDS[other]}`));

/** Returns how a run's skills did, step by step; null: no metrics say so. */
function skillsOverTime() {
  if (lastOf("skills/shown") === null) return null;
  const column = (name) => metricOf(`skills/${name}`) || metrics.step.map(() => null);
  const help = column("help").filter((value) => value !== null);
  return section("Over the run", "By step: the share of attempts that read any skill; passes where shown less where held back, in the batch alone.",
    lineChart("Share of attempts that read skills, by step", metrics.step, [{ name: "read any skill", kind: "up", values: column("shown") }], 0, 1),
    help.length > 0 && lineChart("Help of skills, by step", metrics.step, [{ name: "shown less held back", kind: "up", values: column("help"), texts: column("help").map(points) }],
      Math.floor(10 * Math.min(0, ...help)) / 10, Math.ceil(10 * Math.max(0, ...help)) / 10, [0]));
}
