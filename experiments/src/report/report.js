"use strict";
// Figures and tables: definitions at hand, data and drawings as files, and everything unfolded in print.
(() => {
  document.documentElement.classList.add("scripted");

  const save = (name, kind, text) => {
    const address = URL.createObjectURL(new Blob([text], { type: `${kind};charset=utf-8` }));
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };

  const button = (text, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "tool";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };

  // As a file a drawing has to bring what the page says beside it.
  const drawing = (svg, definition) => {
    const copy = svg.cloneNode(true);
    copy.removeAttribute("aria-describedby");
    const desc = document.createElementNS("http://www.w3.org/2000/svg", "desc");
    desc.textContent = definition;
    copy.firstElementChild.after(desc);
    return `${new XMLSerializer().serializeToString(copy)}\n`;
  };

  for (const figure of document.querySelectorAll("figure.drawn")) {
    const svg = figure.querySelector("svg");
    const about = figure.querySelector(".definition");
    const { name, csv } = figure.dataset;
    const title = svg.querySelector("title").textContent;
    svg.setAttribute("aria-describedby", about.id);
    const ask = button("Definition", `Definition of ${title}`, () => {
      const open = about.classList.toggle("open");
      ask.setAttribute("aria-expanded", open);
    });
    ask.classList.add("about");
    ask.setAttribute("aria-expanded", "false");
    ask.setAttribute("aria-controls", about.id);
    const tools = [ask];
    if (csv !== undefined) tools.push(button("CSV", `Data of ${title} as CSV`, () => save(`${name}.csv`, "text/csv", csv)));
    const whole = () => save(`${name}.svg`, "image/svg+xml", drawing(svg, about.textContent));
    tools.push(button("SVG", `${title} as SVG`, whole));
    figure.querySelector("figcaption").prepend(...tools);
    // Escape puts away a definition that hovering or focus has shown, until either comes anew.
    figure.addEventListener("mouseleave", () => figure.classList.remove("hushed"));
    figure.addEventListener("focusout", () => figure.classList.remove("hushed"));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const figure of document.querySelectorAll("figure.drawn:is(:hover, :focus-within)")) figure.classList.add("hushed");
    for (const open of document.querySelectorAll(".definition.open")) {
      open.classList.remove("open");
      open.parentElement.querySelector(".about").setAttribute("aria-expanded", "false");
    }
  });

  // A table as it is shown, an interval in columns of its own.
  const field = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const plain = (text) => {
    const value = text.replaceAll("\u2212", "-").trim();
    return /^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$/.test(value) ? value.replaceAll(",", "") : value;
  };
  const cell = (of) => {
    const copy = of.cloneNode(true);
    for (const mark of copy.querySelectorAll("sup")) mark.remove();
    const interval = copy.querySelector(".ci");
    if (interval) interval.remove();
    const bounds = interval ? interval.textContent.replace(/[[\]]/g, "").split(", ").map(plain) : ["", ""];
    return [plain(copy.textContent), ...bounds];
  };
  const csv = (table) => {
    const rows = [...table.querySelectorAll("tbody tr:not(.group)")];
    const cells = rows.map((row) => [...row.children].map(cell));
    const heads = [...table.querySelectorAll("thead th")].map((head) => plain(head.textContent));
    const width = Math.max(heads.length, ...cells.map((row) => row.length));
    const wide = Array.from({ length: width }, (_, i) => cells.some((row) => row[i] && row[i][1] !== ""));
    const grouped = table.querySelector("tr.group") !== null;
    const line = (of, group) => {
      const fields = grouped ? [group] : [];
      wide.forEach((is, i) => fields.push(...(is ? of(i) : of(i).slice(0, 1))));
      return fields.map(field).join(",");
    };
    const head = (i) => [heads[i] ?? "", `${heads[i] ?? ""} low`, `${heads[i] ?? ""} high`];
    const lines = heads.length > 0 ? [line(head, "group")] : [];
    rows.forEach((row, at) => {
      let before = row.previousElementSibling;
      while (before && !before.classList.contains("group")) before = before.previousElementSibling;
      lines.push(line((i) => cells[at][i] ?? ["", "", ""], before ? before.textContent : ""));
    });
    return `${lines.join("\n")}\n`;
  };
  for (const table of document.querySelectorAll("figure.table > table")) {
    const label = `Table ${table.caption ? table.caption.textContent : table.id} as CSV`;
    const tools = document.createElement("p");
    tools.className = "tools";
    tools.append(button("CSV", label, () => save(`${table.id}.csv`, "text/csv", csv(table))));
    table.after(tools);
  }

  // Paper cannot be unfolded.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
    folded = [];
  });
})();
