// @ts-check
/** How the configurations of several runs differ. */

import { bytes, count, el, loss, plain, seconds } from "./text.js";

/** @typedef {import("./query.js").Row} Row @typedef {import("./query.js").Fields} Fields */

const MOST = 8;
/** What came out, below the fields by which it may be explained. */
const OUTCOMES = /** @type {[string, (row: Row) => string][]} */ ([
  ["loss (nats)", (row) => loss(row.loss)], ["bits per byte", (row) => loss(row.bits_per_byte)],
  ["tokens/s", (row) => count(row.tokens_per_s)], ["time in steps", (row) => seconds(row.device_seconds)],
  ["memory", (row) => bytes(row.memory_bytes)],
]);

/**
 * A table of the fields by which `rows` differ.
 * @param {Row[]} rows
 * @param {Fields} fields
 * @param {(id: string) => string} address
 */
export function difference(rows, fields, address) {
  const shown = rows.slice(0, MOST);
  const names = fields.names();
  const settings = [...names.differ.filter((name) => name in fields.settings), ...names.common];
  const differing = settings.filter((name) => new Set(shown.map((row) => plain(fields.value(row, name)))).size > 1);
  const words = `${differing.length} of ${settings.length} fields differ`
    + (rows.length > MOST ? `; the first ${MOST} of ${rows.length} chosen runs are compared` : "");
  const head = el("tr", {}, el("th", { scope: "col" }, "field"),
    ...shown.map((row) => el("th", { scope: "col" }, el("a", { href: address(row.id) }, `${row.contender} size ${row.size} seed ${row.seed ?? "–"}`))));
  const lines = [
    ...differing.map((name) => [name, ...shown.map((row) => plain(fields.value(row, name)))]),
    ...OUTCOMES.map(([name, text]) => [name, ...shown.map(text)]),
  ];
  return el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Differences of the chosen runs" },
    el("table", {}, el("caption", {}, words), el("thead", {}, head), el("tbody", {},
      ...lines.map(([name, ...values]) => el("tr", {}, el("th", { scope: "row" }, name), ...values.map((value) => el("td", {}, value)))))));
}
