/** Tables with a column to predict: numbers as they are, names as one input per name, from comma- or tab-separated values. */

import { basename, extname } from 'node:path';
import { checkPath, readArgument } from '../arguments.js';
import { checkChoice, checkInteger, checkNames, DataError, wrongType, wrongValue } from '../errors.js';
import { item } from '../indexing.js';
import { pauses } from '../pace.js';
import { allocate } from './byte-source.js';
import { type Column, encodeColumns, parseNumber, planColumns, widthOf } from './columns.js';
import { type Row, readCsv } from './csv.js';
import type { Dataset } from './dataset.js';
import { checkSplitOptions, datasetFromFile, type SplitOptions, splitIndices, splitOptionNames } from './splits.js';

export interface TableOptions extends SplitOptions {
  /** Name of the column to predict, or its number counted from 0 (−1 is the last); several for several numbers. */
  target: string | number | (string | number)[];
  /** Default: 'classification' where the target holds names, 'regression' where it holds numbers. */
  task?: 'classification' | 'regression';
  /** Whether the first row holds the columns' names. Default true; without, columns are called column1, column2, … */
  header?: boolean;
  /** Rows to leave out at the beginning, before the header. Default 0. */
  skip?: number;
  /** One character. Default: a tab for .tsv and .tab, else a comma. */
  delimiter?: string;
  /** Columns of numbers that are names, such as codes. */
  categorical?: string[];
  /** Columns to leave out. */
  ignore?: string[];
  /** Texts that stand for a missing value. Default: '', NA, N/A, NaN, nan, null, NULL, None, ?. */
  missing?: string[];
  /** File with the test examples. Default: a share of the rows, see `holdOut`. */
  testPath?: string;
}

export interface TableDataset extends Dataset {
  /** How the columns become inputs; `encodeRow` uses them. */
  columns: Column[];
  /** Name of every input: that of its column, or COLUMN=NAME. */
  featureNames: string[];
  /** Names of the columns to predict. */
  targetNames: string[];
}

const MISSING = ['', 'NA', 'N/A', 'NaN', 'nan', 'null', 'NULL', 'None', '?'];

interface Table {
  names: string[];
  rows: Row[];
  path: string;
}

async function readTable(path: string, options: TableOptions): Promise<Table> {
  const extension = extname(path.replace(/\.gz$/i, '')).toLowerCase();
  const { delimiter = extension === '.tsv' || extension === '.tab' ? '\t' : ',', header = true } = options;
  const rows = await readCsv(path, delimiter);
  rows.splice(0, options.skip ?? 0);
  const first = header ? rows.shift() : rows[0];
  if (!first || rows.length === 0) throw new DataError('it holds no rows', path);
  const names = header ? first.fields.map((name) => name.trim()) : first.fields.map((_, i) => `column${i + 1}`);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new DataError(`line ${first.line}: there are two columns of the name "${twice}"`, path);
  const wrong = rows.find(({ fields }) => fields.length !== names.length);
  if (wrong) throw new DataError(`line ${wrong.line}: expected ${names.length} columns but found ${wrong.fields.length}`, path);
  return { names, rows, path };
}

function columnIndex(table: Table, column: unknown, argument: string): number {
  const given = typeof column === 'number' ? column : table.names.indexOf(column as string);
  const index = typeof column === 'number' && column < 0 ? column + table.names.length : given;
  if (Number.isInteger(index) && index >= 0 && index < table.names.length) return index;
  if (typeof column !== 'number' && typeof column !== 'string') throw wrongType('the name or number of a column', argument, column);
  const names = table.names.slice(0, 50).map((name) => JSON.stringify(name.slice(0, 60)));
  const { message } = wrongType(`one of the columns ${names.join(', ')}`, argument, column);
  throw new DataError(message, table.path);
}

function checkOptions(options: TableOptions): void {
  checkNames(options as object, 'options', [
    ...['target', 'task', 'header', 'skip', 'delimiter', 'categorical', 'ignore', 'missing', 'testPath'],
    ...splitOptionNames,
  ]);
  checkSplitOptions(options);
  const { task, delimiter, header, testPath } = options;
  if (task !== undefined) checkChoice(task, 'task', ['classification', 'regression']);
  if (delimiter !== undefined && !(typeof delimiter === 'string' && delimiter.length === 1 && !'"\r\n'.includes(delimiter)))
    throw wrongType('one character', 'delimiter', delimiter);
  if (options.skip !== undefined) checkInteger(options.skip, 'skip', 0);
  if (header !== undefined && typeof header !== 'boolean') throw wrongType('true or false', 'header', header);
  if (testPath !== undefined) checkPath(testPath, 'testPath');
  for (const list of ['categorical', 'ignore', 'missing'] as const) {
    const value = options[list];
    if (value !== undefined && !(Array.isArray(value) && value.every((v) => typeof v === 'string')))
      throw wrongType('an array of strings', list, value);
  }
}

/** The numbers or classes to predict. */
class Target {
  readonly classNames: string[] | undefined;

  constructor(
    private readonly indices: number[],
    private readonly missing: Set<string>,
    task: TableOptions['task'],
    { rows, path, names }: Table,
    training: Row[],
  ) {
    const isNumber = (text: string) => parseNumber(text) !== undefined;
    const index = item(indices, 0);
    const texts = indices.length === 1 ? training.map((row) => this.#text(row, index, path, names)) : [];
    const numbers = texts.filter(isNumber).length;
    if (task === 'regression' || indices.length > 1 || (task === undefined && numbers === texts.length)) return;
    if (task === undefined && numbers > 0) {
      const odd = rows.find((row) => isNumber(item(row.fields, index)) !== numbers > texts.length / 2) as Row;
      const message = `"${odd.fields[index]}" among ${numbers} numbers and ${texts.length - numbers} names; say the task`;
      throw new DataError(`line ${odd.line}, column "${names[index]}": ${message}`, path);
    }
    const all = [...new Set(texts)];
    this.classNames = all.every(isNumber) ? all.sort((a, b) => Number(a) - Number(b)) : all.sort();
    if (all.length > MOST_CLASSES) throw new DataError(`column "${names[index]}" names ${all.length} classes; is it a number to predict?`, path);
  }

  #text(row: Row, index: number, path: string, names: string[]): string {
    const text = item(row.fields, index).trim();
    if (this.missing.has(text)) throw new DataError(`line ${row.line}, column "${names[index]}": the value to predict is missing`, path);
    return text;
  }

  /** Labels or targets of some rows. */
  encode(rows: Row[], { path, names }: Table): { labels: number[] } | { targets: number[] } {
    const { classNames, indices } = this;
    const where = (row: Row, index: number) => `line ${row.line}, column "${names[index]}"`;
    if (classNames) {
      const index = item(indices, 0);
      const classOf = new Map(classNames.map((name, i) => [name, i]));
      const labels = rows.map((row) => {
        const text = this.#text(row, index, path, names);
        const label = classOf.get(text);
        if (label === undefined) throw new DataError(`${where(row, index)}: the class "${text}" is in no training row`, path);
        return label;
      });
      return { labels };
    }
    const targets = rows.flatMap((row) =>
      indices.map((index) => {
        const text = this.#text(row, index, path, names);
        const value = parseNumber(text);
        if (value === undefined) throw new DataError(`${where(row, index)}: expected a number to predict but found "${text}"`, path);
        return value;
      }),
    );
    return { targets };
  }
}

const MOST_CLASSES = 10_000;

async function encodeInputs(columns: Column[], rows: Row[], { path, names }: Table): Promise<Float32Array> {
  const width = widthOf(columns);
  const images = new Float32Array(allocate(rows.length * width * 4, path).buffer);
  const rest = pauses();
  for (const [i, row] of rows.entries()) {
    encodeColumns(columns, row.fields, images.subarray(i * width, (i + 1) * width), (column, message) => {
      throw new DataError(`line ${row.line}, column "${names[column]}": ${message}`, path);
    });
    await rest();
  }
  return images;
}

/**
 * A table of examples. Numbers are standardised by the mean and deviation of the training rows (the data set's `mean` and
 * `std`); a missing number becomes that mean. A column of names becomes one input of 0 or 1 for each name of the training rows; a
 * missing or unseen name is 0 in all of them.
 * @throws DataError with line and column, TypeError for wrong options
 */
export async function loadTable(path: string, given: TableOptions): Promise<TableDataset> {
  checkPath(path, 'path');
  const options = readArgument(given, 'options');
  checkOptions(options);
  const table = await readTable(path, options);
  const testTable = options.testPath === undefined ? undefined : await readTable(options.testPath, options);
  if (testTable && testTable.names.join('\0') !== table.names.join('\0')) throw new DataError(`its columns are not those of ${path}`, testTable.path);
  const targets = (Array.isArray(options.target) ? options.target : [options.target]).map((target, i, all) =>
    columnIndex(table, target, all.length === 1 ? 'target' : `target[${i}]`),
  );
  if (targets.length === 0 || new Set(targets).size < targets.length) throw wrongType('different columns', 'target', options.target);
  const out = new Set([...targets, ...(options.ignore ?? []).map((name, i) => columnIndex(table, name, `ignore[${i}]`))]);
  const named = new Set((options.categorical ?? []).map((name, i) => columnIndex(table, name, `categorical[${i}]`)));
  const missing = new Set(options.missing ?? MISSING);
  const split = checkSplitOptions(options);
  const { train, test } = testTable
    ? { train: Int32Array.from(table.rows.keys()), test: undefined }
    : await splitIndices(table.rows.length, split, path);
  const { validation = 0 } = options;
  if (validation >= train.length) throw wrongValue(`fewer than the ${train.length} training rows`, 'validation', validation);
  const held = validation > 0 ? await splitIndices(train.length, { ...split, holdOut: validation / train.length }, path) : undefined;
  const take = (indices: Int32Array) => Array.from(indices, (i) => item(table.rows, i));
  const training = take(held ? held.train.map((i) => item(train, i)) : train);
  const columns = await planColumns(training, table.names, { out, named, missing, path });
  if (columns.length === 0) throw new DataError('no columns are left to predict from', path);
  const target = new Target(targets, missing, options.task, table, training);
  const readRows = async (rows: Row[], from: Table) => ({ images: await encodeInputs(columns, rows, from), ...target.encode(rows, from) });
  const data = await datasetFromFile<Dataset>(path, {
    name: basename(path),
    shape: [widthOf(columns)],
    classNames: target.classNames,
    train: await readRows(training, table),
    test: testTable ? await readRows(testTable.rows, testTable) : await readRows(take(test as Int32Array), table),
    ...(held && { validation: await readRows(take(held.test.map((i) => item(train, i))), table) }),
  });
  const featureNames = columns.flatMap(({ name, categories }) => categories?.map((category) => `${name}=${category}`) ?? [name]);
  // Inputs of 0 and 1 stay what they are.
  const isName = columns.flatMap(({ categories }) => categories?.map(() => true) ?? [false]);
  const mean = data.mean.map((value, i) => (isName[i] ? 0 : value));
  const std = data.std.map((value, i) => (isName[i] ? 1 : value));
  return { ...data, mean, std, columns, featureNames, targetNames: targets.map((index) => item(table.names, index)) };
}
