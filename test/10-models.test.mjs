// Networks as data: named models, the builder, errors that name the layer, initial parameters, schedules.
import t from 'tap';
import { createModel, initialState, inspectNetwork, NetworkBuilder, scheduleFactor } from './support.mjs';

t.test('models by name have the published numbers of weights', async (t) => {
  const weights = Object.fromEntries(
    ['notebook', 'lenet5', 'lenet300', 'mlp'].map((name) => [name, inspectNetwork(createModel(name, { input: [1, 28, 28], classes: 10 })).weights]),
  );
  t.same(weights, { notebook: 87456, lenet5: 430500, lenet300: 266200, mlp: 784 * 128 + 1280 });
  t.throws(() => createModel('resnet', { input: [1, 28, 28], classes: 10 }), { name: 'RangeError', message: /notebook, lenet5/ });
  const plain = createModel('notebook', { input: [3, 32, 32], classes: 100, compress: false });
  t.notOk(inspectNetwork(plain).parameters.some((p) => p.role === 'bitDepth'));
});

t.test('a description survives JSON', async (t) => {
  const description = createModel('lenet5', { input: [1, 28, 28], classes: 10 });
  t.same(inspectNetwork(JSON.parse(JSON.stringify(description))), inspectNetwork(description));
});

t.test('the builder makes residual and concatenated graphs', async (t) => {
  const net = new NetworkBuilder([3, 16, 16]);
  const a = net.silu(net.conv2d('input', { outChannels: 8, kernel: 3, padding: 1 }));
  const b = net.gelu(net.batchNorm(net.conv2d(a, { outChannels: 8, kernel: 3, padding: 1, groups: 8 })));
  const c = net.concat([net.add(a, b), a]);
  const d = net.dropout(net.averagePool(c, { kernel: 2 }), 0.1);
  const { shapes } = inspectNetwork(net.build(net.linear(net.globalAveragePool(d), { name: 'head', outFeatures: 5 })));
  t.same(shapes.concat1, [16, 16, 16]);
  t.same(shapes.averagePool1, [16, 8, 8]);
  t.same(shapes.head, [5]);
});

t.test('mistakes are named', async (t) => {
  const check = (change) => {
    const description = createModel('notebook', { input: [1, 28, 28], classes: 10 });
    change(description.nodes, description);
    return () => inspectNetwork(description);
  };
  t.throws(
    check((n) => {
      n[0].kernel = [29, 5];
    }),
    { name: 'RangeError', message: /"conv1"\.kernel/ },
  );
  t.throws(
    check((n) => {
      n[2].inputs = ['conv9'];
    }),
    { message: /"conv2"\.inputs but received "conv9"/ },
  );
  t.throws(
    check((n) => {
      n[2].kind = 'conv3d';
    }),
    { name: 'TypeError', message: /nodes\[2\]\.kind/ },
  );
  t.throws(
    check((n) => {
      n[2].name = 'conv1';
    }),
    { message: /no other node has/ },
  );
  t.throws(
    check((n) => {
      n[2].outchannels = 4;
    }),
    { message: /did you mean "outChannels"/ },
  );
  t.throws(
    check((n) => {
      n[0].outChannels = -1;
    }),
    { name: 'RangeError', message: /outChannels but received -1/ },
  );
  t.throws(
    check((_, d) => {
      d.output = 'nowhere';
    }),
    { message: /network\.output/ },
  );
  t.throws(
    check((_, d) => {
      d.input = [1, 8, 8];
    }),
    { name: 'RangeError', message: /kernel/ },
  );
});

t.test('initial parameters: repeatable, within their bounds, exponents from the largest weight', async (t) => {
  const { parameters } = inspectNetwork(createModel('notebook', { input: [1, 28, 28], classes: 10 }));
  const state = initialState(parameters, 5, { bitDepth: 8, headroom: 1 });
  t.same(initialState(parameters, 5, { bitDepth: 8, headroom: 1 }), state);
  t.notSame(initialState(parameters, 6, { bitDepth: 8, headroom: 1 })['conv1.weight'], state['conv1.weight']);
  t.ok(state['conv2.weight'].every((w) => Math.abs(w) <= 1 / Math.sqrt(800)));
  t.ok(Math.abs(state['conv2.weight'].reduce((a, b) => a + b, 0) / 25600) < 1e-3);
  const largest = Math.max(...state['conv2.weight'].subarray(0, 800).map(Math.abs));
  t.ok(Math.abs(2 ** state['conv2.exponent'][0] * 2 ** 7 - 2 * largest) < 1e-5);
  t.ok(state['norm1.runningVar'].every((x) => x === 1));
});

t.test('schedules', async (t) => {
  const at = (schedule) => [0, 0.25, 0.5, 0.75, 1].map((p) => Number(scheduleFactor(schedule, p).toFixed(4)));
  t.same(at({ kind: 'constant' }), [1, 1, 1, 1, 1]);
  t.same(at({ kind: 'constant', warmup: 0.5 }), [0, 0.5, 1, 1, 1]);
  t.same(at({ kind: 'step', at: [0.5, 0.75], factor: 0.1 }), [1, 1, 0.1, 0.01, 0.01]);
  t.same(at({ kind: 'cosine' }), [1, 0.8536, 0.5, 0.1464, 0]);
  const cycle = at({ kind: 'oneCycle' });
  t.same([cycle[0], cycle[1], cycle[4]], [0.04, 1, 0.001]);
});
