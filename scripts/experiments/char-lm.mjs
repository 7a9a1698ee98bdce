// char-lm on tiny Shakespeare: the plain network with the settings of nanoGPT's recipe for a CPU (4 layers, 4 heads, 128 wide, windows of
// 64, batches of 12, 2,000 steps), then networks that start from it and shrink. Writes docs/PAGE.json and docs/PAGE.md, char-lm unless told.
//   node scripts/experiments/char-lm.mjs --data-file tinyshakespeare.txt [--gammas 0.1,0.3] [--targets own:0.03,rate:0.03] [--seeds 1]
//     [--small-epochs 8] [--page char-lm] [--record NAME] [--runs runs/char-lm] [--threads N] [--device cuda]
// --targets: penalties with shares of the bits to end at; beside them a plain network of as many steps as those in all.
// --record: the first target's file becomes docs/models/NAME.scnn, with a row in docs/results.{json,md}; "to beat" is the plain network.
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { decodeModel, inspectNetwork } from '../../dist/index.js';
import { givenCommand, scriptOptions, train } from './runs.mjs';
import { docs, machineOf, outcome, record } from './to-size.mjs';

const options = scriptOptions({
  'data-file': '',
  gammas: '0.1,0.3',
  targets: '',
  device: 'cpu',
  page: 'char-lm',
  record: '',
  penalty: 'own',
  seeds: '1',
  model: 'char-lm',
  'steps-per-epoch': '250',
  epochs: '8',
  'small-epochs': '',
  runs: 'runs/char-lm',
  threads: '',
});
const list = (text) => text.split(',').filter(Boolean).map(Number);
const epochs = Number(options.epochs);
const smallEpochs = Number(options['small-epochs'] || epochs);
const recipe = {
  model: options.model,
  dataset: 'text',
  'data-dir': options['data-file'],
  length: 64,
  'batch-size': 12,
  'steps-per-epoch': Number(options['steps-per-epoch']),
  epochs,
  optimizer: 'adamw',
  lr: 0.001,
  schedule: 'cosine',
  warmup: 0.05,
  final: 0.1,
  beta2: 0.99,
  'weight-decay': 0.1,
  clip: 1,
  ...(options.threads && { threads: options.threads }),
  ...(options.device !== 'cpu' && { device: options.device }),
};

/** What is left of a transformer: of the stream, of all blocks' heads, of the heads' dimensions, of hidden units. */
async function remains(directory) {
  const { network } = await decodeModel(readFileSync(`${directory}/model.scnn`));
  const { shapes } = inspectNetwork(network);
  const sum = (ending) => network.nodes.reduce((all, { name }) => all + (name.endsWith(ending) ? shapes[name][0] : 0), 0);
  const attentions = network.nodes.filter(({ name }) => name.endsWith('-attention'));
  return {
    stream: shapes.embedding[0],
    heads: attentions.reduce((all, { heads }) => all + heads, 0),
    queryDimensions: sum('-query'),
    valueDimensions: sum('-value'),
    hidden: sum('-hidden'),
  };
}

const rows = [];
/** By name, of the first seed. */
const runs = new Map();
async function run(name, seed, gamma, flags) {
  const directory = `${options.runs}/${name}-seed${seed}`;
  const history = await train(directory, { ...recipe, seed, ...flags });
  const last = history.at(-1);
  const machine = machineOf(directory, options);
  if (!runs.has(name)) runs.set(name, { directory, seed, machine, flags, history });
  const { testLoss, perplexity, bitsPerToken, modelBytes, bitsFraction, weightsFraction, epochSeconds } = last;
  rows.push({
    name,
    seed,
    machine,
    gamma,
    testLoss,
    perplexity,
    bitsPerToken,
    modelBytes,
    bitsFraction,
    weightsFraction,
    epochSeconds,
    ...(await remains(directory)),
  });
  return directory;
}
for (const seed of list(options.seeds)) {
  const plain = await run('plain', seed, 0, { plain: true });
  const small = { start: plain, epochs: smallEpochs, penalty: options.penalty };
  if (options.targets) await run('plain-longer', seed, 0, { plain: true, epochs: epochs + smallEpochs });
  for (const [penalty, share] of options.targets
    .split(',')
    .filter(Boolean)
    .map((target) => target.split(':')))
    await run(`${penalty}-${share}`, seed, 0, { ...small, penalty, 'target-bits': Number(share) });
  for (const gamma of list(options.gammas)) await run(`gamma-${gamma}`, seed, gamma, { ...small, gamma });
}

const plainSteps = epochs * recipe['steps-per-epoch'];
const percent = (x) => `${(100 * x).toFixed(1)} %`;
const lines = rows.map(
  (r) =>
    `| ${r.gamma || r.name} | ${r.seed} | ${r.testLoss.toFixed(4)} | ${r.bitsPerToken.toFixed(4)} | ${r.modelBytes} | ${percent(r.bitsFraction)} | ` +
    `${percent(r.weightsFraction)} | ${r.stream} | ${r.heads} | ${r.queryDimensions} | ${r.valueDimensions} | ${r.hidden} |`,
);
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const command = givenCommand();
writeFileSync(docs(`${options.page}.json`), `${JSON.stringify({ command, version, rows }, null, 2)}\n`);
writeFileSync(
  docs(`${options.page}.md`),
  `# A language model that shrinks

\`char-lm\` on tiny Shakespeare (1,115,394 characters, the last tenth held out): the mean loss in nats over all windows of 64 characters of the
held-out text that do not overlap, after the last step. The plain network has the settings of nanoGPT's recipe for a CPU, which reaches 1.88 in
2,000 steps, and here ${plainSteps} steps; the others start from it and train ${smallEpochs * recipe['steps-per-epoch']} steps more. γ was not chosen on a validation split. Made by

    ${command}

(${[...new Set(rows.map(({ machine }) => machine))].join(', ')})

| run, or γ | seed | loss | bits/character | file in bytes | bits left | weights left | stream | heads | query dimensions | value dimensions | hidden units |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`,
);

if (options.record) {
  const [small] = [...runs.values()].filter(({ flags }) => flags['target-bits']);
  if (!small) throw new Error('Expected --targets with --record but received none');
  const longer = runs.get('plain-longer');
  const { network } = await decodeModel(readFileSync(`${longer.directory}/model.scnn`));
  copyFileSync(`${small.directory}/model.scnn`, docs(`models/${options.record}.scnn`));
  const { start: _, ...flags } = small.flags;
  const { 'data-dir': _file, model, dataset, ...all } = recipe;
  const plainLoss = longer.history.at(-1).testLoss.toFixed(4);
  const row = {
    name: options.record,
    model,
    dataset,
    toBeat: `${plainLoss} nats, the plain network after as many steps`,
    options: { plain: all, small: { ...all, ...flags } },
    seeds: [{ seed: small.seed, machine: small.machine, plain: outcome(runs.get('plain')), small: outcome(small) }],
    command: command.replace(/ --(threads|device) \S+/g, ''),
  };
  await record(row, network);
}
