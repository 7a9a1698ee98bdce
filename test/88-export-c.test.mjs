// Networks as C: compiled for this machine and for a Cortex-M4, the same codes as the engine's, bit for bit.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { missing, runOnCortex, scalesOf, toCodes } from '../scripts/experiments/cortex/run.mjs';
import { predictWith, randomState } from './export-support.mjs';
import { integerNetworks } from './integer-support.mjs';
import { createModel, exportModel, floats, loadDataset, loadModel, randomNumbers, root, temporaryFolder } from './support.mjs';

t.setTimeout(600_000); // compilers and an emulator are run
const compiler = process.env.CC ?? ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0);
const compiled = { skip: compiler ? false : 'no C compiler is installed' };
const info = { name: 'random', classes: 0, mean: [0], std: [1] };

/** Reads float32 inputs, writes float32 outputs. */
const MAIN = (name, inputs, outputs) => `
#include <stdint.h>
#include <stdio.h>
void ${name}_run(const uint8_t* input, uint8_t* output);
uint8_t ${name}_code(float value);
float ${name}_value(uint8_t code);
int main(void) {
  static float numbers[${inputs}], values[${outputs}];
  static uint8_t input[${inputs}], output[${outputs}];
  while (fread(numbers, sizeof(float), ${inputs}, stdin) == ${inputs}) {
    int i;
    for (i = 0; i < ${inputs}; i++) input[i] = ${name}_code(numbers[i]);
    ${name}_run(input, output);
    for (i = 0; i < ${outputs}; i++) values[i] = ${name}_value(output[i]);
    fwrite(values, sizeof(float), ${outputs}, stdout);
  }
  return 0;
}
`;

function runCompiled(folder, source, name, images, size, outputs, flags = []) {
  writeFileSync(join(folder, 'network.c'), source);
  writeFileSync(join(folder, 'main.c'), MAIN(name, size, outputs));
  const program = join(folder, 'program');
  const strict = ['-std=c99', '-pedantic', '-Wall', '-Wextra', '-Werror', '-O2', ...flags];
  const made = spawnSync(compiler, [...strict, join(folder, 'network.c'), join(folder, 'main.c'), '-o', program], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
  const { stdout, status, stderr } = spawnSync(program, {
    input: Buffer.from(images.buffer, images.byteOffset, images.byteLength),
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(String(stderr));
  return new Float32Array(new Uint8Array(stdout).buffer);
}

async function predictAll(bytes, images, size) {
  const model = await loadModel(bytes, { arithmetic: 'integer' });
  const all = await model.predict(Array.from({ length: images.length / size }, (_, i) => images.subarray(i * size, (i + 1) * size)));
  return Float32Array.from(all.flatMap(({ scores }) => [...scores]));
}

t.test('every step, packed and plain, without undefined behaviour', compiled, async (t) => {
  const folder = temporaryFolder(t);
  for (const [name, make] of Object.entries(integerNetworks)) {
    const network = make();
    const state = randomState(network, 11);
    const size = network.input.reduce((a, b) => a * b);
    const images = floats(randomNumbers(2), 20 * size, -1.5, 1.5);
    const calibration = images.subarray(0, 10 * size);
    const expected = await predictAll(await exportModel({ network, state, info }, { format: 'scnn', calibration }), images, size);
    for (const weights of ['packed', 'plain']) {
      const source = Buffer.from(await exportModel({ network, state }, { format: 'c', calibration, name, weights })).toString();
      for (const flags of [[], ['-fsanitize=undefined,address', '-fno-sanitize-recover=all']])
        t.same(runCompiled(folder, source, name, images, size, expected.length / 20, flags), expected, `${name} ${weights} ${flags}`);
    }
  }
});

t.test('wrong names and forms, no ranges', async (t) => {
  const network = integerNetworks.image();
  const source = { network, state: randomState(network, 1) };
  const calibration = floats(randomNumbers(1), 45);
  await t.rejects(exportModel(source, { format: 'c', calibration, name: 'a b' }), { message: /an identifier of C for options.name/ });
  await t.rejects(exportModel(source, { format: 'c', calibration, weights: 'small' }), { message: /options.weights/ });
  await t.rejects(exportModel(source, { format: 'c' }), { message: /options.calibration/ });
});

const mnist = join(process.env.SELFCOMPRESS_SHARED ?? join(root, '..', 'shared'), 'data', 'mnist');
const dataDir = existsSync(mnist) && mnist;

t.test(
  'all 10,000 images of MNIST through a LeNet',
  { skip: compiler && dataDir ? false : 'no C compiler, or no MNIST in shared/data' },
  async (t) => {
    const data = await loadDataset('mnist', { dataDir });
    const network = createModel('lenet5', { input: [1, 28, 28], classes: 10, width: 0.5 });
    const state = randomState(network, 3);
    const images = Float32Array.from(data.test.images, (byte) => (byte / 255 - 0.13) / 0.31);
    const calibration = images.subarray(0, 64 * 784);
    const expected = await predictAll(await exportModel({ network, state, info }, { format: 'scnn', calibration }), images, 784);
    const source = Buffer.from(await exportModel({ network, state }, { format: 'c', calibration })).toString();
    t.same(runCompiled(temporaryFolder(t), source, 'network', images, 784, 10), expected);
    const float = await predictWith(network, state, images.subarray(0, 784 * 100), 100);
    const best = (scores, i) => scores.subarray(i * 10, i * 10 + 10).indexOf(Math.max(...scores.subarray(i * 10, i * 10 + 10)));
    const equal = Array.from({ length: 100 }, (_, i) => best(float, i) === best(expected, i)).filter(Boolean).length;
    t.ok(equal >= 90, `${equal} of 100 as in floats`);
  },
);

t.test('a Cortex-M4 comes to the codes of the vectors', { skip: missing() }, async (t) => {
  const work = temporaryFolder(t);
  for (const name of Object.keys(integerNetworks)) {
    const path = join(root, 'test', 'vectors', name);
    const { images, scores } = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
    const floatsOf = (text) => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);
    const values = floatsOf(images);
    const expected = floatsOf(scores);
    const source = Buffer.from(await exportModel(`${path}.scnn`, { format: 'c', name })).toString();
    const { input, output } = scalesOf(source);
    const codes = toCodes(values, input);
    const result = runOnCortex({ source, name, codes, count: 4, outputs: expected.length / 4, work });
    t.same(
      Float32Array.from(result.codes, (code) => output.scale * (code - output.zero)),
      expected,
      name,
    );
    t.ok(result.instructions > 0 && result.flash > 0 && result.ram > 0, `${name}: ${JSON.stringify({ ...result, codes: undefined })}`);
  }
});
