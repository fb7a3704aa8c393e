// @ts-check
/** Curves of many runs over each other, on canvases: uPlot keeps axes and scales, the lines are drawn here. */

import { count, el } from "./text.js";

/**
 * @typedef {{id: string, name: string, group: number, x: ArrayLike<number>, y: ArrayLike<number>}} Line
 * @typedef {{colour: string, dash: number[]}} Style
 * @typedef {{xLabel: string, yLabel: string, logX: boolean, logY: boolean, styles: Style[], steps?: Line[],
 *   dashedSteps?: boolean, empty?: string}} Look `empty` is said where there is nothing to draw
 * @typedef {{line: Line, x: Float64Array, y: Float64Array}} Placed points in the units of the axes, logarithms taken
 */

const { uPlot } = /** @type {any} */ (globalThis);
const NEAR_PIXELS = 30;
const MANY = 60;

/** One chart. */
export class Plot {
  /**
   * @param {HTMLElement} root
   * @param {{label: string, height: () => number, onPick?: (id: string) => void}} options
   */
  constructor(root, options) {
    this.options = options;
    /** @type {Placed[]} */
    this.placed = [];
    /** @type {Placed[]} */
    this.steps = [];
    /** @type {Look | null} */
    this.look = null;
    this.zoomed = false;
    this.range = { x: [0, 1], y: [0, 1] };
    this.chosen = -1;
    this.point = 0;
    this.uplot = /** @type {any} */ (null);
    this.frame = el("div", {
      class: "plot", tabindex: "0", role: "application", "aria-label": options.label, "aria-describedby": "plot-keys",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event),
    });
    this.hint = el("p", { class: "hint" }, "");
    this.whole = el("button", { type: "button", hidden: true, onclick: () => this.unzoom() }, "Whole range");
    this.overlay = /** @type {HTMLCanvasElement} */ (el("canvas", { class: "overlay" }));
    root.replaceChildren(this.frame, el("div", { class: "under" }, this.hint, this.whole));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.frame);
    this.night = matchMedia("(prefers-color-scheme: dark)");
    this.night.onchange = () => this.remake();
  }

  /** Forgets the chart; its elements stay until they are replaced. */
  destroy() {
    this.observer.disconnect();
    this.night.onchange = null;
    this.uplot?.destroy();
    this.uplot = null;
  }

  /**
   * Shows these lines in this look; what was zoomed into stays as long as the axes do.
   * @param {Line[]} lines
   * @param {Look} look
   */
  show(lines, look) {
    const before = this.look;
    const chosen = this.placed[this.chosen]?.line.id;
    this.look = look;
    this.placed = lines.map((line) => placed(line, look)).filter(({ x }) => x.length);
    this.steps = (look.steps ?? []).map((line) => placed(line, look));
    this.chosen = this.placed.findIndex(({ line }) => line.id === chosen);
    const same = before && before.xLabel === look.xLabel && before.yLabel === look.yLabel
      && before.logX === look.logX && before.logY === look.logY;
    if (!same) this.zoomed = false;
    if (!this.zoomed) this.range = { x: spread(this.placed, "x"), y: spread(this.placed, "y") };
    if (same && this.uplot) this.rescale();
    else this.remake();
  }

  /** Makes the chart anew, where axes or colours have changed. */
  remake() {
    const look = this.look;
    const width = this.frame.clientWidth;
    this.uplot?.destroy();
    this.uplot = null;
    if (!look || !width) return;
    const axis = (/** @type {"x" | "y"} */ key, /** @type {boolean} */ log, /** @type {string} */ label) => ({
      label, labelSize: 20, size: key === "x" ? 34 : 52, font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif", stroke: colour("--muted"),
      grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1 },
      splits: () => splits(this.range[key][0], this.range[key][1], log, key === "x" ? width / 90 : 7),
      values: (/** @type {any} */ _, /** @type {number[]} */ values) => values.map((one) => tick(log ? 10 ** one : one)),
    });
    this.uplot = new uPlot({
      width, height: this.options.height(), legend: { show: false }, padding: [8, 12, 0, 0],
      scales: { x: { time: false, range: () => this.range.x }, y: { range: () => this.range.y } },
      axes: [axis("x", look.logX, look.xLabel), axis("y", look.logY, look.yLabel)],
      series: [{}, { paths: () => null, points: { show: false } }],
      cursor: { drag: { x: true, y: true, uni: 20, setScale: false }, points: { show: false } },
      hooks: { draw: [() => this.draw()], setSelect: [() => this.zoom()] },
    }, [this.range.x, this.range.y], this.frame);
    const over = this.uplot.over;
    over.append(this.overlay);
    over.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.hover(event));
    over.addEventListener("pointerleave", () => this.choose(-1));
    over.addEventListener("click", (/** @type {PointerEvent} */ event) => this.click(event));
    over.addEventListener("dblclick", () => this.unzoom());
    this.mark();
  }

  resize() {
    if (!this.uplot) {
      this.remake();
      return;
    }
    const width = this.frame.clientWidth;
    if (width && width !== this.uplot.width) this.uplot.setSize({ width, height: this.options.height() });
  }

  rescale() {
    this.uplot.setData([this.range.x, this.range.y]);
    this.mark();
  }

  zoom() {
    const { left, top, width, height } = this.uplot.select;
    if (width < 5 && height < 5) return;
    const at = (/** @type {number} */ pixel, /** @type {string} */ key) => this.uplot.posToVal(pixel, key);
    const x = width < 5 ? this.range.x : [at(left, "x"), at(left + width, "x")];
    const y = height < 5 ? this.range.y : [at(top + height, "y"), at(top, "y")];
    this.range = { x, y };
    this.zoomed = true;
    this.whole.hidden = false;
    this.uplot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.rescale();
  }

  unzoom() {
    this.zoomed = false;
    this.whole.hidden = true;
    this.range = { x: spread(this.placed, "x"), y: spread(this.placed, "y") };
    if (this.uplot) this.rescale();
  }

  /** How points become pixels of the canvas, from its left and top edges. */
  transform() {
    const { left, top, width, height } = this.uplot.bbox;
    const [x0, x1] = this.range.x;
    const [y0, y1] = this.range.y;
    return { ax: left - (x0 * width) / (x1 - x0), bx: width / (x1 - x0),
      ay: top + (y1 * height) / (y1 - y0), by: -height / (y1 - y0) };
  }

  draw() {
    const look = this.look;
    if (!look) return;
    const { ctx, bbox } = this.uplot;
    const to = this.transform();
    const many = this.placed.length > MANY;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineJoin = "bevel";
    ctx.lineWidth = (many ? 1 : 1.5) * devicePixelRatio;
    ctx.globalAlpha = many ? 0.6 : 1;
    const colours = look.styles.map((style) => colour(style.colour));
    const least = many ? Math.min(8, 1 + this.placed.length / 100) * devicePixelRatio : 1;
    for (const one of this.placed) stroke(ctx, one, to, colours[one.line.group], look.styles[one.line.group].dash, least);
    ctx.globalAlpha = 1;
    ctx.lineWidth = 3 * devicePixelRatio;
    for (const one of this.steps) stroke(ctx, one, to, colours[one.line.group], look.dashedSteps ? [8, 4] : [], 0);
    ctx.restore();
  }

  /** @param {PointerEvent} event */
  hover(event) {
    if (event.pointerType !== "mouse") return;
    const [index, point] = this.nearest(event);
    this.point = point;
    this.choose(index);
  }

  /** @param {PointerEvent} event */
  click(event) {
    const [index, point] = this.nearest(event);
    const again = index === this.chosen;
    this.point = point;
    this.choose(index);
    // A finger chooses first, and opens what it has chosen.
    if (index >= 0 && (event.pointerType === "mouse" || again)) this.options.onPick?.(this.placed[index].line.id);
  }

  /**
   * The line nearest to the pointer, and its point there; -1 where none is near.
   * @param {PointerEvent} event
   * @returns {[number, number]}
   */
  nearest(event) {
    const box = this.uplot.over.getBoundingClientRect();
    const to = this.transform();
    const left = (event.clientX - box.left) * devicePixelRatio + this.uplot.bbox.left;
    const top = (event.clientY - box.top) * devicePixelRatio + this.uplot.bbox.top;
    let best = (NEAR_PIXELS * devicePixelRatio) ** 2;
    /** @type {[number, number]} */
    let found = [-1, 0];
    this.placed.forEach(({ x, y }, index) => {
      for (let at = 0; at < x.length; at++) {
        const distance = (to.ax + to.bx * x[at] - left) ** 2 + (to.ay + to.by * y[at] - top) ** 2;
        if (distance < best) {
          best = distance;
          found = [index, at];
        }
      }
    });
    return found;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const turn = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    })[event.key];
    if (turn && this.placed.length) {
      event.preventDefault();
      this.hint.setAttribute("aria-live", "polite");
      const size = this.placed.length;
      const index = this.chosen < 0 ? 0 : (this.chosen + turn[0] + size) % size;
      const last = Math.max(0, this.placed[index].x.length - 1);
      this.point = this.chosen < 0 || turn[0] ? last : Math.min(last, Math.max(0, this.point + turn[1]));
      this.choose(index);
    } else if (event.key === "Enter" && this.chosen >= 0) {
      this.options.onPick?.(this.placed[this.chosen].line.id);
    } else if (event.key === "Escape") {
      this.choose(-1);
      this.unzoom();
    }
  }

  /** Marks a line; -1 marks none. @param {number} index */
  choose(index) {
    if (index === this.chosen && index < 0) return;
    this.chosen = index;
    this.mark();
  }

  /** Draws the marked line above the others, and says what it is. */
  mark() {
    const over = this.uplot?.over;
    if (!over || !this.look) return;
    const width = over.clientWidth * devicePixelRatio, height = over.clientHeight * devicePixelRatio;
    if (this.overlay.width !== width || this.overlay.height !== height) {
      this.overlay.width = width;
      this.overlay.height = height;
    }
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.overlay.getContext("2d"));
    ctx.clearRect(0, 0, width, height);
    const one = this.placed[this.chosen];
    if (!one) {
      this.hint.textContent = this.placed.length ? "" : this.look.empty ?? "";
      return;
    }
    const to = this.transform();
    to.ax -= this.uplot.bbox.left;
    to.ay -= this.uplot.bbox.top;
    const style = this.look.styles[one.line.group];
    ctx.lineWidth = 5 * devicePixelRatio;
    stroke(ctx, one, to, colour("--page"), [], 0);
    ctx.lineWidth = 3 * devicePixelRatio;
    stroke(ctx, one, to, colour(style.colour), style.dash, 0);
    const at = Math.min(this.point, one.x.length - 1);
    ctx.beginPath();
    ctx.arc(to.ax + to.bx * one.x[at], to.ay + to.by * one.y[at], 5 * devicePixelRatio, 0, 7);
    ctx.fillStyle = colour(style.colour);
    ctx.fill();
    const { xLabel, yLabel, logX, logY } = this.look;
    const x = logX ? 10 ** one.x[at] : one.x[at], y = logY ? 10 ** one.y[at] : one.y[at];
    this.hint.textContent = `${one.line.name}; ${yLabel}: ${Number(y.toPrecision(5))} at ${count(x)} ${xLabel}`;
  }
}

/** @type {WeakMap<object, Float64Array>} */
const logarithms = new WeakMap();

/** Taken once for each column of each curve. @param {ArrayLike<number>} values */
function logarithm(values) {
  let found = logarithms.get(values);
  if (!found) {
    found = Float64Array.from(values, Math.log10);
    logarithms.set(values, found);
  }
  return found;
}

/**
 * The points of a line where both are known, and above 0 where a logarithm is taken.
 * @param {Line} line @param {Look} look @returns {Placed}
 */
function placed(line, look) {
  const left = look.logX ? logarithm(line.x) : line.x, up = look.logY ? logarithm(line.y) : line.y;
  const size = Math.min(left.length, up.length);
  const x = new Float64Array(size), y = new Float64Array(size);
  let used = 0;
  for (let index = 0; index < size; index++) {
    if (!Number.isFinite(left[index]) || !Number.isFinite(up[index])) continue;
    x[used] = left[index];
    y[used++] = up[index];
  }
  return { line, x: x.subarray(0, used), y: y.subarray(0, used) };
}

/**
 * From the least to the greatest value of all lines, with a little room.
 * @param {Placed[]} lines @param {"x" | "y"} key @returns {[number, number]}
 */
function spread(lines, key) {
  let low = Infinity, high = -Infinity;
  for (const one of lines) {
    const values = one[key];
    for (let index = 0; index < values.length; index++) {
      if (values[index] < low) low = values[index];
      if (values[index] > high) high = values[index];
    }
  }
  if (low > high) return [0, 1];
  const room = (high - low) * (key === "y" ? 0.04 : 0.01) || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/**
 * @param {CanvasRenderingContext2D} ctx @param {Placed} one
 * @param {{ax: number, bx: number, ay: number, by: number}} to @param {string} ink @param {number[]} dash
 * @param {number} least pixels between two points that are drawn, but for the first and the last
 */
function stroke(ctx, { x, y }, to, ink, dash, least) {
  if (!x.length) return;
  ctx.beginPath();
  let left = to.ax + to.bx * x[0];
  ctx.moveTo(left, to.ay + to.by * y[0]);
  for (let index = 1; index < x.length; index++) {
    const next = to.ax + to.bx * x[index];
    if (next - left < least && left - next < least && index < x.length - 1) continue;
    left = next;
    ctx.lineTo(left, to.ay + to.by * y[index]);
  }
  if (x.length === 1) ctx.arc(left, to.ay + to.by * y[0], 2 * devicePixelRatio, 0, 7);
  ctx.strokeStyle = ink;
  ctx.setLineDash(dash.map((one) => one * devicePixelRatio));
  ctx.stroke();
}

/**
 * A colour of the style sheet, by day or by night; `scale:0.3` is one of a scale from blue to yellow.
 * @param {string} name
 */
export function colour(name) {
  if (!name.startsWith("scale:")) return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const night = matchMedia("(prefers-color-scheme: dark)").matches;
  const share = Number(name.slice(6));
  return `hsl(${Math.round(250 - 210 * share)} 75% ${Math.round(night ? 62 + 10 * share : 42 - 8 * share)}%)`;
}

/**
 * Where an axis has its marks: round numbers; of a logarithm, such as 1, 2 and 5 times powers of ten.
 * @param {number} low @param {number} high @param {boolean} log @param {number} most
 * @returns {number[]}
 */
export function splits(low, high, log, most) {
  if (log && high - low > 0.7) {
    const decades = high - low;
    const of = decades > most ? [1] : decades * 3 > most ? [1, 3] : decades * 9 > most ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 8];
    const every = Math.max(1, Math.ceil(decades / most));
    const found = [];
    for (let power = Math.floor(low); power <= high; power++) {
      if (power % every) continue;
      found.push(...of.map((one) => power + Math.log10(one)).filter((one) => one >= low && one <= high));
    }
    return found;
  }
  const [from, to] = log ? [10 ** low, 10 ** high] : [low, high];
  const rough = (to - from) / Math.max(2, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((one) => one * power >= rough) ?? 10) * power;
  const found = [];
  for (let number = Math.ceil(from / step); number * step <= to; number++) found.push(number * step);
  return log ? found.map((one) => Math.log10(one)) : found;
}

/** @param {number} value */
function tick(value) {
  return Math.abs(value) >= 1000 ? count(value) : String(Number(value.toPrecision(4)));
}

/**
 * The mean of a curve over its last points, each counted less the further back it is (an exponential mean, debiased).
 * @param {ArrayLike<number>} values
 * @param {number} weight of what was before, from 0 to below 1
 */
export function smoothed(values, weight) {
  if (!weight) return values;
  const result = new Float64Array(values.length);
  let mean = 0, sum = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (Number.isFinite(value)) {
      mean = weight * mean + (1 - weight) * value;
      sum = weight * sum + (1 - weight);
    }
    result[index] = Number.isFinite(value) ? mean / sum : NaN;
  }
  return result;
}
