// What became of tasks, of claims and of help while the policy learned.

const course = report.course || null;
const MOST_TASKS = 30;

const taskLink = (g, name) => h("a", { href: toGroup(g) }, data(name || G.task[g] || "(no name)"));
const ofAll = ([passed, all]) => `${count(passed)} of ${count(all)}`;
const sumOf = (list) => list.reduce((sum, x) => sum + x, 0);

/** Returns a table of which the rest is shown on demand. */
function growing(caption, head, rows, kind) {
  const box = h("div", {});
  const put = (most) => clear(box, table(caption, head, rows.slice(0, most).map((row) => row()), kind),
    most < rows.length && h("button", { type: "button", class: "more", on: { click: () => put(rows.length) } }, `Show all ${count(rows.length)}`));
  put(MOST_TASKS);
  return box;
}

pages.course = (root) => {
  add(root, [h("h1", {}, "Over the run")]);
  if (!course && !hasTrust) {
    add(root, [h("p", { class: "plain" }, "The records name no versions of the policy that could be put in order.")]);
    return { up: to("waste") };
  }
  add(root, [
    course && h("p", { class: "lede" }, `${plural(course.versions.length, "version")} of the policy, ${course.versions[0]} to ${course.versions[course.versions.length - 1]}, as the records name them. What was sampled with help is counted apart.`),
    course && [solvedSection(), helpedLaterSection(), claimsSection()], hasLater && laterSection(), hintTrust(), judgeTrust(), rubricTrust(), practice(),
  ]);
  return { move: (by) => moveFocus([...root.querySelectorAll("tbody a")], by), up: to("waste") };
};

function solvedSection() {
  const { versions, visited, solved, gained, lost, lost_tasks: gone } = course;
  const again = sumOf(gained) + sumOf(lost);
  const sorted = [...gone].sort((a, b) => b.before[0] * b.since[1] - a.before[0] * a.since[1] || a.group - b.group);
  return section("Tasks solved, and tasks lost",
    new Set(G.task).size === G.task.length ? "No task was met twice, so none can be seen solved anew or lost."
      : again === 0 ? "No task changed between two visits without help: none was solved anew, none lost."
      : `Against the visit before, without help: ${plural(sumOf(gained), "time")} a task was solved anew, ${plural(sumOf(lost), "time")} one was lost. A task that passes rarely can be lost by chance.`,
    again > 0 && barChart("Tasks solved anew above, tasks lost below, by version", versions, gained, lost),
    gone.length > 0 && h("p", {}, `${plural(gone.length, "task")} ${gone.length === 1 ? "was" : "were"} solved once, and in no visit since.`),
    gone.length > 0 && growing("Lost tasks", ["Task", "#Passed until then", "#Since"], sorted.map((each) => () => [
      [taskLink(each.group), h("small", { class: "below" }, h("a", { href: toGroup(each.last) }, "its last visit"))], ofAll(each.before), ofAll(each.since)]), "lost-tasks"),
    h("details", {}, h("summary", {}, "The numbers"), table("Tasks by version", ["Version", "#Tasks", "#Solved", "#Anew", "#Lost"],
      versions.map((version, n) => [version, count(visited[n]), count(solved[n]), count(gained[n]), count(lost[n])]))));
}

function helpedLaterSection() {
  const rows = course.after_help;
  if (!rows.length) return null;
  const later = rows.filter((row) => row.then !== null);
  const tried = rows.filter((row) => row.then !== null || row.since[1] > 0);
  const order = [...rows].sort((a, b) => (a.then === null) - (b.then === null) || b.since[0] - a.since[0] || a.k - b.k);
  return section("Solved first with help",
    `${plural(rows.length, "task")} ${rows.length === 1 ? "was" : "were"} solved with help before ${rows.length === 1 ? "it was" : "they were"} without: ${tried.length ? `${count(later.length)} later without, of ${count(tried.length)} that came again` : "none came again"}.`,
    growing("Tasks solved first with help", ["Task", "Help", "#At", "#Without, at", "#Passed without since"], order.map((row) => () => [
      taskLink(row.group), h("a", { href: toTrajectory(row.k) }, data(words(rescueAt.get(row.k).rung))), course.versions[row.at],
      row.then === null ? "–" : h("a", { href: toGroup(row.then_group) }, course.versions[row.then]), row.since[1] ? ofAll(row.since) : "not met again"]), "after-help"));
}

function claimsSection() {
  const { versions, claims } = course;
  const kinds = [["passed", "of those that passed", "up"], ["failed", "of those that failed", "down"]];
  const lines = kinds.map(([key, name, kind]) => ({ name: `claim success, ${name}`, kind,
    values: claims[key].map(([said, all]) => (all ? said / all : null)), texts: claims[key].map(ofAll) }));
  return section("Claimed against verified",
    "How often an attempt says that it is done, by what was verified. The two should part: a failure that says so too is a false claim.",
    lineChart("Share that claims success, by version", versions, lines, 0, 1),
    h("p", { class: "note" }, h("a", { href: toClaims("claimed_failed") }, "See the claims themselves")),
    h("details", {}, h("summary", {}, "The numbers"), table("Claims by version", ["Version", "#Passed, and claimed", "#Failed, and claimed"],
      versions.map((version, n) => [version, ofAll(claims.passed[n]), ofAll(claims.failed[n])]))));
}
