// Preloaded (node --import) by kill.mjs: counts the operations that change files and kills its own process at the chosen one.
//   KILL_AT=N     kill at operation N, counted from 1, before it happens
//   KILL_HALF=1   if that operation is a write, half of its bytes are written first
//   KILL_COUNT=F  at a regular end, write the number of operations to the file F
import { writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { fileURLToPath } from 'node:url';

const at = Number(process.env.KILL_AT ?? 0);
const half = process.env.KILL_HALF === '1';
let count = 0;

function die() {
  process.kill(process.pid, 'SIGKILL');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // nothing else happens before the signal does its work
}

/** Replaces a function by one that counts, and at the chosen call does `before` and dies. */
function hook(object, name, counts = () => true, before = async () => {}) {
  const original = object[name];
  object[name] = async function (...args) {
    if (counts(...args) && ++count === at) {
      await before.apply(this, args);
      die();
    }
    return original.apply(this, args);
  };
}

const handle = await fs.open(fileURLToPath(import.meta.url));
const prototype = Object.getPrototypeOf(handle);
await handle.close();
const { write } = prototype;
const bytesOf = (data) => (typeof data === 'string' ? Buffer.from(data) : data);
hook(prototype, 'write', undefined, async function (data, from = 0) {
  const bytes = bytesOf(data);
  if (half) await write.call(this, bytes, from, Math.floor((bytes.length - from) / 2));
});
hook(prototype, 'writeFile', undefined, async function (data) {
  const bytes = bytesOf(data);
  if (half) await write.call(this, bytes, 0, Math.floor(bytes.length / 2));
});
hook(prototype, 'sync');
hook(fs, 'open', (_, flags = 'r') => flags !== 'r');
for (const name of ['rename', 'rm', 'unlink', 'link', 'mkdir']) hook(fs, name);
syncBuiltinESMExports();

process.on('exit', () => {
  if (process.env.KILL_COUNT) writeFileSync(process.env.KILL_COUNT, String(count));
});
