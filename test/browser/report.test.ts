import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { jest } from '@jest/globals';
import { chromium, type Browser, type Page } from 'playwright-core';
import { headline } from '../../app/report/headline.js';
import { folderSink } from '../../app/report/report-sink.js';
import { writeReport, type WrittenReport } from '../../app/report/write-report.js';
import { findChromium } from './find-chromium.js';
import {
  ADD_SCRIPT,
  ARM_TABLE_OVERFLOW,
  AXE_FINDINGS,
  COMPARED,
  DANGLING_LINKS,
  DECODED_PICTURES,
  LOW_CONTRAST,
  scrollTo,
  setDetails,
  SIDEWAYS_OVERFLOW,
} from './page-checks.js';
import { HOSTILE, reportFixture } from './report-fixture.js';

jest.setTimeout(180_000);

/** Where to put screenshots, for looking at; none by default. */
const SCREENSHOTS = process.env['REPORT_SCREENSHOTS'];

let browser: Browser;
let folder: string;
let url: string;
let report: WrittenReport;
/** A run of thousands: a folder of pages. */
let large: { url: string; report: WrittenReport };
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: findChromium(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  folder = await mkdtemp(join(tmpdir(), 'refineloop-report-'));
  report = await writeReport(await reportFixture(), folderSink(folder), ['html', 'paper']);
  url = pathToFileURL(join(folder, report.files.html!)).href;
  const input = await reportFixture({ n: 2000, opt: true, drawings: 2 });
  large = {
    report: await writeReport(input, folderSink(join(folder, 'large')), ['html']),
    url: pathToFileURL(join(folder, 'large', 'index.html')).href,
  };
});

afterAll(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const WIDTHS = [390, 1440];
const SCHEMES = ['light', 'dark'] as const;

/** Opens the report; everything that the browser complains of or asks the network for is collected. */
async function open(
  width: number,
  colorScheme: 'light' | 'dark' = 'light',
  address = url,
): Promise<{ page: Page; problems: string[]; requests: string[] }> {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  const problems: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('request', (request) => !request.url().startsWith('data:') && requests.push(request.url()));
  await page.goto(address);
  return { page, problems, requests };
}

const CASES = WIDTHS.flatMap((width) => SCHEMES.map((scheme) => [width, scheme] as const));

test.each(CASES)('at %i px, %s: no error, no network, no sideways scroll, every picture decoded', async (width, scheme) => {
  const { page, problems, requests } = await open(width, scheme);
  const pictures = await page.evaluate<Array<{ width: number; alt: string }>>(DECODED_PICTURES);
  // Per finished item: the true picture, round 0 and two rounds of three arms; one failed at round 1 and one is still to come.
  expect(pictures).toHaveLength(23 * 8 - 2 + 1);
  expect(pictures.filter((p) => p.width !== 64 || p.alt === '')).toEqual([]);
  for (const state of ['shut', 'open']) {
    if (state === 'open') await page.evaluate(setDetails(true));
    const overflow = await page.evaluate<number>(SIDEWAYS_OVERFLOW);
    expect({ state, overflow }).toEqual({ state, overflow: 0 });
  }
  expect(problems).toEqual([]);
  expect(requests).toEqual([url]);
  if (SCREENSHOTS) await takeScreenshots(page, `${SCREENSHOTS}/${width}-${scheme}`);
  await page.context().close();
});

test('the headline is what the results say, and is seen without scrolling', async () => {
  const { page } = await open(390);
  const h1 = page.locator('h1');
  expect(await h1.textContent()).toBe(headline(report.results).sentence);
  expect(await h1.textContent()).toMatch(
    /written \(oracle: saw the true picture, an upper reference\) pays: image_similarity \+0\.\d{3} \[/,
  );
  const box = (await h1.boundingBox())!;
  expect(box.y + box.height).toBeLessThan(900);
  await page.context().close();
});

test('at 1440 px all three estimands of the arm table are seen side by side', async () => {
  const { page } = await open(1440);
  expect(await page.evaluate<number>(ARM_TABLE_OVERFLOW)).toBe(0);
  await page.context().close();
});

test('hostile captions and failures are text', async () => {
  const { page, problems } = await open(1440);
  expect(await page.locator('.item h3').nth(1).textContent()).toBe(HOSTILE);
  expect(await page.locator('script').count()).toBe(1);
  expect(await page.locator('img:not([src^="data:image/"])').count()).toBe(0);
  expect(await page.title()).toBe('creatures: does the feedback pay? (creatures-demo)');
  expect(await page.locator('body').textContent()).toContain('the picture is all <black>');
  expect(problems).toEqual([]);
  await page.context().close();
});

test('even markup that got through could not run: the page allows its own script alone', async () => {
  const { page } = await open(1440);
  await page.evaluate(ADD_SCRIPT);
  expect(await page.title()).not.toBe('owned');
  await page.context().close();
});

test('items sort by an arm’s gain and filter by state', async () => {
  const { page } = await open(1440);
  const ids = () => page.locator('.item:visible .id').allTextContents();
  expect(await ids()).toEqual(report.results.items.map((i) => i.id));
  await page.selectOption('#order', JSON.stringify([-1, 'written']));
  const gain = (id: string) =>
    report.results.items.find((i) => i.id === id)!.arms.find((a) => a.name === 'written')?.gain['image_similarity'];
  const gains = (await ids()).map(gain);
  const known = gains.filter((g) => g !== undefined);
  expect(known).toEqual([...known].sort((a, b) => b - a));
  expect(gains.slice(known.length).every((g) => g === undefined)).toBe(true);
  await page.selectOption('#state', 'failed');
  expect(await ids()).toEqual(report.results.items.filter((i) => i.state === 'failed').map((i) => i.id));
  await page.context().close();
});

test('every text has enough contrast with what it stands on, light and dark', async () => {
  for (const scheme of SCHEMES) {
    const { page } = await open(1440, scheme);
    expect(await page.evaluate<string[]>(LOW_CONTRAST)).toEqual([]);
    await page.context().close();
  }
});

test.each(CASES)('axe finds nothing at %i px, %s, with everything open, in the comparison too', async (width, scheme) => {
  const { page } = await open(width, scheme);
  await page.evaluate(axe);
  await page.evaluate(setDetails(true));
  expect(await page.evaluate<string[]>(AXE_FINDINGS)).toEqual([]);
  await page.locator('.item .compare').first().click();
  expect(await page.evaluate<string[]>(AXE_FINDINGS)).toEqual([]);
  await page.context().close();
});

test.each(WIDTHS)('the paper’s tables at %i px: nothing for axe, and a commentary that can be written', async (width) => {
  const { page, problems } = await open(width, 'light', pathToFileURL(join(folder, report.files.paper!)).href);
  await page.evaluate(axe);
  expect(await page.evaluate<string[]>(AXE_FINDINGS)).toEqual([]);
  expect(await page.evaluate<number>(SIDEWAYS_OVERFLOW)).toBe(0);
  await page.locator('.commentary').first().click();
  await page.keyboard.type('The ears are right now. <b>');
  expect(await page.locator('.commentary').first().innerHTML()).toBe('The ears are right now. &lt;b&gt;');
  expect(problems).toEqual([]);
  await page.context().close();
});

test('finds items by words of the caption, the feedback and the id', async () => {
  const { page } = await open(1440);
  await page.keyboard.press('/');
  await page.keyboard.type('GREEN ears');
  const ids = await page.locator('.item:visible .id').allTextContents();
  const wanted = report.results.items.filter(({ id, caption, arms }) => {
    const text = [id, caption, ...arms.flatMap((a) => a.rounds.map((r) => `${r.feedback ?? ''} ${r.prompt}`))].join(' ').toLowerCase();
    return text.includes('green') && text.includes('ears');
  });
  expect(wanted.length).toBeGreaterThan(0);
  expect(ids).toEqual(wanted.map(({ id }) => id));
  expect(await page.locator('#shown').textContent()).toBe(`${wanted.length} of ${report.results.items.length} items`);
  await page.context().close();
});

test('by keyboard: from item to item, two pictures side by side, then one over the other and flipped', async () => {
  const { page, problems } = await open(1440);
  const compared = () => page.evaluate<string[]>(COMPARED);
  const title = () => page.locator('#comparison-title').textContent();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('c');
  expect(await title()).toBe(HOSTILE);
  expect(await compared()).toEqual(['true picture', 'placebo, round 2']);
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('k');
  expect(await title()).toBe(report.results.items[0]!.caption);
  expect(await compared()).toEqual(['true picture', 'placebo, round 1']);
  await page.keyboard.press('o');
  expect(await compared()).toEqual(['placebo, round 1']);
  await page.keyboard.press('f');
  expect(await compared()).toEqual(['true picture']);
  await page.keyboard.press('Escape');
  expect(await page.locator('#comparison').isVisible()).toBe(false);
  await page.locator('.item').nth(2).locator('img').nth(3).click();
  expect(await page.locator('#right').inputValue()).toBe('3');
  expect(problems).toEqual([]);
  await page.context().close();
});

test('without its script the page shows every item', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(url);
  expect(await page.locator('.item:visible').count()).toBe(report.results.items.length);
  expect(await page.locator('.compare:visible, #tools:visible').count()).toBe(0);
  await context.close();
});

describe('2,000 items', () => {
  test.each(WIDTHS)(
    'the first page at %i px: no error, nothing from outside, no sideways scroll, every row with its pictures',
    async (width) => {
      const { page, problems, requests } = await open(width, 'light', large.url);
      expect(await page.locator('#item-list > tr').count()).toBe(large.report.results.items.length);
      expect(await page.evaluate<number>(SIDEWAYS_OVERFLOW)).toBe(0);
      const pictures = await page.evaluate<Array<{ width: number; alt: string }>>(DECODED_PICTURES);
      expect(pictures).toHaveLength(1999 * 2 + 1);
      expect(pictures.filter((p) => p.width !== 64 || p.alt === '')).toEqual([]);
      expect(problems).toEqual([]);
      expect(requests.filter((request) => !request.startsWith(new URL('.', large.url).href))).toEqual([]);
      if (SCREENSHOTS) await takeScreenshots(page, `${SCREENSHOTS}/large-${width}`);
      await page.context().close();
    },
  );

  test('an item found on the first page leads to its card, and from there back and on', async () => {
    const { page, problems } = await open(1440, 'light', large.url);
    const item = large.report.results.items[1234]!;
    await page.fill('#find', item.id);
    await page.locator('#item-list a:visible').click();
    await page.waitForURL(/items-025\.html#item-/);
    expect(await page.locator('.item').count()).toBe(50);
    await page.keyboard.press('c');
    expect(await page.locator('#comparison-title').textContent()).toBe(item.caption);
    await page.keyboard.press('Escape');
    await page.evaluate(axe);
    expect(await page.evaluate<string[]>(AXE_FINDINGS)).toEqual([]);
    await page.locator('.pages a', { hasText: 'next' }).first().click();
    expect(await page.locator('h1').textContent()).toBe('items 1251 to 1300 of 2001');
    await page.locator('.pages a', { hasText: 'Report' }).first().click();
    expect(await page.locator('h1').textContent()).toBe(headline(large.report.results).sentence);
    expect(problems).toEqual([]);
    await page.context().close();
  });
});

test('links within the page lead somewhere, tables have headers with a scope', async () => {
  const { page } = await open(1440);
  const dangling = await page.evaluate<string[]>(DANGLING_LINKS);
  expect(dangling).toEqual([]);
  expect(await page.locator('th:not([scope])').count()).toBe(0);
  await page.context().close();
});

async function takeScreenshots(page: Page, path: string): Promise<void> {
  await page.evaluate(setDetails(false));
  await page.screenshot({ path: `${path}-top.png` });
  await page.evaluate(scrollTo('arms'));
  await page.screenshot({ path: `${path}-arms.png` });
  await page.evaluate(scrollTo('items'));
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${path}-items.png` });
  await page.evaluate(scrollTo('uncurable'));
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${path}-end.png` });
}
