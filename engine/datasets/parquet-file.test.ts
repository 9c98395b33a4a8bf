import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeParquet, type ParquetRow } from '../../test/support/parquet.js';
import { readDataset } from './dataset.js';
import { loadImage } from './image-file.js';

const DRAWINGS = fileURLToPath(new URL('../../examples/datasets/creatures/test/', import.meta.url));
const drawing = (number: number) => readFile(join(DRAWINGS, `creature-0${number}.png`));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parquet-'));
});
afterEach(() => rm(folder, { recursive: true }));

const write = async (name: string, rows: ParquetRow[], rowGroupSize?: number): Promise<void> => {
  await mkdir(dirname(join(folder, name)), { recursive: true });
  await writeFile(join(folder, name), writeParquet(rows, rowGroupSize));
};
const columns = { id: 'id', caption: 'text', image: 'image', feedback: 'feedback' };
const read = (split: string | null = null, named = columns) => readDataset(folder, { split, columns: named, strata: [] }, '/');
const rowsOf = ({ entries }: Awaited<ReturnType<typeof read>>) => entries.flatMap((entry) => (entry.kind === 'row' ? [entry.row] : []));

test("the Hub's layout: pictures come out as they went in, over files and row groups", async () => {
  const all = await Promise.all([601, 602, 603, 604, 605].map(async (n) => ({ image: await drawing(n), text: `creature ${n}` })));
  await write('data/train-00000-of-00002.parquet', all.slice(0, 3), 2);
  await write('data/train-00001-of-00002.parquet', all.slice(3));
  const dataset = await read();
  expect(dataset.hasImages).toBe(true);
  expect(rowsOf(dataset).map(({ id, caption, source }) => [id, caption, source.file, source.line])).toEqual([
    ['1', 'creature 601', 'data/train-00000-of-00002.parquet', 1],
    ['2', 'creature 602', 'data/train-00000-of-00002.parquet', 2],
    ['3', 'creature 603', 'data/train-00000-of-00002.parquet', 3],
    ['4', 'creature 604', 'data/train-00001-of-00002.parquet', 1],
    ['5', 'creature 605', 'data/train-00001-of-00002.parquet', 2],
  ]);
  const images = await Promise.all(rowsOf(dataset).map(({ image }) => loadImage(image!)));
  expect(images.map((image) => (image.ok ? Buffer.from(image.bytes).toString('base64') : image.reason))).toEqual(
    all.map(({ image }) => image.toString('base64')),
  );
});

test('a row without a picture, or with a spoilt one, says so and the rest goes on', async () => {
  const good = await drawing(601);
  await write('train.parquet', [
    { image: null, text: 'none' },
    { image: good.subarray(0, 60), text: 'half' },
    { image: good, text: 'whole' },
  ]);
  const images = await Promise.all(rowsOf(await read()).map(({ image }) => loadImage(image!)));
  expect(images).toEqual([
    { ok: false, reason: expect.stringMatching(/train.parquet:1 \(image\) is missing/) },
    { ok: false, reason: expect.stringMatching(/train.parquet:2 \(image\) is cut off or spoilt/) },
    expect.objectContaining({ ok: true, mediaType: 'image/png' }),
  ]);
});

test('the split is in the name of the file', async () => {
  const image = await drawing(601);
  await write('data/train-00000-of-00001.parquet', [{ image, text: 'a' }]);
  await write('data/validation-00000-of-00001.parquet', [{ image, text: 'b' }]);
  expect(rowsOf(await read('validation')).map(({ caption }) => caption)).toEqual(['b']);
  await expect(read()).rejects.toThrow(/has the splits train, validation; choose one/);
  await expect(read('test')).rejects.toThrow(/has no split "test"; it has train, validation/);
});

test('a column that is named wrong, and a file that is no Parquet, are told', async () => {
  await write('train.parquet', [{ image: await drawing(601), text: 'a' }]);
  await expect(read(null, { ...columns, image: 'file_name' })).rejects.toThrow(/no image column "file_name"; the columns are image, text/);
  await writeFile(join(folder, 'train.parquet'), 'version https://git-lfs.github.com/spec/v1');
  await expect(read()).rejects.toMatchObject({
    code: 'InvalidInput',
    message: expect.stringMatching(/train.parquet cannot be read as Parquet/),
  });
});
