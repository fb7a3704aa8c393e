// Draws every chart of the page in place of its figure: what may be chosen, and what is said of the point under the
// pointer or the arrow keys. Colours come from the page's style, so that light and dark are decided in one place.
"use strict";
(() => {
  const DASHES = [[], [7, 3], [3, 2], [7, 2, 1, 2], [1.5, 2], [5, 2, 1, 2, 1, 2], [10, 4], [4, 4]];
  const MARKS = [["circle", 0], ["rect", 0], ["triangle", 0], ["rectRot", 0], ["triangle", 180], ["cross", 0],
    ["crossRot", 0], ["star", 0]];
  const SHAPES = ["M15 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0", "M15 5h6v6h-6z", "M18 4.5l3.5 6.5h-7z", "M18 4l4 4-4 4-4-4z",
    "M18 11.5l3.5-6.5h-7z", "M18 4v8M14 8h8", "M15 5l6 6M21 5l-6 6", "M18 4v8M14 8h8M15 5l6 6M21 5l-6 6"];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = (style) => css(`--s${style % MARKS.length}`);

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // As `archbench.report.words.number` prints: significant digits, plain up to 1e5.
  function number(value, digits = 4) {
    if (value === 0) return "0";
    if (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-4) return value.toExponential(digits - 1).replace("e+", "e");
    return value.toPrecision(digits);
  }

  // Round values of a logarithmic scale, the densest row of them that its pixels have room for.
  const STEPS = [[1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 3.75, 4, 4.5, 5, 5.5, 6, 7, 8, 9],
    [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8], [1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 5], [1, 3], [1]];
  function logTicks(scale) {
    const room = scale.isHorizontal() ? scale.chart.width / 65 : scale.chart.height / 32;
    const first = Math.floor(Math.log10(scale.min)), last = Math.floor(Math.log10(scale.max));
    const decades = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    const rows = STEPS.map((steps) => decades.flatMap((decade) => steps.map((step) => Number((step * 10 ** decade).toPrecision(3)))));
    const seen = rows.map((row) => row.filter((value) => value >= scale.min && value <= scale.max));
    const fitting = seen.find((row) => row.length <= Math.max(room, 2)) ?? seen[seen.length - 1];
    const every = Math.ceil(fitting.length / Math.max(room, 2));
    scale.ticks = fitting.filter((_, at) => at % every === 0).map((value) => ({ value }));
  }

  const tick = (value) => (value >= 1e5 || value < 1e-4 ? value.toExponential().replace("e+", "e") : String(Number(value.toPrecision(6))));

  function checkbox(text, checked, changed, swatch) {
    const input = make("input", { type: "checkbox" });
    input.checked = checked;
    input.addEventListener("change", () => changed(input.checked));
    return make("label", {}, input, ...(swatch ? [swatch] : []), text);
  }

  function swatch(style) {
    const space = "http://www.w3.org/2000/svg";
    const drawing = document.createElementNS(space, "svg");
    for (const [name, value] of [["viewBox", "0 0 36 16"], ["class", "swatch"], ["aria-hidden", "true"]])
      drawing.setAttribute(name, value);
    for (const [d, dash] of [["M0 8h36", DASHES[style % DASHES.length].join(" ")], [SHAPES[style % SHAPES.length], ""]]) {
      const path = document.createElementNS(space, "path");
      const look = { d, stroke: `var(--s${style % MARKS.length})`, "stroke-width": 2, "stroke-dasharray": dash };
      for (const [name, value] of Object.entries(look)) path.setAttribute(name, value);
      path.setAttribute("fill", dash || d.startsWith("M0") ? "none" : `var(--s${style % MARKS.length})`);
      drawing.append(path);
    }
    return drawing;
  }

  class Drawing {
    constructor(name, content) {
      this.content = content;
      this.axis = Object.keys(content.axes)[0];
      this.log = { x: content.logX, y: content.logY };
      this.layers = [...new Set(content.lines.map((line) => line.layer))];
      this.off = new Set(content.hidden.map((layer) => `layer ${layer}`));
      this.canvas = make("canvas", { role: "img", tabindex: "0", "aria-describedby": `hint-${name}` });
      this.hint = make("p", { class: "hint", id: `hint-${name}`, "aria-live": "polite" });
      this.hint.textContent = "Point at a line, or focus the chart and use the arrow keys.";
      this.element = make("div", { class: "chart" }, this.controls(), make("div", { class: "plot" }, this.canvas), this.hint);
    }

    // The chart can be made only when its element is part of the page: its size is that of its box.
    start(label) {
      this.canvas.setAttribute("aria-label", label);
      const under = { id: "under", beforeDatasetsDraw: (chart) => this.drawUnder(chart) };
      Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
      const data = { datasets: this.datasets() };
      this.chart = new Chart(this.canvas, { type: "line", data, options: this.options(), plugins: [under] });
      this.canvas.addEventListener("keydown", (event) => this.key(event));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    }

    controls() {
      const { axes, groups } = this.content;
      const shown = groups.filter((group) => this.content.lines.some((line) => line.group === group));
      const sets = [];
      const toggles = (legend, key, names, style) => {
        const change = (name) => (on) => { this.off[on ? "delete" : "add"](`${key} ${name}`); this.draw(); };
        const boxes = names.map((name) => checkbox(name, !this.off.has(`${key} ${name}`), change(name), style(name)));
        sets.push(make("fieldset", {}, make("legend", {}, legend), ...boxes));
      };
      if (shown.length > 1) toggles("Show", "group", shown, (name) => swatch(groups.indexOf(name)));
      if (this.layers.length > 1) toggles("Draw", "layer", this.layers, () => null);
      const scale = make("fieldset", {}, make("legend", {}, "Axes"));
      if (Object.keys(axes).length > 1) {
        const select = make("select", {}, ...Object.entries(axes).map(([key, label]) => make("option", { value: key }, label)));
        select.addEventListener("change", () => { this.axis = select.value; this.draw(); });
        scale.append(make("label", {}, "against", select));
      }
      for (const one of ["x", "y"])
        scale.append(checkbox(`log ${one}`, this.log[one], (on) => { this.log[one] = on; this.draw(); }));
      return make("div", { class: "controls" }, ...sets, scale);
    }

    visible(one) {
      return !this.off.has(`group ${one.group}`) && !this.off.has(`layer ${one.layer}`);
    }

    points(line, y) {
      const drawable = (x, value) => x !== null && value !== null && (!this.log.x || x > 0) && (!this.log.y || value > 0);
      return line.x[this.axis].map((x, at) => ({ x, y: drawable(x, y[at]) ? y[at] : null, at })).filter((p) => p.x !== null);
    }

    dataset(line) {
      const style = Math.max(this.content.groups.indexOf(line.group), 0);
      const [mark, rotation] = MARKS[style % MARKS.length];
      const thin = line.look === "thin", data = this.points(line, line.y), end = data.length - 1;
      const radius = (at) => (line.look === "marks" ? 3.5 : line.end && at === end ? 4 : 0);
      return {
        line, data, label: line.name, borderColor: color(style) + (thin ? "99" : ""), pointBorderColor: color(style),
        backgroundColor: line.end === "circle" ? css("--page") : color(style),
        borderWidth: thin ? 1 : line.look === "dotted" ? 1.25 : 2.25,
        borderDash: line.look === "dotted" ? [1.5, 3] : thin ? (line.end === "cross" ? [3, 3] : []) : DASHES[style % DASHES.length],
        pointStyle: line.end === "cross" ? "crossRot" : mark, pointRotation: line.end === "cross" ? 0 : rotation,
        pointRadius: data.map((_, at) => radius(at)), pointHitRadius: 6, pointHoverRadius: 6, pointBorderWidth: 1.5,
      };
    }

    scale(axis, label) {
      const grid = { color: css("--rule"), drawTicks: false };
      const ticks = { color: css("--muted"), maxRotation: 0, autoSkipPadding: 12, padding: 6 };
      const scale = { grid, ticks, border: { color: css("--muted") }, title: { display: axis === "x", text: label, color: css("--text") } };
      if (!this.log[axis]) return { ...scale, type: "linear", ticks: { ...ticks, callback: (value) => number(value, 3) } };
      return { ...scale, type: "logarithmic", ticks: { ...ticks, callback: tick, autoSkip: false }, afterBuildTicks: logTicks };
    }

    datasets() {
      const drawn = this.content.lines.filter((line) => line.x[this.axis] && this.visible(line));
      return drawn.map((line) => this.dataset(line));
    }

    draw() {
      this.chart.data.datasets = this.datasets();
      this.chart.options = this.options();
      this.chart.update("none");
    }

    options() {
      const { axes, yLabel, fallingX, title } = this.content;
      return {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: false, spanGaps: false,
        interaction: { mode: "nearest", axis: "xy", intersect: false },
        plugins: {
          legend: { display: false },
          title: { display: true, text: title, align: "start", color: css("--text"), padding: { top: 4, bottom: 2 } },
          // Lying down, above the axis: a long name has room on a phone too.
          subtitle: { display: true, text: yLabel, align: "start", color: css("--muted"), padding: { bottom: 8 } },
          tooltip: { callbacks: { title: ([item]) => item?.dataset.line.name, label: (item) => this.said(item) } },
        },
        scales: { x: { ...this.scale("x", axes[this.axis]), reverse: fallingX }, y: this.scale("y", yLabel) },
      };
    }

    said(item) {
      const { line } = item.dataset, point = item.raw, words = [`${this.content.yLabel}: ${number(point.y)}`];
      if (line.low.length && line.low[point.at] !== null)
        words[0] += ` [${number(line.low[point.at])}, ${number(line.high[point.at])}]`;
      words.push(`${this.content.axes[this.axis]}: ${number(point.x)}`);
      return words;
    }

    // Bands, tiers, the level line and reference lines, below all lines.
    drawUnder(chart) {
      const { ctx, chartArea: area, scales: { x, y } } = chart;
      ctx.save();
      ctx.beginPath();
      ctx.rect(area.left, area.top, area.width, area.height);
      ctx.clip();
      ctx.fillStyle = css("--shade");
      for (const span of this.content.spans)
        if (span.axis === this.axis && !this.off.has(`group ${span.group}`))
          ctx.fillRect(x.getPixelForValue(span.low), area.top, x.getPixelForValue(span.high) - x.getPixelForValue(span.low), area.height);
      ctx.globalAlpha = Number(css("--band"));
      for (const { line, borderColor } of chart.data.datasets) {
        if (!line.low.length) continue;
        const edge = (values) => this.points(line, values).filter((p) => p.y !== null);
        ctx.fillStyle = borderColor;
        ctx.beginPath();
        for (const p of edge(line.low)) ctx.lineTo(x.getPixelForValue(p.x), y.getPixelForValue(p.y));
        for (const p of edge(line.high).reverse()) ctx.lineTo(x.getPixelForValue(p.x), y.getPixelForValue(p.y));
        ctx.fill();
      }
      ctx.globalAlpha = 1;
      if (this.content.level !== null) {
        ctx.fillStyle = css("--muted");
        ctx.fillRect(area.left, y.getPixelForValue(this.content.level), area.width, 1);
      }
      // Reference lines carry their names; those outside of the scale are not drawn.
      ctx.fillStyle = ctx.strokeStyle = css("--muted");
      ctx.font = `11px ${Chart.defaults.font.family}`;
      ctx.textAlign = "right";
      ctx.setLineDash([5, 3]);
      for (const { name, value } of this.content.levels) {
        if (value < y.min || value > y.max) continue;
        const height = y.getPixelForValue(value);
        ctx.beginPath();
        ctx.moveTo(area.left, height);
        ctx.lineTo(area.right, height);
        ctx.stroke();
        ctx.fillText(name, area.right - 4, height - 3);
      }
      ctx.restore();
    }

    // Left and right go along a line, up and down to the next one, Escape leaves it.
    key(event) {
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Escape: null };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const { datasets } = this.chart.data, move = moves[event.key];
      if (!datasets.length || move === null) return this.activate([]);
      const wrap = (value, size) => (value + size) % size;
      const now = this.now && this.now.datasetIndex < datasets.length ? this.now : { datasetIndex: 0, index: -1 };
      const reversed = this.content.fallingX ? -1 : 1;
      const datasetIndex = wrap(now.datasetIndex + move[0], datasets.length), { data } = datasets[datasetIndex];
      if (data.length) this.activate([{ datasetIndex, index: wrap(Math.min(now.index, data.length - 1) + reversed * move[1], data.length) }]);
    }

    activate(points) {
      [this.now] = points;
      this.chart.setActiveElements(points);
      this.chart.tooltip.setActiveElements(points, { x: 0, y: 0 });
      this.chart.update("none");
      const dataset = points.length ? this.chart.data.datasets[points[0].datasetIndex] : null;
      if (dataset) this.hint.textContent = `${dataset.label}; ${this.said({ dataset, raw: dataset.data[points[0].index] }).join("; ")}`;
    }
  }

  // The learning curves of one group of a figure's chart, for a page that shows them on demand; null where it has none.
  window.curvesOf = (figure, group) => {
    const content = charts[figure];
    const own = content && content.lines.filter((line) => line.group === group);
    if (!own || !own.some((line) => line.look === "thin")) return null;
    const name = `${figure}-${content.groups.indexOf(group)}`;
    const drawing = new Drawing(name, { ...content, title: `${group}: learning curves`, lines: own, hidden: [] });
    return { element: drawing.element, start: () => drawing.start(`Learning curves of ${group}`) };
  };

  const { lines, charts } = JSON.parse(document.getElementById("charts").textContent);
  for (const chart of Object.values(charts)) chart.lines = chart.lines.map((place) => lines[place]);
  for (const figure of document.querySelectorAll("figure[data-figure]")) {
    const content = charts[figure.dataset.figure], image = figure.querySelector("img");
    if (!content || !image) continue;
    const drawing = new Drawing(figure.dataset.figure, content);
    image.before(drawing.element);
    image.hidden = true;
    try {
      drawing.start(image.alt);
    } catch (error) {
      // The figure says the same; a reader must not be left without both.
      drawing.element.remove();
      image.hidden = false;
      console.error(error);
    }
  }
})();
