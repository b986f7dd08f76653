(function () {
  "use strict";
  const table = document.getElementById("verdict-table");
  if (table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const controls = document.getElementById("verdict-filters");
    const selects = Array.from(controls.querySelectorAll("select"));
    const status = document.getElementById("verdict-status");
    const heads = Array.from(table.tHead.rows[0].cells).filter(head => head.dataset.sort);
    let order = "";

    const say = () => {
      const shown = rows.filter(row => !row.hidden).length;
      status.textContent = `${shown} of ${rows.length} shown${order}`;
    };
    const filter = () => {
      for (const row of rows)
        row.hidden = selects.some(s => s.value !== "" && row.getAttribute("data-" + s.name) !== s.value);
      say();
    };
    const key = (row, head) => {
      const cell = row.cells[head.cellIndex];
      return cell.hasAttribute("data-value") ? cell.getAttribute("data-value") : cell.textContent.trim();
    };
    const compare = numeric => (a, b) => {
      if (!numeric) return a.localeCompare(b, "en", {numeric: true});
      if (a === "" || b === "") return (a === "") - (b === "");
      return Number(a) - Number(b);
    };
    const sort = head => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const by = compare(head.dataset.sort === "number");
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = rows.map((row, at) => ({row, at, key: key(row, head)}));
      sorted.sort((a, b) => (down ? -1 : 1) * by(a.key, b.key) || a.at - b.at);
      for (const item of sorted) body.append(item.row);
      order = `, by ${head.textContent.trim().toLowerCase()}, ${down ? "descending" : "ascending"}`;
      say();
    };

    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(head));
    }
    for (const select of selects) select.addEventListener("change", filter);
    controls.querySelector("button").addEventListener("click", () => {
      for (const select of selects) select.value = "";
      filter();
    });
    controls.hidden = false;
    filter();
  }

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    for (const item of closed) item.open = true;
  });
  addEventListener("afterprint", () => {
    for (const item of closed) item.open = false;
  });
})();
