/** --config FILE: options of a command from a JSON file, in place of the command line. */
import { readFileSync } from 'node:fs';
import type { Command, Option } from 'commander';
import { isPlainObject } from '../errors.js';
import { UsageError } from './faults.js';

const longName = (option: Option) => (option.long ?? '').replace(/^--/, '');

function readOptions(path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new UsageError(`Expected a readable JSON file for --config but received "${path}" (${(cause as Error).message})`, { cause });
  }
  if (!isPlainObject(value)) throw new UsageError(`Expected an object with options in the file of --config "${path}" but received something else`);
  return value;
}

function parse(option: Option, value: unknown, where: string): unknown {
  const isFlag = !option.required && !option.optional;
  if (isFlag) {
    if (typeof value === 'boolean') return value;
    throw new UsageError(`Expected true or false for ${where} but received ${JSON.stringify(value)}`);
  }
  const text = Array.isArray(value) ? value.join(',') : value;
  if (typeof text !== 'string' && typeof text !== 'number')
    throw new UsageError(`Expected a text or a number for ${where} but received ${JSON.stringify(value)}`);
  if (!option.parseArg) return String(text);
  try {
    return option.parseArg(String(text), undefined);
  } catch (cause) {
    throw new UsageError(`${(cause as Error).message} (${where})`, { cause });
  }
}

/** Sets the options of the file that the command line does not give; they count as given. */
export function applyConfig(command: Command, path: string): void {
  for (const [name, value] of Object.entries(readOptions(path))) {
    const option = command.options.find((o) => longName(o) === name || o.attributeName() === name);
    const where = `"${name}" in ${path}`;
    if (!option || longName(option) === 'config') {
      const names = command.options.map(longName).filter((long) => long !== 'config');
      throw new UsageError(`Expected options of ${command.name()} in ${path} (${names.join(', ')}) but received "${name}"`);
    }
    const parsed = parse(option, value, where);
    if (command.getOptionValueSource(option.attributeName()) !== 'cli') command.setOptionValueWithSource(option.attributeName(), parsed, 'cli');
  }
}
