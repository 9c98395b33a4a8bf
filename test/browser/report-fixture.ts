import sharp from 'sharp';
import { digestOf, sha256Hex } from '../../core/content-hash.js';
import { itemKey } from '../../core/ids.js';
import { refiners } from '../../core/policy/refine.js';
import { bestRound } from '../../core/policy/stop.js';
import type { ArmRecipe, RunManifest } from '../../core/recipe.js';
import { seedOf, uniform } from '../../core/seeds.js';
import type { ArmOutcome, ArtifactRef, Digest, IndexedItem, ItemRecord, RoundOutcome, SkippedRow, TextValue } from '../../core/types.js';
import type { ReportInput } from '../../app/report/write-report.js';
import type { LedgerRow } from '../../engine/storage/ledger-rows.js';

export const HOSTILE = `<script>document.title='owned'</script> "a" | 'red' <img src=x onerror="document.title='owned'"> & fox\n=1+1`;

const COLOURS = { red: '#c8452f', green: '#4f9a54', blue: '#3f74c0', yellow: '#e2b93b', purple: '#7d58a6', grey: '#8d8a86' };
const EARS = ['round ears', 'long ears', 'horns', 'no ears'] as const;

interface Look {
  colour: keyof typeof COLOURS;
  ears: (typeof EARS)[number];
  background: string;
}

interface FixtureOptions {
  n?: number;
  /** With an arm of a model. */
  opt?: boolean;
  /** Different noises of a drawing; fewer than there are items make a large run quickly. */
  drawings?: number;
}

/** A run like the demo's: drawings of 64 x 64, a control, an oracle and its placebo, two rounds, and every state an item can be in. */
export async function reportFixture({ n = 24, opt = false, drawings = Infinity }: FixtureOptions = {}): Promise<ReportInput> {
  const blobs = new Map<Digest, Uint8Array>();
  const drawn = new Map<string, Promise<ArtifactRef>>();
  const put = (look: Look, noise: number, seed: number): Promise<ArtifactRef> => {
    const [rough, kind] = drawings === Infinity ? [noise, seed] : [Math.round(noise / 20) * 20, seed % drawings];
    const name = JSON.stringify([look, rough, kind]);
    const known = drawn.get(name) ?? store(look, rough, kind);
    drawn.set(name, known);
    return known;
  };
  const store = async (look: Look, noise: number, seed: number): Promise<ArtifactRef> => {
    const bytes = await draw(look, noise, seed);
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { digest, mediaType: 'image/png', bytes: bytes.length, derivedFrom: [] };
  };
  const manifest = manifestOf(opt);
  const items: IndexedItem[] = [];
  const records: ItemRecord[] = [];
  for (let position = 0; position < n; position++) {
    const id = position === 1 ? 'creature/<b>0001</b>' : `creature-${String(600 + position * 7).padStart(4, '0')}`;
    const look = lookOf(position);
    const caption = position === 1 ? HOSTILE : `a small ${position % 3 ? look.colour : 'cartoon'} creature`;
    const item: IndexedItem = {
      offset: n - 1 - position,
      position,
      id,
      key: itemKey(id),
      caption,
      trueImage: await put(look, 0, position),
      feedback: {},
      strata: {},
      trainedOn: position === 5 ? ['./models/packs/creatures/diffusion'] : [],
      source: { file: 'metadata.jsonl', line: position + 1 },
    };
    items.push(item);
    if (position === n - 1) continue; // still to come: `pending`
    records.push(await recordOf(manifest, item, look, put));
  }
  const skipped: SkippedRow[] = [
    {
      position: n,
      id: 'creature-0999',
      key: itemKey('creature-0999'),
      caption: '',
      reason: 'the caption is empty',
      source: { file: 'metadata.jsonl', line: n + 1 },
    },
  ];
  const texts = new Map<Digest, string>();
  return {
    manifest,
    items: [...items].reverse(),
    records,
    skipped,
    ledger: ledgerOf(records),
    readText: (value: TextValue) => Promise.resolve(value.text ?? texts.get(value.ref!.digest)!),
    readBlob: (digest) => {
      const bytes = blobs.get(digest);
      return bytes ? Promise.resolve(bytes) : Promise.reject(new Error(`no artifact ${digest}`));
    },
  };
}

function lookOf(position: number): Look {
  const colours = Object.keys(COLOURS) as Array<keyof typeof COLOURS>;
  return { colour: colours[position % colours.length]!, ears: EARS[(position * 5) % EARS.length]!, background: '#ffffff' };
}

async function recordOf(
  manifest: RunManifest,
  item: IndexedItem,
  look: Look,
  put: (look: Look, noise: number, seed: number) => Promise<ArtifactRef>,
): Promise<ItemRecord> {
  const { position, id, key, caption } = item;
  const random = uniform(seedOf(3, id, 0));
  const gauss = () => Math.sqrt(-2 * Math.log(random() || 1e-9)) * Math.cos(2 * Math.PI * random());
  const uncurable = position % 11 === 4;
  const round = async (index: number, similarity: number, drawNumber: number, near: Look, feedback: string[]): Promise<RoundOutcome> => ({
    round: index,
    draw: drawNumber,
    seed: seedOf(7, id, drawNumber),
    prompt: refiners.append(
      { text: caption },
      feedback.map((text) => ({ text })),
    ),
    feedback: feedback.length > 0 ? { text: feedback.at(-1)! } : null,
    image: await put(near, 14 + 90 * (1 - similarity), position * 100 + index * 10 + feedback.length + drawNumber),
    tokens: { used: Math.min(77, 9 + 14 * feedback.length), cut: position === 3 && index === 2 ? 6 : 0 },
    scores: {
      image_similarity: similarity,
      clip_text: 0.24 + 0.1 * similarity + 0.015 * gauss(),
      ssim: 0.2 + 0.5 * similarity + 0.03 * gauss(),
      psnr: 8 + 9 * similarity + 0.6 * gauss(),
    },
    steps: {},
  });
  const start = 0.62 + 0.07 * gauss();
  const other = lookOf(position + 2);
  const round0 = await round(0, start, 0, { ...other, background: '#d9e4ee' }, []);
  const written = [`It should be ${look.colour} with ${look.ears}.`, 'The background should be plain white.'];
  const shuffled = [`It should be ${other.colour} with ${other.ears}.`, 'It should look to the left and have a longer tail.'];
  const arms: ArmOutcome[] = [];
  for (const arm of manifest.recipe.arms) {
    const rounds = [round0];
    const texts = arm.feedback?.source === 'shuffled' ? shuffled : written;
    for (let index = 1; index <= 2; index++) {
      const lift = uncurable ? -0.03 : arm.name === 'written' ? 0.05 * index : arm.name === 'opt' ? 0.012 * index : 0;
      const near = arm.name === 'written' && !uncurable ? { ...look, background: index === 2 ? '#ffffff' : '#d9e4ee' } : other;
      const feedback = arm.feedback === null ? [] : texts.slice(0, index);
      rounds.push(await round(index, Math.min(0.99, start + lift + 0.035 * gauss()), arm.feedback === null ? index : 0, near, feedback));
    }
    const best = bestRound(rounds.map((r) => r.scores['clip_text']!));
    const gain = rounds[best]!.scores['image_similarity']! - start;
    const state = gain > 0 ? 'improved' : gain < 0 ? 'worse' : 'unchanged';
    arms.push({
      name: arm.name,
      repeat: 0,
      oracle: arm.oracle,
      state,
      rounds,
      best: { round: best },
      stopped: { round: best, reason: 'rounds' },
    });
  }
  const base = { id, key, position, steps: { executed: 20, cached: 0, retried: 0 }, spent: { images: 7, seconds: 9, usd: 0 } };
  if (position === 7) {
    const failure = {
      type: 'ModelOutputInvalid',
      message: 'the picture is all <black>',
      step: 'generate' as const,
      arm: 'written',
      round: 1,
      attempt: 3,
    };
    const failed = arms.map((a) =>
      a.name === 'written'
        ? {
            ...a,
            state: 'failed' as const,
            rounds: a.rounds.slice(0, 1),
            best: { round: 0 },
            stopped: { round: 0, reason: 'failed' as const },
            failure,
          }
        : a,
    );
    return { ...base, state: 'failed', arms: failed, failure };
  }
  const improved = arms.some((a) => a.state === 'improved' && a.name === 'opt');
  return { ...base, state: uncurable ? 'uncurable' : improved ? 'improved' : 'unchanged', arms };
}

function manifestOf(opt: boolean): RunManifest {
  const arm = (name: string, oracle: boolean, feedback: ArmRecipe['feedback']): ArmRecipe => ({
    name,
    oracle,
    feedback,
    refine: 'append',
    feedbackWeight: 0.5,
    seeds: 'keep',
  });
  const digest = (name: string) => `sha256:${sha256Hex(name)}` as const;
  const pack = './models/packs/creatures';
  return {
    formatVersion: 1,
    runId: 'creatures-demo',
    recipe: {
      name: 'creatures',
      dataset: {
        uri: './examples/datasets/creatures',
        split: 'test',
        sample: { n: 24, seed: 7 },
        limit: null,
        columns: { id: 'id', caption: 'text', image: 'file_name', feedback: 'feedback' },
        strata: [],
      },
      seed: 7,
      generator: {
        model: `${pack}/diffusion`,
        scheduler: 'ddim',
        numInferenceSteps: 20,
        guidanceScale: 5,
        negativePrompt: '',
        height: null,
        width: null,
        provider: 'cpu',
      },
      rounds: 2,
      arms: [
        arm('control', false, null),
        arm('written', true, { source: 'dataset', column: 'feedback' }),
        arm('placebo', false, { source: 'shuffled', from: 'written' }),
        ...(opt ? [arm('opt', false, { source: 'dataset', column: 'opt' })] : []),
      ],
      scores: {
        select: { metric: 'clip_text', model: `${pack}/selector` },
        primary: { metric: 'image_similarity', model: `${pack}/similarity` },
        report: [
          { metric: 'ssim', model: null },
          { metric: 'psnr', model: null },
        ],
      },
      stop: { target: null, patience: null, minGain: 0 },
      gate: { score: null },
      batching: 'exact',
      executionProvider: 'cpu',
      repeats: 1,
      glossary: {},
      budget: { images: null, seconds: null, usd: null },
    },
    recipeDigest: digest('recipe'),
    datasetUri: 'file:///somewhere/else/examples/datasets/creatures',
    models: {
      [`${pack}/diffusion`]: { path: '/somewhere/else/diffusion', digest: digest('diffusion'), trainedOn: [digest('a')] },
      [`${pack}/selector`]: { path: '/somewhere/else/selector', digest: digest('selector'), trainedOn: [] },
      [`${pack}/similarity`]: { path: '/somewhere/else/similarity', digest: digest('similarity'), trainedOn: [] },
    },
    runtime: { engine: 'onnxruntime', version: '1.30.0', provider: 'cpu', precision: 'float32', batching: 'exact' },
    software: { name: 'refineloop', version: '0.1.0' },
    createdAt: '2026-01-02T03:04:05.000Z',
  };
}

function ledgerOf(records: readonly ItemRecord[]): LedgerRow[] {
  return records.flatMap((record) =>
    record.arms.flatMap((arm) =>
      arm.rounds.slice(1).flatMap(({ round }) =>
        (['generate', 'embed', 'score'] as const).map((step): LedgerRow => ({
          step,
          item: record.id,
          arm: arm.name,
          round,
          draw: 0,
          key: `${record.key}-${arm.name}-${round}-${step}`,
          attempt: 1,
          status: 'completed',
          device: step === 'generate' ? 'cpu' : null,
          seconds: step === 'generate' ? 1.25 : 0.05,
          tokens: null,
          bytes: 9000,
          usd: null,
          error: null,
        })),
      ),
    ),
  );
}

/** A creature of 64 x 64 pixels as a PNG; `noise` 0 to 60 roughens it as a weak generator would. */
async function draw(look: Look, noise: number, seed: number): Promise<Uint8Array> {
  const colour = COLOURS[look.colour];
  const ears: Record<Look['ears'], string> = {
    'round ears': '<circle cx="20" cy="16" r="7"/><circle cx="44" cy="16" r="7"/>',
    'long ears': '<ellipse cx="23" cy="12" rx="4" ry="12"/><ellipse cx="41" cy="12" rx="4" ry="12"/>',
    horns: '<path d="M18 20 L14 4 L26 16Z M46 20 L50 4 L38 16Z"/>',
    'no ears': '',
  };
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="64" height="64" fill="${look.background}"/>
    <g fill="${colour}" stroke="#222" stroke-width="1.5">${ears[look.ears]}<ellipse cx="32" cy="46" rx="19" ry="14"/><circle cx="32" cy="26" r="15"/></g>
    <g fill="#fff" stroke="#222"><circle cx="26" cy="24" r="4"/><circle cx="38" cy="24" r="4"/></g><circle cx="27" cy="25" r="1.8"/><circle cx="39" cy="25" r="1.8"/></svg>`;
  const { data, info } = await sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const random = uniform(seedOf(11, 'drawing', seed));
  for (let i = 0; i < data.length; i++) data[i] = Math.max(0, Math.min(255, data[i]! + (random() - 0.5) * 2 * noise));
  return sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } })
    .png()
    .toBuffer();
}
