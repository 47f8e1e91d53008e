// Answers each picture on standard input with a line of JSON: the probability of each of nsfwjs's classes.
// A picture is 8 bytes (width and height, little-endian) and its RGB pixels. The first line says what was loaded.
// The models are those in the nsfwjs package; fetching is switched off.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const answer = process.stdout.write.bind(process.stdout);
for (const name of ["log", "info", "warn"]) console[name] = () => {};
globalThis.fetch = () => Promise.reject(new Error("fetching is switched off"));

const from = createRequire(path.join(process.argv[2], "package.json"));

async function* pictures() {
  let data = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    data = Buffer.concat([data, chunk]);
    while (data.length >= 8) {
      const [width, height] = [data.readUInt32LE(0), data.readUInt32LE(4)];
      const end = 8 + width * height * 3;
      if (data.length < end) break;
      yield [width, height, data.subarray(8, end)];
      data = data.subarray(end);
    }
  }
}

async function main() {
  let tf;
  try {
    tf = from("@tensorflow/tfjs-node");
  } catch {
    tf = from("@tensorflow/tfjs");
  }
  await tf.ready();
  const model = await from("nsfwjs").load("MobileNetV2");
  answer(JSON.stringify({ tfjs: tf.version_core ?? tf.version?.tfjs, backend: tf.getBackend() }) + "\n");
  for await (const [width, height, pixels] of pictures()) {
    const tensor = tf.tensor3d(Int32Array.from(pixels), [height, width, 3], "int32");
    const found = await model.classify(tensor, 5);
    tensor.dispose();
    answer(JSON.stringify(Object.fromEntries(found.map((one) => [one.className, one.probability]))) + "\n");
  }
}

main().catch((error) => {
  process.stderr.write(String(error.message ?? error).split("\n")[0]);
  process.exit(1);
});
