// Twin sliders: one slider moves the frames of both couplings and the mark under their curves.
// Without this script a figure shows the sheet with all of its frames.
for (const twins of document.querySelectorAll(".twin-sliders")) {
  const count = Number(twins.dataset.frames);
  const range = twins.querySelector("input");
  const place = twins.querySelector(".place");
  const frames = twins.querySelectorAll(".frame");

  const show = () => {
    const position = `frame ${range.value} of ${count}`;
    twins.style.setProperty("--frame", range.value - 1);
    range.setAttribute("aria-valuetext", position);
    place.textContent = `${range.value} of ${count}`;
    for (const frame of frames)
      frame.setAttribute("aria-label", `${frame.dataset.coupling}: ${position}`);
  };
  range.addEventListener("input", show);
  show();

  const sheet = twins.parentElement.querySelector("img");
  const all = document.createElement("details");
  all.className = "sheet";
  all.innerHTML = "<summary>All frames on one sheet</summary>";
  sheet.replaceWith(all);
  all.append(sheet);
  addEventListener("beforeprint", () => { all.open = true; });
  twins.hidden = false;
}
