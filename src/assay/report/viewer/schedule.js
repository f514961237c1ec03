// What a run of several domains practised, and what became of each: a run's metrics.

/** Returns the numbers of a domain by step. */
const ofDomain = (what, name) => metricOf(`schedule/${what}/${name}`) || metrics.step.map(() => null);
const lastKnown = (values) => values.reduce((last, value) => (value === null ? last : value), null);

/** Returns how often each domain was practised, and how it passed; nothing where there are no domains. */
function practice() {
  if (!practised.length) return null;
  const prompts = practised.map((name) => sumOf(ofDomain("prompts", name).map((value) => value || 0)));
  const all = sumOf(prompts) || 1;
  return section("What was practised",
    "By domain: its share, or its chance, in each batch as the order had it, and the pass rate of its attempts where the batch had any.",
    table("Domains", ["Domain", "#Tasks", "#Of all", "#Last pass rate", "#Alignment", "#Entropy"], practised.map((name, n) => [
      data(name), count(prompts[n]), percent(prompts[n] / all),
      ...[["pass_rate", percent], ["alignment", num], ["entropy", num]].map(([what, shown]) => {
        const last = lastKnown(ofDomain(what, name));
        return last === null ? "–" : shown(last);
      })])),
    practised.map((name) => [h("h3", {}, data(name)), pausedNote(name),
      lineChart(`Share and pass rate of ${name}, by step`, metrics.step, [{ name: "pass rate", kind: "up", values: ofDomain("pass_rate", name) }, { name: "share or chance in the batch", kind: "down", values: ofDomain("weight", name) }], 0, 1)]));
}

/** Returns at how many steps the guard had a domain paused. */
function pausedNote(name) {
  const paused = ofDomain("paused", name).filter((value) => value === 1).length;
  return paused > 0 && h("p", {}, `Paused at ${plural(paused, "step")}: its entropy on the probe had fallen below the guard.`);
}
