// The index, and the chunks behind it: gzip in base64 inside the page, or files next to it.

const report = JSON.parse($("index").textContent);
const G = report.groups;
const T = report.trajectories;
const unit = report.measure;
const methods = new Map(report.methods.map((each) => [each.name, each]));
const inFolder = Array.isArray(report.files);
const KEPT_CHUNKS = 12;
const creditsAny = report.methods.some((each) => G.signal[each.name].some((x) => x > 0));

class Unreadable extends Error {}

/** Keeps the last few results of an asynchronous function of one number. */
function remembered(load, keep) {
  const kept = new Map();
  return (key) => {
    const found = kept.get(key) || load(key);
    kept.delete(key);
    kept.set(key, found);
    if (kept.size > keep) kept.delete(kept.keys().next().value);
    found.catch(() => kept.delete(key));
    return found;
  };
}

const shard = remembered(async (number) => {
  let answer;
  try {
    answer = await fetch(`chunks/${report.files[number]}`);
  } catch {
    throw new Unreadable("This report is a folder, and browsers do not let a page on disk read the files beside it. Open it with: assay view RUN");
  }
  if (!answer.ok) throw new Unreadable(`The file chunks/${report.files[number]} is missing; write the report again.`);
  return new Uint8Array(await answer.arrayBuffer());
}, 4);

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const parsed = new Promise((done) => {
  if (document.readyState !== "loading") done();
  else document.addEventListener("DOMContentLoaded", () => done());
});

async function packedBytes(number) {
  if (inFolder) {
    const [file, at, length] = report.places[number];
    return (await shard(file)).subarray(at, at + length);
  }
  if (!$("c" + number)) await parsed; // the page is still being read
  const element = $("c" + number);
  if (!element) throw new Unreadable("This file is cut off: the end of it is missing. Copy it again.");
  return fromBase64(element.textContent);
}

const chunk = remembered(async (number) => {
  if (typeof DecompressionStream === "undefined") {
    throw new Unreadable("This browser cannot unpack the trajectories (it has no DecompressionStream). Use a browser from 2023 or later; the numbers above, and report.json, need none.");
  }
  const bytes = await packedBytes(number);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}, KEPT_CHUNKS);

/** Returns the shapes of a group's trajectories: steps, evidence, advantages, reasons. */
const membersOf = (g) => chunk(g);

async function shapeOf(k) {
  const g = T.group[k];
  return (await membersOf(g))[G.members[g].indexOf(k)];
}

/** Returns a trajectory's record as it is on disk, secrets hidden. */
const recordOf = (k) => recordAt(T.chunk[k], T.slot[k]);

async function recordAt(number, slot) {
  const { texts, records } = await chunk(number);
  const record = records[slot];
  const steps = (record.steps || []).map((step) =>
    typeof step.text === "number" ? { ...step, text: texts[step.text] } : step);
  return { ...record, steps };
}

/** Returns a packed column as a list of n values. */
function unpack(packed, n) {
  if (Array.isArray(packed)) return packed;
  if (packed !== null && typeof packed === "object") {
    const list = [];
    packed.v.forEach((value, i) => {
      for (let j = 0; j < packed.n[i]; j++) list.push(value);
    });
    return list;
  }
  return new Array(n).fill(packed);
}
