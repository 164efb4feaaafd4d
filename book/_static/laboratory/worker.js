"use strict";

// Beside the page: loads the networks once, then makes the frames of one run after the other. The
// newest message says which run is wanted; an older one ends at its next denoising step.
let networks, wanted;

class Stopped extends Error {}

// Ends first, then what lies in the middle between those that are there.
function bisection(count) {
  const order = [0, count - 1], gaps = [[0, count - 1]];
  for (const [low, high] of gaps) { // they become more meanwhile
    const middle = (low + high) >> 1;
    if (middle === low) continue;
    order.push(middle);
    gaps.push([low, middle], [middle, high]);
  }
  return order;
}

function couplings(x, y, { seed, ways }) {
  const [n, d] = networks.settings.cloud;
  const costs = costMatrix(x, y, n, d);
  const of = {
    row: () => Int32Array.from({ length: n }, (_, row) => row),
    optimal: () => assignment(costs, n),
    random: () => Int32Array.from(networks.settings.random[seed]),
  };
  const sigmas = Object.fromEntries(ways.map((way) => [way, of[way]()]));
  const cost = Object.fromEntries(ways.map((way) => [way, couplingCost(costs, sigmas[way])]));
  return { sigmas, cost, distance: couplingCost(costs, sigmas.optimal ?? of.optimal()) };
}

async function makeFrames(run) {
  const say = (kind, about = {}) => postMessage({ kind, run: run.id, ...about });
  const pause = async () => {
    await new Promise((resume) => setTimeout(resume)); // lets a message in
    if (wanted !== run.id) throw new Stopped();
  };
  const clouds = [];
  for (const ids of [run.source, run.target, run.empty]) clouds.push(await networks.encode(ids));
  const latent = networks.initialLatent(run.seed);
  const { sigmas, cost, distance } = couplings(clouds[0], clouds[1], run);
  say("coupled", { sigmas, cost, distance });
  const frames = Object.fromEntries(run.ways.map((way) => [way, []]));
  const draw = async (cloud, ways, index) => {
    const denoised = await networks.denoise(latent, cloud, clouds[2], pause);
    const picture = await networks.decode(denoised);
    for (const way of ways) frames[way][index] = picture;
    say("frame", { ways, index, picture });
  };
  for (const index of bisection(run.frames)) {
    const time = index / (run.frames - 1);
    // at its ends every way is at the same points, so that they are drawn once
    if (time === 0 || time === 1) await draw(clouds[time], run.ways, index);
    else for (const way of run.ways)
      await draw(displaced(clouds[0], clouds[1], sigmas[way], time), [way], index);
  }
  for (const way of run.ways)
    say("strip", { way, distances: await networks.distances(frames[way]) });
  say("done");
}

onmessage = async ({ data }) => {
  wanted = data.id;
  try {
    if (data.kind === "load") {
      networks = await Networks.open(data.files, data.settings, data.runtime === "webgpu");
      postMessage({ kind: "loaded", engine: networks.engine });
    } else if (data.kind === "run") await makeFrames(data);
  } catch (error) {
    if (!(error instanceof Stopped))
      postMessage({ kind: "failed", run: data.id, message: String(error.message ?? error) });
  }
};
