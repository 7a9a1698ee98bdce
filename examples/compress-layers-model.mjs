// For users of TensorFlow.js: a layers model that reads rows of numbers becomes a smaller layers model.
//   npm install @tensorflow/tfjs-core @tensorflow/tfjs-backend-cpu @tensorflow/tfjs-layers
//   node compress-layers-model.mjs MODEL.json TABLE.csv TARGET [--target-size 800] [--epochs 60] [--out small-model]
// The table's columns but TARGET are the model's inputs, in their order.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import 'selfcompress/tfjs';
import { setBackend, tensor2d } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import { compressLayersModel, loadTable } from 'selfcompress';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'target-size': { type: 'string', default: '800' },
    epochs: { type: 'string', default: '60' },
    out: { type: 'string', default: 'small-model' },
  },
});
const [path, table, target] = positionals;
if (!path || !table || !target) {
  console.error('node compress-layers-model.mjs MODEL.json TABLE.csv TARGET [--target-size 800] [--epochs 60] [--out small-model]');
  process.exit(2);
}

/** Reads and writes model.json and its weights: TensorFlow.js does so by itself in the package that brings its own library alone. */
const files = {
  async load(path) {
    const { weightsManifest, ...rest } = JSON.parse(await readFile(path, 'utf8'));
    const parts = await Promise.all(weightsManifest.flatMap(({ paths }) => paths).map((name) => readFile(join(dirname(path), name))));
    const weightData = Uint8Array.from(Buffer.concat(parts)).buffer;
    return { ...rest, weightSpecs: weightsManifest.flatMap(({ weights }) => weights), weightData };
  },
  async save({ weightSpecs, weightData, ...rest }, folder) {
    await mkdir(folder, { recursive: true });
    const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
    await writeFile(join(folder, 'weights.bin'), new Uint8Array(weightData));
    await writeFile(join(folder, 'model.json'), JSON.stringify({ ...rest, weightsManifest }));
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
  },
};

await setBackend('selfcompress');
const original = await loadLayersModel({ load: () => files.load(path) });
const data = await loadTable(table, { target, task: 'regression' });
const { layersModel, model, report } = await compressLayersModel(original, data, {
  target: { bytes: Number(values['target-size']) },
  epochs: Number(values.epochs),
  batchSize: 32,
});
console.log(`${original.countParams()} → ${layersModel.countParams()} parameters, ${report.bytesBefore} → ${report.bytesAfter} bytes as .scnn`);
console.log(`outputs differ by ${(100 * report.outputError).toFixed(2)} % of their size; units: ${JSON.stringify(report.channels)}`);

const features = data.shape[0];
const row = Float32Array.from(data.test.images.subarray(0, features), (x, i) => (x - data.mean[i]) / data.std[i]);
const [before, after] = [original, layersModel].map((one) => one.predict(tensor2d(row, [1, features])).dataSync()[0]);
console.log(`the first test row: ${before.toFixed(3)} by the original, ${after.toFixed(3)} by the small one`);

await layersModel.save({ save: (artifacts) => files.save(artifacts, values.out) });
await writeFile(join(values.out, 'model.scnn'), model);
