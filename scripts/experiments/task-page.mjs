// docs/tasks.md from the rows of docs/tasks.json.   node scripts/experiments/task-page.mjs writes it again
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deviation, mean } from './statistics.mjs';
import { metrics } from './task-data.mjs';

/** Of a single run there is no spread: this share of the value is taken for it. */
const SINGLE = 0.01;

/**
 * Whether the small networks are worse than the float ones, where these stood or ended, by more than the differences differ from seed to
 * seed. These are taken seed by seed: of tables the same rows are compared.
 */
export function worse({ metric, runs }) {
  const sign = metrics[metric].higher ? 1 : -1;
  return ['start', 'plain'].some((which) => {
    const lost = runs.map((run) => sign * (run[which].value - run.small.value));
    return mean(lost) > (runs.length > 1 ? deviation(lost) : SINGLE * Math.abs(runs[0][which].value));
  });
}

const percent = (x, digits = 1) => `${(100 * x).toFixed(digits)} %`;
const LOSSES = {
  binaryCrossEntropy: 'binary cross-entropy',
  meanSquaredError: 'mean squared error',
  l1: 'L1',
  huber: 'Huber',
  crossEntropy: 'cross-entropy',
};
const lossName = ({ kind, delta, perPosition }) =>
  `${LOSSES[kind]}${delta === undefined ? '' : `, δ = ${delta}`}${perPosition ? ' of every pixel' : ''}`;

/** Mean, and deviation where there are several. */
function valueText(metric, values) {
  const show = metrics[metric].percent ? (x) => (100 * x).toFixed(2) : (x) => x.toFixed(3);
  return `${show(mean(values))}${values.length > 1 ? ` ± ${show(deviation(values))}` : ''}${metrics[metric].percent ? ' %' : ''}`;
}

function lines({ name, task, loss, metric, about, layers, tries }) {
  return tries.map(({ share, runs }, i) => {
    const of = (which, what) => runs.map((run) => run[which][what]);
    const cells = [
      i === 0 ? `${name}: ${task}` : `${name}, again`,
      lossName(loss),
      layers,
      about,
      metrics[metric].name,
      ...['start', 'plain', 'small'].map((which) => valueText(metric, of(which, 'value'))),
      worse({ metric, runs }) ? 'worse' : 'equal or better',
      percent(share, 0),
      percent(mean(of('small', 'bitsFraction'))),
      percent(mean(of('small', 'weightsFraction'))),
      `${Math.round(mean(of('plain', 'bytes')))} → ${Math.round(mean(of('small', 'bytes')))}`,
      `${mean(of('plain', 'seconds')).toFixed(1)}, ${mean(of('small', 'seconds')).toFixed(1)}`,
      runs.map(({ seed }) => seed).join(', '),
    ];
    return `| ${cells.join(' | ')} |`;
  });
}

const head = [
  ...['task', 'loss', 'network', 'data (training; test examples)', 'metric', 'float', 'float, trained on', 'small', 'quality'],
  ...['bits asked for', 'bits left', 'weights left', 'bytes of the file', 'seconds of either', 'seeds'],
];

/** What has to be said of rows that did not come out as they should. */
function missed(rows) {
  const still = rows.filter(({ tries, metric }) => worse({ metric, runs: tries.at(-1).runs })).map(({ name }) => name);
  const again = rows.filter(({ tries }) => tries.length > 1).map(({ name }) => name);
  return `${again.length ? `At the first share the small networks of ${again.join(', ')} were worse, so that there is a second line.` : 'None was worse at the first share.'} ${
    still.length
      ? `**Still worse at the second: ${still.join(', ')}.** More epochs were not tried.`
      : again.length
        ? 'None is worse at the second.'
        : ''
  }`.trim();
}

export function tasksPage(rows) {
  return `# One network of every kind of task

Each loss that there is, with a network for it: trained in float32, then made smaller from there. Two networks go on from the weights of the
first, for equally many epochs at the same learning rate: one in float32 ("float, trained on"), the other with the penalty \`rate\`, γ steered to a share of the
bits. So neither has seen more examples than the other.

| ${head.join(' | ')} |
| ${head.map(() => '---').join(' | ')} |
${rows.flatMap(lines).join('\n')}
| a language model: the next token | cross-entropy of every position | char-lm, lstm-lm | tiny Shakespeare | loss | see | [char-lm.md](char-lm.md) | [language-models.md](language-models.md) | | | | | | | |
| images: one class | cross-entropy | convolutions | Fashion-MNIST, MNIST, CIFAR-10 | accuracy | see | [results.md](results.md) | [fashion-mnist.md](fashion-mnist.md) | | | | | | | |

How to read it: the metric is that of the model file's own predictions (\`loadModel\`) of all test examples after the last epoch, mean ± standard deviation over
the seeds. "quality" is "worse" where the small networks are behind the float ones, **either before or after these were trained on**, in the mean of the differences
seed by seed by more than these deviate (with one seed: by more than ${percent(SINGLE, 0)} of the value). "bits left" is the share of 32 bits for every weight of the float network; bytes are
those of the whole file, seconds those of the steps.

${missed(rows)}

What was chosen when: 5 % of the bits for all tasks before the first run, and 10 % for a second try where 5 % costs quality; friedman-l1
was added after L1 had been worse for digit-place at both. Networks, epochs and learning rates
were tried on a fifth of the training examples (\`--pilot true\`), and so was γ's start, 0.05; nothing was chosen on test examples, but for the
rule of what is worse: it first compared means with the larger deviation of either kind, and was made stricter, seed by seed. Networks are small, and trained so
briefly that all of it is done in minutes: figures are for the comparison, not records. A small table's float network learns its rows by heart when it is trained on, and the
penalty is in the way of that.

Data: digits and digit-scenes come with the package, Friedman's function is drawn by the script (test targets have no noise), breast-cancer and diabetes are scikit-learn's
(Debian: \`apt install python3-sklearn\`, or \`--tables DIR\`); their seeds also choose the test rows, so that their deviations are mostly those of the rows.

Made by \`node scripts/experiments/tasks.mjs\`, a row by \`--only NAME\`; runs that are done are kept in runs/tasks. Processor: ${[...new Set(rows.map(({ machine }) => machine))].join('; ')}, one thread, on a
machine that did much else at the same time, which the seconds show. [tasks.json](tasks.json) has every run.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
  writeFileSync(docs('tasks.md'), tasksPage(JSON.parse(readFileSync(docs('tasks.json'), 'utf8')).rows));
}
