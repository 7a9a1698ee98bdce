/** selfcompress info */
import type { Command } from 'commander';
import { binding, type CudaInfo } from '../binding.js';
import { bytesText } from '../bytes-text.js';

function cudaLines({ available, reason, devices }: CudaInfo): string[] {
  if (!available) return [`CUDA             not available: ${reason}`];
  return devices.map((d, i) => `cuda:${i}           ${d.name}, compute capability ${d.computeCapability}, ${bytesText(d.memoryBytes)}`);
}

export function addInfoCommand(program: Command): void {
  program
    .command('info')
    .description('instruction set, threads, CUDA and versions')
    .option('--json', 'print JSON')
    .action(({ json }: { json?: boolean }) => {
      const info = { ...binding.info(), node: process.version, platform: `${process.platform}-${process.arch}` };
      if (json) return console.log(JSON.stringify(info, undefined, 2));
      console.log(
        [
          `selfcompress     ${info.version} (${info.compiler}, Node-API ${info.napi})`,
          `node             ${info.node}, ${info.platform}`,
          `instruction set  ${info.isa} (available: ${info.isas.join(', ')})`,
          `bf16 products    ${info.bf16 === 'native' ? 'instructions of this processor' : 'emulated: slower than fp32'}`,
          `threads          ${info.threads}`,
          ...cudaLines(info.cuda),
        ].join('\n'),
      );
    });
}
