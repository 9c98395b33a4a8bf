/** Trainings by the command line, on a real server, with a real program: to the end, recorded, suspended, refused. */
import { jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadPack } from '../../engine/inference/index.js';
import { openStore } from '../../engine/storage/index.js';
import type { TrainingStatus } from '../../app/client/training-status.js';
import { cli, cliJson, scratch, startCli } from '../support/cli.js';
import { processesNaming, until } from '../support/processes.js';
import { TRAINER, writeFeedbackSet, writeTraining } from '../support/small-training.js';

jest.setTimeout(240_000);

interface TrainDocument extends TrainingStatus {
  out: string | null;
  arm: { name: string; feedback: Record<string, string> } | null;
}

const PORTS = ['--port', '0'];
void PORTS;

test('a training runs to its end with nothing else given, and its pack is what a recipe can name', async () => {
  const folder = scratch();
  const recipe = writeTraining(folder);
  const items = writeFeedbackSet(join(folder, 'feedback'));
  const done = await cliJson<TrainDocument>(['train', recipe, ...TRAINER]);
  expect(done).toMatchObject({ state: 'completed', chosen: 0, failure: null, cells: [{ state: 'trained', step: 40 }] });
  expect(done.arm).toMatchObject({ name: 'letters', feedback: { source: 'opt', model: join(folder, 'pack/opt') } });

  const pack = join(folder, 'pack');
  expect((await cli(['models', 'verify', pack])).code).toBe(0);
  const { models } = await loadPack(pack);
  expect(models['opt']).toMatchObject({
    kind: 'causal-lm',
    trainedOn: { digests: expect.arrayContaining(items) },
    lineage: {
      training: done.trainingId,
      code: expect.stringMatching(/^sha256:/),
      parameters: { learningRate: 0.5, lora: { r: 4, alpha: 8 } },
    },
  });
  expect(readFileSync(join(pack, 'README.md'), 'utf8')).toMatch(/\| validationLoss\.untuned \| 3\.\d+ \|/);
  expect(readFileSync(join(pack, 'curve.svg'), 'utf8')).toMatch(/^<svg .*xmlns=/);

  const store = await openStore(join(folder, 'runs'));
  const result = (await store.training(done.trainingId).readResult())!;
  const curve = Buffer.from(await store.getArtifact(result.curve)).toString('utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as { step: number; loss?: number }); // prettier-ignore
  expect(curve.filter((point) => point.loss !== undefined).map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  expect(curve[0]!.loss).toBeGreaterThan(curve.findLast((point) => point.loss !== undefined)!.loss!);
  expect(processesNaming(done.trainingId)).toEqual([]);

  // The same once more is free: neither server nor program are started.
  const again = await cli(['train', recipe, '--trainer', TRAINER[1]!, '--python', '/there/is/none']);
  expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining('has ended already') });
});
