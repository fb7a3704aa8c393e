// @ts-check
/** One run: what it is, its curves over steps, its checkpoints, the end of its log, and its plan. */

import { Plot } from "./plot.js";
import { bytes, count, el, known, loss, plain, seconds } from "./text.js";

/** @typedef {import("./query.js").Row} Row @typedef {import("./source.js").Curve} Curve */

const TRACED = /** @type {[string, string, string][]} */ ([
  ["gradient_norm", "Gradient norm", "norm before clipping"],
  ["tokens_per_s", "Throughput", "tokens/s"],
  ["memory_bytes", "Memory", "most held, GiB"],
]);

/** The page of a run; it stays while its figures change. */
export class RunPage {
  /** @param {HTMLElement} root @param {string} back the address of the page before */
  constructor(root, back) {
    this.root = root;
    this.title = el("h2", { tabindex: "-1" });
    this.facts = el("dl", { class: "facts" });
    this.charts = el("div", { class: "charts" });
    this.more = el("div");
    this.told = "";
    /** @type {Map<string, Plot>} */
    this.plots = new Map();
    this.back = /** @type {HTMLAnchorElement} */ (el("a", { href: back }, "← All runs"));
    root.replaceChildren(el("p", {}, this.back), this.title, this.facts, this.charts, this.more);
    this.title.focus({ preventScroll: true });
  }

  destroy() {
    this.plots.forEach((plot) => plot.destroy());
    this.root.replaceChildren();
  }

  /**
   * What is known at once.
   * @param {Row} row @param {Curve | undefined} curve
   */
  showRow(row, curve) {
    this.title.textContent = `${row.contender} size ${row.size} seed ${row.seed ?? "–"}`;
    const facts = /** @type {[string, string][]} */ ([
      ["run", row.id], ["state", row.state], ...(row.reason ? [["reason", row.reason]] : []),
      ...(row.problem ? [["problem", row.problem]] : []),
      ["steps", `${row.step ?? "–"} of ${row.steps ?? "–"}`], ["N", count(row.params)],
      ["loss", `${loss(row.loss)} nats`], ["bits per byte", loss(row.bits_per_byte)],
      ["tokens/s", count(row.tokens_per_s)], ["time in steps", seconds(row.device_seconds)],
      ["memory", bytes(row.memory_bytes)],
    ]);
    this.facts.replaceChildren(...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    if (!curve || !curve.step.length) return;
    this.draw("Loss", "nats per token", [
      { id: "validation", name: "validation loss", group: 0, x: curve.step, y: curve.validation_loss_nats },
      { id: "train", name: "training loss", group: 1, x: curve.step, y: curve.train_loss_nats },
    ]);
  }

  /** What has to be asked for. @param {any} details */
  showDetails(details) {
    const steps = details.trace.map((/** @type {any} */ point) => point.step);
    for (const [key, title, label] of TRACED) {
      const factor = key === "memory_bytes" ? 1024 ** -3 : 1;
      const values = details.trace.map((/** @type {any} */ point) => (known(point[key]) ? point[key] * factor : NaN));
      if (values.some(known)) this.draw(title, label, [{ id: key, name: title, group: 0, x: steps, y: values }]);
    }
    const told = JSON.stringify({ ...details, trace: details.trace.length > 0 });
    if (told === this.told) return;  // what a reader has opened, scrolled or marked stays as it is
    this.told = told;
    const open = new Set([...this.more.querySelectorAll("details[open] summary")].map((one) => one.textContent));
    const fold = (/** @type {string} */ title, /** @type {(Node | string)[]} */ ...content) =>
      el("details", { open: open.has(title) }, el("summary", {}, title), ...content);
    const text = (/** @type {string} */ words) => el("pre", { tabindex: "0" }, words);
    const { file, lines } = details.log;
    const notes = details.trace.length ? [] : [el("p", { class: "hint" },
      "Gradient norm, throughput and memory on the way are not there: the run was made by a version that did not note them, or elsewhere.")];
    this.more.replaceChildren(
      ...notes,
      el("p", {}, "Folder: ", el("code", {}, details.directory)),
      fold("Checkpoints", listed(details.checkpoints)),
      fold("End of the log", lines.length ? text(`${file}\n\n${lines.join("\n")}`) : el("p", {}, "No log names this run.")),
      fold("Measured", pairs(details.measured)),
      fold("Record", details.run ? pairs(details.run) : el("p", {}, "The run has left nothing yet.")),
      fold("Plan", text(JSON.stringify(details.plan, null, 2))),
    );
  }

  /** @param {string} title @param {string} label @param {import("./plot.js").Line[]} lines */
  draw(title, label, lines) {
    let plot = this.plots.get(title);
    if (!plot) {
      const place = el("div");
      this.charts.append(el("figure", {}, el("figcaption", {}, title), place));
      plot = new Plot(place, { label: `${title} by step; arrow keys walk along it`, height: () => 220 });
      this.plots.set(title, plot);
    }
    plot.show(lines, { xLabel: "steps", yLabel: label, logX: false, logY: false,
      styles: [{ colour: "--s2", dash: [] }, { colour: "--s1", dash: [4, 3] }] });
  }
}

/** @param {any[]} checkpoints */
function listed(checkpoints) {
  if (!checkpoints.length) return el("p", {}, "None: a run that has ended keeps none, unless it is asked to.");
  return el("ul", {}, ...checkpoints.map((one) => el("li", {},
    `${one.what}${one.step === null ? "" : ` at step ${one.step}`}, ${bytes(one.bytes)}`
    + (one.written === null ? "" : `, written ${new Date(one.written * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`))));
}

/** Nested values under dotted names. @param {any} content @param {string} before @returns {[string, string][]} */
function flat(content, before = "") {
  return Object.entries(content).flatMap(([name, value]) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? flat(value, `${before}${name}.`)
      : [/** @type {[string, string]} */ ([before + name, plain(value)])]);
}

/** @param {any} content */
function pairs(content) {
  return el("dl", { class: "pairs" }, ...flat(content).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
