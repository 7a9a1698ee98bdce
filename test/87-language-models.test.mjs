// Language models: windows of tokens, training, removal without a change, files, generated text, losses against PyTorch.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { followsPyTorch, needsTorch } from './pytorch-support.mjs';
import {
  binding,
  CharacterVocabulary,
  cli,
  createModel,
  datasetFromText,
  decodeModel,
  difference,
  exportModel,
  generateText,
  initialState,
  inspectNetwork,
  languageModelNames,
  loadModel,
  NetworkBuilder,
  randomNumbers,
  range,
  Trainer,
  temporaryFolder,
} from './support.mjs';

/** Words in an order that can be learned. */
function someText(length, seed = 3) {
  const random = randomNumbers(seed);
  const words = ['the king ', 'the queen ', 'speaks. ', 'is silent. ', 'and so ', 'it ends.\n'];
  let text = '';
  while (text.length < length) text += words[Math.floor(words.length * random() ** 1.5)];
  return text.slice(0, length);
}
const length = 12;
const text = someText(6000);
const data = await datasetFromText(text, { length });
const model = (name, options) => createModel(name, { input: { tokens: length }, classes: data.vocabulary, width: 0.125, ...options });
const options = { batchSize: 16, stepsPerEpoch: 20, epochs: 2, device: 'cpu', optimizer: { kind: 'adamw', beta2: 0.99 }, gamma: 0 };

t.setTimeout(600_000);

t.test('windows of a text, rows of tokens, and what is refused', async (t) => {
  const tokens = Int32Array.from({ length: 40 }, (_, i) => i % 7);
  const windows = new binding.DataSet({ tokens, length: 8, vocabulary: 7, windows: true });
  t.equal(windows.count, 32);
  t.same(windows.shape, [1, 1, 8]);
  t.equal(windows.classes, 7);
  const network = new binding.Network(createModel('char-lm', { input: { tokens: 8 }, classes: 7, width: 0.125 }), {
    device: 'cpu',
    loss: { kind: 'crossEntropy', perPosition: true },
    optimizer: { kind: 'adam' },
    batchSize: 4,
  });
  t.equal(network.description.inputType, 'token');
  await network.loadState(initialState(network.parameters, 1, { bitDepth: 8, headroom: 1 }));
  const rows = new binding.DataSet({
    tokens: tokens.slice(0, 32),
    length: 8,
    vocabulary: 7,
    labels: tokens.slice(1, 33),
    classes: 7,
  });
  const whole = await network.evaluate(rows, range(4));
  t.same(await network.evaluate(windows, Int32Array.of(0, 8, 16, 24)), whole);
  t.equal(whole.count, 32);
  t.ok(whole.topFive >= whole.correct);
  const logits = await network.predict(tokens.slice(0, 8), 1);
  t.equal(logits.length, 7 * 8);
  // Causal: what comes later changes nothing before it.
  const other = tokens.slice(0, 8);
  other[7] = 3;
  const changed = await network.predict(other, 1);
  for (let k = 0; k < 7; k++) for (let p = 0; p < 7; p++) t.equal(changed[k * 8 + p], logits[k * 8 + p]);
  await t.rejects(async () => network.predict(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7), 1), {
    name: 'RangeError',
    message: /tokens\[7\] but received 7/,
  });
  await t.rejects(async () => network.predict(new Float32Array(8), 1), { name: 'TypeError', message: /for tokens/ });
  const wrong = (given, error) => t.throws(() => new binding.DataSet({ tokens, length: 8, vocabulary: 7, ...given }), error);
  wrong({ vocabulary: 6 }, { name: 'RangeError', message: /options.tokens\[6\] but received 6/ });
  wrong({ length: 7 }, { name: 'RangeError', message: /whole examples of 7 tokens/ });
  wrong({ length: 40, windows: true }, { name: 'RangeError', message: /more than 40 tokens/ });
  wrong({ windows: true, labels: new Int32Array(40) }, { name: 'TypeError', message: /options.labels/ });
  wrong({ labels: new Int32Array(39), classes: 7 }, { name: 'RangeError', message: /length 5 or 40/ });
  wrong({ labels: new Int32Array(5).fill(-1), classes: 7 }, { name: 'RangeError', message: /options.labels\[0\] but received -1/ });
  const images = new binding.DataSet({ shape: [1, 1, 8], images: new Float32Array(32), labels: range(4), classes: 4 });
  await t.rejects(async () => network.evaluate(images, range(4)), { message: /8 tokens for an example for data but received images/ });
  const more = new binding.DataSet({ tokens: range(9), length: 8, vocabulary: 9, windows: true });
  await t.rejects(async () => network.evaluate(more, range(1)), { message: /vocabulary of at most 7 tokens/ });
  await network.dispose();
});

t.test('labels that do not count and weights of classes', async (t) => {
  const net = new NetworkBuilder([2, 2, 3]);
  const description = net.build(net.conv2d('input', { outChannels: 3, kernel: 1 }));
  const random = randomNumbers(2);
  const images = Float32Array.from({ length: 24 }, () => random() - 0.5);
  const labels = Int32Array.from({ length: 12 }, (_, i) => (i % 4 === 3 ? -1 : i % 3));
  const network = (loss) => new binding.Network(description, { device: 'cpu', loss, optimizer: { kind: 'sgd' }, batchSize: 2 });
  const set = new binding.DataSet({ shape: [2, 2, 3], images, labels, classes: 3 });
  const weighted = network({ kind: 'crossEntropy', perPosition: true, classWeights: [1, 2, 0.5] });
  await weighted.loadState(initialState(weighted.parameters, 1, { bitDepth: 8, headroom: 1 }));
  const logits = await weighted.predict(images, 2);
  let sum = 0;
  let weights = 0;
  labels.forEach((label, at) => {
    if (label < 0) return;
    const own = [0, 1, 2].map((k) => logits[(Math.floor(at / 6) * 3 + k) * 6 + (at % 6)]);
    const weight = [1, 2, 0.5][label];
    sum += weight * (Math.log(own.reduce((all, z) => all + Math.exp(z), 0)) - own[label]);
    weights += weight;
  });
  const result = await weighted.evaluate(set, range(2));
  t.ok(Math.abs(result.loss - sum / weights) < 1e-5);
  t.equal(result.count, 9);
  t.throws(() => network({ kind: 'crossEntropy', perPosition: true, classWeights: [1, 2] }), { message: /3 classes for options.loss.classWeights/ });
  t.throws(() => network({ kind: 'crossEntropy', perPosition: true, classWeights: [1, 2, -1] }), {
    message: /options.loss.classWeights\[2\] but received -1/,
  });
  const one = network({ kind: 'crossEntropy' });
  await t.rejects(async () => one.evaluate(set, range(2)), { message: /one label for each example/ });
});

t.test('models by name learn, are resumed as if never stopped, and say what texts are measured in', async (t) => {
  for (const [name, more] of [...languageModelNames.map((name) => [name, {}]), ['char-lm', { tied: true }]]) {
    const start = () => Trainer.create({ network: model(name, more), data, ...options });
    const trainer = start();
    t.equal(trainer.options.loss.perPosition, true);
    t.equal(trainer.stepsPerEpoch, 20);
    let middle;
    trainer.on('step', ({ step }) => {
      if (step === 27) middle = trainer.checkpoint();
    });
    await trainer.run();
    const [first, last] = trainer.history;
    t.ok(last.testLoss < first.testLoss && last.testLoss < Math.log(data.vocabulary), `${name}: ${last.testLoss}`);
    t.equal(last.perplexity, Math.exp(last.testLoss));
    t.equal(last.bitsPerToken, last.testLoss / Math.LN2);
    t.ok(last.testTopFive > last.testAccuracy);
    const again = await Trainer.resume(await middle, data);
    await again.run();
    t.same({ ...again.history[1], epochSeconds: 0, imagesPerSecond: 0 }, { ...last, epochSeconds: 0, imagesPerSecond: 0 });
    t.same(await again.state(), await trainer.state());
    await t.rejects(Trainer.resume(await middle, await datasetFromText(text, { length: 11 })), {
      name: 'RangeError',
      message: /the very data|training images/,
    });
    await again.dispose();
    await trainer.dispose();
  }
});

t.test('what has died leaves, and the function stays', async (t) => {
  const trainer = Trainer.create({ network: model('char-lm', { width: 0.25 }), data, ...options, epochs: 1 });
  await trainer.run();
  const state = await trainer.state();
  const description = trainer.description;
  const kill = (layer, channels) => {
    for (const c of channels) state[`${layer}.bitDepth`][c] = 0;
  };
  for (const layer of ['embedding', 'positions']) kill(layer, [5]);
  for (let i = 1; i <= 4; i++) {
    kill(`block${i}-projection`, [5]);
    kill(`block${i}-output`, [5]);
    kill(`block${i}-hidden`, [0, i]);
    for (const norm of [`block${i}-norm1`, `block${i}-norm2`]) state[`${norm}.weight`][5] = state[`${norm}.bias`][5] = 0;
  }
  state['norm.weight'][5] = state['norm.bias'][5] = 0;
  kill('block2-value', range(8)); // its first head
  kill('block3-query', [9]);
  const network = new binding.Network(description, {
    device: 'cpu',
    loss: { kind: 'crossEntropy', perPosition: true },
    optimizer: { kind: 'adamw' },
    batchSize: 16,
  });
  await network.loadState(
    Object.fromEntries(Object.entries(state).filter(([name]) => network.parameters.some((p) => p.name === name.split('/')[0]))),
  );
  const windows = data.test.tokens.slice(0, 16 * length);
  const before = await network.predict(windows, 16);
  const { removed } = await network.prune();
  t.equal(removed.embedding, 1);
  t.equal(removed['block1-hidden'], 2);
  t.equal(removed['block2-value'], 8);
  t.equal(removed['block2-query'], 8);
  t.equal(removed['block3-query'], 1);
  t.equal(removed['block4-output'], 1);
  t.ok(difference(await network.predict(windows, 16), before) < 1e-4);
  await network.dispose();
  await trainer.dispose();
});

t.test('units of LSTMs leave while they train, and a run goes on from any moment of it', async (t) => {
  for (const penalty of ['coupled', 'rate']) {
    // Rows die early; what they leave in biases then decays by a twentieth a step.
    const shrinking = penalty === 'rate' ? { gamma: 0.1, epochs: 36 } : { gamma: 0.01, epochs: 24, bits: { learningRate: 0.2 } };
    const start = () => Trainer.create({ network: model('lstm-lm'), data, ...options, penalty, ...shrinking });
    const trainer = start();
    let middle;
    trainer.on('step', ({ step }) => {
      if (step === 251) middle = trainer.checkpoint();
    });
    await trainer.run();
    const { description, history } = trainer;
    const { shapes, parameters } = inspectNetwork(description);
    const { layers, testLoss } = history.at(-1);
    const size = (name) => layers.find((layer) => layer.name === name);
    for (const name of ['lstm1', 'lstm2']) {
      const [units] = shapes[name];
      t.ok(units < 32, `${penalty}: ${units} units of ${name} are left`);
      const shapeOf = (parameter) => parameters.find((p) => p.name === parameter).shape;
      t.same(shapeOf(`${name}-inputs.weight`)[0], 4 * units);
      t.same(shapeOf(`${name}.weight`), [4 * units, units]);
      for (const role of ['bias', 'bitDepth', 'exponent']) t.same(shapeOf(`${name}.${role}`), [4 * units]);
      const { originalChannels, originalWeights, channels, channelBits, weights, bits } = size(name);
      t.same([originalChannels, originalWeights], [128, 128 * 32]);
      t.ok(channels <= 4 * units && weights <= channels * units && bits < 32 * weights);
      t.equal(channelBits.length, 128);
      t.ok(channelBits.filter((depth) => depth > 0).length <= channels);
    }
    t.ok(Number.isFinite(testLoss));
    const again = await Trainer.resume(await middle, data);
    await again.run();
    t.same(await again.state(), await trainer.state());
    // The file alone predicts the same.
    const loaded = await loadModel(await trainer.encodeModel());
    const tokens = data.test.tokens.slice(0, length);
    const { scores } = await loaded.predict(tokens);
    const loss = { kind: 'crossEntropy', perPosition: true };
    const network = new binding.Network(description, { device: 'cpu', loss, optimizer: { kind: 'adamw' }, batchSize: 1 });
    const state = await trainer.state();
    await network.loadState(Object.fromEntries(network.parameters.map(({ name }) => [name, state[name]])));
    t.ok(difference(scores, await network.predict(tokens, 1)) < 1e-4);
    await network.dispose();
    await again.dispose();
    await trainer.dispose();
  }
});

t.test('embedding and output layer may share their weights, which are everywhere once', async (t) => {
  const { parameters } = inspectNetwork(createModel('char-lm', { input: { tokens: 64 }, classes: 65, tied: true }));
  const weights = parameters.filter(({ role }) => role === 'weight').reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
  t.equal(weights, 811_264 - 65 * 128);
  t.throws(() => model('char-lm', { tied: 1 }), { name: 'TypeError', message: /a boolean for tied but received 1/ });
  t.throws(() => model('lstm-lm', { tied: true }), { name: 'TypeError', message: /tied/ });
  const trainer = Trainer.create({ network: model('char-lm', { tied: true }), data, ...options, epochs: 1, stepsPerEpoch: 5 });
  await trainer.run();
  const { description } = trainer;
  const state = await trainer.state();
  const inFile = await decodeModel(await trainer.encodeModel());
  const safetensors = Buffer.from(await exportModel({ network: description, state }, { format: 'safetensors' }));
  const header = JSON.parse(safetensors.toString('utf8', 8, 8 + Number(safetensors.readBigUInt64LE())));
  for (const names of [state, inFile.state, header]) {
    t.ok('embedding.weight' in names);
    t.same(
      Object.keys(names).filter((name) => name.startsWith('head')),
      [],
    );
  }
  await trainer.dispose();
});

t.test('the file alone generates text', async (t) => {
  const trainer = Trainer.create({ network: model('lstm-lm'), data, ...options, epochs: 1 });
  await trainer.run();
  const { info, network } = await decodeModel(await trainer.encodeModel());
  t.equal(network.inputType, 'token');
  t.equal(info.characters, data.tokenizer.characters.join(''));
  await trainer.dispose();
});

t.test('drawing tokens', async (t) => {
  const tokenizer = new CharacterVocabulary(['a', 'b', 'c']);
  const seen = [];
  // The next letter of the alphabet is the likeliest, the one after that next.
  const toy = {
    length: 4,
    vocabulary: 3,
    predict: async (window) => {
      seen.push([...window]);
      return Float32Array.from({ length: 12 }, (_, i) => [0, 5, 4][(Math.floor(i / 4) - window[i % 4] + 3) % 3]);
    },
  };
  const collect = async (prompt, given) => {
    let all = '';
    for await (const piece of generateText(toy, tokenizer, prompt, given)) all += piece;
    return all;
  };
  t.equal(await collect('a', { tokens: 7, temperature: 0 }), 'bcabcab');
  t.same(seen[0], [0, 0, 0, 0]);
  t.same(seen[6], [0, 1, 2, 0]);
  t.equal(await collect('ab', { tokens: 3, topK: 1 }), 'cab');
  t.equal(await collect('a', { tokens: 20, seed: 4 }), await collect('a', { tokens: 20, seed: 4 }));
  t.not(await collect('a', { tokens: 20, seed: 4 }), await collect('a', { tokens: 20, seed: 5 }));
  t.notMatch(await collect('a', { tokens: 60, topK: 2, temperature: 3 }), /(.)\1/, 'the least likely is never drawn');
  await t.rejects(collect('', {}), { name: 'RangeError', message: /at least one token for prompt/ });
  await t.rejects(collect('x', {}), { name: 'RangeError', message: /characters of the vocabulary/ });
  await t.rejects(collect('a', { temperature: -1 }), { name: 'RangeError', message: /options.temperature but received -1/ });
  await t.rejects(collect('a', { topk: 1 }), { name: 'TypeError', message: /options/ });
});

t.test('from the command line', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'text.txt');
  writeFileSync(file, text);
  const run = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  const out = join(folder, 'run');
  const common = ['--model', 'char-lm', '--width', '0.125', '--dataset', 'text', '--data-dir', file, '--length', '12', '--batch-size', '16'];
  const adam = [
    '--optimizer',
    'adamw',
    '--beta2',
    '0.99',
    '--schedule',
    'cosine',
    '--warmup',
    '0.05',
    '--final',
    '0.1',
    '--clip',
    '1',
    '--weight-decay',
    '0.1',
  ];
  const trained = run('train', ...common, ...adam, '--steps-per-epoch', '10', '--epochs', '1', '--threads', '1', '--out', out);
  t.equal(trained.status, 0, trained.stderr);
  t.match(trained.stdout + trained.stderr, /bits\/token perplexity/);
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
  t.match(config.options.schedule, { kind: 'cosine', warmup: 0.05, final: 0.1 });
  t.equal(config.options.optimizer.beta2, 0.99);
  const resumed = run('train', '--resume', out, '--epochs', '2');
  t.equal(resumed.status, 0, resumed.stderr);
  const [, last] = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n').map(JSON.parse);
  const evaluated = JSON.parse(run('eval', out, '--dataset', 'text', '--data-dir', file, '--json').stdout);
  t.ok(Math.abs(evaluated.testLoss - last.testLoss) < 1e-5);
  t.equal(evaluated.perplexity, Math.exp(evaluated.testLoss));
  const generate = (from, ...more) => run('generate', from, '--prompt', 'the king', '--tokens', '12', '--seed', '7', ...more);
  const ofRun = generate(out);
  t.equal(ofRun.status, 0, ofRun.stderr);
  t.match(ofRun.stdout, /^the king/);
  t.equal([...ofRun.stdout].length, 'the king'.length + 12 + 1);
  t.equal(JSON.parse(generate(join(out, 'model.scnn'), '--json').stdout).text, ofRun.stdout.slice('the king'.length, -1));
  t.match(generate(out, '--prompt', 'Ü').stderr, /characters of the vocabulary for text\[0\] but received "Ü"/);
  const refused = (args, message) => t.match(run(...args).stderr, message);
  refused(['train', '--dataset', 'text', '--data-dir', file], /Expected char-lm or lstm-lm for --model but received "notebook"/);
  refused(['train', '--model', 'char-lm'], /Expected a network for images for --model but received "char-lm"/);
  refused(['train', '--length', '9'], /Expected --dataset text with --length but received --dataset digits/);
  refused(['train', ...common, '--limit', '9'], /Expected no --limit with --dataset text/);
  refused(['train', '--warmup', '0.1'], /--warmup but received oneCycle/);
});

t.test('three steps have the losses of PyTorch', needsTorch, async (t) => {
  for (const [name, more] of [...languageModelNames.map((name) => [name, {}]), ['char-lm', { tied: true }]]) {
    const { description } = binding.inspectNetwork(model(name, { compress: false, width: 0.25, ...more })); // with every field
    const count = 6;
    const network = new binding.Network(description, {
      device: 'cpu',
      loss: { kind: 'crossEntropy', perPosition: true },
      optimizer: { kind: 'sgd', momentum: 0 },
      batchSize: count,
    });
    const { tokens, labels } = data.train;
    const [inputs, answers] = [tokens.slice(0, count * length), labels.slice(0, count * length)];
    const set = new binding.DataSet({ tokens: inputs, length, vocabulary: data.vocabulary, labels: answers, classes: data.classes });
    const losses = await followsPyTorch(t, {
      ...{ name, description, network, data: set, labels: answers, learningRate: 0.1 },
      inputs: { shape: [count, length], data: inputs },
    });
    t.ok(losses[2] < losses[0]);
    await network.dispose();
  }
});
