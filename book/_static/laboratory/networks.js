"use strict";

const floats = (values, ...shape) => new ort.Tensor("float32", values, shape);

// The networks of a model, in ONNX Runtime, and the sampler around them.
class Networks {
  static NAMES = ["text_encoder", "unet", "decoder", "metric"];
  static SLOW = ["unet", "decoder"];

  constructor(engine, sessions, noise, settings) {
    Object.assign(this, { engine, sessions, noise, settings });
  }

  // Files are the bytes of the graphs by name, of the runtime and of the latents of all seeds.
  // With a GPU, the networks that take the time run there if it is faster than WebAssembly.
  static async open(files, settings, gpu = false) {
    ort.env.wasm.numThreads = 1; // more need headers that a file and most hosts do not send
    ort.env.wasm.wasmBinary = files["ort.wasm"];
    const loader = new Blob([files["ort.mjs"]], { type: "text/javascript" });
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(loader) };
    const noise = new Float32Array(files["noise.bin"].slice().buffer);
    const create = async (names, engine) => {
      // only errors: it would warn that WebGPU leaves some nodes to WebAssembly
      const sessions = {}, options = { executionProviders: [engine], logSeverityLevel: 3 };
      for (const name of names)
        sessions[name] = await ort.InferenceSession.create(files[`${name}.onnx`], options);
      return sessions;
    };
    const sessions = await create(Networks.NAMES, "wasm");
    const here = new Networks("WebAssembly", sessions, noise, settings);
    if (!gpu) return here;
    const pace = await here.pace();
    try {
      const slow = await create(Networks.SLOW, "webgpu");
      const there = new Networks("WebGPU", { ...sessions, ...slow }, noise, settings);
      const [fast, other] = await there.pace() < pace ? [there, here] : [here, there];
      for (const name of Networks.SLOW) await other.sessions[name].release();
      return fast;
    } catch ({ message }) {
      here.engine += ` (WebGPU failed: ${message})`;
      return here;
    }
  }

  // Milliseconds of a denoising step; the first one takes longer and does not count.
  async pace() {
    const cloud = await this.encode(new Int32Array(this.settings.cloud[0]));
    const texts = this.texts(cloud, cloud);
    const step = () => this.predict(this.initialLatent(0), this.settings.steps[0].time, texts);
    await step();
    const began = performance.now();
    await step();
    return performance.now() - began;
  }

  async run(name, inputs) {
    return (await this.sessions[name].run(inputs)).output.data;
  }

  // The cloud of the ids of one text.
  encode(ids) {
    return this.run("text_encoder", { ids: new ort.Tensor("int32", ids, [1, ids.length]) });
  }

  initialLatent(seed) {
    const size = this.noise.length / this.settings.random.length;
    return this.noise.slice(seed * size, (seed + 1) * size);
  }

  // The clouds of two texts, one after the other.
  texts(first, second) {
    return floats(new Float32Array([...first, ...second]), 2, ...this.settings.cloud);
  }

  // What the UNet predicts of a latent with each of two texts, one after the other.
  predict(latent, time, clouds) {
    const latents = floats(new Float32Array([...latent, ...latent]), 2, ...this.settings.latent);
    return this.run("unet", { latents, time: floats([time]), clouds });
  }

  // DDIM under classifier-free guidance: at each time the prediction with the empty prompt's cloud
  // and with the frame's own; each step is linear in latent and prediction. Paused between steps.
  async denoise(latent, cloud, empty, pause = () => {}) {
    const { guidance, steps } = this.settings, texts = this.texts(empty, cloud);
    let x = latent;
    for (const { time, keep, add } of steps) {
      await pause();
      const predicted = await this.predict(x, time, texts);
      x = x.map((value, k) => {
        const without = predicted[k], with_ = predicted[x.length + k];
        return keep * value + add * (without + guidance * (with_ - without));
      });
    }
    return x;
  }

  // The bytes of a picture, red, green and blue.
  decode(latent) {
    return this.run("decoder", { latents: floats(latent, 1, ...this.settings.latent) });
  }

  // LPIPS of each picture to the next.
  async distances(pictures) {
    const bytes = Uint8Array.from(pictures.flatMap((picture) => [...picture]));
    const shape = [pictures.length, ...this.settings.picture, 3];
    return [...await this.run("metric", { frames: new ort.Tensor("uint8", bytes, shape) })];
  }
}
