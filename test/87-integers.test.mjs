// Integers: the engine in codes of 8 bits, against the float network, ONNX Runtime, and vectors kept as files.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { predictWith, randomState } from './export-support.mjs';
import { integerNetworks, richNetwork } from './integer-support.mjs';
import { binding, decodeModel, difference, exportModel, floats, loadModel, randomNumbers, root } from './support.mjs';

const ort = await import('onnxruntime-node').then(
  (module) => module.default,
  () => undefined,
);
const judged = { skip: ort ? false : 'onnxruntime-node is not installed' };
const info = { name: 'random', classes: 0, mean: [0], std: [1] };
const COUNT = 40;

/** Those of this processor; a model is loaded for what the environment says at that time. */
const chosen = process.env.SELFCOMPRESS_ISA;
const instructionSets = { arm64: ['scalar', 'neon'], x64: ['scalar', 'avx2', 'avx512'] }[process.arch].slice(
  0,
  chosen ? 1 : { scalar: 1, avx2: 2, neon: 2, avx512: 3 }[binding.info().isa],
);

async function calibrated(name, seed, change = () => {}) {
  const network = integerNetworks[name]();
  const state = randomState(network, seed);
  change(state);
  const size = network.input.reduce((a, b) => a * b);
  const images = floats(randomNumbers(seed), COUNT * size);
  const bytes = await exportModel({ network, state, info }, { format: 'scnn', calibration: images });
  return { network, state, images, bytes, size };
}
const predictAll = async (model, images, size) => {
  const scores = await model.predict(Array.from({ length: images.length / size }, (_, i) => images.subarray(i * size, (i + 1) * size)));
  return Float32Array.from(scores.flatMap(({ scores }) => [...scores]));
};

t.test('near the float network, the same for any number of threads', async (t) => {
  for (const name of Object.keys(integerNetworks)) {
    for (const seed of [1, 2]) {
      const { network, state, images, bytes, size } = await calibrated(name, seed, (state) => {
        for (const norm of ['n0', 'n1']) state[`${norm}.weight`]?.fill(-0.7, 1, 2);
      });
      const model = await loadModel(bytes, { arithmetic: 'integer' });
      const actual = await predictAll(model, images, size);
      const expected = await predictWith(network, state, images, COUNT);
      t.ok(difference(actual, expected) < 0.06, `${name} ${seed}: ${difference(actual, expected)}`);
      binding.setThreads(3);
      t.same(await predictAll(model, images, size), actual);
      binding.setThreads(1);
      t.same(model.predictSync(images.subarray(0, size)).scores, actual.subarray(0, actual.length / COUNT));
      model.dispose();
    }
  }
});

t.test('ONNX Runtime comes to the same codes but for sums at a half', judged, async (t) => {
  for (const name of Object.keys(integerNetworks)) {
    const { network, images, bytes, size } = await calibrated(name, 3);
    const onnx = await exportModel(await decodeModel(bytes), { format: 'onnx', arithmetic: 'integer' });
    const session = await ort.InferenceSession.create(onnx, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
    const results = await session.run({ input: new ort.Tensor('float32', images, [COUNT, ...network.input]) });
    const expected = results[session.outputNames[0]].data;
    const actual = await predictAll(await loadModel(bytes, { arithmetic: 'integer' }), images, size);
    let different = 0;
    for (let i = 0; i < actual.length; i++) different += Math.abs(actual[i] - expected[i]) > 1e-6 ? 1 : 0;
    t.ok(different < 0.05 * actual.length, `${name}: ${different} of ${actual.length}`);
    t.ok(difference(actual, expected) < 0.03, `${name}: ${difference(actual, expected)}`);
  }
});

/** Files in test/vectors: a model, its input and its output as codes. SELFCOMPRESS_WRITE_VECTORS=1 writes them anew. */
t.test('the codes are those of the vectors', async (t) => {
  for (const name of Object.keys(integerNetworks)) {
    const path = join(root, 'test', 'vectors', name);
    if (process.env.SELFCOMPRESS_WRITE_VECTORS) {
      const { bytes, images, size } = await calibrated(name, 7);
      writeFileSync(`${path}.scnn`, bytes);
      const scores = await predictAll(await loadModel(bytes, { arithmetic: 'integer' }), images.subarray(0, 4 * size), size);
      const base64 = (values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
      writeFileSync(`${path}.json`, `${JSON.stringify({ images: base64(images.subarray(0, 4 * size)), scores: base64(scores) }, null, 2)}\n`);
    }
    const bytes = readFileSync(`${path}.scnn`);
    const { images, scores } = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
    const floatsOf = (text) => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);
    const given = floatsOf(images);
    for (const isa of instructionSets) {
      process.env.SELFCOMPRESS_ISA = isa;
      const model = await loadModel(bytes, { arithmetic: 'integer' });
      t.same(await predictAll(model, given, given.length / 4), floatsOf(scores), `${name} ${isa}`);
      for (const threads of [3, 1]) {
        binding.setThreads(threads);
        t.same(model.predictSync(given.subarray(0, given.length / 4)).scores, floatsOf(scores).subarray(0, floatsOf(scores).length / 4));
      }
    }
    if (chosen === undefined) delete process.env.SELFCOMPRESS_ISA;
    else process.env.SELFCOMPRESS_ISA = chosen;
  }
});

t.test('what integers do not cover is refused by name, all of it', async (t) => {
  const refused = async (network, change = () => {}, calibration = floats(randomNumbers(1), 2 * network.input.reduce((a, b) => a * b))) => {
    const state = randomState(network);
    change(state);
    const bytes = await exportModel({ network, state, info }, { format: 'scnn', calibration });
    return loadModel(bytes, { arithmetic: 'integer' }).then(
      () => t.fail('it is loaded'),
      (error) => {
        t.equal(error.code, 'ERR_SELFCOMPRESS_MODEL_FILE');
        return error.message;
      },
    );
  };
  const conv = (name, input, more) => ({ kind: 'conv2d', name, inputs: [input], outChannels: 4, kernel: [1, 1], ...more });
  const chain = (...nodes) => ({ input: [2, 4, 4], nodes, output: nodes.at(-1).name });
  const kinds = await refused(
    chain(conv('a', 'input'), { kind: 'softmax', name: 's', inputs: ['a'] }, { kind: 'layerNorm', name: 'n', inputs: ['s'] }),
  );
  t.match(kinds, /softmax "s" needs an operator that has integers/);
  t.match(kinds, /layerNorm "n" needs/);
  t.match(await refused(chain(conv('a', 'input', { compress: false }))), /conv2d "a" needs weights with bit depths/);
  const deep = await refused(chain(conv('a', 'input')), (state) => {
    state['a.bitDepth'].fill(12);
    state['a.exponent'].fill(-12);
    state['a.weight'].fill(0.4);
  });
  t.match(deep, /codes of at most 8 bits \(they have 12\)/);
  const network = chain(conv('a', 'input'));
  const plain = await exportModel({ network, state: randomState(network), info }, { format: 'scnn' });
  await t.rejects(loadModel(plain, { arithmetic: 'integer' }), { message: /Expected ranges of the values .* for the metadata but received none/ });
  await t.rejects(loadModel(plain, { arithmetic: 'whole' }), { message: /options.arithmetic/ });
});

t.test('the ranges: in the file, rounded outwards, measured again', async (t) => {
  const { bytes, images, network, state } = await calibrated('rich', 5);
  const decoded = await decodeModel(bytes);
  t.equal(decoded.info.ranges.length, 2 * (1 + richNetwork().nodes.length));
  t.same(await exportModel(decoded, { format: 'scnn' }), bytes, 'a file that has them keeps them');
  const output = await predictWith(network, state, images, COUNT);
  const [low, high] = decoded.info.ranges.slice(-2);
  t.ok(low <= Math.min(...output) && high >= Math.max(...output));
  t.ok(low > 1.02 * Math.min(...output) - 1e-6 && high < 1.02 * Math.max(...output) + 1e-6);
  await t.rejects(exportModel({ network, state, info }, { format: 'scnn', calibration: new Float32Array(7) }), {
    message: /for options.calibration/,
  });
  await t.rejects(exportModel({ network, state, info }, { format: 'scnn', calibration: images.map(() => Number.NaN) }), {
    message: /finite values of .* for options.calibration/,
  });
});
