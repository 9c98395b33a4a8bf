import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ActivityServices, type TrainingContext } from '../services.js';
import { trainingStep } from './recorded-step.js';

const folder = mkdtempSync(join(tmpdir(), 'refineloop-recorded-step-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a worker with another training program than the training was started with refuses it', async () => {
  for (const script of ['train', 'export', 'measure']) writeFileSync(join(folder, `${script}.py`), '');
  const services = new ActivityServices({ host: null, worker: 'test', trainer: folder });
  const digest = `sha256:${'0'.repeat(64)}`;
  const recipe = {
    kind: 'opt',
    parameters: { lora: { r: 1, alpha: 2 }, device: 'cpu', precision: 'fp32' },
    grid: { learningRate: [], loraR: [] },
  };
  const step = (code: string) => {
    const manifest = { trainingId: 't', recipe, code, base: { digest }, data: { folder: { digest } }, imageEncoder: null };
    return trainingStep(services, { manifest } as unknown as TrainingContext, 'train', 0, []);
  };
  expect((await step((await services.trainer()).digest)).key).toMatch(/^[0-9a-f]{64}$/);
  await expect(step(digest)).rejects.toMatchObject({ code: 'InvalidInput', message: expect.stringContaining('--trainer') });
});
