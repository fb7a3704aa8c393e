// @ts-check
/** The table of runs: sorted by any column, thirty rows at a time, rows filled anew as figures change. */

import { bytes, count, el, loss, seconds } from "./text.js";

/** @typedef {import("./query.js").Row} Row */

const STEP = 30;

/** @type {{key: string, title: string, text: (row: Row) => string, minor?: boolean, words?: boolean}[]} */
const COLUMNS = [
  { key: "contender", title: "run", text: (row) => `${row.contender} size ${row.size} seed ${row.seed ?? "–"}`, words: true },
  { key: "state", title: "state", text: stateText, words: true },
  { key: "loss", title: "loss (nats)", text: (row) => loss(row.loss) },
  { key: "bits_per_byte", title: "bits per byte", text: (row) => loss(row.bits_per_byte), minor: true },
  { key: "params", title: "N", text: (row) => count(row.params), minor: true },
  { key: "step", title: "steps", text: (row) => `${row.step ?? "–"}${row.steps ? `/${row.steps}` : ""}`, minor: true },
  { key: "tokens_per_s", title: "tokens/s", text: (row) => count(row.tokens_per_s), minor: true },
  { key: "device_seconds", title: "time in steps", text: (row) => seconds(row.device_seconds), minor: true },
  { key: "memory_bytes", title: "memory", text: (row) => bytes(row.memory_bytes), minor: true },
];

/** @param {Row} row */
function stateText(row) {
  const share = row.step && row.steps ? ` ${Math.floor((100 * row.step) / row.steps)} %` : "";
  return row.state === "running" || (row.state === "planned" && share) ? `${row.state}${share}` : row.state;
}

export class Table {
  /** @param {HTMLElement} root @param {{onOpen: (id: string) => string, onChoose: (id: string, on: boolean) => void}} options */
  constructor(root, options) {
    this.options = options;
    this.sort = { key: "", down: false };
    this.limit = STEP;
    /** @type {Map<string, {line: HTMLElement, fill: (row: Row, chosen: boolean) => void}>} */
    this.lines = new Map();
    /** @type {Row[]} */
    this.rows = [];
    /** @type {Set<string>} */
    this.chosen = new Set();
    this.heads = COLUMNS.map((column) => this.head(column));
    this.body = el("tbody");
    this.caption = el("caption");
    this.more = el("button", { type: "button", onclick: () => { this.limit += STEP; this.show(this.rows, this.chosen); } });
    const head = el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "unseen" }, "chosen")), ...this.heads));
    root.replaceChildren(
      el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table of runs" },
        el("table", {}, this.caption, head, this.body)),
      this.more,
    );
  }

  /** @param {typeof COLUMNS[number]} column */
  head(column) {
    return el("th", { scope: "col", class: `${column.words ? "" : "right"}${column.minor ? " minor" : ""}` },
      el("button", { type: "button", class: "sort", onclick: () => {
        this.sort = { key: column.key, down: this.sort.key === column.key && !this.sort.down };
        this.show(this.rows, this.chosen);
      } }, column.title));
  }

  /** @param {Row[]} rows @param {Set<string>} chosen */
  show(rows, chosen) {
    this.rows = rows;
    this.chosen = chosen;
    const { key, down } = this.sort;
    this.heads.forEach((head, index) => {
      if (COLUMNS[index].key === key) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const sorted = key ? [...rows].sort((a, b) => compared(/** @type {any} */ (a)[key], /** @type {any} */ (b)[key], down)) : rows;
    const shown = sorted.slice(0, this.limit);
    const lines = shown.map((row) => this.line(row));
    const present = [...this.body.children];
    if (lines.length !== present.length || lines.some((line, index) => line !== present[index])) {
      const focused = /** @type {HTMLElement | null} */ (document.activeElement);
      this.body.replaceChildren(...lines);
      if (focused && this.body.contains(focused)) focused.focus({ preventScroll: true });
    }
    for (const id of this.lines.keys()) {
      if (this.lines.size <= 2 * this.limit) break;
      if (!shown.some((row) => row.id === id)) this.lines.delete(id);
    }
    this.caption.textContent = `${rows.length} ${rows.length === 1 ? "run" : "runs"}${shown.length < rows.length ? `, ${shown.length} shown` : ""}`;
    this.more.hidden = shown.length >= rows.length;
    this.more.textContent = `Show ${Math.min(STEP, rows.length - shown.length)} more`;
  }

  /** @param {Row} row */
  line(row) {
    let made = this.lines.get(row.id);
    if (!made) {
      made = this.make(row);
      this.lines.set(row.id, made);
    }
    made.fill(row, this.chosen.has(row.id));
    return made.line;
  }

  /** @param {Row} first */
  make(first) {
    const box = /** @type {HTMLInputElement} */ (el("input", {
      type: "checkbox", onchange: () => this.options.onChoose(first.id, box.checked),
    }));
    const link = el("a", { href: this.options.onOpen(first.id) });
    const cells = COLUMNS.slice(1).map((column) =>
      el("td", { class: `${column.words ? "" : "right"}${column.minor ? " minor" : ""}` }));
    const line = el("tr", {}, el("td", { class: "choice" }, el("label", { class: "target" }, box)), el("th", { scope: "row" }, link), ...cells);
    /** @type {(row: Row, chosen: boolean) => void} */
    const fill = (row, chosen) => {
      box.checked = chosen;
      const name = COLUMNS[0].text(row);
      if (link.textContent !== name) {
        link.textContent = name;
        box.setAttribute("aria-label", `choose ${name}`);
      }
      line.dataset.state = row.state;
      cells.forEach((cell, index) => {
        const text = COLUMNS[index + 1].text(row);
        if (cell.textContent !== text) cell.textContent = text;
      });
      line.title = row.reason ?? "";
    };
    return { line, fill };
  }
}

/** What is not known comes last either way. @param {any} a @param {any} b @param {boolean} down */
function compared(a, b, down) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return (a < b ? -1 : 1) * (down ? -1 : 1);
}
