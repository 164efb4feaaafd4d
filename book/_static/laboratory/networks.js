"use strict";

// The networks of a model, in ONNX Runtime, and the sampler around them.
class Networks {
  static NAMES = ["text_encoder", "unet", "decoder", "metric"];

  constructor(sessions, settings) {
    Object.assign(this, { sessions, settings });
    this.shape = [1, ...settings.latent];
  }

  // Files are the bytes of the graphs by name, of the runtime and of the latents of all seeds.
  static async open(files, settings) {
    ort.env.wasm.numThreads = 1; // more need headers that a file and most hosts do not send
    ort.env.wasm.wasmBinary = files["ort.wasm"];
    const loader = new Blob([files["ort.mjs"]], { type: "text/javascript" });
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(loader) };
    const sessions = {};
    for (const name of Networks.NAMES)
      sessions[name] = await ort.InferenceSession.create(files[`${name}.onnx`]);
    const networks = new Networks(sessions, settings);
    networks.noise = new Float32Array(files["noise.bin"].slice().buffer);
    return networks;
  }

  async run(name, inputs) {
    const { output } = await this.sessions[name].run(inputs);
    return output.data;
  }

  // The cloud of the ids of one text.
  encode(ids) {
    return this.run("text_encoder", { ids: new ort.Tensor("int32", ids, [1, ids.length]) });
  }

  initialLatent(seed) {
    const size = this.noise.length / this.settings.random.length;
    return this.noise.slice(seed * size, (seed + 1) * size);
  }

  // DDIM under classifier-free guidance: at each time the prediction with the empty prompt's cloud
  // and with the frame's own; each step is linear in latent and prediction. Paused between steps.
  async denoise(latent, cloud, empty, pause = () => {}) {
    const { guidance, steps } = this.settings;
    const size = latent.length;
    const pair = new Float32Array(2 * size), clouds = new Float32Array([...empty, ...cloud]);
    const texts = new ort.Tensor("float32", clouds, [2, ...this.settings.cloud]);
    let x = latent;
    for (const { time, keep, add } of steps) {
      await pause();
      pair.set(x);
      pair.set(x, size);
      const predicted = await this.run("unet", {
        latents: new ort.Tensor("float32", pair, [2, ...this.settings.latent]),
        time: new ort.Tensor("float32", [time], []),
        clouds: texts,
      });
      x = x.map((value, k) => {
        const without = predicted[k];
        return keep * value + add * (without + guidance * (predicted[size + k] - without));
      });
    }
    return x;
  }

  // The bytes of a picture, red, green and blue.
  decode(latent) {
    return this.run("decoder", { latents: new ort.Tensor("float32", latent, this.shape) });
  }

  // LPIPS of each picture to the next.
  async distances(pictures) {
    const bytes = new Uint8Array(pictures.length * pictures[0].length);
    pictures.forEach((picture, k) => bytes.set(picture, k * picture.length));
    const shape = [pictures.length, ...this.settings.picture, 3];
    return [...await this.run("metric", { frames: new ort.Tensor("uint8", bytes, shape) })];
  }
}
