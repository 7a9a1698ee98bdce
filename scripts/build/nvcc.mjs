// The CUDA compiler: where it is, and what it compiles for.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Compute capabilities of the library: Turing, Ampere, Ada, Hopper, Blackwell. */
export const architectures = [75, 80, 86, 89, 90, 100, 120];

const exe = process.platform === 'win32' ? 'nvcc.exe' : 'nvcc';

/** { path, version, tried }: path is undefined where there is none. */
export function findNvcc() {
  const { CUDACXX, CUDA_HOME, CUDA_PATH } = process.env;
  const candidates = CUDACXX
    ? [CUDACXX]
    : [...[CUDA_HOME, CUDA_PATH].filter(Boolean).map((d) => join(d, 'bin', exe)), exe, join('/usr/local/cuda/bin', exe)];
  for (const path of candidates) {
    if (path !== exe && !existsSync(path)) continue;
    const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    const version = Number(/release (\d+\.\d+)/.exec(stdout ?? '')?.[1]);
    if (status === 0 && version) return { path, version, tried: candidates };
  }
  return { tried: candidates };
}

/**
 * Arguments for machine code of these architectures, and for intermediate code that drivers compile for devices to come: of
 * the latest one, and of 90 for those between.
 */
export function gencode(wanted) {
  const code = wanted.map((a) => `-gencode=arch=compute_${a},code=sm_${a}`);
  const latest = Math.max(...wanted);
  const intermediate = wanted.includes(90) ? [...new Set([90, latest])] : [latest];
  return [...code, ...intermediate.map((a) => `-gencode=arch=compute_${a},code=compute_${a}`)];
}
