// Tables that a reader may sort by a column and filter by words. Where scripts do not run they are plain tables.
"use strict";

(() => {
  /** The number that a cell begins with, commas and markup aside; NaN where it begins with none. */
  const numberIn = (text) => {
    const found = text.replace(/,/g, "").match(/^[-+−]?\d*\.?\d+(e[-+]?\d+)?/i);
    return found ? parseFloat(found[0].replace("−", "-")) : NaN;
  };

  /** Rows by one column: by number where both cells have one; a cell without comes last in either order. */
  const sortRows = (table, column, falling) => {
    table.querySelectorAll("tr.opened").forEach((row) => row.close());
    const rows = [...table.tBodies[0].rows].map((row) => {
      const text = row.cells[column].textContent.trim();
      return { row, text, number: numberIn(text) };
    });
    const numeric = rows.some((one) => !Number.isNaN(one.number));
    const sign = falling ? -1 : 1;
    rows.sort((one, other) => {
      if (!numeric) return sign * one.text.localeCompare(other.text);
      const missing = Number.isNaN(one.number) - Number.isNaN(other.number);
      return missing || sign * (one.number - other.number) || 0;
    });
    table.tBodies[0].append(...rows.map((one) => one.row));
  };

  const makeSortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        sortRows(table, column, falling);
      });
    });
  };

  /** One field for all tables of the page: a row stays where it holds every word. */
  const addFilter = (tables) => {
    const label = document.createElement("label");
    const field = document.createElement("input");
    const told = document.createElement("output");
    label.className = "filter";
    field.type = "search";
    field.placeholder = "gpt2 causal";
    label.append("Show rows with ", field, " ", told);
    tables[0].closest("section").before(label);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const table of tables) {
        table.querySelectorAll("tr.opened").forEach((row) => row.close());
        const about = table.caption ? table.caption.textContent.toLowerCase() : "";
        for (const row of table.tBodies[0].rows) {
          const text = `${about} ${row.textContent.toLowerCase()}`;
          row.hidden = !words.every((word) => text.includes(word));
          shown += row.hidden ? 0 : 1;
        }
      }
      told.textContent = words.length ? `${shown} rows` : "";
    });
  };

  /** What a folded table of more columns says of a row, as a list of terms; its first cell is the row's own name. */
  const terms = (head, cells) => {
    const list = document.createElement("dl");
    [...cells].slice(1).forEach((cell, at) => {
      const term = document.createElement("dt");
      const said = document.createElement("dd");
      term.textContent = head.cells[at + 1].textContent;
      said.append(...[...cell.childNodes].map((node) => node.cloneNode(true)));
      list.append(term, said);
    });
    return list;
  };

  /** A row opens all that is known of it: every column, its learning curves, the way to its evidence. */
  const makeOpening = (table) => {
    const section = table.closest("section");
    const all = section && section.querySelector("details > .table > table");
    if (!all) return;
    const known = new Map([...all.tBodies[0].rows].map((row) => [row.cells[0].textContent, row]));
    const figure = section.querySelector("figure[data-figure]");
    for (const row of [...table.tBodies[0].rows]) {
      const link = row.querySelector("a");
      const found = link && known.get(link.textContent);
      if (!found) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "open";
      button.setAttribute("aria-label", `curves and evidence of ${link.textContent}`);
      button.setAttribute("aria-expanded", "false");
      link.before(button, " ");
      let opened = null;
      const close = () => {
        opened.remove();
        opened = null;
        button.setAttribute("aria-expanded", "false");
      };
      button.addEventListener("click", () => {
        if (opened) return close();
        opened = document.createElement("tr");
        opened.className = "opened";
        opened.close = close;
        const cell = opened.insertCell();
        const inner = document.createElement("div");
        cell.colSpan = row.cells.length;
        cell.append(inner);
        const curves = figure && window.curvesOf && window.curvesOf(figure.dataset.figure, link.textContent);
        const evidence = link.cloneNode(false);
        evidence.textContent = "Evidence: runs, spec, how to run it again";
        inner.append(terms(all.tHead.rows[0], found.cells), ...(curves ? [curves.element] : []), evidence);
        row.after(opened);
        if (curves) curves.start();
        button.setAttribute("aria-expanded", "true");
      });
    }
  };

  const tables = [...document.querySelectorAll("section .table > table")].filter(
    (table) => table.tHead && table.tBodies.length && !table.closest("details"),
  );
  tables.forEach(makeSortable);
  tables.forEach(makeOpening);
  document.querySelectorAll("details > .table > table").forEach(makeSortable);
  if (tables.length) addFilter(tables);

  /** An address inside the page opens the fold that it points to. */
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    const next = target && target.nextElementSibling;
    if (next && next.tagName === "DETAILS") next.open = true;
    if (target) target.scrollIntoView();
  };
  window.addEventListener("hashchange", open);
  open();
})();
