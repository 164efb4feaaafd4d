"use strict";

// The laboratory on its page: asks for two prompts, loads the networks when it is first told to
// go, and shows what the worker draws. What it needs to know stands in the page as JSON.
{
  const root = document.querySelector(".laboratory");
  const settings = JSON.parse(root.querySelector("script").textContent);
  const { archives, suggestions } = settings;
  const [height, width] = settings.picture;
  const tokenizer = new Tokenizer(settings.tokenizer, settings.cloud[0]);
  const WAYS = ["row", "optimal", "random"];
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const bytesOf = (runtime) => archives[runtime].bytes + archives.networks.bytes;
  const number = (value) => value.toPrecision(3);
  const named = (way) => `<span class="coupling-${way}">${way}</span>`;
  const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  // --- the form -------------------------------------------------------------------------------

  const field = (name, label) => `<label>${label}
    <input name="${name}" list="laboratory-suggestions" autocomplete="off" spellcheck="false"
      aria-describedby="laboratory-${name}"></label>
    <p class="spelt" id="laboratory-${name}"></p>`;
  const options = (values, chosen) => values.map((value) =>
    `<option${value === chosen ? " selected" : ""}>${value}</option>`).join("");
  root.insertAdjacentHTML("afterbegin", `
    <form>
      ${field("source", "From the prompt")}${field("target", "to the prompt")}
      <datalist id="laboratory-suggestions"></datalist>
      <div class="choices">
        <fieldset><legend>along</legend>${WAYS.map((way) => `<label>
          <input type="checkbox" name="way" value="${way}"${way === "random" ? "" : " checked"}>
          ${named(way)}</label>`).join("")}</fieldset>
        <label>frames <select name="frames">
          ${options([...Array(18).keys()].slice(5), 11)}</select></label>
        <label>seed <select name="seed">${options([...settings.random.keys()], 0)}</select></label>
        <div class="buttons"><button class="go" type="submit">Go</button>
          <button class="stop" type="button" disabled>Stop</button></div>
      </div>
    </form>
    <p class="stage">Go first loads ${megabytes(bytesOf("wasm"))}, once, or
      ${megabytes(bytesOf("webgpu"))} where there is WebGPU.</p>
    <progress hidden aria-label="Progress"></progress>
    <p class="status" role="status"></p>
    <div class="outcome" hidden></div>`);
  const find = (selector) => root.querySelector(selector);
  const form = find("form"), go = find(".go"), stop = find(".stop"), bar = find("progress");
  const stage = find(".stage"), status = find(".status"), outcome = find(".outcome");
  for (const text of suggestions) find("datalist").append(new Option(text, text));

  const markSpelt = (input) => {
    const spelt = tokenizer.words(input.value).filter(({ pieces }) => pieces.length > 1);
    const words = [...new Set(spelt.map(({ text }) => `“${text}”`))].join(", ");
    find(`#${input.getAttribute("aria-describedby")}`).textContent = words
      && `The model does not know ${words}; it reads this letter by letter, or in pieces.`;
  };
  const prompts = [form.source, form.target];
  const asked = new URLSearchParams(location.search);
  prompts.forEach((input, k) => {
    input.value = asked.get(input.name) ?? suggestions[k];
    input.addEventListener("input", () => markSpelt(input));
    markSpelt(input);
  });
  const seed = asked.get("seed") ?? "0";
  if (settings.random[seed]) form.seed.value = seed;
  else status.textContent = `There is no seed ${seed} here; 0 is chosen instead.`;

  // --- loading --------------------------------------------------------------------------------

  class Refused extends Error {}
  const parts = {};
  let starting, worker, engine, run = 0;

  const say = (text) => { status.textContent = text.replace(/\s+/g, " "); }; // is read aloud
  const progress = (text, done, all) => {
    stage.textContent = text;
    bar.hidden = false;
    if (all) [bar.max, bar.value] = [all, done];
    else bar.removeAttribute("value");
  };

  // Data are classic scripts that hand over text: also a page from a file may load these.
  window.laboratoryPart = (name, text) => { parts[name] = text; };
  const loadPart = (name) => new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = root.dataset.folder + name;
    script.onload = () => (parts[name] ? done() : script.onerror());
    script.onerror = () => fail(new Refused(`The file ${name} could not be loaded. Something may
      block it, or the book was copied without its folder _static/laboratory. Go tries again.`));
    document.head.append(script);
    script.remove(); // once begun, it goes on
  });

  const checkBrowser = () => {
    const simd = "AGFzbQEAAAABBQFgAAF7AwIBAAoKAQgAQQD9D/1iCw=="; // the least module that uses it
    if (!globalThis.WebAssembly?.validate(decoded(simd)))
      throw new Refused("This browser has no WebAssembly with SIMD, which the networks need.");
    if (!globalThis.DecompressionStream)
      throw new Refused("This browser cannot unpack the networks: it has no DecompressionStream.");
  };

  const loadParts = async (mine, runtime) => {
    const wanted = { ...archives[runtime].parts, ...archives.networks.parts };
    const all = bytesOf(runtime);
    let loaded = 0;
    for (const [name, bytes] of Object.entries(wanted)) {
      progress(`Loading the networks: ${megabytes(loaded)} of ${megabytes(all)}`, loaded, all);
      if (!parts[name]) await loadPart(name);
      if (mine !== run) return;
      loaded += bytes;
    }
  };

  const unpack = async (archive) => {
    const packed = Object.keys(archive.parts).map((name) => decoded(parts[name]));
    const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    return Object.fromEntries(Object.entries(archive.files).map(([name, [start, end]]) =>
      [name, new Uint8Array(buffer, start, end - start)]));
  };

  const start = async (runtime) => {
    const files = { ...await unpack(archives[runtime]), ...await unpack(archives.networks) };
    const source = new Blob([files["ort.js"], files["worker.js"]], { type: "text/javascript" });
    const started = new Worker(URL.createObjectURL(source));
    engine = await new Promise((done, fail) => {
      started.onmessage = ({ data }) => (
        data.kind === "loaded" ? done(data.engine) : fail(new Refused(data.message)));
      started.onerror = ({ message }) => fail(new Refused(message));
      const buffers = new Set(Object.values(files).map(({ buffer }) => buffer));
      started.postMessage({ kind: "load", files, settings, runtime }, [...buffers]);
    });
    for (const name in parts) delete parts[name];
    started.onmessage = ({ data }) => { if (data.run === run) answers[data.kind](data); };
    worker = started;
  };

  const load = async (mine) => {
    checkBrowser();
    const gpu = WebAssembly.Suspending && await navigator.gpu?.requestAdapter();
    const runtime = gpu ? "webgpu" : "wasm"; // WebAssembly has to wait for what a GPU computes
    await loadParts(mine, runtime);
    if (mine !== run) return;
    progress("Starting the networks …");
    starting ??= start(runtime).finally(() => { starting = undefined; });
    await starting;
  };

  // --- a run ----------------------------------------------------------------------------------

  let now; // what is known of the run that is shown

  const setBusy = (busy) => {
    const [off, on] = busy ? [go, stop] : [stop, go];
    const focused = document.activeElement === off; // which nothing can be that is disabled
    [on.disabled, off.disabled] = [false, true];
    if (focused) on.focus();
    if (!busy) bar.hidden = true;
  };

  const readForm = () => {
    const texts = prompts.map((input, k) => {
      const count = tokenizer.count(input.value);
      if (count <= tokenizer.places) return tokenizer.encode(input.value);
      input.focus();
      throw new Refused(`The ${["first", "second"][k]} prompt takes ${count} tokens with its begin
        and end, and the model has places for ${tokenizer.places}: shorten it.`);
    });
    const ways = [...form.querySelectorAll("[name=way]:checked")].map(({ value }) => value);
    if (!ways.length) throw new Refused("Choose at least one way, row or optimal or random.");
    return { texts, ways, frames: +form.frames.value, seed: +form.seed.value };
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const mine = ++run;
    say("");
    try {
      const { texts, ...about } = readForm();
      setBusy(true);
      if (!worker) await load(mine);
      if (mine !== run) return;
      now = { ...about, texts, prompts: prompts.map(({ value }) => value), distances: {},
        drawn: 0, total: 2 + about.ways.length * (about.frames - 2), began: performance.now(),
        pictures: Object.fromEntries(about.ways.map((way) => [way, []])) };
      layOut();
      progress("Reading the prompts …", 0, now.total);
      worker.postMessage({ kind: "run", id: run, ...about, source: texts[0].ids,
        target: texts[1].ids, empty: tokenizer.encode("").ids });
    } catch (error) {
      if (mine === run) answers.failed(error);
    }
  });

  stop.addEventListener("click", () => {
    run += 1;
    worker?.postMessage({ kind: "stop", id: run });
    setBusy(false);
    stage.textContent = "";
    say("Stopped.");
  });

  const answers = {
    coupled({ sigmas, cost, distance }) {
      Object.assign(now, { sigmas, cost, distance });
      pairTokens();
    },
    frame({ ways, index, picture }) {
      now.drawn += 1;
      now.pace = (performance.now() - now.began) / 1000 / now.drawn;
      for (const way of ways) {
        now.pictures[way][index] = imageOf(picture);
        drawStrip(way, index);
        drawFrame(way, index);
      }
      progress(`${now.drawn} of ${now.total} pictures, ${now.pace.toFixed(1)} s each in ${engine}`,
        now.drawn, now.total);
    },
    strip({ way, distances }) {
      now.distances[way] = distances;
      status.append(` Strip along ${way}: ${now.frames} frames, PPL ${number(mean(distances))}. `);
    },
    done: () => finish(),
    failed({ message, run: ended }) {
      setBusy(false);
      if (ended) { // a GPU that was lost does not come back: the next run starts anew
        worker.terminate();
        worker = undefined;
      }
      stage.textContent = "";
      say(message);
    },
  };

  // --- what is shown --------------------------------------------------------------------------

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const imageOf = (bytes) => {
    const image = new ImageData(width, height);
    image.data.fill(255);
    bytes.forEach((value, k) => { image.data[k + Math.floor(k / 3)] = value; });
    return image;
  };

  const layOut = () => {
    const picture = (way) => `<div class="twin">${named(way)}
      <canvas class="frame" data-way="${way}" width="${width}" height="${height}" role="img"
        aria-label="${way}: no picture yet"></canvas></div>`;
    const strip = (way) => `<div class="line-up">${named(way)}
      <canvas class="strip" data-way="${way}" width="${now.frames * width}" height="${height}"
        role="img" aria-label="Film strip along ${way}"></canvas></div>`;
    outcome.hidden = false;
    outcome.innerHTML = `
      <div class="twin-sliders" style="--frames: ${now.frames}; --shape: ${width} / ${height}">
        <div class="twins">${now.ways.map(picture).join("")}</div>
        ${now.ways.map(strip).join("")}
        <label class="slider" hidden><span>Frame <span class="place" aria-hidden="true"></span>
          </span><input type="range" min="1" max="${now.frames}" step="1"></label>
        <div class="curves"></div>
      </div>
      <div class="numbers"></div><div class="pairing"></div><p class="saving"></p>`;
    for (const canvas of outcome.querySelectorAll(".strip"))
      canvas.addEventListener("click", ({ offsetX }) =>
        moveTo(Math.floor(offsetX / canvas.clientWidth * now.frames)));
    find(".slider input").addEventListener("input", ({ target }) => moveTo(target.value - 1));
  };

  const drawFrame = (way, index) => {
    const canvas = find(`.frame[data-way=${way}]`);
    canvas.getContext("2d").putImageData(now.pictures[way][index], 0, 0);
    canvas.setAttribute("aria-label", `${way}: frame ${index + 1} of ${now.frames}`);
  };
  const drawStrip = (way, index) => find(`.strip[data-way=${way}]`).getContext("2d")
    .putImageData(now.pictures[way][index], index * width, 0);

  const moveTo = (index) => {
    const input = find(".slider input");
    for (const way of now.ways) if (now.pictures[way][index]) drawFrame(way, index);
    input.value = index + 1;
    input.setAttribute("aria-valuetext", `frame ${index + 1} of ${now.frames}`);
    find(".place").textContent = `${index + 1} of ${now.frames}`;
    find(".twin-sliders").style.setProperty("--frame", index);
  };

  const finish = () => {
    setBusy(false);
    find(".slider").hidden = false;
    find(".curves").innerHTML = curves();
    moveTo((now.frames - 1) >> 1);
    const rows = now.ways.map((way) => {
      const steps = now.distances[way];
      const cells = [now.cost[way], mean(steps), Math.max(...steps)].map((value) =>
        `<td>${number(value)}</td>`);
      return `<tr><th scope="row">${named(way)}</th>${cells.join("")}</tr>`;
    });
    find(".numbers").innerHTML = `<p>The clouds of the two prompts are
      <i>W</i><sub>2</sub> = ${number(now.distance)} apart.</p><table class="table">
      <thead><tr><th scope="col">way</th><th scope="col">between the clouds</th>
      <th scope="col">PPL, mean step</th><th scope="col">largest step</th></tr></thead>
      <tbody>${rows.join("")}</tbody></table>`;
    find(".saving").innerHTML = `<button type="button">Save the strips as PNG</button>
      <button type="button">Save the numbers as CSV</button>`;
    const [strips, numbers] = find(".saving").children;
    strips.onclick = () => save("strips.png", sheet().toDataURL());
    numbers.onclick = () => save("strips.csv", `data:text/csv,${encodeURIComponent(table())}`);
  };

  // As the book's sliders draw them: a step lies between the two frames that it compares.
  const curves = () => {
    const steps = now.frames - 1, tall = 100;
    const highest = Math.max(...now.ways.flatMap((way) => now.distances[way])) || 1;
    const lines = now.ways.map((way) => {
      const places = now.distances[way].map((value, step) =>
        `${step + 0.5} ${(tall * (1 - 0.94 * value / highest)).toFixed(2)}`);
      return `<g class="coupling-${way}"><path class="line" d="M${places.join("L")}"/>
        <path class="dots" d="${places.map((place) => `M${place}h0`).join("")}"/></g>`;
    });
    const words = now.ways.map((way) => `${way}: ${now.distances[way].map(number).join(", ")}`);
    return `<p>perceptual distance of each step; the highest is ${number(highest)}</p>
      <svg viewBox="-0.5 0 ${steps + 1} ${tall}" preserveAspectRatio="none" role="img"
        aria-label="Perceptual distance of each step. ${words.join("; ")}.">
      <path class="axis" d="M-0.5 ${tall}H${steps + 0.5}"/>
      <path class="mark" d="M0 0V${tall}"/>${lines.join("")}</svg>`;
  };

  // --- which token goes where -----------------------------------------------------------------

  const pairTokens = () => {
    const chips = (side) => now.texts[side].labels.slice(0, now.texts[side].end + 1)
      .map((_, row) => `<button type="button" data-side="${side}" data-row="${row}"></button>`)
      .join("");
    const shown = now.ways.includes("optimal") ? "optimal" : now.ways[0];
    find(".pairing").innerHTML = `<p>Which tokens are paired
      <label>along <select>${options(now.ways, shown)}</select></label></p>
      <div class="chips" role="group" aria-label="Tokens of the first prompt">${chips(0)}</div>
      <div class="chips" role="group" aria-label="Tokens of the second prompt">${chips(1)}</div>
      <p class="partner" aria-live="polite">Point at a token, or focus it: its partner is
        shown.</p>`;
    const select = find(".pairing select");
    for (const chip of outcome.querySelectorAll(".chips button")) {
      const { side, row } = chip.dataset;
      chip.textContent = now.texts[side].labels[row];
      for (const kind of ["pointerenter", "focus", "click"])
        chip.addEventListener(kind, () => markPair(select.value, +side, +row));
    }
  };

  const markPair = (way, side, row) => {
    const sigma = now.sigmas[way];
    const chosen = side ? [sigma.indexOf(row), row] : [row, sigma[row]];
    for (const chip of outcome.querySelectorAll(".chips button"))
      chip.classList.toggle("paired", chosen[chip.dataset.side] === +chip.dataset.row);
    const name = (k) => `“${now.texts[k].labels[chosen[k]]}” (row ${chosen[k]})`;
    find(".partner").textContent = `Along ${way}, ${name(side)} is paired with ${name(1 - side)}.`;
  };

  // --- what is kept ---------------------------------------------------------------------------

  const save = (download, href) =>
    Object.assign(document.createElement("a"), { download, href }).click();
  const sheet = () => {
    const strips = [...outcome.querySelectorAll(".strip")];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [strips[0].width, strips.length * height];
    strips.forEach((strip, k) => canvas.getContext("2d").drawImage(strip, 0, k * height));
    return canvas;
  };
  const table = () => {
    const quoted = now.prompts.map((text) => `"${text.replaceAll('"', '""')}"`);
    const rows = now.ways.flatMap((way) => now.distances[way].map((distance, step) =>
      [...quoted, now.seed, way, step, distance, settings.metric.net, now.cost[way],
        now.distance]));
    return ["source,target,seed,way,step,distance,net,cost,w2", ...rows, ""].join("\n");
  };
}
