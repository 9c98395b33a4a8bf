import { jest } from '@jest/globals';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import sharp from 'sharp';
import { HOSTILE, reportFixture } from '../../test/browser/report-fixture.js';
import { formatDelta, formatP, formatScore } from './format.js';
import { escapeLatex } from './formats/escape-latex.js';
import { escapeHtml, markup, raw } from './page/escape-html.js';
import { inlinePictures, MAX_SIDE, picturesOf } from './page/pictures.js';
import { buildTimings } from './timings.js';
import { folderSink } from './report-sink.js';
import { REPORT_FORMATS, writeReport, type ReportFormat, type ReportInput, type WrittenReport } from './write-report.js';

// Pictures are drawn and statistics resampled: more than the default allows on a busy machine.
jest.setTimeout(60_000);

let input: ReportInput;
let report: WrittenReport;
let files: Map<string, string | Uint8Array>;
const content = (format: ReportFormat) => String(files.get(report.files[format]!)!);

/** The report in memory. */
async function rendered(of: ReportInput, formats?: readonly ReportFormat[]) {
  const into = new Map<string, string | Uint8Array>();
  const sink = (name: string, bytes: string | Uint8Array) => Promise.resolve(void into.set(name, bytes));
  return { report: await writeReport(of, sink, formats), files: into };
}

beforeAll(async () => {
  input = await reportFixture({ n: 12 });
  ({ report, files } = await rendered(input, REPORT_FORMATS));
});

test('the page is one file: every picture inline, no address of anything else', () => {
  const page = content('html');
  expect(page).not.toMatch(/(?:src|href)="(?!data:|#)/);
  expect(page).not.toMatch(/https?:|@import|url\(/);
  expect(page).not.toContain('<script>document');
  expect(page).toContain(escapeHtml(HOSTILE));
});

test('JSON is the document, the same each time', async () => {
  expect(JSON.parse(content('json'))).toEqual(JSON.parse(JSON.stringify(report.results)));
  const again = await rendered(input, ['json']);
  expect(again.files.get('report.json')).toBe(content('json'));
});

test('CSV has a row per item, arm and round, and gives every text back as it was', () => {
  const rows = parse<Record<string, string>>(content('csv'), { columns: true });
  const expected = report.results.items.reduce(
    (sum, i) =>
      sum +
      Math.max(
        1,
        i.arms.reduce((n, a) => n + a.rounds.length, 0),
      ),
    0,
  );
  expect(rows).toHaveLength(expected);
  expect(rows.filter((r) => r['caption'] === HOSTILE)).toHaveLength(9);
  const row = rows.find((r) => r['item'] === 'creature-0600' && r['arm'] === 'written' && r['round'] === '2')!;
  const round = report.results.items[0]!.arms[1]!.rounds[2]!;
  expect(row).toMatchObject({
    oracle: 'true',
    feedback: round.feedback,
    prompt: round.prompt,
    image: round.image,
    seed: String(round.seed),
  });
  expect(Number(row['image_similarity'])).toBe(round.scores['image_similarity']);
  expect(rows.find((r) => r['item_state'] === 'skipped')).toMatchObject({ excluded: 'skipped: the caption is empty', arm: '' });
});

test('Markdown: whole tables, hostile text as text', () => {
  const text = content('md');
  expect(text).toContain('written (oracle)');
  expect(text).toContain('## Largest gains');
  expect(text).toContain('## Left out of every mean (4)');
  expect(text).not.toMatch(/<(script|img|b)/);
  const cells = (line: string) => line.replace(/\\\|/g, '').split('|').length;
  for (const table of text.split('\n\n').filter((block) => block.startsWith('|'))) {
    expect(new Set(table.trim().split('\n').map(cells)).size).toBe(1);
  }
});

test('LaTeX: balanced, a row an arm and estimand, hostile text as text', () => {
  const text = content('tex');
  expect(text).toContain('written (oracle) & ');
  for (const table of text.split('\\begin{tabular}').slice(1)) {
    const rows = table.split('\\midrule')[1]!.split('\\bottomrule')[0]!.trim().split('\n');
    expect(rows).toHaveLength(report.results.arms.length * 3);
    expect(new Set(rows.map((row) => row.replace(/\\&/g, '').split('&').length))).toEqual(new Set([10]));
  }
  expect(escapeLatex(`50% & $x$_{a}^2 #1 ~ \\input{x} "y" [z]`)).toBe(
    '50\\% \\& \\$x\\$\\_\\{a\\}\\textasciicircum{}2 \\#1 \\textasciitilde{} \\textbackslash{}input\\{x\\} \\textquotedbl{}y\\textquotedbl{} {[}z{]}',
  );
});

test('the paper’s tables: pictures, a column for commentary, and a word where an arm is missing', () => {
  const page = content('paper');
  const tables = page.split('<h2 id="table-').slice(1);
  expect(tables).toHaveLength(4);
  expect(tables[0]!.match(/<img /g)).toHaveLength(2 * 3);
  expect(tables[0]!.match(/contenteditable/g)).toHaveLength(2);
  for (const table of tables.slice(1)) expect(table).toContain('No arm of this run has feedback by a model.');
  const latex = String(files.get('paper.tex'));
  const shown = [...latex.matchAll(/\\includegraphics\[width=\\linewidth\]\{([^}]+)\}/g)].map(([, name]) => name!);
  expect(shown).toHaveLength(6);
  for (const name of shown) expect(files.get(name)).toBeInstanceOf(Uint8Array);
});

test('files appear whole under their names, timings beside them', async () => {
  const outDir = await mkdtemp(join(tmpdir(), 'report-'));
  try {
    const written = await writeReport(input, folderSink(join(outDir, 'new')), ['json', 'md']);
    expect((await readdir(join(outDir, 'new'))).sort()).toEqual(['report.json', 'report.md', 'timings.json']);
    expect(await readFile(join(outDir, 'new', written.files.json!), 'utf8')).toBe(content('json'));
  } finally {
    await rm(outDir, { recursive: true });
  }
});

test('a picture that is missing or broken leaves a note in its place and the report stands', async () => {
  const [gone, broken] = [report.results.items[0]!.trueImage!, report.results.items[2]!.trueImage!];
  const readBlob: ReportInput['readBlob'] = (d) =>
    d === gone ? Promise.reject(new Error('gone')) : d === broken ? Promise.resolve(new Uint8Array([1, 2])) : input.readBlob(d);
  const page = (await rendered({ ...input, readBlob }, ['html'])).files.get('index.html');
  expect(page).toContain('picture not in the store: gone');
  expect(page).toContain('picture not a readable picture');
});

test('large pictures are shrunk, small ones go in byte for byte', async () => {
  const large = await sharp({ create: { width: 900, height: 600, channels: 3, background: '#123456' } })
    .png()
    .toBuffer();
  const pictures = await inlinePictures(picturesOf(report.results), () => Promise.resolve(large));
  const uri = pictures.get(report.results.items[0]!.trueImage!)!.src!;
  expect(uri).toMatch(/^data:image\/webp;/);
  const { width, height } = await sharp(Buffer.from(uri.split(',')[1]!, 'base64')).metadata();
  expect([width, height]).toEqual([MAX_SIDE, (MAX_SIDE * 2) / 3]);
  const small = await input.readBlob(report.results.items[0]!.trueImage!);
  expect(content('html')).toContain(`data:image/png;base64,${Buffer.from(small).toString('base64')}`);
});

test('timings by hand', () => {
  const row = {
    step: 'generate' as const,
    item: 'a',
    arm: 'x',
    round: 1,
    draw: 0,
    key: 'k',
    attempt: 1,
    device: 'cpu',
    tokens: null,
    bytes: null,
    error: null,
  };
  const timings = buildTimings('r', [
    { ...row, status: 'failed', seconds: 1, usd: 0.5 },
    { ...row, attempt: 2, status: 'completed', seconds: 3, usd: null },
    { ...row, attempt: 1, status: 'recorded', seconds: null, usd: null, device: null, arm: null },
  ]);
  expect(timings.total).toEqual({ attempts: 2, statuses: { failed: 1, completed: 1, recorded: 1 }, seconds: 4, usd: 0.5 });
  expect(timings.steps['generate']).toMatchObject({ secondsPerCall: 3 });
  expect(timings.devices).toMatchObject({ cpu: { seconds: 4 }, none: { attempts: 0 } });
  expect(Object.keys(timings.arms)).toEqual(['round 0', 'x']);
});

test('numbers as people read them', () => {
  expect(formatDelta(0.0421, 'image_similarity')).toBe('+0.042');
  expect(formatDelta(-0.0421, 'psnr')).toBe('−0.04');
  expect(formatDelta(-0.0001, 'ssim')).toBe('0.000');
  expect(formatScore(null, 'ssim')).toBe('–');
  expect(formatP(0.0004)).toBe('< 0.001');
});

test('the tag escapes every value that is not markup', () => {
  const evil = `<b a="x" b='y'>&`;
  expect(markup`<p title="${evil}">${[evil, raw('<i>'), null, false, 0]}</p>`.toString()).toBe(
    '<p title="&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;">&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;<i>0</p>',
  );
});
