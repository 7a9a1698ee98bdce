// npm run cuda:resources: what every kernel takes of a multiprocessor, compiled for sm_80 and sm_90, and which instructions its
// PTX has. Needs nvcc, and what test:cuda:host needs; no GPU. Fails for a spilled register and for an instruction that is missing.
//   --check            compare with docs/cuda-resources.json instead of writing it
//   --if-present       do nothing where there is no nvcc
//   --only conv2d      files whose name begins so: prints, writes nothing
// Registers, static shared memory and spills are those of ptxas. Block sizes and dynamic shared memory are those of the launches
// that steps of three networks make (plan.mjs), else a kernel's launch bounds.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compileKernels, nvcc } from './compile.mjs';
import { instructionNames, missingInstructions, unclaimed } from './instructions.mjs';
import { notebook, resnet18, variety } from './networks.mjs';
import { occupancyOf } from './occupancy.mjs';
import { plansOf, root } from './plan.mjs';

const { values: flags } = parseArgs({
  options: { check: { type: 'boolean' }, 'if-present': { type: 'boolean' }, only: { type: 'string', default: '' } },
});
const architectures = [80, 90];
const jsonFile = join(root, 'docs/cuda-resources.json');
const markdownFile = join(root, 'docs/cuda-resources.md');

/** Kernel → its launch with the most threads (of these the most shared memory) in steps of three networks. */
function launchesOfSteps() {
  const requests = [notebook(), resnet18(), variety()].flatMap((network) =>
    ['fp32', 'tf32', 'bf16'].map((precision) => ({ network, precision, optimizer: precision === 'fp32' ? 'sgd' : 'adam' })),
  );
  const launches = new Map();
  for (const { kernel, threads, shared } of plansOf(requests).flatMap((plan) => plan.flatMap((operation) => operation.launches))) {
    const known = launches.get(kernel);
    if (!known || threads > known.threads || (threads === known.threads && shared > known.shared)) launches.set(kernel, { threads, shared });
  }
  return launches;
}

function rowOf({ kernel, arch, registers, staticShared, spillBytes, bound, source, body }, launch) {
  const threads = launch?.threads ?? bound;
  if (!threads) throw new Error(`${kernel} has no launch bounds, and no step launches it: its block size is unknown`);
  if (bound && threads > bound) throw new Error(`${kernel} is launched with ${threads} threads but bound to ${bound}`);
  const sharedBytes = staticShared + (launch?.shared ?? 0);
  const { occupancy, limit } = occupancyOf(arch, { registers, sharedBytes, threads });
  const entry = { kernel, arch: `sm_${arch}`, registers, sharedBytes, spillBytes, occupancy };
  return { entry, threads, limit, source, launched: launch !== undefined, body };
}

function markdown(rows) {
  const percent = (row) => `${Math.round(100 * row.entry.occupancy)} %`;
  const lines = [];
  for (let i = 0; i < rows.length; i += 2) {
    const [a, h] = rows.slice(i, i + 2);
    lines.push(
      `| \`${h.entry.kernel}\`${h.launched ? '' : ' ¹'} | ${h.source} | ${h.threads} | ${a.entry.registers} | ${h.entry.registers} | ${h.entry.sharedBytes} | ${Math.max(a.entry.spillBytes, h.entry.spillBytes)} | ${percent(a)} | ${percent(h)} (${h.limit}) | ${instructionNames(h.body).join(', ')} |`,
    );
  }
  return `# What the CUDA kernels take

Written by \`npm run cuda:resources\` with nvcc ${nvcc.version.toFixed(1)}; \`npm run cuda:resources -- --check\` compiles the kernels anew and compares.
Occupancy is theoretical: the share of a multiprocessor's 64 warps that registers, shared memory and block slots allow, with the
block size and dynamic shared memory of the launches that training steps of three networks make at batch 512 (the largest, where
they differ). In brackets: what allows no more on sm_90. Spills are the larger of the two architectures'. The last column is read
from the PTX for sm_90.

| kernel | file | threads | registers, sm_80 | sm_90 | shared bytes | spill bytes | occupancy, sm_80 | sm_90 | instructions |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

¹ Not launched by steps of these networks: block size from the kernel's launch bounds, dynamic shared memory not counted.
`;
}

function problemsOf(rows) {
  const problems = rows
    .filter((row) => row.entry.spillBytes > 0)
    .map(({ entry }) => `${entry.kernel} spills ${entry.spillBytes} bytes on ${entry.arch}`);
  for (const { entry, body } of rows)
    for (const missing of missingInstructions(entry.kernel, body)) problems.push(`${entry.kernel} has no ${missing} in its PTX for ${entry.arch}`);
  if (!flags.only)
    for (const claim of unclaimed(rows.map((row) => row.entry.kernel))) problems.push(`no kernel has the name ${claim} of instructions.mjs`);
  return problems;
}

/** Registers depend on the compiler: compared only where it is the one that wrote the file. */
function differences(rows) {
  const written = new Map(JSON.parse(readFileSync(jsonFile, 'utf8')).map((entry) => [`${entry.kernel} ${entry.arch}`, entry]));
  const same = readFileSync(markdownFile, 'utf8').includes(`with nvcc ${nvcc.version.toFixed(1)};`);
  if (!same) console.log(`docs/cuda-resources.md is of another nvcc than ${nvcc.version}: only names, shared memory and spills are compared`);
  const found = [];
  for (const { entry } of rows) {
    const key = `${entry.kernel} ${entry.arch}`;
    const old = written.get(key);
    written.delete(key);
    for (const field of same ? Object.keys(entry) : ['sharedBytes', 'spillBytes'])
      if (old?.[field] !== entry[field]) found.push(`${key}: ${field} is ${entry[field]}, in the file ${old?.[field]}`);
  }
  return [...found, ...[...written.keys()].map((key) => `${key} is in the file, but no kernel`)];
}

if (flags['if-present'] && !nvcc.path) {
  console.log('No nvcc: the resources of the CUDA kernels are not checked');
  process.exit(0);
}
const launches = launchesOfSteps();
const rows = (await compileKernels(architectures, flags.only)).map((kernel) => rowOf(kernel, launches.get(kernel.kernel)));
if (flags.only) {
  for (const { entry, threads, limit, body } of rows)
    console.log(JSON.stringify({ ...entry, threads, limit, instructions: instructionNames(body).join(', ') }));
} else if (!flags.check) {
  writeFileSync(
    jsonFile,
    `${JSON.stringify(
      rows.map((row) => row.entry),
      undefined,
      2,
    )}\n`,
  );
  writeFileSync(markdownFile, markdown(rows));
}
const problems = [...problemsOf(rows), ...(flags.check ? differences(rows) : [])];
for (const problem of problems) console.error(problem);
console.log(`${rows.length} kernels of sm_${architectures.join(' and sm_')}: ${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;
