// Exported C on a Cortex-M4: compiled by arm-none-eabi-gcc, run by QEMU. Sizes, output codes, instructions.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const CC = 'arm-none-eabi-gcc';
const QEMU = 'qemu-system-arm';
const FLAGS = ['-std=c99', '-Wall', '-Wextra', '-Werror', '-O2', '-mcpu=cortex-m4', '-mthumb', '-ffreestanding'];

function run(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (error || status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `${status}\n${stdout}${stderr}`}`);
  return stdout;
}

/** Why it cannot be done here; false: it can. */
export function missing() {
  const absent = [CC, QEMU].filter((program) => spawnSync(program, ['--version']).status !== 0);
  return absent.length > 0 && `${absent.join(' and ')} not installed`;
}

const MAIN = (name, count, inputs, outputs) => `
#include <stdint.h>
void say(const char* text);
void clock_start(void);
uint64_t clock_read(void);
void ${name}_run(const uint8_t* input, uint8_t* output);
extern const uint8_t inputs[];
static uint8_t output[${outputs}];
static void number(uint64_t value) {
  char text[24];
  int at = 23;
  text[at] = 0;
  do text[--at] = (char)('0' + value % 10), value /= 10; while (value);
  say(text + at);
}
int main(void) {
  uint64_t used = 0;
  for (int i = 0; i < ${count}; i++) {
    clock_start();
    ${name}_run(inputs + (uint32_t)i * ${inputs}, output);
    if (i == 0) used = clock_read();
    for (int k = 0; k < ${outputs}; k++) number(output[k]), say(" ");
  }
  say("instructions ");
  number(used);
  say("\\n");
  return 0;
}
`;

/** Scale and zero of the input's and the output's codes, as the exported file has them. */
export function scalesOf(source) {
  const of = (name) => {
    const found = [...source.matchAll(new RegExp(`return sc_${name}\\(\\w+, (\\S+)f, (\\d+)\\)`, 'g'))].at(-1);
    return { scale: Math.fround(Number(found[1])), zero: Number(found[2]) };
  };
  return { input: of('quantize'), output: of('value') };
}
/** Codes of numbers, docs/integer.md. */
export const toCodes = (values, { scale, zero }) => Uint8Array.from(values, (x) => Math.min(255, Math.max(0, Math.floor(x / scale + zero + 0.5))));

/**
 * @param source the exported file's text, its functions begin with `name`
 * @param codes [count × inputs], input codes
 * @returns { flash, ram, instructions (of the first run), codes: [count × outputs] }
 */
export function runOnCortex({ source, name, codes, count, outputs, work }) {
  const inputs = codes.length / count;
  const path = (file) => join(work, file);
  writeFileSync(path('network.c'), source);
  writeFileSync(path('main.c'), MAIN(name, count, inputs, outputs));
  writeFileSync(path('inputs.bin'), codes);
  writeFileSync(path('inputs.s'), `.section .rodata\n.global inputs\ninputs: .incbin "${path('inputs.bin')}"\n`);
  const objects = ['network.c', 'main.c', 'inputs.s'].map((file) => {
    run(CC, [...FLAGS, '-c', path(file), '-o', path(`${file}.o`)]);
    return path(`${file}.o`);
  });
  run(CC, [...FLAGS, '-c', join(folder, 'start.c'), '-o', path('start.o')]);
  const elf = path('network.elf');
  run(CC, [
    '-mcpu=cortex-m4',
    '-mthumb',
    '-nostartfiles',
    '-nostdlib',
    '-T',
    join(folder, 'memory.ld'),
    path('start.o'),
    ...objects,
    '-lc',
    '-lgcc',
    '-o',
    elf,
  ]);
  const [text, data, bss] = run('arm-none-eabi-size', [objects[0]]).split('\n')[1].trim().split(/\s+/).map(Number);
  const said = run(QEMU, [
    '-M',
    'mps2-an386',
    '-icount',
    'shift=0',
    '-chardev',
    'stdio,id=out,signal=off',
    '-semihosting-config',
    'enable=on,target=native,chardev=out',
    '-nographic',
    '-monitor',
    'none',
    '-serial',
    'null',
    '-kernel',
    elf,
  ]);
  const [values, instructions] = said.split('instructions ');
  return { flash: text + data, ram: data + bss, instructions: Number(instructions), codes: Uint8Array.from(values.trim().split(/\s+/).map(Number)) };
}
