// The program that a network is compiled to, as data and as the command line prints it.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { binding, cli, createModel, temporaryFolder } from './support.mjs';

const description = createModel('notebook', { input: [1, 28, 28], classes: 10 });
// Weights of each layer times the pixels of its output.
const LAYERS = [25 * 32 * 576, 25 * 32 * 32 * 400, 9 * 32 * 64 * 64, 9 * 64 * 64 * 36, 576 * 10];

t.test('Network.plan', async (t) => {
  const network = new binding.Network(description, { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 64 });
  const [training, evaluation] = [await network.plan('training'), await network.plan('evaluation')];
  const forward = 64 * LAYERS.reduce((a, b) => a + b, 0);
  t.equal(evaluation.multiplyAdds, forward);
  t.equal(training.multiplyAdds, 3 * forward - 64 * LAYERS[0], 'the gradient of the images is not needed');
  for (const { operations, buffers, arenaBytes, unsharedBytes, multiplyAdds } of [training, evaluation]) {
    t.equal(
      operations.reduce((sum, o) => sum + o.multiplyAdds, 0),
      multiplyAdds,
    );
    t.equal(
      buffers.reduce((sum, { bytes }) => sum + bytes, 0),
      unsharedBytes,
    );
    t.equal(Math.max(...buffers.map(({ bytes, offset }) => bytes + offset)), arenaBytes);
    const used = buffers.map((_, id) => operations.flatMap((o, i) => (o.buffers.includes(id) ? [i] : [])));
    t.ok(
      buffers.every(({ first, last }, id) => used[id].every((i) => first <= i && i <= last)),
      'whoever reads a buffer does so in its lifetime',
    );
    for (const [i, a] of buffers.entries())
      for (const b of buffers.slice(0, i)) {
        if (a.first > b.last || b.first > a.last || a.first < 0 || b.first < 0) continue;
        if (a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes) t.fail(`buffer ${i} lies over another that is needed at the same time`);
      }
  }
  t.equal(training.arenaBytes <= training.unsharedBytes, true);
  const conv = evaluation.operations.find(({ operation }) => operation === 'Conv2dForward');
  t.match(conv, { node: 'conv1', shape: '1x28x28 -> 32x24x24, 5x5', section: 'forward', multiplyAdds: 64 * LAYERS[0] });
  for (const which of [undefined, 3, null, {}]) t.throws(() => network.plan(which), { name: 'TypeError', message: /for which but received/ });
  t.throws(() => network.plan('both'), { name: 'RangeError', message: /'training' or 'evaluation' for which but received "both"/ });
  await network.dispose();
  await t.rejects(network.plan('training'), { code: 'ERR_SELFCOMPRESS_DISPOSED' });
});

t.test('selfcompress inspect --plan', async (t) => {
  const run = (...args) => spawnSync(process.execPath, [cli, 'inspect', ...args], { encoding: 'utf8' });
  const file = join(temporaryFolder(t), 'network.json');
  writeFileSync(file, JSON.stringify(description));
  const { stdout, stderr } = run(file, '--plan', '--batch-size', '64');
  t.match(stdout, /forward +\d+ +Conv2dForward.* conv1 +1x28x28 -> 32x24x24, 5x5 +29 491 200 /, stderr);
  t.match(stdout, /backward +\d+ +Conv2dGradWeight/);
  t.match(stdout, /update +\d+ +OptimizerStep/);
  const evaluation = run(file, '--plan', '--evaluation', '--batch-size', '64').stdout;
  t.notMatch(evaluation, /backward/);
  t.equal(
    JSON.parse(run(file, '--plan', '--evaluation', '--json', '--batch-size', '64').stdout).multiplyAdds,
    64 * LAYERS.reduce((a, b) => a + b, 0),
  );
  t.match(run(file, '--evaluation').stderr, /Expected --plan with --evaluation/);
  writeFileSync(file, '{');
  t.match(run(file, '--plan').stderr, /Expected a network as JSON in/);
});
