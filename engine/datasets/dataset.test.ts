import { promises as fs } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { InvalidInput } from '../../core/errors.js';
import { itemKey } from '../../core/ids.js';
import { readDataset, type Dataset } from './dataset.js';
import type { DatasetRow } from './dataset-rows.js';

let folder: string;
beforeEach(async () => (folder = await fs.mkdtemp(join(tmpdir(), 'refineloop-dataset-'))));
afterEach(() => fs.rm(folder, { recursive: true }));

const columns = { id: 'id', caption: 'text', image: 'file_name', feedback: 'feedback' };

async function write(files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await fs.mkdir(dirname(join(folder, name)), { recursive: true });
    await fs.writeFile(join(folder, name), content);
  }
}
const jsonl = (...rows: unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const read = (split: string | null = null, uri = '.', feedback: string[] = []): Promise<Dataset> =>
  readDataset(uri, { split, columns, strata: [] }, folder, feedback);
const rows = (dataset: Dataset): DatasetRow[] => dataset.entries.flatMap((entry) => (entry.kind === 'row' ? [entry.row] : []));
const reasons = (dataset: Dataset): string[] => dataset.entries.flatMap((entry) => (entry.kind === 'skipped' ? [entry.row.reason] : []));

async function refusal(reading: Promise<unknown>): Promise<string> {
  const error: unknown = await reading.then(() => undefined).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InvalidInput);
  return (error as Error).message;
}

describe('layouts', () => {
  it('reads an image folder with metadata.jsonl', async () => {
    const first = { file_name: 'a.png', id: 'A', text: 'one', feedback: ['x', 'y'] };
    await write({ 'metadata.jsonl': jsonl(first, { file_name: 'sub/b.png', text: 'two', feedback: null }), 'a.png': '', 'sub/b.png': '' });
    const dataset = await read();
    expect(dataset.uri).toBe(pathToFileURL(folder).href);
    expect(rows(dataset)).toEqual([
      {
        position: 0,
        id: 'A',
        key: itemKey('A'),
        caption: 'one',
        image: join(folder, 'a.png'),
        feedback: { feedback: ['x', 'y'] },
        strata: {},
        source: { file: 'metadata.jsonl', line: 1 },
      },
      {
        position: 1,
        id: 'sub/b',
        key: itemKey('sub/b'),
        caption: 'two',
        image: join(folder, 'sub/b.png'),
        feedback: {},
        strata: {},
        source: { file: 'metadata.jsonl', line: 2 },
      },
    ]);
  });

  it('reads an image folder with metadata.csv: quotes, commas, line breaks, a byte order mark, lists as JSON', async () => {
    const csv = '\ufefffile_name,text,feedback\r\na.png,"one, ""quoted""\nand broken",plain\r\n\r\nb.png,two,"[""x"", ""y""]"\r\n';
    await write({ 'metadata.csv': csv, 'a.png': '', 'b.png': '' });
    const found = rows(await read());
    expect(found.map((row) => [row.id, row.caption, row.feedback['feedback'], row.source.line])).toEqual([
      ['a', 'one, "quoted"\nand broken', ['plain'], 2],
      ['b', 'two', ['x', 'y'], 5],
    ]);
  });

  it('reads images with .txt files beside them', async () => {
    await write({
      'b.jpg': '',
      'b.txt': ' caption b\n',
      'a.png': '',
      'a.txt': 'caption a',
      'c.webp': '',
      'd.txt': 'lonely',
      'README.txt': 'not a caption',
      '.hidden/x.png': '',
    });
    const dataset = await read();
    expect(rows(dataset).map((row) => [row.position, row.id, row.caption, row.image])).toEqual([
      [0, 'a', 'caption a', join(folder, 'a.png')],
      [1, 'b', 'caption b', join(folder, 'b.jpg')],
    ]);
    expect(reasons(dataset)).toEqual([
      'c.webp:1: there is no caption file c.txt beside the image',
      'd.txt:1: there is no image beside the caption file',
    ]);
  });

  it.each([
    ['data.csv', 'file_name,text\nimages/a.png,one\n/abs/b.png,two\n'],
    ['data.tsv', 'file_name\ttext\nimages/a.png\tone\n/abs/b.png\ttwo\n'],
    ['data.jsonl', jsonl({ file_name: 'images/a.png', text: 'one' }, { file_name: '/abs/b.png', text: 'two' })],
  ])('reads %s with a path column', async (name, content) => {
    await write({ [name]: content });
    expect(rows(await read(null, `./${name}`)).map((row) => row.image)).toEqual([join(folder, 'images/a.png'), '/abs/b.png']);
  });

  it('reads captions alone, numbered by row, where there is no image column at all', async () => {
    await write({ 'prompts.csv': 'text\none\ntwo\n' });
    const dataset = await read(null, 'prompts.csv');
    expect(dataset.hasImages).toBe(false);
    expect(rows(dataset).map((row) => [row.id, row.caption, row.image])).toEqual([
      ['1', 'one', null],
      ['2', 'two', null],
    ]);
  });

  it('reads the bundled dataset', async () => {
    const dataset = await readDataset('./examples/datasets/creatures', { split: 'test', columns, strata: [] }, process.cwd());
    expect(reasons(dataset)).toEqual([]);
    expect(rows(dataset)).toHaveLength(233);
    expect(rows(dataset)[0]).toMatchObject({ id: 'creature-0601', source: { file: 'test/metadata.jsonl', line: 1 } });
    expect(rows(dataset)[0]!.feedback['feedback']).toHaveLength(2);
  });

  it.each([['data.tar'], ['data.bin']])('says of %s which layouts are read now', async (name) => {
    await write({ [name]: 'x' });
    expect(await refusal(read(null, name))).toContain('read now are: an image folder with metadata.jsonl');
    if (!name.endsWith('bin')) expect(await refusal(read())).toContain('read now are:');
  });

  it.each(['hf://lambda/pokemon', 'https://x/y.csv', 's3://bucket/data'])('says of %s that it comes later', async (uri) => {
    expect(await refusal(read(null, uri))).toMatch(/comes with a later version; read now are:/);
  });
});

describe('splits', () => {
  const table = (text: string): string => jsonl({ file_name: 'a.png', text });

  it('are sub-folders with metadata of their own', async () => {
    await write({ 'train/metadata.jsonl': table('train'), 'train/a.png': '', 'val/metadata.jsonl': table('val'), 'val/a.png': '' });
    expect(rows(await read('train'))[0]).toMatchObject({
      caption: 'train',
      image: join(folder, 'train/a.png'),
      source: { file: 'train/metadata.jsonl' },
    });
    expect(rows(await read('validation'))[0]).toMatchObject({ caption: 'val' });
    expect(await refusal(read('test'))).toContain('no split "test"; it has train, val');
    expect(await refusal(read())).toContain('splits train, val; choose one with dataset.split');
  });

  it('may have their metadata above them', async () => {
    await write({ 'metadata.csv': 'file_name,text\ntrain/a.png,one\ntest/a.png,two\n', 'train/a.png': '', 'test/a.png': '' });
    expect(rows(await read('test')).map((row) => [row.caption, row.image])).toEqual([['two', join(folder, 'test/a.png')]]);
    expect(rows(await read())).toHaveLength(2);
  });

  it('are none: then all rows are train', async () => {
    await write({ 'metadata.jsonl': table('one'), 'a.png': '' });
    expect(rows(await read('train'))).toHaveLength(1);
    expect(await refusal(read('test'))).toContain('it has no splits: leave dataset.split out');
  });

  it('are read without being named where there is one', async () => {
    await write({ 'test/metadata.jsonl': table('only'), 'test/a.png': '' });
    expect(rows(await read())[0]!.caption).toBe('only');
  });

  it('are none in a single file', async () => {
    await write({ 'data.csv': 'text\none\n' });
    expect(await refusal(read('test', 'data.csv'))).toContain('one file and has no split "test"');
  });
});

describe('refused as a whole', () => {
  it('names a missing folder and what to check', async () => {
    expect(await refusal(read(null, './nowhere'))).toMatch(/nowhere is not there; check dataset.uri/);
  });

  it.each([
    ['an empty folder', {}],
    ['an empty table', { 'metadata.jsonl': '' }],
    ['a header alone', { 'metadata.csv': 'file_name,text\n' }],
  ])('names %s', async (_, files) => {
    await write(files);
    expect(await refusal(read())).toMatch(/is empty/);
  });

  it('names images without captions', async () => {
    await write({ 'a.png': '' });
    expect(await refusal(read())).toContain('has no captions');
  });

  it('names the missing caption column, the ones that are there, and the nearest', async () => {
    await write({ 'metadata.csv': 'file_name,texts,size\na.png,one,2\n', 'a.png': '' });
    const message = await refusal(read());
    expect(message).toContain(
      `${join(folder, 'metadata.csv')}:1: there is no caption column "text"; the columns are file_name, texts, size`,
    );
    expect(message).toContain('did you mean "texts"? Set dataset.columns.caption');
  });

  it('names a missing image column where the folder has images, and a slip of the pen in any case', async () => {
    await write({ 'metadata.csv': 'picture,text\na.png,one\n', 'a.png': '', 'data.csv': 'filename,text\na.png,one\n' });
    expect(await refusal(read())).toContain('there is no image column "file_name"');
    expect(await refusal(read(null, 'data.csv'))).toContain('did you mean "filename"? Set dataset.columns.image');
  });

  it('names a missing feedback column that an arm asks for', async () => {
    await write({ 'data.csv': 'text,human\none,more red\n' });
    expect(await refusal(read(null, 'data.csv', ['expert']))).toContain(
      'there is no feedback column "expert"; the columns are text, human',
    );
    expect(rows(await read(null, 'data.csv', ['human']))[0]!.feedback).toEqual({ human: ['more red'] });
  });

  it('names a file that is something else altogether, and a column that is there twice', async () => {
    await write({ 'a.jsonl': 'file_name,text\na.png,one\n', 'b.csv': 'text,text\none,two\n' });
    expect(await refusal(read(null, 'a.jsonl'))).toMatch(/no row .* can be read; the first: a.jsonl:1: the line is not JSON/);
    expect(await refusal(read(null, 'b.csv'))).toContain('b.csv:1: two columns are named "text"');
  });

  it('refuses two metadata files in one folder', async () => {
    await write({ 'metadata.jsonl': table1, 'metadata.csv': 'text\none\n' });
    expect(await refusal(read())).toContain('metadata.csv and metadata.jsonl; keep one');
  });
  const table1 = jsonl({ text: 'one' });
});

describe('skipped rows', () => {
  it('each with its place and reason, and the rest goes on', async () => {
    const lines = [
      JSON.stringify({ file_name: 'a.png', id: 'a', text: 'fine' }),
      '{"file_name": "b.png", "text": "cut o',
      JSON.stringify({ file_name: 'c.png', id: 'c', text: '  ' }),
      JSON.stringify({ file_name: 'd.png', id: 'd' }),
      JSON.stringify({ file_name: 'e.png', id: 'e', text: 7 }),
      JSON.stringify({ id: 'f', text: 'no image named' }),
      JSON.stringify({ file_name: 'http://x/g.png', id: 'g', text: 'a link' }),
      JSON.stringify({ file_name: 'h.png', id: 'h', text: 'bad feedback', feedback: [{ x: 1 }] }),
      '{"file_name": "i.png", "id": "i", "text": "half \\ud83d a character"}',
      '[1, 2]',
      JSON.stringify({ file_name: 'z.png', id: '2', text: 'fine too: line 2 takes no id of another row' }),
    ];
    await write({ 'metadata.jsonl': `${lines.join('\n')}\n`, 'a.png': '' });
    const dataset = await read();
    expect(rows(dataset).map((row) => [row.position, row.id])).toEqual([
      [0, 'a'],
      [10, '2'],
    ]);
    expect(reasons(dataset).map((reason) => reason.replace(/JSON: .*/, 'JSON'))).toEqual([
      'metadata.jsonl:2: the line is not JSON',
      'metadata.jsonl:3: the column "text" is empty',
      'metadata.jsonl:4: the column "text" is missing',
      'metadata.jsonl:5: the column "text" holds a number, not a text',
      'metadata.jsonl:6: the column "file_name" is missing',
      'metadata.jsonl:7: the image http://x/g.png is not a file; download it and name the file',
      'metadata.jsonl:8: the column "feedback" holds neither a text nor a list of texts',
      'metadata.jsonl:9: the column "text" holds half a character (an unpaired surrogate)',
      'metadata.jsonl:10: the line is not JSON',
    ]);
    const keys = dataset.entries.map((entry) => entry.row.key);
    expect(new Set(keys).size).toBe(lines.length);
  });

  it('are the second and later rows of an id, under keys of their own', async () => {
    const row = (text: string): object => ({ file_name: `${text}.png`, id: 'same', text });
    await write({ 'metadata.jsonl': jsonl(row('one'), row('two'), row('three')) });
    const dataset = await read();
    expect(rows(dataset).map((found) => found.caption)).toEqual(['one']);
    expect(reasons(dataset)).toEqual([2, 3].map((n) => `metadata.jsonl:${n}: the id "same" is already taken by metadata.jsonl:1`));
    expect(dataset.entries.map((entry) => entry.row.key)).toEqual([itemKey('same'), itemKey('same\n#1'), itemKey('same\n#2')]);
  });

  it('are CSV lines with another number of columns or stray quotes', async () => {
    await write({ 'data.csv': 'id,text\na,one\nb,two,three\nc,st"ray\nd,four\n' });
    const dataset = await read(null, 'data.csv');
    expect(rows(dataset).map((row) => row.id)).toEqual(['a', 'd']);
    expect(reasons(dataset)[0]).toBe('data.csv:3: the line has 3 columns, the header has 2');
    expect(reasons(dataset)[1]).toMatch(/^data.csv:4: the line is not CSV/);
  });

  it('are what follows a quote that never closes, and what is not UTF-8', async () => {
    await write({ 'open.csv': 'id,text\na,one\nb,"two\nc,three\n', 'latin.csv': Buffer.from('id,text\na,one\nb,caf\xe9\n', 'latin1') });
    const open = await read(null, 'open.csv');
    expect(rows(open).map((row) => row.id)).toEqual(['a']);
    expect(reasons(open)).toHaveLength(1);
    const latin = await read(null, 'latin.csv');
    expect(rows(latin).map((row) => row.id)).toEqual(['a']);
    expect(reasons(latin)).toEqual(['latin.csv:3: the line is not UTF-8 text; save the file as UTF-8']);
  });
});

it('takes captions of any length and script, and feedback up to the first empty round', async () => {
  const caption = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 200 })
    .filter((text) => text.trim() !== '' && !/\p{Surrogate}/u.test(text));
  await fc.assert(
    fc.asyncProperty(fc.array(caption, { minLength: 1, maxLength: 5 }), async (captions) => {
      await write({ 'data.jsonl': jsonl(...captions.map((text, i) => ({ id: `i${i}`, text }))) });
      expect(rows(await read(null, 'data.jsonl')).map((row) => row.caption)).toEqual(captions);
    }),
    { numRuns: 30 },
  );
  await write({ 'data.jsonl': jsonl({ text: 'long '.repeat(2000), feedback: ['a', ' ', 'b'] }) });
  const [row] = rows(await read(null, 'data.jsonl'));
  expect(row!.caption).toHaveLength(10_000);
  expect(row!.feedback).toEqual({ feedback: ['a'] });
});
