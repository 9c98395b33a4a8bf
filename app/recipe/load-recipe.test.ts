import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadRecipe } from './load-recipe.js';
import { RecipeError, formatIssue } from './recipe-error.js';
import { FULL_RECIPE, issuesOf, recipeFolder } from './test-recipe.js';

let folder: Awaited<ReturnType<typeof recipeFolder>>;
beforeAll(async () => {
  folder = await recipeFolder();
});
const BLIP2 = '{ name: blip2, candidates: 2, feedback: { source: blip2, model: ../pack/selector } }';
afterAll(() => folder.remove());

const MINIMAL = `name: tiny
dataset: { uri: ./data }
generator: { model: ../pack/diffusion }
arms: [{ name: control }]
`;

/** `line field: message` of everything that is wrong. */
async function refusal(text: string, overrides: string[] = []): Promise<string[]> {
  const issues = await issuesOf(loadRecipe(await folder.write(text), overrides));
  return issues.map((issue) => `${issue.line ?? issue.file} ${issue.field}: ${issue.message}`);
}

const edited = (from: string | RegExp, to: string) => FULL_RECIPE.replace(from, to);

test('an arm that edits its pictures: its placebo does, too; not the control, and not without a step to make', async () => {
  const text = (strength: number, arm = 'written') => `name: edits
dataset: { uri: ./data }
generator: { model: ../pack/diffusion, num_inference_steps: 10, prompt_weights: true, vae_tiling: true }
arms:
  - { name: control${arm === 'control' ? `, strength: ${strength}` : ''} }
  - { name: written, oracle: true, feedback: { source: dataset }${arm === 'written' ? `, strength: ${strength}` : ''} }
  - { name: placebo, feedback: { source: shuffled, from: written } }
`;
  const { recipe } = await loadRecipe(await folder.write(text(0.6)));
  expect(recipe.arms.map(({ strength }) => strength)).toEqual([undefined, 0.6, 0.6]);
  expect(recipe.generator).toMatchObject({ promptWeights: true, vaeTiling: true });
  expect(await refusal(text(0.05))).toEqual([
    expect.stringMatching(/^6 arms\[1\].strength: 0.05 of 10 steps leaves none to make: at least 0.10$/),
  ]);
  expect(await refusal(text(0.6, 'control'))).toEqual([expect.stringMatching(/^5 arms\[0\].strength: the control draws new images/)]);
});

test('fills in every default and keeps paths as written', async () => {
  const loaded = await loadRecipe(await folder.write(MINIMAL));
  expect(loaded.recipe).toEqual({
    name: 'tiny',
    repeats: 1,
    glossary: {},
    dataset: {
      uri: './data',
      split: null,
      sample: null,
      limit: null,
      columns: { id: 'id', caption: 'text', image: 'file_name', feedback: 'feedback' },
      strata: [],
    },
    seed: 0,
    generator: {
      model: '../pack/diffusion',
      provider: 'onnx',
      scheduler: null,
      numInferenceSteps: 50,
      guidanceScale: 7.5,
      negativePrompt: '',
      height: null,
      width: null,
    },
    rounds: 2,
    arms: [{ name: 'control', oracle: false, feedback: null, refine: 'append', feedbackWeight: 0.5, seeds: 'keep' }],
    scores: {
      select: { metric: 'clip_text', model: '../pack/selector' },
      primary: { metric: 'image_similarity', model: '../pack/similarity' },
      report: [
        { metric: 'ssim', model: null },
        { metric: 'psnr', model: null },
      ],
    },
    stop: { target: null, patience: null, minGain: 0 },
    gate: { score: null },
    executionProvider: 'cpu',
    batching: 'exact',
    budget: { images: null, seconds: null, usd: null },
  });
  expect(loaded.placement).toBeUndefined();
  expect(loaded.baseDir).toBe(join(folder.root, 'recipes'));
  expect(loaded.storeUri).toBe(pathToFileURL(join(folder.root, 'recipes', 'runs')).href);
  expect(loaded.resolvePath('../pack')).toBe(join(folder.root, 'pack'));
});

test('reads a recipe that gives every field', async () => {
  const { recipe } = await loadRecipe(await folder.write(FULL_RECIPE));
  expect(recipe.generator.numInferenceSteps).toBe(20);
  expect(recipe.arms.map((arm) => arm.feedback?.source ?? null)).toEqual([null, 'dataset', 'shuffled']);
  expect(recipe.stop).toEqual({ target: 0.9, patience: 1, minGain: 0 });
});

test('the example recipe passes beside a complete pack', async () => {
  const root = join(folder.root, 'checkout');
  for (const model of ['diffusion', 'selector', 'similarity', 'vit-mae', 'opt'])
    await mkdir(join(root, 'models/packs/creatures', model), { recursive: true });
  await writeFile(join(root, 'models/packs/creatures/pack.json'), '{}');
  const file = join(root, 'examples/recipes/creatures.yaml');
  await cp('examples/recipes/creatures.yaml', file, { recursive: true });
  const { recipe, storeUri, resolvePath } = await loadRecipe(file);
  expect(storeUri).toBe(pathToFileURL(join(root, 'runs')).href);
  expect(resolvePath(recipe.dataset.uri)).toBe(join(root, 'examples/datasets/creatures'));
  expect(recipe.scores.select.model).toBe('../../models/packs/creatures/selector');
  expect(recipe.arms.map((arm) => arm.name)).toEqual(['control', 'opt', 'opt-placebo', 'written', 'placebo']);
});

test('critics on the own devices hold only the decoding that differs, so that recipes which say nothing of it stay what they were', async () => {
  const arms = [
    '{ name: opt, feedback: { source: opt, model: ../pack/selector, image_encoder: ../pack/selector } }',
    '{ name: blip2, feedback: { source: blip2, model: ../pack/selector, num_beams: 5, stop_strings: ["\\n"], top_k: null, temperature: 1 } }',
    '{ name: vlm, feedback: { source: vlm, model: ../pack/selector, do_sample: true, max_new_tokens: 9 } }',
  ];
  const { recipe } = await loadRecipe(await folder.write(MINIMAL.replace('{ name: control }', arms.join(', '))));
  expect(recipe.arms.map(({ feedback }) => feedback)).toEqual([
    { source: 'opt', model: '../pack/selector', imageEncoder: '../pack/selector', memory: false, maxNewTokens: 64 },
    {
      source: 'blip2',
      model: '../pack/selector',
      prompt: expect.stringMatching(/^Question: .* caption '\{caption\}'\. .* Answer:$/),
      memory: false,
      maxNewTokens: 64,
      decoding: { numBeams: 5, stopStrings: ['\n'] },
    },
    { source: 'vlm', model: '../pack/selector', instructions: null, memory: false, maxNewTokens: 9, decoding: { doSample: true } },
  ]);
});

test('candidates and swapped pictures stand in a recipe only where they are asked for; the placebos have what their arm has', async () => {
  const arms = async (...texts: string[]) =>
    (await loadRecipe(await folder.write(MINIMAL.replace('{ name: control }', texts.join(', '))))).recipe.arms;
  const placebo = '{ name: p, feedback: { source: shuffled, from: blip2 } }';
  const plain = await arms(BLIP2.replace('candidates: 2, ', ''), placebo);
  expect(
    await arms(BLIP2.replace('candidates: 2', 'candidates: 1'), placebo.replace('from: blip2', 'from: blip2, swap: feedback')),
  ).toEqual(plain);
  expect(plain.map((arm) => 'candidates' in arm)).toEqual([false, false]);
  expect(plain[1]!.feedback).toEqual({ source: 'shuffled', from: 'blip2' });
  const asked = await arms(BLIP2, placebo.replace('from: blip2', 'from: blip2, swap: picture'));
  expect(asked.map(({ candidates }) => candidates)).toEqual([2, 2]);
  expect(asked[1]!.feedback).toEqual({ source: 'shuffled', from: 'blip2', swap: 'picture' });
  // Its critic writes where that of its arm does.
  const pinned = [BLIP2.replace('selector', 'selector, worker: small'), placebo, placebo.replace('p, ', 'q, ').replace('from: blip2', 'from: blip2, swap: picture')]; // prettier-ignore
  const { placement } = await loadRecipe(await folder.write(MINIMAL.replace('{ name: control }', pinned.join(', '))));
  expect(placement).toEqual({ feedback: { blip2: 'small', q: 'small' } });
});

test('a prompt of the paper is named, and stands in the recipe as its text', async () => {
  const load = async (prompt: string) =>
    (await loadRecipe(await folder.write(MINIMAL.replace('{ name: control }', BLIP2.replace('pack/selector', `pack/selector${prompt}`)))))
      .recipe;
  expect(await load(', prompt: paper-blip2')).toEqual(await load(''));
  expect((await load(', prompt: "What of {caption}?"')).arms[0]!.feedback).toMatchObject({ prompt: 'What of {caption}?' });
});

test('overrides take YAML values, numbers and names of list entries', async () => {
  const { recipe } = await loadRecipe(await folder.write(FULL_RECIPE), [
    'generator.num_inference_steps=4',
    'dataset.sample=null',
    'dataset.limit=3',
    'arms.written.refine=prepend',
    'arms.2.name=sham',
    'scores.report=[psnr]',
    'generator.negative_prompt=a=b',
  ]);
  expect(recipe.generator).toMatchObject({ numInferenceSteps: 4, negativePrompt: 'a=b' });
  expect(recipe.dataset).toMatchObject({ sample: null, limit: 3 });
  expect(recipe.arms.map((arm) => `${arm.name} ${arm.refine}`)).toEqual(['control append', 'written prepend', 'sham prepend']);
  expect(recipe.scores.report).toEqual([{ metric: 'psnr', model: null }]);
});

test('workers that it names are no part of the recipe', async () => {
  const opt = 'arms.3={name: opt, feedback: {source: opt, model: ../pack/selector, image_encoder: ../pack/similarity}}';
  const plain = await loadRecipe(await folder.write(FULL_RECIPE), [opt]);
  const pins = ['generator.worker=big', 'arms.opt.feedback.worker=small', 'scores.worker=small'];
  const pinned = await loadRecipe(await folder.write(FULL_RECIPE), [opt, ...pins]);
  expect(pinned.placement).toEqual({ generate: 'big', feedback: { opt: 'small' }, score: 'small' });
  expect(pinned.recipe).toEqual(plain.recipe);
});

test('a placebo does with feedback what its arm does; a rewrite replaces the caption', async () => {
  const text = edited('refine: append', 'refine: blend\n    feedback_weight: 0.7\n    seeds: new');
  const { recipe } = await loadRecipe(await folder.write(text), [
    'arms.3={name: writer, feedback: {source: rewrite, base_url: "http://localhost:1/v1", model: m}}',
    'arms.4={name: writer-placebo, feedback: {source: shuffled, from: writer}}',
    'arms.5={name: own-way, feedback: {source: shuffled, from: written}, refine: prepend}',
  ]);
  const how = recipe.arms.map(({ name, refine, feedbackWeight, seeds }) => [name, refine, feedbackWeight, seeds].join(' '));
  expect(how).toEqual([
    'control append 0.5 keep',
    'written blend 0.7 new',
    'placebo blend 0.7 new',
    'writer replace 0.5 keep',
    'writer-placebo replace 0.5 keep',
    'own-way prepend 0.7 new',
  ]);
});

test('names everything that is wrong, in the order of the file, options last', async () => {
  const text = edited('num_inference_steps', 'num_inference_step')
    .replace('rounds: 2', 'rounds: many')
    .replace('from: written', 'from: writen');
  expect(await refusal(text, ['generator.wdth=8', 'arms.9.name=x'])).toEqual([
    '19 generator.num_inference_step: unknown key; did you mean num_inference_steps?',
    '24 rounds: expected a whole number from 1 to 20; got text "many"; leave it out for the default, 2',
    '37 arms[2].feedback.from: there is no arm named writen; the arms are control, written, placebo',
    '--set generator.wdth=8 generator.wdth: unknown key; did you mean width?',
    '--set arms.9.name=x arms.9.name: arms has no entry `9`; name one of its 3 by number (from 0) or name',
  ]);
});

test.each([
  ['missing keys', 'name: x\n', ['1 dataset: missing', '1 generator: missing', '1 arms: missing']],
  [
    'a missing key in a mapping',
    MINIMAL.replace('{ uri: ./data }', '{ split: test }'),
    ['2 dataset.uri: missing; text is needed, as in `uri:'],
  ],
  ['an empty file', '', ['1 : the file is empty']],
  ['a list', '- a\n', ['1 : the file holds no mapping']],
  ['YAML that is none', 'name: x\narms: [\nseed: 1\n', ['not valid YAML']],
  ['a key given twice', 'name: x\nseed: 1\nseed: 2\n', ['3 : not valid YAML: Map keys must be unique']],
  [
    'a quoted number',
    edited('seed: 7\ngenerator', 'seed: "7"\ngenerator'),
    ['14 seed: expected a whole number from 0 to 4294967295; got text "7"; remove the quotes'],
  ],
  ['too many rounds', edited('rounds: 2', 'rounds: 21'), ['24 rounds: expected a whole number from 1 to 20; got 21']],
  [
    'an odd size',
    edited('width: 64', 'width: 65'),
    ['23 generator.width: expected a whole number from 8 to 8192, a multiple of 8, or nothing; got 65'],
  ],
  [
    'a misspelt choice',
    edited('ddim', 'ddin'),
    [
      '18 generator.scheduler: expected one of ddim, pndm, euler, euler_a, dpmsolver++, dpmsolver++_karras, unipc, lcm, or nothing; got text "ddin"; did you mean ddim?',
    ],
  ],
  [
    'a misspelt metric',
    edited('clip_text', 'clip_txt'),
    [
      '39 scores.select: expected one of clip_text, image_similarity, clip_image, dinov2, vit_mae, lpips, vqa, ssim, psnr; got text "clip_txt"; did you mean clip_text?',
    ],
  ],
  [
    'a misspelt source',
    edited('source: dataset', 'source: datset'),
    [
      '31 arms[1].feedback.source: expected one of dataset, shuffled, opt, blip2, vlm, chat, rewrite; got text "datset"; did you mean dataset?',
    ],
  ],
  ['no arms', edited(/arms:\n[^]*scores:/, 'arms: []\nscores:'), ['25 arms: expected at least 1 entry; got none']],
  ['a name with a space', edited('name: full', 'name: my run'), ['1 name: expected letters, digits']],
  [
    'a long name',
    edited('name: full', `name: ${'x'.repeat(56)}`),
    ['1 name: expected at most 55 characters, because ids are made of it; got 56'],
  ],
  [
    'select with the true image',
    edited('select: clip_text', 'select: ssim'),
    ['39 scores.select: ssim needs the true image, which the selector may not see; use clip_text'],
  ],
  [
    'primary = select',
    edited(/primary:[^]*similarity\n {2}report/, 'primary: clip_text\n  report'),
    ['40 scores.primary: clip_text is also what select uses'],
  ],
  [
    'primary with the model of select',
    edited('model: ../pack/similarity', 'model: ../recipes/../pack/selector'),
    ['40 scores.primary: uses ../recipes/../pack/selector, the model of select'],
  ],
  [
    "primary with a critic's model",
    edited('scores:', '  - name: critic\n    feedback: { source: vlm, model: ../pack/../pack/similarity }\nscores:'),
    ['42 scores.primary: uses ../pack/similarity, the model that writes the feedback of arm critic'],
  ],
  ['a target out of range', edited('target: 0.9', 'target: 90'), ['45 stop.target: 90 is outside the range of clip_text, -1 to 1']],
  ['a gate out of range', edited('score: 0.9', 'score: -1.5'), ['49 gate.score: -1.5 is outside the range of clip_text, -1 to 1']],
  ['arms of one name', edited('name: placebo', 'name: written'), ['34 arms[2].name: a second arm named written']],
  ['two controls', edited('arms:', 'arms:\n  - name: other'), ['27 arms[1]: a second control (no feedback), beside other']],
  [
    'a placebo of the control',
    edited('from: written', 'from: control'),
    ['37 arms[2].feedback.from: arm control is the control and has no feedback'],
  ],
  ['sample and limit', edited('split: test', 'limit: 3'), ['4 dataset.limit: give either sample or limit, not both']],
  [
    'a source of later',
    edited('source: dataset', 'source: human'),
    ['31 arms[1].feedback.source: feedback source `human` is not in this version yet'],
  ],
  [
    'a critic without its models',
    edited('source: dataset', 'source: opt'),
    [
      '30 arms[1].feedback.model: missing; text is needed',
      '30 arms[1].feedback.image_encoder: missing; text is needed',
      'column: unknown key',
    ],
  ],
  [
    'beams that are sampled',
    MINIMAL.replace(
      '{ name: control }',
      '{ name: b, feedback: { source: blip2, model: ../pack/selector, num_beams: 2, do_sample: true } }',
    ),
    ['arms[0].feedback.num_beams: beams are searched, not sampled; give either num_beams or do_sample'],
  ],
  [
    'a question without the caption',
    MINIMAL.replace('{ name: control }', '{ name: b, feedback: { source: blip2, model: ../pack/selector, prompt: what } }'),
    ['arms[0].feedback.prompt: must hold `{caption}` where the caption goes'],
  ],
  [
    "OPT's question to a BLIP-2",
    MINIMAL.replace('{ name: control }', '{ name: b, feedback: { source: blip2, model: ../pack/selector, prompt: paper-opt } }'),
    ['arms[0].feedback.prompt: must hold `{caption}` where the caption goes, and no `{image}`'],
  ],
  ...(
    [
      ['the control', '{ name: c, candidates: 2 }', 'candidates: the control draws as many images as the others make by itself'],
      ['a look-up', '{ name: w, candidates: 2, feedback: { source: dataset } }', 'candidates: feedback that is only looked up is one text'],
      [
        'an endpoint without a temperature',
        '{ name: v, candidates: 2, feedback: { source: chat, base_url: "http://localhost/v1", model: m } }',
        'candidates: candidates are sampled; give the model a temperature above 0',
      ],
    ] as const
  ).map(([what, arm, message]): [string, string, string[]] => [
    `candidates of ${what}`,
    MINIMAL.replace('{ name: control }', arm),
    [`arms[0].${message}`],
  ]),
  [
    'a placebo with other candidates than its arm',
    MINIMAL.replace('{ name: control }', `${BLIP2}, { name: p, candidates: 3, feedback: { source: shuffled, from: blip2 } }`),
    ['arms[1].candidates: a placebo has the candidates of its arm, blip2: leave it out here'],
  ],
  [
    'a swapped picture of an arm that looks at none',
    MINIMAL.replace(
      '{ name: control }',
      '{ name: w, feedback: { source: dataset } }, { name: p, feedback: { source: shuffled, from: w, swap: picture } }',
    ),
    ['arms[1].feedback.swap: arm w looks at no picture that could be swapped'],
  ],
  [
    'a BLIP-2 that is not there',
    MINIMAL.replace('{ name: control }', '{ name: b, feedback: { source: blip2, model: ./none } }'),
    ['arms[0].feedback.model: there is no folder ./none'],
  ],
  [
    'a critic that is not there',
    MINIMAL.replace('{ name: control }', '{ name: opt, feedback: { source: opt, model: ./none, image_encoder: ../pack/selector } }'),
    ['arms[0].feedback.model: there is no folder ./none'],
  ],
  [
    'an endpoint that is none',
    MINIMAL.replace('{ name: control }', '{ name: vlm, feedback: { source: chat, base_url: localhost, model: m } }'),
    ['arms[0].feedback.base_url: expected a URL'],
  ],
  [
    'a provider',
    MINIMAL.replace('{ model: ../pack/diffusion }', '{ provider: openai-compatible, base_url: x, model: y }'),
    ['3 generator.provider: generator provider `openai-compatible` is not in this version yet'],
  ],
  [
    'a pixel score with a model',
    edited('report: [ssim, psnr]', 'report: [{ metric: ssim, model: ../pack/selector }]'),
    ['43 scores.report[0].model: ssim compares pixels'],
  ],
  ['a store that is none', edited('file:./runs', 'ftp://x'), ['13 store: "ftp://x" is no store']],
  [
    'a generator that is not there',
    edited('../pack/diffusion', '../pack/difusion'),
    ['16 generator.model: there is no folder ../pack/difusion'],
  ],
  [
    'a score model that is not there',
    edited('../pack/similarity', '../pack/none'),
    ['42 scores.primary.model: there is no folder ../pack/none'],
  ],
  [
    'a generator without a pack',
    MINIMAL.replace('../pack', '../lone'),
    [
      '1 scores.select: clip_text needs a model and generator.model is not in a pack (a folder with pack.json); name one, as in `select: { metric: clip_text, model: ./my-encoder }`',
      '1 scores.primary: image_similarity needs a model',
    ],
  ],
])('refuses %s', async (_, text, expected) => {
  const issues = await refusal(text);
  for (const part of expected) expect(issues).toContainEqual(expect.stringContaining(part));
  expect(issues.length).toBeLessThanOrEqual(expected.length + 1);
});

test('refuses overrides by the name of the option', async () => {
  expect(await refusal(MINIMAL, ['rounds', 'rounds=30', 'seed.x=1', '__proto__.x=1', 'arms=[', 'store='])).toEqual([
    '--set __proto__.x=1 __proto__: unknown key; known here: name, dataset, store, seed, generator, rounds, arms, scores, stop, gate, execution_provider, batching, repeats, glossary, budget',
    '--set store= store: expected text; got nothing; leave it out for the default, "file:./runs"',
    '--set seed.x=1 seed: expected a whole number from 0 to 4294967295; got a mapping; leave it out for the default, 0',
    '--set rounds=30 rounds: expected a whole number from 1 to 20; got 30; leave it out for the default, 2',
    expect.stringContaining('--set rounds : expected key=value'),
    expect.stringContaining('--set arms=[ arms: the value is not valid YAML'),
  ]);
});

test('a file that is not there, and a folder', async () => {
  const error = await loadRecipe('none.yaml').catch((e: unknown) => e);
  expect(error).toBeInstanceOf(RecipeError);
  expect((error as RecipeError).message).toBe('none.yaml: there is no such file');
  expect((error as RecipeError).code).toBe('InvalidInput');
  expect((await issuesOf(loadRecipe(folder.root))).map(formatIssue)).toEqual([`${folder.root}: is a folder; name the recipe file in it`]);
});
