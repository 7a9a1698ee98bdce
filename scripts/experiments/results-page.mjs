// docs/results.md from the rows of docs/results.json.   node scripts/experiments/results-page.mjs writes it again
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const percent = (x) => `${(100 * x).toFixed(2)} %`;
const each = (values) => (values.length > 1 ? `${values.join(', ')}` : values[0]);

function line({ name, model, dataset, toBeat, seeds }) {
  const small = seeds.map((s) => s.small);
  const cells = [
    `[${name}](models/${name}.scnn)`,
    `${model}, ${dataset}`,
    each(seeds.map((s) => percent(s.plain.testAccuracy))),
    toBeat,
    each(small.map((s) => percent(s.testAccuracy))) + (small.length > 1 ? ` (mean ${percent(mean(small.map((s) => s.testAccuracy)))})` : ''),
    each(small.map((s) => `${s.modelBytes} B`)),
    each(small.map((s) => percent(s.weightsFraction))),
    each(small.map((s) => `${s.epochs}`)),
    each(seeds.map(({ plain, small: s }) => `${((plain.seconds + s.seconds) / 60).toFixed(0)} min`)),
    each(seeds.map((s) => s.seed)),
  ];
  return `| ${cells.join(' | ')} |`;
}

const head = ['file', 'net, data', 'plain', 'to beat', 'test accuracy', 'whole file', 'weights left', 'epochs', 'time', 'seeds'];

/** Rows that `selfcompress compress` has made of a network by others. */
const fromPublic = (rows) =>
  rows
    .filter(({ seeds }) => seeds[0].plain.epochs === 0)
    .map(({ name, seeds: [{ plain, small }] }) => {
      const lost = (100 * (plain.testAccuracy - small.testAccuracy)).toFixed(2);
      return `${name} is what \`selfcompress compress\` makes of a public network without any option but data and normalisation: ${percent(small.bitsFraction)} of the bits,\n${lost} points below the original ([NOTICE](models/NOTICE.md)).`;
    })
    .join('\n');

export function resultsPage(rows) {
  const single = rows.filter(({ seeds }) => seeds.length === 1).map(({ name }) => name);
  return `# The smallest files so far

Trained files that come with the sources, what they reach on all test images of their data, and what others have published (figures
at second hand: see the sources named in the table). Accuracy is that after the last epoch, never the best of several; bytes are those
of the whole file: structure, tables, exponents, biases and norms. \`npm run results:check -- --data-dir NAME=DIR\` evaluates each file
and compares it with [results.json](results.json), which has the options of every run; \`selfcompress eval docs/models/NAME.scnn --dataset … --data-dir …\` gives the same.

| ${head.join(' | ')} |
| ${head.map(() => '---').join(' | ')} |
${rows.map(line).join('\n')}

How they were made: a plain net of the same shape first, then the penalty \`rate\` from its weights with \`--target-size\`: γ is steered, so that no γ
was chosen. ${fromPublic(rows)} Sizes and options were set before the first run and no choice was made on test images; all training images are used. The parameters of the
controller have been changed since lenet300-mnist was trained: another run ends nearer to the size that was asked for.${
    single.length
      ? `
Of ${single.length === rows.length ? 'all rows' : single.join(', ')} there is one seed only.`
      : ''
  } Images are shifted at random where the options say so (\`augment\`).
"time" is that of both runs' training steps (resnet20: of the whole command) on one thread of ${rows[0]?.machine ?? 'a machine'}, which did much else at the same time.

lenet5-mnist does not reach what is to be beaten: at its size it would take more than the 16 epochs that there was time for.

Not finished, each with its script in scripts/experiments, which goes on where it stopped: notebook-mnist (4 kB),
notebook-fashion-mnist (10 kB). Not begun: resnet8 and resnet9 on CIFAR-10, resnet20 in 52 and 34 kB, a compressed char-lm, seeds beyond the first, ablations.

Commands: ${[...new Set(rows.map(({ command }) => `\`${command} --data-dir DIR\``))].join('; ')}.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const docs = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
  writeFileSync(docs('results.md'), resultsPage(JSON.parse(readFileSync(docs('results.json'), 'utf8')).rows));
}
