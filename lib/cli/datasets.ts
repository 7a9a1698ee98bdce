/** selfcompress datasets */
import type { Command } from 'commander';
import { datasetCatalog } from '../data/catalog.js';

export function addDatasetsCommand(program: Command): void {
  program
    .command('datasets')
    .description('the data sets that can be read, their sizes, their files and where to get them')
    .option('--json', 'print JSON')
    .action(({ json }: { json?: boolean }) => {
      if (json) console.log(JSON.stringify(datasetCatalog, null, 2));
      else for (const text of describeDatasets()) console.log(text);
    });
}

function describeDatasets(): string[] {
  return datasetCatalog.flatMap(({ name, what, shape, classes, train, test, files, source }) => {
    const size = [
      shape && `${shape.join('×')}`,
      classes !== undefined && `${classes} classes`,
      train !== undefined && `${train} training and ${test} test examples`,
    ].filter(Boolean);
    return [`${name}: ${what}`, ...(size.length ? [`    ${size.join(', ')}`] : []), `    files: ${files}`, `    from: ${source}`];
  });
}
