/** Values of command line options. */
import { InvalidArgumentError } from 'commander';
import type { Augmentation, Device } from '../binding.js';
import { checkDevice } from '../errors.js';
import type { LayerOptions } from '../training/layers.js';

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

/** `cuda:1` */
export function device(text: string): Device {
  try {
    return checkDevice(text, 'the device');
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** `500` steps or `60s`; 0: never */
export function saveInterval(text: string): { steps?: number; seconds?: number } {
  const [, digits, unit] = /^(\d{1,9})(s?)$/.exec(text) ?? [];
  if (!digits)
    throw new InvalidArgumentError(`Expected a number of steps such as 500, or of seconds such as 60s, but received ${JSON.stringify(text)}.`);
  if (Number(digits) === 0) return {};
  return unit ? { seconds: Number(digits) } : { steps: Number(digits) };
}

/** `8G`, `500M` or bytes */
export function bytes(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,15})([KMG]?)B?$/i.exec(text) ?? [];
  if (!digits || Number(digits) === 0) throw new InvalidArgumentError(`Expected a size such as 8G or 500M but received ${JSON.stringify(text)}.`);
  return Number(digits) * 1024 ** ' KMG'.indexOf(unit.toUpperCase() || ' ');
}

/** `20kB`, `1.5 MB` or bytes, as sizes of files are printed: k is 1000. */
export function fileSize(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,15}(?:\.\d{1,6})?)\s*([kKmM]?)B?$/.exec(text) ?? [];
  const size = Math.floor(Number(digits) * 1000 ** ' km'.indexOf(unit.toLowerCase() || ' '));
  if (!digits || size === 0) throw new InvalidArgumentError(`Expected a size such as 20kB or 1.5MB but received ${JSON.stringify(text)}.`);
  return size;
}

/** `16` or `24x32`, height and width */
export function imageSize(text: string): [number, number] {
  const [, height, width = height] = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(text) ?? [];
  const size = [Number(height), Number(width)] as [number, number];
  if (!size.every((side) => side >= 1 && side <= 4096))
    throw new InvalidArgumentError(`Expected pixels such as 16, or HEIGHTxWIDTH such as 24x32, but received ${JSON.stringify(text)}.`);
  return size;
}

const AUGMENTATIONS: Record<string, (text: string) => number> = {
  shift: integer(0, 4096),
  cutout: integer(0, 4096),
  rotate: number(0, 180),
  scale: number(0, 0.9),
  colour: number(0, 1),
  mixup: number(0, 2),
  cutmix: number(0, 2),
};

/** `shift=2,flip,rotate=15,scale=0.1,cutout=8,colour=0.2,mixup=0.2,cutmix=1` */
export function augmentation(text: string): Augmentation {
  const result: Record<string, number | boolean> = {};
  for (const part of text.split(',')) {
    const [name, value] = part.split('=');
    const read = Object.hasOwn(AUGMENTATIONS, name ?? '') ? AUGMENTATIONS[name ?? ''] : undefined;
    if (name === 'flip' && value === undefined) result.flip = true;
    else if (name !== undefined && value !== undefined && read) result[name] = read(value);
    else {
      const expected =
        'Expected shift=PIXELS, flip, rotate=DEGREES, scale=SHARE, cutout=PIXELS, colour=SHARE, mixup=A or cutmix=A, separated by commas,';
      throw new InvalidArgumentError(`${expected} but received ${JSON.stringify(part)}.`);
    }
  }
  return result;
}

/** `0.5,0.25`: finite numbers. */
export function numbers(text: string): number[] {
  return text.split(',').map(number(-(2 ** 100), 2 ** 100));
}

/** `conv*:frozen,least=2,most=8,multiple=4` or `head:float`, gathered over all times that the option is given */
export function layer(text: string, before: LayerOptions[] = []): LayerOptions[] {
  const fail = () =>
    new InvalidArgumentError(
      `Expected NAME:SETTING,... with the settings frozen, float, least=BITS, most=BITS and multiple=CHANNELS but received ${JSON.stringify(text)}.`,
    );
  const at = text.lastIndexOf(':');
  if (at <= 0) throw fail();
  const layer: LayerOptions = { name: text.slice(0, at) };
  for (const part of text.slice(at + 1).split(',')) {
    const [setting, value, ...rest] = part.split('=');
    if (setting === 'frozen' && value === undefined) layer.frozen = true;
    else if (setting === 'float' && value === undefined) layer.compress = false;
    else if (value === undefined || rest.length > 0) throw fail();
    else if (setting === 'least') layer.leastBits = number(0, 24)(value);
    else if (setting === 'most') layer.mostBits = number(0, 24)(value);
    else if (setting === 'multiple') layer.multipleOf = integer(1, 1 << 24)(value);
    else throw fail();
  }
  return [...before, layer];
}
