// No argument of any type, shape or size may crash the process: each is a TypeError or RangeError that names it.
import t from 'tap';
import { rawArguments } from './raw-arguments.mjs';
import { binding, floats, NetworkBuilder, randomNumbers, range, toyNetwork } from './support.mjs';

t.setTimeout(600_000);
const f = (n) => new Float32Array(n);
const i = (n) => new Int32Array(n);
const networkOptions = { device: 'cpu', loss: { kind: 'crossEntropy' }, optimizer: { kind: 'adam' }, batchSize: 8 };
const settings = { step: 1, seed: 1, gamma: 0, learningRate: 0.1, bitDepthLearningRate: 0.1, exponentLearningRate: 0.1 };
const dataOptions = () => ({ shape: [1, 12, 12], images: f(144 * 8), labels: i(8), classes: 4 });

/** Every raw operation with arguments that are right, and its synchronous form. */
const calls = { ...rawArguments };
for (const [name, make] of Object.entries(rawArguments)) calls[`${name}Sync`] = make;

const detached = () => {
  const array = f(96);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
};
/** Values that are wrong for nearly everything. */
const hostile = () => [
  undefined,
  null,
  true,
  'x',
  '',
  Symbol('s'),
  12n,
  () => {},
  {},
  [],
  [1],
  [1, 2, 3, 4],
  [Number.NaN, 1],
  NaN,
  Infinity,
  -Infinity,
  -1,
  0,
  0.5,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e300,
  f(0),
  f(1),
  f(7),
  i(3),
  new Uint8Array(96),
  new Float64Array(96),
  new BigInt64Array(2),
  new ArrayBuffer(8),
  new DataView(new ArrayBuffer(8)),
  detached(),
  [2 ** 30, 2 ** 30],
  [16384, 16384],
  [0, 0],
  [-1, -1],
  new Proxy(
    {},
    {
      get() {
        throw new Error('trap');
      },
    },
  ),
];

/** The call throws a TypeError or RangeError, or fails or works as a promise; it never does anything else. */
async function survives(t, what, call) {
  try {
    await call();
  } catch (error) {
    if (error.message === 'trap') return;
    if (!(error instanceof TypeError || error instanceof RangeError)) t.fail(`${what}: ${error?.constructor?.name}: ${error?.message}`);
    else if (!/Expected .+ for .+ but received .+/.test(error.message)) t.fail(`${what}: ${error.message}`);
  }
}

for (const [name, make] of Object.entries(calls)) {
  t.test(`${name} refuses what is wrong, by name`, async (t) => {
    await binding[name](make());
    t.throws(() => binding[name](), TypeError);
    t.throws(() => binding[name]({ ...make(), nonsense: 1 }), { message: /"nonsense"/ });
    for (const field of Object.keys(make())) {
      for (const value of hostile()) await survives(t, `${name}.${field}`, () => binding[name]({ ...make(), [field]: value }));
    }
    for (const value of hostile()) await survives(t, name, () => binding[name](value));
    t.pass('still here');
  });
}

t.test('typed arrays of the wrong length are named', async (t) => {
  t.throws(() => binding.quantizeForward({ ...calls.quantizeForward(), output: f(5) }), {
    name: 'RangeError',
    message: 'Expected Float32Array of length 6 for output but received Float32Array of length 5',
  });
  t.throws(() => binding.optimizerStep({ ...calls.optimizerStep(), momentun: 0.5 }), { message: /did you mean "momentum"\?/ });
  t.throws(() => binding.conv2dForward({ ...calls.conv2dForward(), kernel: [9, 9] }), { name: 'RangeError', message: /kernel/ });
  t.throws(() => binding.conv2dForward({ ...calls.conv2dForward(), liveIn: Int32Array.of(2, 1) }), { name: 'RangeError', message: /liveIn\[1\]/ });
  t.throws(() => binding.crossEntropy({ ...calls.crossEntropy(), labels: Int32Array.of(0, 3) }), {
    name: 'RangeError',
    message: /labels\[1\] but received 3/,
  });
});

t.test('memory that may move or overlap is refused', async (t) => {
  t.throws(() => binding.quantizeForward({ ...calls.quantizeForward(), weight: detached() }), { name: 'TypeError', message: /weight/ });
  if (ArrayBuffer.prototype.resize) {
    const resizable = new Float32Array(new ArrayBuffer(24, { maxByteLength: 48 }));
    t.throws(() => binding.quantizeForward({ ...calls.quantizeForward(), weight: resizable }), { name: 'TypeError', message: /resizable/ });
  }
  const both = f(12);
  t.throws(() => binding.quantizeForward({ ...calls.quantizeForward(), weight: both.subarray(0, 6), output: both.subarray(3, 9) }), {
    name: 'RangeError',
    message: /overlaps weight/,
  });
  const array = f(6);
  await binding.quantizeForward({ ...calls.quantizeForward(), weight: array, output: array }); // in place is allowed
  const args = calls.quantizeForward();
  const tricky = { ...args };
  Object.defineProperty(tricky, 'output', {
    enumerable: true,
    get() {
      structuredClone(args.weight.buffer, { transfer: [args.weight.buffer] });
      return f(6);
    },
  });
  t.throws(() => binding.quantizeForward(tricky), { name: 'TypeError', message: /does not change/ });
});

t.test('shared memory works', async (t) => {
  const weight = new Float32Array(new SharedArrayBuffer(24)).fill(0.3);
  const output = f(6);
  await binding.quantizeForward({ weight, bitDepth: f(2).fill(8), exponent: f(2).fill(-2), output });
  t.same([...output], new Array(6).fill(0.25));
});

t.test('DataSet and Network refuse what is wrong', async (t) => {
  const data = new binding.DataSet(dataOptions());
  const network = new binding.Network(toyNetwork(), networkOptions);
  for (const field of Object.keys({ ...dataOptions(), targets: 0, mean: 0, std: 0 })) {
    for (const value of hostile()) await survives(t, `DataSet.${field}`, () => new binding.DataSet({ ...dataOptions(), [field]: value }));
  }
  for (const field of ['device', 'loss', 'optimizer', 'penalty', 'originalWeights', 'batchSize', 'deadDecay']) {
    for (const value of hostile()) {
      if (field === 'batchSize' && typeof value === 'number' && value > 1e5) continue;
      await survives(t, `options.${field}`, () => new binding.Network(toyNetwork(), { ...networkOptions, [field]: value }));
    }
  }
  for (const field of ['input', 'nodes', 'output']) {
    for (const value of hostile())
      await survives(t, `network.${field}`, () => new binding.Network({ ...toyNetwork(), [field]: value }, networkOptions));
  }
  for (const node of toyNetwork().nodes.keys()) {
    for (const field of [
      'kind',
      'name',
      'inputs',
      'outChannels',
      'outFeatures',
      'kernel',
      'stride',
      'padding',
      'dilation',
      'groups',
      'bias',
      'compress',
      'epsilon',
      'probability',
    ]) {
      for (const value of hostile()) {
        const network = toyNetwork();
        network.nodes[node][field] = value;
        await survives(t, `nodes[${node}].${field}`, () => new binding.Network(network, networkOptions));
      }
    }
  }
  for (const method of ['trainStep', 'gradients', 'evaluate', 'predict', 'state', 'loadState', 'dispose']) {
    for (const value of hostile()) {
      if (method === 'dispose' || method === 'state') continue;
      await survives(t, method, () => network[method](value, range(4), settings));
      await survives(t, method, () => network[method](data, value, settings));
      if (method === 'trainStep') await survives(t, method, () => network[method](data, range(4), value));
    }
    for (const receiver of [undefined, {}, data, Object.create(network), new Proxy(network, {})])
      t.throws(() => network[method].call(receiver), TypeError, `${method} on another object`);
  }
  for (const field of Object.keys(settings))
    for (const value of hostile()) await survives(t, `settings.${field}`, () => network.trainStep(data, range(4), { ...settings, [field]: value }));
  t.throws(() => binding.DataSet(dataOptions()), TypeError, 'without new');
  t.throws(() => network.trainStep(data, Int32Array.of(0, 8), settings), { name: 'RangeError', message: /indices\[1\] but received 8/ });
  t.throws(() => network.trainStep(data, range(0), settings), RangeError);
  t.throws(() => network.trainStep(data, new Int32Array(9), settings), { name: 'RangeError', message: /batch size/ });
  t.throws(() => network.loadState({ 'conv1.weight': f(3) }), { name: 'RangeError', message: /conv1\.weight/ });
  t.throws(() => network.loadState({ nothing: f(3) }), { name: 'RangeError', message: /nothing/ });
  t.throws(() => new binding.Network(toyNetwork(), { ...networkOptions, device: 'cuda:999' }), { message: /options\.device/ });
  t.throws(() => binding.setThreads(0), RangeError);
});

t.test('a network that does not fit is refused, and its constructor takes no time', async (t) => {
  const net = new NetworkBuilder([1, 32768, 32768]);
  const large = net.build(net.globalAveragePool(net.conv2d('input', { outChannels: 50, kernel: 3 })));
  const network = new binding.Network(large, networkOptions);
  for (const call of [() => network.memory(), () => network.state(), () => network.predict(f(0), 0)])
    await t.rejects(call(), { code: 'ERR_SELFCOMPRESS_MEMORY' }, 'more memory than there is');
  await network.dispose();
  await t.rejects(network.memory(), { code: 'ERR_SELFCOMPRESS_DISPOSED' });

  const wide = (channels) => {
    const builder = new NetworkBuilder([channels, 1, 1]);
    return builder.build(builder.linear('input', { outFeatures: 2 }));
  };
  for (const channels of [2 ** 22 - 1, 2 ** 24])
    t.throws(() => new binding.Network(wide(channels), networkOptions), {
      name: 'RangeError',
      message: `Expected at most 2^22 channels in all tensors together for network.nodes but received ${channels + 2}`,
    });
  const clock = process.cpuUsage(); // of all threads: nothing is compiled before it is needed
  const compiled = new binding.Network(wide(2 ** 21), networkOptions);
  const { user, system } = process.cpuUsage(clock);
  t.ok(user + system < 200_000, `${user + system} µs`);
  await compiled.dispose();
});

t.test('random bits of graphs never crash', async (t) => {
  const random = randomNumbers(7);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const kinds = [
    'conv2d',
    'linear',
    'batchNorm',
    'relu',
    'gelu',
    'silu',
    'maxPool',
    'averagePool',
    'globalAveragePool',
    'flatten',
    'add',
    'concat',
    'dropout',
  ];
  const data = new binding.DataSet({ shape: [2, 9, 7], images: floats(random, 2 * 63 * 8), labels: range(8), classes: 8 });
  let built = 0;
  for (let trial = 0; trial < 400; trial++) {
    const names = ['input'];
    const nodes = [];
    for (let n = 0; n < 1 + random() * 8; n++) {
      const kind = pick(kinds);
      const two = kind === 'add' || kind === 'concat';
      const node = { kind, name: `n${n}`, inputs: two ? [pick(names), pick(names)] : [names[names.length - 1]] };
      if (kind === 'conv2d')
        Object.assign(node, {
          outChannels: pick([1, 2, 4, 6]),
          kernel: [pick([1, 2, 3]), pick([1, 3])],
          stride: [pick([1, 2]), 1],
          padding: [pick([0, 1]), pick([0, 2])],
          dilation: [1, pick([1, 2])],
          groups: pick([1, 1, 2]),
        });
      if (kind === 'linear') node.outFeatures = pick([1, 8, 20]);
      if (kind.endsWith('Pool') && kind !== 'globalAveragePool') Object.assign(node, { kernel: [2, pick([1, 2, 3])], padding: [pick([0, 1]), 0] });
      if (kind === 'dropout') node.probability = 0.5;
      nodes.push(node);
      names.push(node.name);
    }
    nodes.push({ kind: 'linear', name: 'out', inputs: [names[names.length - 1]], outFeatures: 8 });
    try {
      const network = new binding.Network({ input: [2, 9, 7], nodes, output: 'out' }, networkOptions);
      const state = await network.state();
      for (const [name, values] of Object.entries(state))
        if (!name.includes('/'))
          values.set(floats(random, values.length, name.endsWith('bitDepth') ? -1 : -0.5, name.endsWith('bitDepth') ? 5 : 0.5));
      await network.loadState(state);
      await network.trainStep(data, range(5), settings);
      await network.evaluate(data, range(8));
      await network.dispose();
      built++;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  t.ok(built > 50, `${built} of them were networks`);
});
