// What the landing page says of a log in which nobody scored anything: what agents did.

const scoredAny = report.audit.trajectories.scored > 0;

/** Returns the sections that take the place of fates, groups and pass rates. */
function behaviourSections(audit) {
  const did = audit.behaviour;
  return [
    stallSection(did),
    h("div", { class: "pair" }, evidenceSection(audit), lastWordsSection(did)),
    costSection(did),
  ];
}

const plain = (name, why) => h("span", { class: "kind" }, h("span", {}, name, why && h("small", {}, why)));

function stallSection(did) {
  if (did.stalls.longest.length === 0) return null;
  const rows = did.stalls.longest.map((each) => [
    h("a", { href: toTrajectory(each.trajectory, { step: each.step }) }, data(T.id[each.trajectory] || "(no name)")),
    count(each.step), count(each.length), count(each.errors)]);
  return section("Where agents stalled",
    "The longest stretches of calls that failed, or that were made before and answered the same.",
    table("Where agents stalled", ["Trajectory", "#From step", "#Calls in a row", "#Errors"], rows));
}

function evidenceSection(audit) {
  const did = audit.behaviour;
  const total = Math.max(1, audit.calls.total);
  const rows = [
    ["Answered by an error", "or no JSON object", did.calls.error],
    ["On a path to success", "by the environment’s state", did.calls.state],
    ["An expert action", "one of the task’s known solution steps", did.calls.expert],
    ["Ran", "and nothing says whether it was right", did.calls.ran],
    ["Unanswered", "no result in the log", did.calls.unknown],
    ["Repeats", "made before, and answered the same", did.repeats.calls],
  ].filter(([, , n]) => n > 0).map(([name, why, n]) => [plain(name, why), count(n), part(n, total)]);
  if (rows.length === 0) return null;
  const stalled = did.stalls.longest.length > 0 ? "" : " Nowhere three in a row failed, or repeated one before.";
  return section("Calls, by evidence", `${plural(audit.calls.total, "call")} in all.${stalled}`,
    table("Calls, by evidence", ["Evidence", "#Calls", "#Share"], rows));
}

function lastWordsSection(did) {
  const said = did.claims;
  const rows = [
    [h("a", { href: toClaims("claimed") }, "Says it is done"), "", said.claimed],
    ["after an error", "its last call failed", said.claimed_after_error],
    ["after a repeat", "its last call changed nothing", said.claimed_after_repeat],
    ["off the path", "the environment’s state is on no path to success", said.claimed_off_path],
    ["without a call", "nothing was done", said.claimed_without_call],
    [h("a", { href: toClaims("admitted") }, "Says it is not"), "", said.admitted],
    [h("a", { href: toClaims("none") }, "Says neither"), "", said.none],
  ].filter(([, , n]) => n > 0).map(([name, why, n]) => [plain(name, why), count(n)]);
  return section("Claims against what came last", "What the last words say, and what the last call came to.",
    table("Claims against what came last", ["Last words", "#Trajectories"], rows));
}

function costSection(did) {
  const rows = Object.entries(did.cost).map(([name, each]) => [words(name), count(each.total), count(each.median), count(each.most)]);
  return section("What it took", "In all, and of one trajectory.",
    table("What it took", ["", "#In all", "#Median", "#Most"], rows));
}
