/** The small tables that scikit-learn brings along, where it is installed (Debian: python3-sklearn). */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { checkPath, readArgument } from '../arguments.js';
import { checkChoice, checkNames, DataError } from '../errors.js';
import { item } from '../indexing.js';

import { readCsv } from './csv.js';
import { statIfThere } from './files.js';
import { checkSplitOptions, type SplitOptions, splitOptionNames } from './splits.js';
import { loadTable, type TableDataset } from './table.js';

const FILES = { iris: 'iris.csv', wine: 'wine_data.csv', 'breast-cancer': 'breast_cancer.csv' } as const;

export const sklearnTables = Object.keys(FILES) as (keyof typeof FILES)[];

const INSIDE = join('sklearn', 'datasets', 'data');

/** Folders that may hold Python packages. */
async function packageFolders(): Promise<string[]> {
  const folders = ['/usr/lib/python3/dist-packages', '/usr/local/lib/python3/dist-packages'];
  for (const lib of ['/usr/lib', '/usr/local/lib']) {
    const versions = await readdir(lib).catch(() => []);
    for (const version of versions.filter((name) => /^python3\.\d+$/.test(name))) {
      folders.push(join(lib, version, 'dist-packages'), join(lib, version, 'site-packages'));
    }
  }
  return folders;
}

/**
 * A table of scikit-learn for classification: 'iris', 'wine' or 'breast-cancer'.
 * @param dataDir folder with scikit-learn's files; default: where Debian's package and pip put them
 * @throws DataError where it is not there
 */
export async function loadSklearnTable(name: string, options: SplitOptions & { dataDir?: string } = {}): Promise<TableDataset> {
  checkChoice(name, 'table', sklearnTables);
  const given = readArgument(options, 'options');
  checkNames(given, 'options', ['dataDir', ...splitOptionNames]);
  const { dataDir, ...split } = given as SplitOptions & { dataDir?: string };
  checkSplitOptions(split);
  if (dataDir !== undefined) checkPath(dataDir, 'dataDir');
  const file = FILES[name as keyof typeof FILES];
  const folders = dataDir === undefined ? (await packageFolders()).map((folder) => join(folder, INSIDE)) : [dataDir];
  for (const folder of folders) {
    const path = join(folder, file);
    if (!(await statIfThere(path))?.isFile()) continue;
    // Its first row is that of a file without names: number of rows, of features, and the names of the classes.
    const first = item(await readCsv(path, ','), 0);
    const table = await loadTable(path, { ...split, skip: 1, header: false, target: -1, task: 'classification' });
    return { ...table, name, classNames: first.fields.slice(2, 2 + table.classes) };
  }
  throw new DataError(`scikit-learn's ${file} was not found`, folders.join(', '));
}
