import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkGenerator, type GeneratorUse } from './check-generator.js';

const SD1 = fileURLToPath(new URL('../../../models/reference/goldens/diffusion-models/sd1', import.meta.url));
const USE: GeneratorUse = { scheduler: null, numInferenceSteps: 20, height: null, width: null, strengths: [] };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'generator-'));
  await cp(SD1, folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

async function change(path: string, fields: object): Promise<void> {
  const file = join(folder, path);
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), ...fields }));
}

const SCHEDULER = 'scheduler/scheduler_config.json';

test('what the folder can do passes', async () => {
  await expect(checkGenerator(folder, { ...USE, height: 40, width: 24, strengths: [0.3, 1] })).resolves.toBeUndefined();
});

/** Fields of the folder's files that are changed first. */
type Changes = Record<string, object>;

test.each<[string, Partial<GeneratorUse>, RegExp, Changes]>([
  [
    'an edit by pndm with Runge-Kutta steps',
    { strengths: [0.5] },
    /pndm without skip_prk_steps cannot begin later/,
    { [SCHEDULER]: { skip_prk_steps: false } },
  ],
  ['a strength that leaves no step', { strengths: [0.04] }, /strength 0.04 of 20 steps leaves none/, {}],
  ['steps beyond those of training', { numInferenceSteps: 1000 }, /num_inference_steps 1000 with steps_offset 1 goes beyond/, {}],
  ['more steps than the model was distilled with', { scheduler: 'lcm', numInferenceSteps: 51 }, /from 1 to 50, got 51/, {}],
  [
    'a scheduler that is not there',
    {},
    /scheduler HeunDiscreteScheduler is not supported/,
    { [SCHEDULER]: { _class_name: 'HeunDiscreteScheduler' } },
  ],
  ['a size that the UNet cannot halve', { height: 34 }, /height must be a positive multiple of 4 for this model.*got 34/, {}],
  [
    'a UNet that sees a mask, too',
    {},
    /in_channels is 9, the VAE's latents have 4: .* not supported/,
    { 'unet/config.json': { in_channels: 9 } },
  ],
])('%s is refused before a run', async (_, use, message, changes) => {
  for (const [file, fields] of Object.entries(changes)) await change(file, fields);
  await expect(checkGenerator(folder, { ...USE, ...use })).rejects.toMatchObject({ code: 'InvalidInput' });
  await expect(checkGenerator(folder, { ...USE, ...use })).rejects.toThrow(message);
});
