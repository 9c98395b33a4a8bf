import sharp from 'sharp';
import { seedOf } from '../../../core/seeds.js';
import type { Digest } from '../../../core/types.js';
import { shortened } from '../format.js';
import { markup, type Content, type Markup } from '../page/escape-html.js';
import { picture } from '../page/item-card.js';
import { layout } from '../page/page.js';
import { inlinePictures, type ReportPictures } from '../page/pictures.js';
import { exclusion } from '../results.js';
import type { ArmResult, ItemResult, ResultsDocument, RoundResult } from '../results-document.js';
import type { ReportSink } from '../report-sink.js';
import { escapeLatex, latexTable } from './escape-latex.js';

/** A cell of a table: a picture, or a text. */
type Cell = { image: Digest } | { text: string };

interface PaperTable {
  number: number;
  title: string;
  head: string[];
  /** The item and its cells; a column for the person's commentary comes after them. */
  rows: Array<{ id: string; cells: Cell[] }>;
  /** Why there are no rows. */
  empty: string;
}

/** The paper's tables show one round of feedback. */
const ROUND = 1;
const PICTURE_SIDE = 512;

/**
 * The tables of the paper that the loop comes from, with a column left for commentary: 1, feedback by who knows the true picture; 2, feedback
 * by models that were not tuned; 3 and 4, feedback by models and the pictures made with it. As a page to write into, and as LaTeX.
 */
export async function paperTables(
  doc: ResultsDocument,
  readBlob: (digest: Digest) => Promise<Uint8Array>,
  sink: ReportSink,
): Promise<void> {
  const tables = buildTables(doc);
  const shown = tables.flatMap(({ rows }) => rows.flatMap(({ cells }) => cells.flatMap((cell) => ('image' in cell ? [cell.image] : []))));
  const pictures = await inlinePictures(shown, readBlob);
  const files = new Map<Digest, string>();
  for (const digest of new Set(shown)) {
    if (!pictures.get(digest)?.src) continue;
    const name = `paper/${digest.slice('sha256:'.length, 'sha256:'.length + 16)}.png`;
    const small = sharp(await readBlob(digest)).resize(PICTURE_SIDE, PICTURE_SIDE, { fit: 'inside', withoutEnlargement: true });
    await sink(name, await small.png().toBuffer());
    files.set(digest, name);
  }
  await sink('paper.tex', tablesLatex(doc, tables, files));
  await sink('paper.html', tablesPage(doc, tables, pictures));
}

function buildTables(doc: ResultsDocument): PaperTable[] {
  const written = doc.arms.find((arm) => arm.oracle && arm.placeboOf === null);
  const critics = doc.arms.filter((arm) => arm.learned);
  const untuned = critics.filter(({ training }) => training === null);
  const sample = sampled(doc, [...(written ? [written] : []), ...critics]);
  const start = ['true picture', 'caption', 'generated picture'];
  const noCritic = 'No arm of this run has feedback by a model.';
  return [
    {
      number: 1,
      title: 'What feedback can do: written by someone who knows the true picture.',
      head: [...start, 'written feedback', 'picture with it'],
      rows: written ? rowsOf(sample.slice(0, 2), [written], true) : [],
      empty: 'No arm of this run has feedback by someone who knows the true picture.',
    },
    {
      number: 2,
      title: 'Feedback by models that were not tuned for it.',
      head: [...start, ...untuned.map(({ name }) => `feedback of ${name}`)],
      rows: untuned.length > 0 ? rowsOf(sample.slice(0, 2), untuned, false) : [],
      empty:
        critics.length > 0
          ? 'Every model that writes feedback in this run was tuned. Add an arm with its untuned model to compare.'
          : noCritic,
    },
    ...[3, 4].map((number) => ({
      number,
      title:
        number === 3 ? 'Feedback by models, and the pictures made with it.' : 'More feedback by models, and the pictures made with it.',
      head: [...start, ...critics.flatMap(({ name }) => [`feedback of ${name}`, `picture with ${name}`])],
      rows: critics.length > 0 ? rowsOf(sample.slice(3 * number - 7, 3 * number - 4), critics, true) : [],
      empty: critics.length > 0 ? 'The run has too few items for another table.' : noCritic,
    })),
  ];
}

/** Items in an order that knows nothing of how they came out: drawn by the recipe's seed. */
function sampled(doc: ResultsDocument, arms: readonly ArmResult[]): ItemResult[] {
  const complete = doc.items.filter(
    (item) => exclusion(item) === null && item.trueImage !== null && arms.every(({ name }) => roundOf(item, name) !== undefined),
  );
  const place = new Map(complete.map((item) => [item, seedOf(doc.recipe.seed, `paper/${item.id}`, 0)]));
  return complete.sort((a, b) => place.get(a)! - place.get(b)!);
}

const roundOf = (item: ItemResult, arm: string): RoundResult | undefined => item.arms.find(({ name }) => name === arm)?.rounds[ROUND];

function rowsOf(items: readonly ItemResult[], arms: readonly ArmResult[], withPictures: boolean): PaperTable['rows'] {
  return items.map((item) => ({
    id: item.id,
    cells: [
      { image: item.trueImage! },
      { text: shortened(item.caption, 400) },
      { image: item.arms[0]!.rounds[0]!.image },
      ...arms.flatMap(({ name }): Cell[] => {
        const round = roundOf(item, name)!;
        return [{ text: shortened(round.feedback ?? '', 600) }, ...(withPictures ? [{ image: round.image }] : [])];
      }),
    ],
  }));
}

const HOW_CHOSEN =
  'Items are drawn by the recipe’s seed from those that every arm finished, whatever their scores; pictures and feedback are those of round 1.';

function tablesPage(doc: ResultsDocument, tables: readonly PaperTable[], pictures: ReportPictures): string {
  const cell = (content: Cell, alt: string): Content => ('image' in content ? picture(pictures.get(content.image), alt) : content.text);
  const table = ({ number, title, head, rows, empty }: PaperTable): Markup =>
    markup`<section aria-labelledby="table-${number}">
      <h2 id="table-${number}">Table ${number}</h2>
      <p class="lead">${title}</p>
      ${
        rows.length === 0
          ? markup`<p class="empty">${empty}</p>`
          : markup`<div class="scroll" tabindex="0" role="region" aria-label="Table ${number}, rows">
              <table class="text paper">
                <thead>
                  <tr>
                    <th scope="col">item</th>
                    ${[...head, 'commentary'].map((text) => markup`<th scope="col">${text}</th>`)}
                  </tr>
                </thead>
                <tbody>
                  ${rows.map(
                    ({ id, cells }) =>
                      markup`<tr>
                        <th scope="row"><code>${id}</code></th>
                        ${cells.map((content, i) => markup`<td>${cell(content, `${head[i]!} of ${id}`)}</td>`)}
                        <td class="commentary" contenteditable="plaintext-only" role="textbox" aria-multiline="true" aria-label="commentary on ${id}"></td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>`
      }
    </section>`;
  const body = markup`<header class="top">
      <p class="eyebrow">${doc.recipe.name}, run ${doc.runId}</p>
      <h1>Feedback and pictures, side by side</h1>
      <p class="lead">${HOW_CHOSEN} The last column is yours: write into it, then print or save the page.</p>
    </header>
    <main>${tables.map(table)}</main>`;
  return layout(doc, 'the paper’s tables', body, 'inline');
}

function tablesLatex(doc: ResultsDocument, tables: readonly PaperTable[], files: ReadonlyMap<Digest, string>): string {
  const cell = (content: Cell): string => {
    if ('text' in content) return `{\\raggedright ${escapeLatex(content.text)}\\par}`;
    const file = files.get(content.image);
    return file === undefined
      ? '(missing)' // Its top stands where the row's first line does.
      : `\\raisebox{\\dimexpr 1.6ex-\\height}{\\includegraphics[width=\\linewidth]{${file}}}`;
  };
  const latex = tables.map(({ number, title, head, rows, empty }) => {
    if (rows.length === 0) return `% Table ${number}: ${empty}`;
    const columns = head.length + 1;
    const width = `\\dimexpr(\\linewidth-${2 * (columns - 1)}\\tabcolsep)/${columns}\\relax`;
    return latexTable({
      caption: `${title} ${HOW_CHOSEN}`,
      label: `tab:${doc.runId}-paper-${number}`.replace(/[^\w:.-]/g, '-'),
      columns: `p{${width}}`.repeat(columns),
      head: [...head, 'commentary'],
      rows: rows.map(({ cells }) => [...cells.map(cell), '']),
    });
  });
  return `% ${doc.recipe.name}, run ${doc.runId}; needs \\usepackage{booktabs,graphicx}. The last column is left for commentary.\n\n${latex.join('\n\n')}\n`;
}
