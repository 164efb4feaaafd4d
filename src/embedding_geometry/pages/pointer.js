// A pointer among prompts: shows the pictures of the sheet above it at the nearest point of a grid.
// Without it the sheet stands alone, and the list of prompts below it.
for (const root of document.querySelectorAll(".pointer:not([data-ready])")) {
  root.dataset.ready = "";
  const { rows, weights, aspect, picture, panels } = JSON.parse(root.dataset.layout);
  const before = (image) => image.compareDocumentPosition(root) & Node.DOCUMENT_POSITION_FOLLOWING;
  const above = [...document.images].filter(before).pop();
  if (!above) continue;
  const sheet = new Image();
  sheet.src = above.currentSrc || above.src;

  // Points lie in centred rows, one unit apart; the reader's place is a row and a column of it.
  const widest = Math.max(...rows);
  const points = rows.flatMap((count, row) =>
    Array.from({ length: count }, (_, column) => (
      { row, column, x: column + (widest - count) / 2, y: row })));
  const letters = [..."ABCDEFGH"];
  const prompts = [...root.querySelectorAll(".prompts span")];
  const corner = letters.slice(0, prompts.length)
    .map((_, prompt) => points[weights.findIndex((weight) => weight[prompt] === 1)]);
  const percent = (share) => `${Math.round(100 * share)}\u202f%`;

  const inWords = (weight) => {
    const whole = weight.indexOf(1);
    if (whole >= 0) return `all of ${letters[whole]}: ${prompts[whole].textContent}`;
    return weight.map((share, k) => share && `${Math.round(100 * share)} percent ${letters[k]}`)
      .filter(Boolean).join(", ");
  };

  const outline = rows.length > 1 && rows[0] === 1
    ? corner : [corner[0], corner[1], corner[3], corner[2]];
  const stage = document.createElement("div");
  stage.className = "stage";
  stage.innerHTML = `
    <div class="map">
      <svg viewBox="-1 -0.7 ${widest + 1} ${rows.length + 0.4}" aria-hidden="true">
        <polygon points="${outline.map(({ x, y }) => `${x},${y}`).join(" ")}"/>
        ${points.map(({ x, y }) => `<circle cx="${x}" cy="${y}" r="0.07"/>`).join("")}
        ${corner.map(({ x, y }, k) => `<text y="${y + 0.18}"
          x="${x + (x > (widest - 1) / 2 ? 0.45 : -0.45)}">${letters[k]}</text>`).join("")}
        <circle class="here" r="0.22"/>
      </svg>
      <input type="range" min="0" max="${rows.length - 1}" step="1" aria-label="from top to bottom">
      <input type="range" min="0" step="1" aria-label="from left to right">
    </div>
    ${Object.keys(panels).map((name) => `
      <figure><canvas width="256" height="256" role="img"></canvas>
      <figcaption>${name}</figcaption></figure>`).join("")}`;
  root.prepend(stage);
  const map = stage.querySelector(".map");
  const here = stage.querySelector(".here");
  const [down, right] = stage.querySelectorAll("input");
  const canvases = [...stage.querySelectorAll("canvas")];
  const shares = prompts.map((prompt) => {
    const share = document.createElement("span");
    share.className = "share";
    prompt.before(share);
    return share;
  });

  const nearest = (to) => {
    const distances = points.map(({ x, y }) => Math.hypot(x - to.x, y - to.y));
    return distances.indexOf(Math.min(...distances));
  };
  const mean = (axis) => corner.reduce((sum, point) => sum + point[axis], 0) / corner.length;
  let place = nearest({ x: mean("x"), y: mean("y") });
  const show = () => {
    const { row, column, x, y } = points[place];
    const words = inWords(weights[place]);
    here.setAttribute("cx", x);
    here.setAttribute("cy", y);
    down.value = row;
    right.max = rows[row] - 1;
    right.value = column;
    for (const range of [down, right]) range.setAttribute("aria-valuetext", words);
    shares.forEach((share, k) => { share.textContent = percent(weights[place][k]); });
    Object.entries(panels).forEach(([name, corners], k) => {
      const [left, top] = corners[place];
      const [width, height] = [sheet.naturalWidth, sheet.naturalHeight];
      const canvas = canvases[k];
      const pen = canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(sheet, left * width + 1, top * height + 1, picture[0] * width - 2,
        picture[1] * height - 2, 0, 0, canvas.width, canvas.height);
      canvas.setAttribute("aria-label", `Picture of the ${name} at ${words}`);
    });
  };
  const go = (row, column) => {
    const within = (value, count) => Math.min(Math.max(value, 0), count - 1);
    row = within(row, rows.length);
    column = within(column, rows[row]);
    place = points.findIndex((point) => point.row === row && point.column === column);
    show();
  };

  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  map.addEventListener("keydown", (event) => {
    const step = arrows[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(points[place].row + step[0], points[place].column + step[1]);
    (step[0] ? down : right).focus();
  });
  down.addEventListener("input", () => go(+down.value, points[place].column));
  right.addEventListener("input", () => go(points[place].row, +right.value));

  const svg = map.querySelector("svg");
  const follow = (event) => {
    const to = new DOMPoint(event.clientX, event.clientY);
    place = nearest(to.matrixTransform(svg.getScreenCTM().inverse()));
    show();
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    follow(event);
    event.preventDefault();
    right.focus({ preventScroll: true });
  });
  svg.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" || event.buttons) follow(event);
  });

  const ready = () => {
    const found = sheet.naturalWidth / sheet.naturalHeight;
    if (Math.abs(found / aspect - 1) < 0.02) show();
    else stage.remove();
  };
  sheet.decode().then(ready, () => stage.remove());
}
