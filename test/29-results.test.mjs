// The trained files that come with the sources reach what docs/results.json says.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { dataOf, docs, faultsOf, readRows } from '../scripts/experiments/check.mjs';
import { resultsPage } from '../scripts/experiments/results-page.mjs';
import { root } from './support.mjs';

t.setTimeout(600_000);
const shared = process.env.SELFCOMPRESS_SHARED ?? join(root, '..', 'shared');
const folders = {
  mnist: join(shared, 'data/mnist'),
  'fashion-mnist': '/usr/share/datasets/fashion-mnist',
  text: join(shared, 'data/tinyshakespeare.txt'),
};
/** Test images that are evaluated of nets that take long. */
const most = { lenet300: 10_000, lenet5: 10_000 };

t.test('every file has its row, every row its file, and the page is that of the rows', (t) => {
  t.same(
    readdirSync(docs('models'))
      .filter((file) => file.endsWith('.scnn'))
      .sort(),
    readRows()
      .map(({ name }) => `${name}.scnn`)
      .sort(),
  );
  t.equal(readFileSync(docs('results.md'), 'utf8'), resultsPage(readRows()));
  t.end();
});

for (const row of readRows()) {
  t.test(row.name, async (t) => {
    const folder = folders[row.dataset];
    if (!folder || !existsSync(folder)) return t.skip(`${row.dataset} is not there: ${folder ?? 'no folder is known'}`);
    const data = await dataOf(row, folder);
    const { faults } = await faultsOf(row, data, most[row.model] ?? 2000);
    t.same(faults, []);
    const other = structuredClone(row);
    const { small } = other.seeds[0];
    if (small.testLoss === undefined) small.testAccuracy -= 0.05;
    else small.testLoss -= 0.05;
    small.modelBytes++;
    t.equal((await faultsOf(other, data, most[row.model] ?? 2000)).faults.length, 2, 'and other figures would be found out');
  });
}
