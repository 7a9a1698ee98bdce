// For users of onnxruntime-node: an ONNX model that reads handwritten digits becomes smaller, by learning from itself.
//   node compress-onnx.mjs MODEL.onnx [--data-dir DIR] [--scale 255] [--epochs 10] [--target-size 4000] [--out small]
// --data-dir: MNIST's four files; without it the 8,000 digits that come with the package. --scale: the model's inputs are pixels of
// 0…scale. A model of other images is the same program with another data set.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compressOnnx, loadDataset } from 'selfcompress';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'data-dir': { type: 'string' },
    scale: { type: 'string', default: '255' },
    epochs: { type: 'string', default: '10' },
    'target-size': { type: 'string', default: '4000' },
    out: { type: 'string', default: 'small' },
  },
});
const [path] = positionals;
if (!path) {
  console.error('node compress-onnx.mjs MODEL.onnx [--data-dir DIR] [--scale 255] [--epochs 10] [--target-size 4000] [--out small]');
  process.exit(2);
}

// Images are bytes; what the network reads is (byte / 255 − mean) / std.
const digits = await loadDataset('mnist', { dataDir: values['data-dir'] });
const data = { ...digits, mean: [0], std: [1 / Number(values.scale)] };

const { model, onnx, report } = await compressOnnx(path, data, {
  target: { bytes: Number(values['target-size']) },
  epochs: Number(values.epochs),
  onEpoch: ({ epoch, modelBytes }) => console.log(`epoch ${epoch}: ${modelBytes} bytes`),
});
const percent = (share) => `${(100 * share).toFixed(2)} %`;
console.log(`${report.bytesBefore} → ${report.bytesAfter} bytes, ${percent(report.accuracyBefore)} → ${percent(report.accuracyAfter)}`);
console.log(`${percent(report.agreement)} of the test digits have the class that they had; channels: ${JSON.stringify(report.channels)}`);

await mkdir(values.out, { recursive: true });
await writeFile(join(values.out, 'model.scnn'), model);
await writeFile(join(values.out, 'model.onnx'), onnx);

// Both in ONNX Runtime, where it is installed.
const ort = await import('onnxruntime-node').then(
  (module) => module.default,
  () => undefined,
);
if (ort) {
  const pixels = 28 * 28;
  const count = Math.min(500, data.test.count);
  const classes = {};
  for (const [name, bytes] of Object.entries({ original: await readFile(path), small: onnx })) {
    const session = await ort.InferenceSession.create(bytes);
    const [input] = session.inputNames;
    const began = performance.now();
    classes[name] = [];
    for (let i = 0; i < count; i++) {
      const image = Float32Array.from(data.test.images.subarray(i * pixels, (i + 1) * pixels), (byte) => (byte / 255) * Number(values.scale));
      const result = await session.run({ [input]: new ort.Tensor('float32', image, [1, 1, 28, 28]) });
      const scores = Array.from(result[session.outputNames[0]].data);
      classes[name].push(scores.indexOf(Math.max(...scores)));
    }
    console.log(`${name}: ${((performance.now() - began) / count).toFixed(3)} ms a digit in ONNX Runtime`);
  }
  const same = classes.small.filter((label, i) => label === classes.original[i]).length;
  console.log(`${same} of ${count} digits have the same class in ONNX Runtime`);
}
