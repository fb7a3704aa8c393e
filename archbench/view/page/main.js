// @ts-check
/** The page: what is shown stands in its address, so that it can be sent, reloaded and gone back from. */

import { difference } from "./compare.js";
import { Plot, colour, smoothed } from "./plot.js";
import { Fields, grouped, parse } from "./query.js";
import { RunPage } from "./run.js";
import { decoded, follow, live, loadCurves, loadRun, loadScan, loadScans, loadTold, loadVerdict, unpack } from "./source.js";
import { Table } from "./table.js";
import { byId, el, fillSelect, plain } from "./text.js";

/** @typedef {import("./query.js").Row} Row */

const ALL = "every run of the store";
const X = /** @type {Record<string, string>} */ ({
  exact: "FLOPs (executed)", kaplan: "FLOPs (6ND)", tokens: "tokens", step: "steps", device_seconds: "seconds in steps",
});
const Y = /** @type {Record<string, string>} */ ({
  validation_loss_nats: "validation loss (nats)", train_loss_nats: "training loss (nats)", bits_per_byte: "bits per byte",
  gradient_norm: "gradient norm, before clipping", tokens_per_s: "throughput (tokens/s)", memory_gib: "most memory held (GiB)",
});
/** Of these a run tells on the way; they are asked for when they are first drawn. */
const TOLD = ["gradient_norm", "tokens_per_s", "memory_gib"];
/** More runs than this are not asked for one by one. */
const FEW = 100;
const DEFAULTS = /** @type {Record<string, string>} */ ({
  x: "exact", y: "validation_loss_nats", group: "", smooth: "0", logx: "1", logy: "0", frontier: "1", only: "", chosen: "", q: "",
});
const LEGEND_MOST = 40;
const NARROW = 640;
/** Reservations that are shown at first sight, as in a report. */
const MINDED = 4;

/** What the page shows, by its address. */
let view = read();
/** @type {any} */
let store = null;
let fields = new Fields([], {});
/** @type {Map<string, Row>} */
const rows = new Map();
/** @type {Map<string, import("./source.js").Curve>} */
let curves = new Map();
/** What runs told on the way; null before it is asked for. @type {Map<string, import("./source.js").Curve> | null} */
let traces = null;
/** Runs that have told more since. @type {Set<string>} */
const behind = new Set();
let asking = false;
/** @type {Set<string>} */
const hidden = new Set();
let stop = /** @type {() => void} */ (() => undefined);
let shownScan = /** @type {string | null} */ (null);
/** @type {RunPage | null} */
let page = null;
let pageOf = "";
let summary = /** @type {any} */ (null);
let verdictOf = "";
let drawing = 0;

const plot = new Plot(byId("plot"), {
  label: "Curves of all runs that are shown; arrow keys walk along them, Enter opens one",
  height: () => Math.max(260, Math.min(520, window.innerHeight * 0.55)),
  onPick: (id) => go({ run: id }),
});
const table = new Table(byId("table"), {
  onOpen: (id) => address({ run: id }),
  onChoose: (id, on) => {
    const chosen = new Set(chosenIds());
    if (on) chosen.add(id);
    else chosen.delete(id);
    go({ chosen: [...chosen].join(",") }, true);
  },
});

/** @returns {Record<string, string>} */
function read() {
  const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (asked.only && asked.only !== "1") Object.assign(asked, { chosen: asked.only, only: "1" });
  return { ...DEFAULTS, ...asked };
}

/** The address of this view with some of it changed. @param {Record<string, string>} change */
function address(change) {
  const next = /** @type {Record<string, string>} */ ({ ...view, run: "", ...change });
  const told = Object.entries(next).filter(([key, value]) => value !== (DEFAULTS[key] ?? "") || key === "scan");
  return `#${new URLSearchParams(told)}`;
}

/** @param {Record<string, string>} change @param {boolean} [quietly] without a step to go back to */
function go(change, quietly) {
  const next = address(change);
  if (quietly) history.replaceState(null, "", next);
  else history.pushState(null, "", next);
  void update();
}

function chosenIds() {
  return view.chosen ? view.chosen.split(",") : [];
}

async function begin() {
  try {
    store = await loadScans();
  } catch (error) {
    trouble(error);
    return;
  }
  if (!location.hash && store.start) history.replaceState(null, "", `#${store.start}`);
  window.addEventListener("popstate", () => void update());
  listen();
  await update();
}

/** Brings the page to what its address says. */
async function update() {
  view = read();
  const names = store.scans.map((/** @type {string} */ name) => /** @type {[string, string]} */ ([name, name]));
  const scans = live || store.all ? [...names, /** @type {[string, string]} */ (["", ALL])] : names;
  const scan = view.scan ?? scans[0][0];
  fillSelect(byId("scan"), scans, scan);
  if (scan !== shownScan) await open(scan);
  show();
}

/** @param {string} scan */
async function open(scan) {
  stop();
  shownScan = scan;
  verdictOf = "";
  hidden.clear();
  closeRun();
  byId("overview").hidden = true;
  document.title = `${scan || ALL} – archbench`;
  try {
    const [asked, points] = [loadScan(scan), loadCurves(scan)];
    points.catch(() => undefined);  // told below, if the rows come
    const found = await asked;
    if (shownScan !== scan) return;
    rows.clear();
    found.rows.forEach((/** @type {Row} */ row) => rows.set(row.id, row));
    fields = new Fields(found.rows, found.settings);
    summary = found.summary;
    trouble(null);
    const { differ, common } = fields.names();
    fillSelect(byId("field"), [["", "choose…"], ...[...differ, ...common].map((name) => /** @type {[string, string]} */ ([name, name]))], "");
    byId("overview").hidden = false;
    curves = new Map();
    traces = null;
    show();
    const drawn = await points;
    if (shownScan !== scan) return;
    curves = drawn;
    stop = follow(scan, found.version, news, connected);
  } catch (error) {
    summary = null;
    trouble(error);
    byId("about").replaceChildren(el("p", { class: "links" }, ...reportLinks(null)));
  }
}

/** @param {any} change */
function news(change) {
  if (change.reports) store.reports = change.reports;
  if (change.reload) {
    const scan = shownScan ?? "";
    shownScan = null;
    void open(scan).then(show);
    return;
  }
  if (!change.rows) {
    showSummary();
    return;
  }
  change.rows.forEach((/** @type {Row} */ row) => { rows.set(row.id, row); behind.add(row.id); });
  unpack(decoded(change.curves)).forEach((curve, id) => curves.set(id, curve));
  summary = change.summary;
  if (page && change.rows.some((/** @type {Row} */ row) => row.id === pageOf)) void showRun();
  soon();
}

/** Asks for what runs have told, if it is drawn and was not asked for since. */
async function hear() {
  const scan = shownScan ?? "";
  const ids = traces && behind.size <= FEW ? [...behind] : [];
  if (asking || (traces && !behind.size)) return;
  asking = true;
  behind.clear();
  try {
    const heard = await loadTold(scan, ids);
    if (shownScan === scan) traces = new Map([...(traces ?? []), ...heard]);
  } catch (error) {
    if (shownScan === scan) traces ??= new Map();
    trouble(error);
  } finally {
    asking = false;
  }
  soon();
}

/** Draws once, however much has changed until then. */
function soon() {
  if (!drawing) drawing = requestAnimationFrame(() => { drawing = 0; show(); });
}

function show() {
  if (!summary) return;
  showSummary();
  const run = view.run && rows.get(view.run);
  byId("run").hidden = !run;
  byId("verdict").hidden = Boolean(run);
  byId("overview").hidden = Boolean(run);
  if (run) {
    if (pageOf !== run.id) void showRun();
    return;
  }
  closeRun();
  showControls();
  const { matches, problem } = parse(view.q, fields);
  const all = [...rows.values()];
  const chosen = new Set(chosenIds());
  const met = all.filter((row) => matches(row));
  const shown = view.only && chosen.size ? met.filter((row) => chosen.has(row.id)) : met;
  byId("query-words").textContent = problem || (view.q ? `${met.length} of ${all.length} runs` : "Words, and field=value, !=, <, <=, > or >=; all must hold.");
  showCurves(shown);
  table.show(met, chosen);
  const compared = chosenIds().map((id) => rows.get(id)).filter((row) => row !== undefined);
  byId("compare").hidden = compared.length < 2;
  byId("difference").replaceChildren(...(compared.length < 2 ? [] : [difference(compared, fields, (id) => address({ run: id }))]));
}

/** @param {Row[]} shown */
function showCurves(shown) {
  const by = fields.has(view.group) ? view.group : "contender";
  const all = [...rows.values()];
  const { of, groups } = grouped(all, by, fields);
  const weight = Number(view.smooth) || 0;
  const points = TOLD.includes(view.y) ? traces ?? new Map() : curves;
  if (points !== curves) void hear();
  const lines = shown.filter((row) => !hidden.has(groups[of.get(row.id) ?? 0].name)).flatMap((row) => {
    const curve = points.get(row.id);
    return curve ? [{ id: row.id, name: `${row.contender} size ${row.size} seed ${row.seed ?? "–"}`, group: of.get(row.id) ?? 0,
      x: curve[view.x], y: smoothed(curve[view.y], weight) }] : [];
  });
  const frontiers = view.frontier === "1" && by === "contender" && view.y === "validation_loss_nats" ? summary.frontiers[view.x] ?? {} : {};
  const steps = Object.entries(frontiers).flatMap(([name, points]) => {
    const group = groups.findIndex((one) => one.name === name);
    return group < 0 || hidden.has(name) ? [] : [{ id: name, name, group, ...stairs(points) }];
  });
  const silent = points === traces ? shown.filter((row) => !points.get(row.id)?.step.length).length : 0;
  plot.show(lines, { xLabel: X[view.x] ?? X.exact, yLabel: Y[view.y] ?? Y.validation_loss_nats, logX: view.logx === "1",
    logY: view.logy === "1", styles: groups, steps, dashedSteps: !summary.all_ended,
    empty: points === curves || traces ? "Nothing to draw: no run that is shown has such points yet." : "Asking the runs…" });
  showLegend(groups, shown, of, steps.length > 0, silent);
}

/** A frontier goes on at a loss until its next point. @param {[number, number][]} points */
function stairs(points) {
  const x = [], y = [];
  for (const [index, [cost, loss]] of points.entries()) {
    if (index) {
      x.push(cost);
      y.push(points[index - 1][1]);
    }
    x.push(cost);
    y.push(loss);
  }
  return { x, y };
}

/** @param {import("./query.js").Group[]} groups @param {Row[]} shown @param {Map<string, number>} of @param {boolean} withFrontier
 * @param {number} silent runs that have told nothing of what is drawn */
function showLegend(groups, shown, of, withFrontier, silent) {
  const counts = groups.map(() => 0);
  shown.forEach((row) => { counts[of.get(row.id) ?? 0] += 1; });
  const present = groups.flatMap((group, index) => (counts[index] ? [{ group, index }] : []));
  const entries = present.slice(0, LEGEND_MOST).map(({ group, index }) => {
    const mark = el("span", { class: "swatch" });
    mark.style.background = colour(group.colour);
    if (group.dash.length) mark.classList.add("dashed");
    const box = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox", "data-group": group.name, onchange: () => {
      if (box.checked) hidden.delete(group.name);
      else hidden.add(group.name);
      show();
    } }));
    box.checked = !hidden.has(group.name);
    return el("label", {}, box, mark, `${group.name} (${counts[index]})`);
  });
  const rest = present.length > LEGEND_MOST ? [el("span", { class: "hint" }, `and ${present.length - LEGEND_MOST} groups more`)] : [];
  const words = withFrontier ? [el("p", { class: "hint" }, summary.all_ended
    ? "Thick: the compute-efficient frontier of each contender."
    : `Thick and dashed: the frontier of what has finished so far. Provisional: ${summary.ended} of ${summary.total} runs have ended.`,
  " It is that of the report: of means over seeds, ending at the loss on all held-out text.")] : silent ? [el("p", { class: "hint" },
    `${silent} of ${shown.length} runs have told nothing of it: they have not begun, or were made elsewhere or by an earlier version.`)] : [];
  const legend = byId("legend");
  const focus = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.group;
  legend.replaceChildren(...entries, ...rest, ...words);
  if (focus !== undefined) legend.querySelector(`[data-group="${CSS.escape(focus)}"]`)?.focus();
}

function showControls() {
  fillSelect(byId("x"), Object.entries(X), view.x);
  fillSelect(byId("y"), Object.entries(Y), view.y);
  const { differ, common } = fields.names();
  fillSelect(byId("group"), [...differ, ...common].map((name) => /** @type {[string, string]} */ ([name, name])), view.group || "contender");
  byId("smooth").value = view.smooth;
  byId("smooth-value").textContent = Number(view.smooth) ? view.smooth : "none";
  for (const key of ["logx", "logy", "frontier", "only"]) byId(key).checked = view[key] === "1";
  byId("only").disabled = !view.chosen;
  if (document.activeElement !== byId("query")) byId("query").value = view.q;
}

function listen() {
  for (const key of ["scan", "x", "y", "group"]) {
    byId(key).addEventListener("change", () => go(key === "scan" ? { ...DEFAULTS, scan: byId("scan").value } : { [key]: byId(key).value }, key !== "scan"));
  }
  for (const key of ["logx", "logy", "frontier", "only"]) {
    byId(key).addEventListener("change", () => go({ [key]: byId(key).checked ? "1" : "0" }, true));
  }
  byId("smooth").addEventListener("input", () => go({ smooth: byId("smooth").value }, true));
  byId("query").addEventListener("input", () => go({ q: byId("query").value }, true));
  byId("field").addEventListener("change", () => {
    const name = byId("field").value;
    const values = [...new Set([...rows.values()].map((row) => plain(fields.value(row, name))))].sort();
    fillSelect(byId("value"), [["", "choose…"], ...values.map((one) => /** @type {[string, string]} */ ([one, one]))], "");
  });
  byId("value").addEventListener("change", () => {
    const value = byId("value").value, name = byId("field").value;
    if (!name || !value) return;
    byId("query").value = `${view.q} ${name}=${/[\s"]/.test(value) ? `"${value}"` : value}`.trim();
    go({ q: byId("query").value }, true);
  });
  for (const id of ["controls", "filters"]) byId(id).addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
  byId("home").addEventListener("click", (/** @type {Event} */ event) => {
    event.preventDefault();
    go({ run: "" });
  });
}

function showSummary() {
  const { words, left, share, name, all_ended: allEnded } = summary;
  byId("progress").value = share;
  byId("progress-words").textContent = `${words}; ${left}`;
  const told = JSON.stringify([summary.description, summary.warnings, summary.problems, summary.notes, store.reports]);
  if (told !== byId("about").dataset.told) showAbout(told);
  if (!allEnded || name === null) {
    verdictOf = "";
    byId("verdict").replaceChildren();
  } else if (verdictOf !== name) {
    void showVerdict(name, byId("verdict"));
  }
}

/** What seldom changes: made anew then alone, so that what a reader has opened stays open. @param {string} told */
function showAbout(told) {
  const { description, warnings, problems, notes, name } = summary;
  const fold = (/** @type {string} */ title, /** @type {string[]} */ lines) => lines.length
    ? el("details", { open: lines.length < 4 }, el("summary", {}, `${title} (${lines.length})`), list(lines))
    : null;
  byId("about").dataset.told = told;
  byId("about").replaceChildren(
    el("p", { class: "description" }, description),
    el("p", { class: "links" }, ...reportLinks(name)),
    ...[fold("Mind", warnings), fold("Problems", problems), fold("Published", notes)].filter((one) => one !== null),
  );
}

/** Links to the report of a scan and to those that were named; without a scan to all. @param {string | null} name */
function reportLinks(name) {
  const places = /** @type {[string, string][]} */ (Object.entries(store.reports));
  return places.filter(([one]) => name === null || one === name || !store.scans.includes(one))
    .map(([one, place]) => el("a", { href: `${store.shelf}${place}` }, `Report of ${one}`));
}

/** @param {string} name @param {Element} place */
async function showVerdict(name, place) {
  verdictOf = name;
  place.replaceChildren(el("p", {}, "All runs have ended; the scan is being analysed…"));
  for (;;) {
    const found = await loadVerdict(name).catch((error) => ({ problem: [String(error.message)] }));
    if (verdictOf !== name || !summary.all_ended) return;
    if (found.sentence) {
      // What was known before the first run stands above already.
      showAnswer(place, found, found.mind.filter((/** @type {string} */ one) => !summary.warnings.includes(one)));
      return;
    }
    if (found.problem) {
      place.replaceChildren(el("h2", {}, "No verdict"), list(found.problem));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/**
 * The sentence, the ranked table, what it hangs on; detail folded: the order of the report.
 * @param {Element} place @param {any} found @param {string[]} mind
 */
function showAnswer(place, found, mind) {
  const parts = [el("h2", {}, "Verdict"), el("p", { class: "sentence" }, found.sentence)];
  if (found.columns.length) parts.push(rankedTable(found.columns));
  if (found.basis) parts.push(el("p", { class: "hint" }, found.basis));
  if (mind.length) parts.push(el("h3", {}, "It hangs on"), list(mind.slice(0, MINDED)));
  const detail = [...mind.slice(MINDED), ...found.detail];
  if (detail.length) parts.push(el("details", {}, el("summary", {}, `Detail (${detail.length})`), list(detail)));
  place.replaceChildren(...parts);
}

/** @param {string[]} lines */
function list(lines) {
  return el("ul", {}, ...lines.map((line) => el("li", {}, line)));
}

/** @param {{title: string, cells: string[], drawn: boolean, minor: boolean}[]} columns */
function rankedTable(columns) {
  const narrow = (/** @type {typeof columns[number]} */ { minor }) => (minor ? "minor" : "");
  return el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Contenders by their multiplier" }, el("table", {},
    el("thead", {}, el("tr", {}, ...columns.map((one) => el("th", { scope: "col", class: narrow(one) }, one.title)))),
    el("tbody", {}, ...columns[0].cells.map((_, row) => el("tr", {}, ...columns.map((one, place) => (place
      ? el("td", { class: `${narrow(one)}${place === 1 ? " figure" : ""}` }, one.drawn ? el("code", { class: "drawn" }, one.cells[row]) : one.cells[row])
      : el("th", { scope: "row" }, one.cells[row]))))))));
}

async function showRun() {
  const row = rows.get(view.run);
  if (!row) return;
  if (!page || pageOf !== row.id) {
    closeRun();
    page = new RunPage(byId("run"), address({}));
    pageOf = row.id;
    window.scrollTo(0, 0);
  }
  const mine = page;
  mine.showRow(row, curves.get(row.id));
  const details = await loadRun(shownScan ?? "", row.id).catch((error) => { trouble(error); return null; });
  if (details && page === mine) mine.showDetails(details);
}

function closeRun() {
  page?.destroy();
  page = null;
  pageOf = "";
}

/** @param {boolean} on */
function connected(on) {
  byId("connection").textContent = on ? "live" : "not connected; what is shown may be out of date";
}

/** @param {any} error */
function trouble(error) {
  byId("trouble").hidden = !error;
  byId("trouble").textContent = error ? `This could not be shown: ${error.message ?? error}` : "";
}

// On a phone the curves come first, and what can be chosen about them on demand.
byId("choices").open = window.innerWidth >= NARROW;
byId("connection").textContent = live ? "" : "exported";
void begin();
