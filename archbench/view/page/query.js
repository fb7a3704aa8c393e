// @ts-check
/** Which runs are meant: fields of their configuration, the words of the filter, and groups that have colours. */

import { known, plain } from "./text.js";

/** @typedef {{id: string, contender: string, size: number, params: number | null, seed: number | null, state: string,
 *   reason: string | null, step: number | null, steps: number | null, loss: number | null,
 *   bits_per_byte: number | null, tokens_per_s: number | null, device_seconds: number | null,
 *   memory_bytes: number | null, problem: string | null}} Row */
/** @typedef {Record<string, {values: any[], of?: number[]}>} Settings */
/** @typedef {{name: string, colour: string, dash: number[]}} Group */

const OF_ROWS = ["state", "loss", "bits_per_byte", "step", "tokens_per_s", "device_seconds", "memory_bytes", "id"];
const TERM = /(?:([\w.]+)\s*(!=|<=|>=|=|<|>)\s*)?("[^"]*"|\S+)/g;
const DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3]];
const NUM_COLOURS = 8;

/** The runs of a scan and their configurations, by field. */
export class Fields {
  /** @param {Row[]} rows @param {Settings} settings */
  constructor(rows, settings) {
    this.settings = settings;
    this.place = new Map(rows.map((row, index) => [row.id, index]));
  }

  /** Fields by which runs differ, then those that all have in common. */
  names() {
    const all = Object.keys(this.settings);
    const differ = all.filter((name) => this.settings[name].of);
    return { differ: [...differ, ...OF_ROWS], common: all.filter((name) => !this.settings[name].of) };
  }

  /** @param {string} name */
  has(name) {
    return name in this.settings || OF_ROWS.includes(name);
  }

  /**
   * The value of a field of a run; undefined where it has none.
   * @param {Row} row
   * @param {string} name
   */
  value(row, name) {
    const column = this.settings[name];
    if (!column) return /** @type {any} */ (row)[name];
    const index = this.place.get(row.id);
    return column.of ? column.values[column.of[index ?? -1] ?? -1] : column.values[0];
  }

  /**
   * All settings of a run.
   * @param {Row} row
   * @returns {[string, any][]}
   */
  all(row) {
    return Object.keys(this.settings).map((name) => [name, this.value(row, name)]);
  }
}

/**
 * What the words of a filter mean: `gpt2 seed=0 size>=3 state!=failed`; all of them must hold.
 * @param {string} text
 * @param {Fields} fields
 * @returns {{matches: (row: Row) => boolean, problem: string}}
 */
export function parse(text, fields) {
  const terms = [...text.matchAll(TERM)].map(([, name, operator, value]) => ({
    name, operator, value: value.replace(/^"(.*)"$/, "$1"),
  }));
  const unknown = terms.find(({ name }) => name && !fields.has(name));
  if (unknown) return { matches: () => true, problem: `there is no field ${unknown.name}; the list beside has all` };
  return { matches: (row) => terms.every((term) => holds(term, row, fields)), problem: "" };
}

/** @param {{name?: string, operator?: string, value: string}} term @param {Row} row @param {Fields} fields */
function holds(term, row, fields) {
  if (!term.name) {
    const text = `${row.contender} ${row.id} ${row.state} ${row.reason ?? ""}`;
    return text.toLowerCase().includes(term.value.toLowerCase());
  }
  const own = fields.value(row, term.name);
  const number = Number(term.value);
  switch (term.operator) {
    case "=": return plain(own) === term.value || (known(own) && own === number);
    case "!=": return plain(own) !== term.value && !(known(own) && own === number);
    case "<": return known(own) && own < number;
    case ">": return known(own) && own > number;
    case "<=": return known(own) && own <= number;
    default: return known(own) && own >= number;
  }
}

/**
 * Groups of runs by a field, each with a colour: numbers of many values in rising order on one scale.
 * @param {Row[]} rows
 * @param {string} name
 * @param {Fields} fields
 * @returns {{of: Map<string, number>, groups: Group[]}}
 */
export function grouped(rows, name, fields) {
  const values = rows.map((row) => fields.value(row, name));
  const texts = values.map(plain);
  const distinct = [...new Map(texts.map((text, index) => [text, values[index]]))];
  const numeric = distinct.every(([, value]) => known(value) || value === undefined);
  if (numeric) distinct.sort(([, a], [, b]) => (a ?? Infinity) - (b ?? Infinity));
  const scale = numeric && distinct.length > NUM_COLOURS;
  const number = new Map(distinct.map(([text], index) => [text, index]));
  return {
    of: new Map(rows.map((row, index) => [row.id, number.get(texts[index]) ?? 0])),
    groups: distinct.map(([text], index) => ({
      name: text,
      colour: scale ? `scale:${index / (distinct.length - 1)}` : `--s${index % NUM_COLOURS}`,
      dash: scale ? [] : DASHES[Math.floor(index / NUM_COLOURS) % DASHES.length],
    })),
  };
}
