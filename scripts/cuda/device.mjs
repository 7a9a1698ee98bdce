// Whether this machine has an NVIDIA GPU to test and measure on.
import { spawnSync } from 'node:child_process';

/** [{name, computeCapability}] of the driver's tool; `reason` where there are none. */
export function devices() {
  const { status, stdout, stderr, error } = spawnSync('nvidia-smi', ['--query-gpu=name,compute_cap', '--format=csv,noheader'], { encoding: 'utf8' });
  if (error) return { list: [], reason: 'nvidia-smi, which comes with the driver, was not found' };
  if (status !== 0) return { list: [], reason: `nvidia-smi found no device: ${(stdout + stderr).trim().split('\n')[0]}` };
  const list = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(', '))
    .map(([name, capability]) => ({ name, computeCapability: Math.round(Number(capability) * 10) }));
  return { list, reason: '' };
}

/** The first device, or the end of the program with an error that says what was looked for. */
export function requireDevice(what) {
  const { list, reason } = devices();
  if (list.length > 0) return list[0];
  console.error(`${what} needs an NVIDIA GPU: ${reason}. Without one, npm run test:cuda:host tests the same kernels on a model of a GPU.`);
  process.exit(1);
}
