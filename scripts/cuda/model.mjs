// npm run cuda:model: a prediction of a training step's time on an H100, from the operations that the real plan queues (plan.mjs)
// and a roofline (roofline.mjs). Writes docs/cuda-model.json and docs/cuda-model.md. No GPU is needed, and none was asked.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { notebook, resnet18, weightsOf } from './networks.mjs';
import { plansOf, root } from './plan.mjs';
import { assumptions, h100, timeOf } from './roofline.mjs';

const batch = 512;
const precisions = ['fp32', 'tf32', 'bf16'];
const share = 0.18;

/** The width at which `make(width)` keeps the share of weights nearest to `share`. */
function widthFor(make) {
  const all = weightsOf(make(1));
  const widths = Array.from({ length: 61 }, (_, i) => (i + 20) / 100);
  const distance = (width) => Math.abs(weightsOf(make(width)) / all - share);
  return widths.reduce((best, next) => (distance(next) < distance(best) ? next : best));
}

function casesOf(title, make) {
  const width = widthFor(make);
  const left = weightsOf(make(width)) / weightsOf(make(1));
  return [
    { network: title, form: 'dense', description: make(1), live: 1 },
    { network: title, form: `${(100 * left).toFixed(0)} % of the weights, dead channels still there`, description: make(1), live: width },
    { network: title, form: `${(100 * left).toFixed(0)} % of the weights, dead channels removed`, description: make(width), live: 1 },
  ];
}

const sum = (values) => values.reduce((total, x) => total + x, 0);
const groupOf = (operation) => operation.op.replace(/^(Quantize|Pool|BatchNorm|Activation).*/, '$1');

function predict({ network, form, live }, precision, plan) {
  const timed = plan.map((operation) => ({ ...operation, ...timeOf(operation, precision) }));
  const seconds = sum(timed.map((t) => t.seconds));
  const shares = (key) => {
    const groups = new Map();
    for (const t of timed) groups.set(key(t), (groups.get(key(t)) ?? 0) + t.seconds);
    return Object.fromEntries([...groups].sort((a, b) => b[1] - a[1]).map(([name, value]) => [name, Number((value / seconds).toFixed(3))]));
  };
  const withLaunch = (launchSeconds) => sum(plan.map((operation) => timeOf(operation, precision, { ...assumptions, launchSeconds }).seconds));
  return {
    network,
    form,
    batch,
    precision,
    live,
    operations: plan.length,
    launches: sum(plan.map((operation) => operation.launches.length)),
    gigabytes: Number((sum(plan.map((o) => o.bytes)) / 1e9).toFixed(3)),
    teraflops: Number((sum(plan.map((o) => o.flops)) / 1e12).toFixed(4)),
    predictedSeconds: Number(seconds.toPrecision(3)),
    predictedSecondsByLaunchCost: { '1e-6': Number(withLaunch(1e-6).toPrecision(3)), '4e-6': Number(withLaunch(4e-6).toPrecision(3)) },
    rooflineSeconds: Number(sum(timed.map((t) => t.ideal)).toPrecision(3)),
    boundBy: shares((t) => t.bound),
    byOperation: shares(groupOf),
    longest: timed
      .sort((a, b) => b.seconds - a.seconds)
      .slice(0, 8)
      .map(({ op, what, seconds: s, bound }) => ({ op, what, microseconds: Number((s * 1e6).toFixed(1)), bound })),
  };
}

const milliseconds = (seconds) => (seconds * 1e3).toPrecision(3);
const percent = (value) => `${Math.round(100 * (value ?? 0))} %`;
const shareList = (shares, count) =>
  Object.entries(shares)
    .slice(0, count)
    .map(([name, value]) => `${name} ${percent(value)}`)
    .join(', ');

function markdown(results) {
  const steps = results.map((r) => {
    const { '1e-6': low, '4e-6': high } = r.predictedSecondsByLaunchCost;
    return `| ${r.network}, ${r.form} | ${r.precision} | ${r.launches} | ${r.teraflops} | ${r.gigabytes} | ${milliseconds(r.rooflineSeconds)} | **${milliseconds(r.predictedSeconds)}** | ${milliseconds(low)} to ${milliseconds(high)} | ${percent(r.boundBy.memory)} | ${percent(r.boundBy.arithmetic)} | ${percent(r.boundBy.launch)} |`;
  });
  const kinds = results.map((r) => `| ${r.network}, ${r.form} | ${r.precision} | ${shareList(r.byOperation, 5)} |`);
  const longest = results
    .filter((r) => r.precision === 'tf32')
    .flatMap((r) => r.longest.slice(0, 4).map((o) => `| ${r.network}, ${r.form} | ${o.op}: ${o.what} | ${o.microseconds} | ${o.bound} |`));
  const a = assumptions;
  return `# Predicted time of a training step on an H100

**A prediction, not a measurement.** Written by \`npm run cuda:model\` on a machine without a GPU. The operations, their sizes and
their launches are those that the real plan of the network queues (\`native/bench/cuda/step_plan.cpp\`); the time of each is

    launches × ${a.launchSeconds * 1e6} µs + the longer of   bytes / (${a.bandwidthShare} × ${h100.bandwidth / 1e12} TB/s)   and   flops / (share × published rate)

with the published rates of the ${h100.name} (FP32 ${h100.flops.fp32 / 1e12}, TF32 ${h100.flops.tf32 / 1e12}, BF16 ${h100.flops.bf16 / 1e12} TFLOP/s, products without sparsity). Assumed, and to
be replaced by measurements: convolutions reach ${a.fp32Share} of the FP32 rate, or ${a.tensorShare} of the tensor rate (mma.sync, not wgmma) with their sides rounded
up to 16 channels and 32 terms; every tensor crosses the memory's bus once per kernel that reads or writes it; what a second kernel
of the same operation reads again comes ${a.l2Speedup} times as fast if it fits half of the L2 cache; a kernel of fewer blocks than the
${h100.multiprocessors} multiprocessors gets that share of them; workspaces of convolutions cost nothing. Batch ${batch}, Adam, the coupled penalty.

"Roofline" is the sum over operations of the least time that the published rates allow, without launches. The last three columns
say how much of the predicted time is spent in operations for which memory, arithmetic or launching is the largest part.

| step | precision | launches | TFLOP | GB | roofline, ms | predicted, ms | with 1 to 4 µs a launch | memory | arithmetic | launch |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${steps.join('\n')}

## Where the predicted time goes

| step | precision | operations |
| --- | --- | --- |
${kinds.join('\n')}

## The longest operations with TF32

| step | operation | predicted, µs | largest part |
| --- | --- | --- | --- |
${longest.join('\n')}
`;
}

const cases = [...casesOf('notebook net', notebook), ...casesOf('ResNet-18, 32×32', resnet18)];
const requests = cases.flatMap((c) => precisions.map((precision) => ({ ...c, network: c.description, precision, batch })));
const plans = plansOf(requests);
const results = cases.flatMap((c, i) => precisions.map((precision, j) => predict(c, precision, plans[i * precisions.length + j])));
writeFileSync(join(root, 'docs/cuda-model.json'), `${JSON.stringify({ prediction: true, device: h100, assumptions, results }, undefined, 2)}\n`);
writeFileSync(join(root, 'docs/cuda-model.md'), markdown(results));
for (const r of results)
  console.log(`predicted, not measured: ${r.network}, ${r.form}, ${r.precision}: ${milliseconds(r.predictedSeconds)} ms, ${r.launches} launches`);
