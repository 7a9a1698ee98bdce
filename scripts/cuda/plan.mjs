// The operations and launches of training steps, from the real plan (native/bench/cuda/step_plan.cpp, built if need be).
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { networkLines } from './networks.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const build = process.env.SELFCOMPRESS_PLAN_BUILD ?? 'build/cuda-host';

export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (result.error || result.status !== 0) throw new Error(`${command} ${args.join(' ')} failed\n${result.error?.message ?? result.stderr ?? ''}`);
  return result.stdout;
}

const enums = {
  Precision: ['fp32', 'tf32', 'bf16'],
  Activation: ['relu', 'gelu', 'silu'],
  Pool: ['max', 'average'],
  Optimizer: ['sgd', 'adam', 'adamw'],
};

/** `void selfcompress::cuda::(anonymous namespace)::poolKernel<(selfcompress::Pool)1, false>(...)` → `poolKernel<average,false>`. */
export function kernelName(demangled) {
  return demangled
    .replace(/^void /, '')
    .replace(/\(anonymous namespace\)::/g, '')
    .replace(/selfcompress::(cuda::)?/g, '')
    .replace(/\((\w+)\)(\d+)/g, (_, type, value) => enums[type]?.[value] ?? value)
    .replace(/\((?:[^()]|\([^()]*\))*\)( const)?$/, '')
    .replace(/, /g, ',')
    .trim();
}

function buildProgram() {
  run('cmake', ['-S', '.', '-B', build, '-DSELFCOMPRESS_CUDA_HOST=ON', '-DSELFCOMPRESS_TESTS=ON', '-DCMAKE_BUILD_TYPE=Release']);
  run('cmake', ['--build', build, '--target', 'step_plan', '--parallel', process.env.SELFCOMPRESS_BUILD_JOBS ?? '2']);
  return join(build, 'step_plan');
}

/** For each {network, batch, precision, optimizer, live}: its operations, each with launches [{kernel, blocks, threads, shared}]. */
export function plansOf(requests) {
  const program = buildProgram();
  const names = new Map();
  for (const line of run('nm', ['-C', program]).split('\n')) {
    const match = /^([0-9a-f]+) [tTwW] (.*)$/.exec(line);
    if (match) names.set(`0x${match[1].replace(/^0+/, '')}`, kernelName(match[2]));
  }
  const input = requests
    .map(
      ({ network, batch = 512, precision = 'tf32', optimizer = 'adam', live = 1 }) =>
        `step ${batch} ${precision} ${optimizer} ${live}\n${networkLines(network)}\n`,
    )
    .join('');
  const plans = run(program, [], { input, stdio: ['pipe', 'pipe', 'pipe'] })
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const plan of plans)
    for (const operation of plan)
      for (const launch of operation.launches) {
        const name = names.get(launch.kernel);
        if (!name) throw new Error(`no function of ${program} is at ${launch.kernel}`);
        launch.kernel = name;
      }
  return plans;
}
