/** Values of command line options. */
import { InvalidArgumentError } from 'commander';

export function number(low: number, high = Number.POSITIVE_INFINITY): (text: string) => number {
  const what = high === Number.POSITIVE_INFINITY ? `a number >= ${low}` : `a number from ${low} to ${high}`;
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= low && value <= high) || !Number.isFinite(value))
      throw new InvalidArgumentError(`Expected ${what} but received ${JSON.stringify(text)}.`);
    return value;
  };
}

export function integer(low: number, high = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const what = high === Number.MAX_SAFE_INTEGER ? `an integer >= ${low}` : `an integer from ${low} to ${high}`;
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < low || value > high)
      throw new InvalidArgumentError(`Expected ${what} but received ${JSON.stringify(text)}.`);
    return value;
  };
}

/** `shift=2,flip,cutout=8` */
export function augmentation(text: string): { shift?: number; flip?: boolean; cutout?: number } {
  const result: Record<string, number | boolean> = {};
  for (const part of text.split(',')) {
    const [name, value] = part.split('=');
    if (name === 'flip' && value === undefined) result.flip = true;
    else if ((name === 'shift' || name === 'cutout') && value !== undefined) result[name] = integer(0, 4096)(value);
    else throw new InvalidArgumentError(`Expected shift=PIXELS, flip or cutout=PIXELS, separated by commas, but received ${JSON.stringify(part)}.`);
  }
  return result;
}
