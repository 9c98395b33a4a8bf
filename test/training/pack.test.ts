/** Making the bundled pack: a training that is killed goes on from its checkpoint to the same weights, and a stage of other makings does not. */
import { jest } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { ROOT, scratch } from '../support/cli.js';
import { PACK } from '../support/small-recipe.js';
import { python } from '../support/training.js';

jest.setTimeout(600_000);

const STEPS = 40;
const folder = scratch();

/** The text encoder's training, in small: two processes of its own, a checkpoint after each step. */
function train(out: string): ChildProcess {
  const script = join(ROOT, 'models/training/train_text_encoder.py');
  const options = ['--steps', String(STEPS), '--batch', '2', '--checkpoint-seconds', '0'];
  return spawn(python(), [script, join(PACK, 'diffusion/tokenizer'), join(folder, out), ...options], { stdio: 'ignore' });
}

const weights = (out: string) =>
  createHash('sha256')
    .update(readFileSync(join(folder, out, 'model.safetensors')))
    .digest('hex');

test('a training that is killed ends with the weights of one that was not', async () => {
  const whole = train('whole');
  expect(await once(whole, 'close')).toEqual([0, null]);
  const checkpoint = join(folder, 'killed.checkpoint');
  const child = train('killed');
  while (!existsSync(checkpoint)) await sleep(20);
  child.kill('SIGKILL');
  await once(child, 'close');
  await sleep(2000); // its processes see that they are alone
  expect(existsSync(join(folder, 'killed'))).toBe(false);
  expect(await once(train('killed'), 'close')).toEqual([0, null]);
  expect(existsSync(checkpoint)).toBe(false);
  expect(weights('killed')).toBe(weights('whole'));
});

test('a stage goes on where it was interrupted, and begins anew where it is made from something else', () => {
  const [build, record, checkpoint] = [
    join(folder, 'build'),
    join(folder, 'build/records/tokenizer.json'),
    join(folder, 'build/tokenizer.checkpoint'),
  ];
  const made = () => {
    const { stdout, stderr } = spawnSync(python(), ['build_all.py', '--smoke', '--build', build, '--until', 'tokenizer'], {
      cwd: join(ROOT, 'models/training'),
      encoding: 'utf8',
    });
    return stdout + stderr;
  };
  expect(made()).toContain('[tokenizer] done');
  expect(made()).toContain('[tokenizer] finished before');
  const finished = JSON.parse(readFileSync(record, 'utf8')) as Record<string, string>;
  const { outputs: _, ...begun } = finished;
  writeFileSync(checkpoint, 'of the one that was interrupted');
  writeFileSync(record, JSON.stringify(begun));
  expect(made()).toContain('[tokenizer] done');
  expect(existsSync(checkpoint)).toBe(true);
  writeFileSync(record, JSON.stringify({ ...begun, code: 'another' }));
  expect(made()).toContain('[tokenizer] done');
  expect(existsSync(checkpoint)).toBe(false);
  expect(JSON.parse(readFileSync(record, 'utf8'))).toEqual(finished);
});
