// Makes the atlas sortable and filterable. Without it the table stands complete and unsorted.
for (const atlas of document.querySelectorAll(".atlas:not([data-ready])")) {
  atlas.dataset.ready = "";
  const body = atlas.querySelector("tbody");
  const rows = [...body.rows];
  const controls = document.createElement("div");
  controls.className = "controls";
  controls.innerHTML = `<label>Filter<input type="search"></label>
    <label>Sees a<select><option value="">…</option></select></label>
    <span role="status"></span>`;
  atlas.prepend(controls);
  const [words, verdict, status] = controls.querySelectorAll("input, select, span");
  for (const name of new Set(rows.map((row) => row.dataset.verdict)))
    verdict.add(new Option(name, name));

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const kind = !verdict.value || row.dataset.verdict === verdict.value;
      row.hidden = !(kind && wanted.every((word) => text.includes(word)));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = `${shown} of ${rows.length} shown`;
  };
  words.addEventListener("input", filter);
  verdict.addEventListener("change", filter);
  filter();

  const heads = [...atlas.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
      rows.sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
