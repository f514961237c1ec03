// Elements, numbers and words. Text from a log only ever becomes a text node.

const $ = (id) => document.getElementById(id);

/** Returns an element; strings among the children become text nodes, null and false nothing. */
function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    else if (name === "style") for (const [key, css] of Object.entries(value)) node.style.setProperty(key, css);
    else if (name === "value" || name === "open" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  add(node, children);
  return node;
}

/** Returns an element of a drawing: attributes and classes only, no style. */
function svg(tag, props, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(node, child);
    else node.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

function clear(node, ...children) {
  node.textContent = "";
  add(node, children);
  return node;
}

const integers = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

const count = (n) => integers.format(n);

/** Returns 812, 41,200 or 1.4 M. */
function large(n) {
  if (n >= 1e9) return short.format(n / 1e9) + " G";
  return n >= 1e6 ? short.format(n / 1e6) + " M" : count(n);
}

/** Returns a number of three digits with a real minus sign; null is a dash. */
function num(x) {
  if (x === null || x === undefined) return "–";
  return (x < 0 ? "−" : "") + short.format(Math.abs(x));
}

/** Returns a rate with three decimals. */
const rate = (x) => (x === null || x === undefined ? "–" : x.toFixed(3));

/** Returns an advantage: always with its sign, 0 without. */
const signed = (x) => (x > 0 ? "+" : "") + num(x);

/** Returns a share in per cent, never rounded to 0 or 100 when it is not. */
function percent(x) {
  if (x === null || x === undefined) return "–";
  const p = 100 * x;
  if (p > 0 && p < 1) return "< 1 %";
  if (p > 99 && p < 100) return "> 99 %";
  return Math.round(p) + " %";
}

const FEW = 20;

/** Returns a part of a whole: as a count of few things, in per cent of many. */
const part = (n, of) => (of < FEW ? `${count(n)} of ${count(of)}` : percent(n / of));

const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + "s"}`;

/** Returns a name from the data as words: trained_up becomes trained up. */
const words = (name) => String(name).replaceAll("_", " ");

function say(message) {
  clear($("live"), message);
}

/** Copies text; where the browser refuses, selects it in a box so that a person can. */
async function copy(text, what, button) {
  const area = h("textarea", { class: "unseen", "aria-hidden": "true" });
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    area.value = text;
    document.body.appendChild(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  say(done ? `${what} copied` : `could not copy ${what}`);
  const before = button.textContent;
  button.textContent = done ? "Copied" : "Could not copy";
  setTimeout(() => (button.textContent = before), 1500);
}
