// The trees of a group: which steps its trajectories share, and what of them is drawn.

const MOST_LEAVES_AT_FIRST = 40;
const CHILDREN_AT_ONCE = 20;
const CHAIN_AT_ONCE = 50;
const FOLDED_FROM = 3;

/** Has any step of these trajectories a place in a tree? */
const isTree = (members) => members.some((member) => member.steps.some((step) => step.node !== undefined));

/**
 * Returns the trees of a group, a list of roots. A root is the prompt; every other node is one step:
 * `{ key, parent, children, rows, ends, depth, leaves, scored, passed, size }`, `rows` being the
 * places [member, ordinal of the step] that it has, `ends` the members whose last step it is. What is
 * counted includes everything below.
 */
function forestOf(members) {
  const roots = new Map();
  const nodes = new Map();
  const blank = (key, root) => ({ key, root, before: null, parent: null, children: [], rows: [], ends: [], depth: 0, leaves: 0, scored: 0, passed: 0, size: 0 });
  members.forEach((member, i) => {
    const name = member.tree === undefined ? `alone ${i}` : `tree ${member.tree}`;
    if (!roots.has(name)) roots.set(name, blank(name, null));
    const root = roots.get(name);
    let last = root;
    member.steps.forEach((step, ordinal) => {
      const key = step.node === undefined ? `${i}:${ordinal}` : `n${step.node}`;
      if (!nodes.has(key)) {
        const node = blank(key, root);
        node.before = step.parent === undefined ? last.key : `n${step.parent}`;
        nodes.set(key, node);
      }
      last = nodes.get(key);
      last.rows.push([i, ordinal]);
    });
    last.ends.push(i);
  });
  joinNodes(nodes);
  return [...roots.values()].filter((root) => root.children.length || root.ends.length).map((root) => counted(root, members));
}

/** Hangs each node below the one before it; what names no node, or goes round in a circle, below the root. */
function joinNodes(nodes) {
  const settled = new Set();
  for (const node of nodes.values()) {
    const path = new Set();
    for (let at = node; at && !settled.has(at); at = nodes.get(at.before)) {
      if (path.has(at)) {
        at.before = null;
        break;
      }
      path.add(at);
    }
    for (const each of path) settled.add(each);
  }
  for (const node of nodes.values()) {
    node.parent = nodes.get(node.before) || node.root;
    node.parent.children.push(node);
  }
}

/** Returns the nodes of a tree from the root down, parents first. */
function downFrom(root) {
  const order = [root];
  for (let i = 0; i < order.length; i++) for (const child of order[i].children) order.push(child);
  return order;
}

function counted(root, members) {
  const order = downFrom(root);
  for (const node of order) {
    if (node.parent) node.depth = node.parent.depth + 1;
    for (const i of node.ends) {
      const k = members[i].index;
      node.leaves += 1;
      node.scored += T.outcome[k] === null ? 0 : 1;
      node.passed += T.outcome[k] !== null && T.passed[k] ? 1 : 0;
    }
  }
  for (const node of order.reverse()) {
    node.size += 1;
    if (!node.parent) continue;
    for (const name of ["leaves", "scored", "passed", "size"]) node.parent[name] += node[name];
  }
  return root;
}

/** Does the tree part here? Below it, or since a trajectory ends where others go on. */
const branches = (node) => node.children.length + node.ends.length > 1;

/** What of a forest is open: of a large one few leaves at first, near the root before far from it. */
class Opened {
  constructor(forest) {
    this.told = new Map(); // node -> whether its branches are drawn
    this.alone = new Set(); // nodes that are drawn by themselves, whatever is folded
    this.shown = new Map(); // node -> how many of its children are drawn
    this.folds = true;
    this.first = new Set();
    let rows = forest.length;
    for (const node of forest.flatMap(downFrom).sort((a, b) => a.depth - b.depth)) {
      const more = Math.min(node.children.length + node.ends.length, CHILDREN_AT_ONCE + 1) - 1;
      if (node.parent && !this.first.has(node.parent)) continue;
      if (node.parent && more > 0 && rows + more > MOST_LEAVES_AT_FIRST) continue;
      rows += Math.max(0, more);
      this.first.add(node);
    }
  }

  isOpen(node) {
    return !branches(node) || (this.told.has(node) ? this.told.get(node) : this.first.has(node));
  }

  /** How many children of a node are drawn. */
  most(node) {
    return this.shown.get(node) || CHILDREN_AT_ONCE;
  }

  toggle(node) {
    this.told.set(node, !this.isOpen(node));
  }

  /** Draws the next steps of a folded chain one by one. */
  unfold(chain) {
    for (const node of chain.slice(0, CHAIN_AT_ONCE)) this.alone.add(node);
  }

  /** Opens whatever hides a node. */
  reveal(node) {
    this.alone.add(node);
    for (let at = node; at.parent; at = at.parent) {
      this.told.set(at.parent, true);
      const place = at.parent.children.indexOf(at);
      if (place >= this.most(at.parent)) this.shown.set(at.parent, place + 1);
    }
  }

  /** Returns the nodes that one mark stands for, from a node on: itself, or a chain of single children. */
  chainFrom(node) {
    const chain = [node];
    if (!this.folds || this.alone.has(node)) return chain;
    for (let at = node; at.children.length === 1 && at.ends.length === 0;) {
      at = at.children[0];
      if (this.alone.has(at) || branches(at)) break;
      chain.push(at);
    }
    return chain.length < FOLDED_FROM ? [node] : chain;
  }
}
