/** How the columns of a table become numbers. */
import { types } from 'node:util';
import { readArgument } from '../arguments.js';
import { checkInteger, checkNumber, checkObject, DataError, wrongType } from '../errors.js';
import { item } from '../indexing.js';
import { pauses } from '../pace.js';
import type { Row } from './csv.js';

export interface Column {
  name: string;
  /** Place in a row of the file. */
  index: number;
  /** The names of a column of names, in their order; undefined for numbers. */
  categories?: string[];
  /** What stands for a missing number: the mean of the training rows. */
  mean: number;
  /** Texts that stand for a missing value. */
  missing: Set<string>;
}

/** A column with more names is no input of a network: a name or number of the row, or free text. */
const MOST_CATEGORIES = 1000;

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** The number that a text is, undefined for anything else and for what is no finite float32. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim();
  if (!NUMBER.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return Number.isFinite(Math.fround(value)) ? value : undefined;
}

interface Plan {
  /** Columns to leave out, and columns of names that look like numbers. */
  out: Set<number>;
  named: Set<number>;
  missing: Set<string>;
  path: string;
}

function planColumn(rows: Row[], name: string, index: number, { named, missing, path }: Plan): Column {
  let sum = 0;
  let numbers = 0;
  let firstName: Row | undefined;
  const names = new Set<string>();
  for (const row of rows) {
    const text = item(row.fields, index).trim();
    if (missing.has(text)) continue;
    const value = named.has(index) ? undefined : parseNumber(text);
    if (value !== undefined) {
      sum += value;
      numbers++;
      continue;
    }
    firstName ??= row;
    if (names.size <= MOST_CATEGORIES) names.add(text);
  }
  if (numbers === 0 && !firstName) throw new DataError(`column "${name}" has no values; leave it out (ignore)`, path);
  if (!firstName) return { name, index, mean: sum / numbers, missing };
  if (numbers > 0) {
    const text = item(firstName.fields, index).trim();
    const message = `expected a number, as in other rows, but found ${JSON.stringify(text.slice(0, 60))}; if the column holds names, list it in categorical`;
    throw new DataError(`line ${firstName.line}, column "${name}": ${message}`, path);
  }
  if (names.size > MOST_CATEGORIES)
    throw new DataError(`column "${name}" holds more than ${MOST_CATEGORIES} different texts; leave it out (ignore)`, path);
  return { name, index, categories: [...names].sort(), mean: 0, missing };
}

/** What the columns of the training rows hold. */
export async function planColumns(rows: Row[], names: string[], plan: Plan): Promise<Column[]> {
  const columns: Column[] = [];
  const rest = pauses();
  for (const [index, name] of names.entries()) {
    if (plan.out.has(index)) continue;
    columns.push(planColumn(rows, name, index, plan));
    await rest();
  }
  return columns;
}

/** Inputs that the columns make. */
export const widthOf = (columns: Column[]) => columns.reduce((sum, { categories }) => sum + (categories?.length ?? 1), 0);

/** The inputs of one row; `fail` is told the index of a column and what is wrong with its value. */
export function encodeColumns(columns: Column[], fields: string[], inputs: Float32Array, fail: (column: number, message: string) => never): void {
  let at = 0;
  for (const { index, categories, mean, missing } of columns) {
    const text = item(fields, index).trim();
    if (categories) {
      const place = categories.indexOf(text);
      for (let i = 0; i < categories.length; i++) inputs[at++] = i === place ? 1 : 0;
      continue;
    }
    const value = missing.has(text) ? mean : parseNumber(text);
    if (value === undefined) fail(index, `expected a number but found ${JSON.stringify(text.slice(0, 60))}`);
    inputs[at++] = value as number;
  }
}

/** The inputs of a new row, given by the names of its columns, for a network that was trained on the table. */
export function encodeRow(columns: Column[], row: Record<string, string | number>): Float32Array {
  return encodeChecked(checkColumns(readArgument(columns, 'columns')), checkObject(readArgument(row, 'row'), 'row'));
}

function checkColumns(columns: unknown): Column[] {
  if (!Array.isArray(columns)) throw wrongType('an array of columns, as loadTable returns it,', 'columns', columns);
  return columns.map((column, i) => {
    const at = `columns[${i}]`;
    const { name, index, categories, mean, missing } = checkObject(column, at);
    if (typeof name !== 'string') throw wrongType('a string', `${at}.name`, name);
    checkInteger(index, `${at}.index`, 0, 2 ** 24);
    checkNumber(mean, `${at}.mean`, -1e300);
    if (categories !== undefined && !(Array.isArray(categories) && categories.every((c) => typeof c === 'string')))
      throw wrongType('an array of strings', `${at}.categories`, categories);
    // Not `instanceof`, nor its tag: an object with the prototype of a set is none, and neither is a proxy of one.
    if (!types.isSet(missing)) throw wrongType('a Set of strings', `${at}.missing`, missing);
    // Each as it was read above, and the set whatever its prototype is.
    return { name, index, categories, mean, missing: new Set(Set.prototype.values.call(missing) as SetIterator<string>) } as Column;
  });
}

function encodeChecked(columns: Column[], row: Record<string, unknown>): Float32Array {
  const fields: string[] = [];
  for (const { name, index } of columns) {
    const value = row[name];
    if (typeof value !== 'string' && typeof value !== 'number') throw wrongType('a text or number', `row["${name}"]`, value);
    fields[index] = String(value);
  }
  const inputs = new Float32Array(widthOf(columns));
  encodeColumns(columns, fields, inputs, (index, message) => {
    throw wrongType('a number', `row["${columns.find((c) => c.index === index)?.name}"]`, message);
  });
  return inputs;
}
