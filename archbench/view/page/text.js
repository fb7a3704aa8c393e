// @ts-check
/** Elements and figures: whatever names, reasons and paths hold stays text. */

/**
 * An element. Attributes that begin with `on` are listeners, those that are false or null are left out.
 * @param {string} name
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * The element of the page with this id.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Fills a choice; the chosen value stays if it is still there.
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} options value and text
 * @param {string} chosen
 */
export function fillSelect(select, options, chosen) {
  const present = [...select.options].map((option) => option.value).join("\n");
  // A list that somebody has opened must not be closed because a figure has changed elsewhere.
  if (present !== options.map(([value]) => value).join("\n")) {
    select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  }
  select.value = options.some(([value]) => value === chosen) ? chosen : (options[0]?.[0] ?? "");
}

const PREFIXES = /** @type {[number, string][]} */ ([
  [1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"],
]);

/**
 * Three significant digits and a prefix: 12345 is `12.3k`.
 * @param {number | null | undefined} value
 */
export function count(value) {
  if (!known(value)) return "–";
  const [factor, prefix] = PREFIXES.find(([one]) => Math.abs(value) >= one * 0.9995) ?? [1, ""];
  return `${Number((value / factor).toPrecision(3))}${prefix}`;
}

/** @param {number | null | undefined} value */
export function loss(value) {
  return known(value) ? value.toFixed(4) : "–";
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (!known(value)) return "–";
  const step = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)));
  return step ? `${(value / 1024 ** step).toFixed(1)} ${["", "Ki", "Mi", "Gi", "Ti"][step]}B` : `${value} B`;
}

/** @param {number | null | undefined} value */
export function seconds(value) {
  if (!known(value)) return "–";
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/**
 * @param {any} value
 * @returns {value is number}
 */
export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * A value of a configuration as a person reads it.
 * @param {any} value
 */
export function plain(value) {
  if (value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}
