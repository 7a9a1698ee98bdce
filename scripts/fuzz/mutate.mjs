// Damages a file: bits, blocks, lengths, and fields that are set to extreme values.

const extremes = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const extremeTexts = [
  '0',
  '-1',
  '1e999',
  '-0',
  '9007199254740993',
  '4294967296',
  '2147483648',
  '1e-320',
  'NaN',
  'null',
  '""',
  '[]',
  '{}',
  '65536',
  '0.5',
  '"',
  "'",
  '\n',
  ',',
  '\u0000',
  '\ud83d\ude00',
];

/** A place in a file; beginnings and ends, where headers are, come up more often. */
function place(length, random) {
  const where = random();
  const near = Math.min(length, 80);
  if (where < 0.4) return Math.floor(random() * near);
  if (where < 0.55) return length - 1 - Math.floor(random() * near);
  return Math.floor(random() * length);
}

const mutations = {
  flip(bytes, random) {
    const result = Buffer.from(bytes);
    for (let n = 1 + Math.floor(random() ** 3 * 20); n > 0; n--) result[place(result.length, random)] ^= 1 << Math.floor(random() * 8);
    return result;
  },
  truncate: (bytes, random) => bytes.subarray(0, random() < 0.5 ? place(bytes.length, random) : Math.floor(random() * bytes.length)),
  insert(bytes, random) {
    const at = place(bytes.length, random);
    const block = Buffer.alloc(1 + Math.floor(random() ** 3 * 5000), random() < 0.5 ? 0 : Math.floor(random() * 256));
    return Buffer.concat([bytes.subarray(0, at), block, bytes.subarray(at)]);
  },
  remove(bytes, random) {
    const at = place(bytes.length, random);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + Math.floor(random() ** 3 * bytes.length))]);
  },
  repeat(bytes, random) {
    const at = Math.floor(random() * bytes.length);
    const length = 1 + Math.floor(random() ** 2 * Math.min(5000, bytes.length));
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)]);
  },
  field(bytes, random) {
    const result = Buffer.from(bytes);
    for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
      const width = [1, 2, 4, 8][Math.floor(random() * 4)];
      if (result.length < width) return result;
      const at = Math.min(place(result.length, random), result.length - width);
      const value = BigInt.asUintN(8 * width, extremes[Math.floor(random() * extremes.length)]);
      const big = random() < 0.5;
      for (let i = 0; i < width; i++) result[at + (big ? width - 1 - i : i)] = Number((value >> BigInt(8 * i)) & 255n);
    }
    return result;
  },
  /** In texts: a number or a character becomes something extreme. */
  text(bytes, random) {
    const text = bytes.toString('latin1');
    const numbers = [...text.matchAll(/-?\d+(?:\.\d+)?/g)];
    const value = Buffer.from(extremeTexts[Math.floor(random() * extremeTexts.length)]);
    const found = numbers.length && random() < 0.7 ? numbers[Math.floor(random() ** 2 * numbers.length)] : undefined;
    const at = found ? found.index : place(bytes.length, random);
    return Buffer.concat([bytes.subarray(0, at), value, bytes.subarray(at + (found ? found[0].length : 1))]);
  },
};

/** A damaged copy of a file. */
export function mutate(bytes, random, { isText }) {
  const names = Object.keys(mutations).filter((name) => name !== 'text' || isText || random() < 0.3);
  let result = bytes;
  for (let n = 1 + Math.floor(random() ** 3 * 3); n > 0 && result.length > 0; n--) {
    const name = isText && random() < 0.4 ? 'text' : names[Math.floor(random() * names.length)];
    result = mutations[name](result, random);
  }
  return result;
}
