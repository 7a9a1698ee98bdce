// What is said of the CUDA kernels without a GPU: the tools that say it, and the committed figures.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { parsePtx, parsePtxas } from '../scripts/cuda/compile.mjs';
import { instructionNames, missingInstructions } from '../scripts/cuda/instructions.mjs';
import { networkLines, notebook, resnet18, weightsOf } from '../scripts/cuda/networks.mjs';
import { occupancyOf } from '../scripts/cuda/occupancy.mjs';
import { kernelName } from '../scripts/cuda/plan.mjs';
import { assumptions, h100, timeOf } from '../scripts/cuda/roofline.mjs';

const read = (file) => readFileSync(new URL(`../docs/${file}`, import.meta.url), 'utf8');

t.test('occupancy: values of the occupancy calculator', async (t) => {
  const of = (arch, registers, sharedBytes, threads) => occupancyOf(arch, { registers, sharedBytes, threads });
  t.match(of(90, 32, 0, 256), { occupancy: 1, blocks: 8, limit: 'warps' });
  t.match(of(90, 33, 0, 256), { occupancy: 0.75, blocks: 6, limit: 'registers' }, '40 registers are taken for 33');
  t.match(of(90, 128, 0, 256), { occupancy: 0.25, blocks: 2, limit: 'registers' });
  t.match(of(90, 255, 0, 128), { occupancy: 0.125, blocks: 2, limit: 'registers' });
  t.match(of(90, 16, 0, 32), { occupancy: 0.5, blocks: 32, limit: 'blocks' });
  t.match(of(80, 32, 48 << 10, 256), { occupancy: 0.375, blocks: 3, limit: 'shared memory' });
  t.match(of(90, 32, 48 << 10, 256), { occupancy: 0.5, blocks: 4, limit: 'shared memory' });
});

t.test('what ptxas and PTX say', async (t) => {
  const said = `ptxas info    : Compiling entry function '_Z1av' for 'sm_90'
ptxas info    : Function properties for _Z1av
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 64 bytes smem
ptxas info    : Compiling entry function '_Z1bv' for 'sm_90'
ptxas info    : Function properties for _Z1bv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 9 registers, used 0 barriers`;
  t.same(parsePtxas(said), [
    { symbol: '_Z1av', registers: 40, staticShared: 64, spillBytes: 20 },
    { symbol: '_Z1bv', registers: 9, staticShared: 0, spillBytes: 0 },
  ]);
  t.throws(() => parsePtxas("Compiling entry function '_Z1cv' for 'sm_90'\n"), /did not say/);
  const ptx = '.visible .entry _Z1av(\n\t.param .u64 p\n)\n.maxntid 256, 1, 1\n{\n\tld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];\n\tret;\n}\n';
  const { bound, body } = parsePtx(ptx).get('_Z1av');
  t.equal(bound, 256);
  t.same(instructionNames(body), ['load 128']);
  t.same(missingInstructions('quantizeForwardKernel', body), ['store 128']);
  t.same(missingInstructions('conv::passTensor<tf32,2>', 'ld.shared.f32 %f1;'), ['mma.sync tf32', 'cp.async 16', 'store 128']);
  t.equal(
    kernelName(
      'void selfcompress::cuda::(anonymous namespace)::poolForwardKernel<(selfcompress::Pool)1, false>(selfcompress::PoolForward, int (*)(int))',
    ),
    'poolForwardKernel<average,false>',
  );
});

t.test('roofline of one operation', async (t) => {
  const launches = [{ kernel: 'addKernel', blocks: 1000, threads: 256, shared: 0 }];
  const streaming = timeOf({ bytes: 1e9, again: 0, flops: 1, padded: 0, launches }, 'tf32');
  t.equal(streaming.bound, 'memory');
  t.ok(Math.abs(streaming.seconds - assumptions.launchSeconds - 1e9 / h100.bandwidth / assumptions.bandwidthShare) < 1e-9);
  const few = timeOf({ bytes: 1e9, again: 0, flops: 1, padded: 0, launches: [{ ...launches[0], blocks: 33 }] }, 'tf32');
  t.ok(few.seconds > 3.9 * streaming.seconds, 'a quarter of the multiprocessors');
  const product = (kernel) => timeOf({ bytes: 1, again: 0, flops: 1e12, padded: 1e12, launches: [{ ...launches[0], kernel }] }, 'tf32');
  t.equal(product('conv::passTensor<tf32,1>').bound, 'arithmetic');
  t.ok(product('conv::passSimt').seconds > product('conv::passTensor<tf32,1>').seconds);
  t.equal(timeOf({ bytes: 8, again: 0, flops: 0, padded: 0, launches: [{ ...launches[0], blocks: 1 }] }, 'fp32').bound, 'launch');
});

t.test('networks of the evidence', async (t) => {
  t.equal(weightsOf(notebook()), 87456);
  t.equal(weightsOf(resnet18()), 11164352);
  t.match(networkLines(notebook()), /^input 1 28 28\nnode conv2d conv1 inputs input outChannels 32 kernel 5,5\n/);
});

t.test('committed figures', async (t) => {
  const entries = JSON.parse(read('cuda-resources.json'));
  for (const { kernel, arch, registers, sharedBytes, spillBytes, occupancy } of entries) {
    t.ok(spillBytes === 0 && registers > 0 && registers <= 255 && sharedBytes <= 227 << 10 && occupancy > 0 && occupancy <= 1, `${kernel}, ${arch}`);
    t.ok(
      entries.some((other) => other.kernel === kernel && other.arch !== arch),
      `${kernel} for both architectures`,
    );
  }
  const model = JSON.parse(read('cuda-model.json'));
  t.equal(model.prediction, true);
  for (const result of model.results) t.ok(result.predictedSeconds > result.rooflineSeconds, `${result.network}, ${result.precision}`);
});
