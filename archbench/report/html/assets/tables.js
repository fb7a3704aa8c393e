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

  const tables = [...document.querySelectorAll("details > .table > table, section .table > table")].filter(
    (table) => table.tHead && table.tBodies.length && !table.closest("details"),
  );
  tables.forEach(makeSortable);
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
