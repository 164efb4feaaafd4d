// Makes tables sortable and filterable. Without it they stand complete and unsorted.
for (const sortable of document.querySelectorAll(".sortable:not([data-ready])")) {
  sortable.dataset.ready = "";
  const body = sortable.querySelector("tbody");
  const rows = [...body.rows];
  const controls = document.createElement("div");
  controls.className = "controls";
  controls.innerHTML = `<label>Filter<input type="search"></label>
    <label>${sortable.dataset.choice}<select><option value="">…</option></select></label>
    <span role="status"></span>`;
  sortable.prepend(controls);
  const [words, group, status] = controls.querySelectorAll("input, select, span");
  for (const name of new Set(rows.map((row) => row.dataset.group)))
    group.add(new Option(name, name));

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const kind = !group.value || row.dataset.group === group.value;
      row.hidden = !(kind && wanted.every((word) => text.includes(word)));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = `${shown} of ${rows.length} shown`;
  };
  words.addEventListener("input", filter);
  group.addEventListener("change", filter);
  filter();

  const heads = [...sortable.querySelectorAll("thead th")];
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
