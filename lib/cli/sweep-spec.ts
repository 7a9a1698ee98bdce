/** What a sweep runs: a grid of options of `train`, times variants. */
import type { Command } from 'commander';
import { isPlainObject, wrongType, wrongValue } from '../errors.js';

type Value = string | number | boolean;
type Options = Record<string, Value>;

/** Contents of SPEC.json; options are those of `selfcompress train` by their long names, without the dashes. */
export interface SweepSpec {
  /** Of every run. */
  options?: Options;
  /** Every combination of the values is a run (times the variants). */
  grid?: Record<string, Value[]>;
  /**
   * Whose options replace those of the grid: runs that become the same are one. `"start": "@NAME"` starts from the run of the
   * variant NAME that has the same values of the grid, as far as that one has them.
   */
  variants?: ({ name: string } & Options)[];
}

export interface SweepRun {
  /** Folder in that of the sweep: variant and values of the grid. */
  name: string;
  /** The same without the seed: runs with one of these differ in their seeds alone. */
  group: string;
  options: Options;
  /** Runs by name that must be done before. */
  after: string[];
}

/** Options that the sweep itself gives, or that make no sense for many runs. */
const REFUSED = ['out', 'force', 'resume', 'config', 'dashboard', 'tensorboard', 'json', 'quiet', 'verbose', 'help'];

function checkOptions(value: unknown, argument: string, names: ReadonlySet<string>): Options {
  if (!isPlainObject(value)) throw wrongType('an object with options of train', argument, value);
  for (const [name, option] of Object.entries(value)) {
    if (!names.has(name)) throw wrongValue('an option of `selfcompress train`', argument, name);
    if (!['string', 'number', 'boolean'].includes(typeof option)) throw wrongType('a string, a number or a boolean', `${argument}.${name}`, option);
  }
  return value as Options;
}

/** @throws TypeError or RangeError naming the part of the file that is wrong */
export function checkSpec(value: unknown, train: Command): SweepSpec {
  if (!isPlainObject(value)) throw wrongType('an object with options, grid and variants', 'the sweep', value);
  for (const name of Object.keys(value))
    if (!['options', 'grid', 'variants'].includes(name)) throw wrongValue('options, grid or variants', 'the sweep', name);
  const names = new Set(train.options.map(({ long }) => (long ?? '').slice(2)).filter((name) => !REFUSED.includes(name)));
  const { options = {}, grid = {}, variants = [{ name: 'run' }] } = value;
  checkOptions(options, 'options', names);
  if (!isPlainObject(grid)) throw wrongType('an object with a list for each option', 'grid', grid);
  for (const [name, values] of Object.entries(grid)) {
    if (!Array.isArray(values) || values.length === 0) throw wrongType('a list of values', `grid.${name}`, values);
    for (const item of values) checkOptions({ [name]: item }, 'grid', names);
  }
  if (!Array.isArray(variants) || variants.length === 0) throw wrongType('a list of variants', 'variants', variants);
  const seen = new Set<string>();
  variants.forEach((variant, i) => {
    if (!isPlainObject(variant)) throw wrongType('an object', `variants[${i}]`, variant);
    const { name, ...rest } = variant;
    if (typeof name !== 'string' || !/^[\w.]+$/.test(name) || seen.has(name))
      throw wrongValue('a name of its own, of letters, digits, . and _', `variants[${i}].name`, name);
    checkOptions(rest, `variants[${i}]`, names);
    const { start } = rest;
    if (typeof start === 'string' && start.startsWith('@') && !seen.has(start.slice(1)))
      throw wrongValue('@ and the name of a variant before it', `variants[${i}].start`, start);
    seen.add(name);
  });
  return value as SweepSpec;
}

const combinations = (grid: Record<string, Value[]>): Options[] =>
  Object.entries(grid).reduce<Options[]>((all, [name, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))), [{}]);

/** Values as they stand in the name of a folder. */
const nameOf = (variant: string, values: [string, Value][]) =>
  [variant, ...values.map(([name, value]) => (typeof value === 'string' ? value.replace(/[^\w.]+/g, '_') : `${name}${value}`))].join('-');

/** All runs, each after those that it starts from. */
export function runsOf({ options = {}, grid = {}, variants = [{ name: 'run' }] }: SweepSpec, folder: (name: string) => string): SweepRun[] {
  const runs = new Map<string, SweepRun>();
  /** By variant: the name of the run for these values of the grid. */
  const named = (variant: { name: string } & Options, values: Options) =>
    nameOf(
      variant.name,
      Object.entries(values).filter(([name]) => !(name in variant)),
    );
  for (const variant of variants) {
    for (const values of combinations(grid)) {
      const name = named(variant, values);
      const { name: _, ...own } = variant;
      const run: SweepRun = { name, group: named(variant, without(values, 'seed')), options: { ...options, ...values, ...own }, after: [] };
      const { start } = own;
      if (typeof start === 'string' && start.startsWith('@')) {
        const from = variants.find((other) => other.name === start.slice(1)) as { name: string } & Options;
        run.after = [named(from, values)];
        run.options.start = folder(run.after[0] as string);
      }
      runs.set(name, run);
    }
  }
  return [...runs.values()];
}

function without(values: Options, name: string): Options {
  const { [name]: _, ...rest } = values;
  return rest;
}
