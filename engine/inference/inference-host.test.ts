import { jest } from '@jest/globals';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { GenerateRequest } from './host-protocol.js';
import { decodeCheckpoint, encodeCheckpoint, type Checkpoint } from './pipelines/checkpoint.js';
import { InferenceHost } from './inference-host.js';
import { TorchRandom } from './torch-random.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACK = join(ROOT, 'models/packs/creatures');
const MODEL = join(PACK, 'diffusion');
const HOST = join(ROOT, 'dist/engine/inference/inference-host.js');

const request = (extra: Partial<GenerateRequest> = {}): GenerateRequest => ({
  model: MODEL,
  prompt: 'a round green creature',
  negativePrompt: '',
  scheduler: null,
  numInferenceSteps: 4,
  guidanceScale: 5,
  seed: 1,
  height: null,
  width: null,
  ...extra,
});
const LONG = request({ numInferenceSteps: 900 });

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
async function gone(pid: number, withinMs = 3_000): Promise<boolean> {
  for (const end = Date.now() + withinMs; Date.now() < end; await sleep(20)) if (!isAlive(pid)) return true;
  return false;
}
/** A promise that the first progress event fulfils. */
function firstStep(): { onProgress: () => void; started: Promise<void> } {
  let onProgress = (): void => {};
  const started = new Promise<void>((resolve) => (onProgress = resolve));
  return { onProgress, started };
}

jest.setTimeout(60_000);

describe('InferenceHost', () => {
  let host: InferenceHost;
  beforeAll(() => (host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 })));
  afterAll(() => host.close());

  test('generates a PNG, reports each step, counts tokens; the same request gives the same bytes', async () => {
    const steps: [number, number][] = [];
    const first = await host.generate(request(), { onProgress: (...step) => steps.push(step) });
    expect(host.device).toBe('cpu:0');
    expect(steps).toEqual([1, 2, 3, 4].map((i) => [i, 4]));
    expect(first).toMatchObject({ width: 64, height: 64, tokens: { used: 6, cut: 0 } });
    expect(first.seconds).toBeGreaterThan(0);
    expect([...first.png.subarray(1, 4)]).toEqual([...Buffer.from('PNG')]);
    const again = await host.generate(request());
    expect(Buffer.from(again.png).equals(first.png)).toBe(true);
    const other = await host.generate(request({ seed: 2 }));
    expect(Buffer.from(other.png).equals(first.png)).toBe(false);
  });

  test('of a negative prompt that is too long the tokens that are cut are told, where it is used at all', async () => {
    const negativePrompt = 'round '.repeat(80);
    expect((await host.generate(request({ negativePrompt }))).tokens).toEqual({ used: 6, cut: 0, negativeCut: 5 });
    expect((await host.generate(request({ negativePrompt, guidanceScale: 1 }))).tokens).toEqual({ used: 6, cut: 0 });
  });

  test('an own size, no guidance, the other scheduler', async () => {
    const reply = await host.generate(request({ height: 96, width: 64, guidanceScale: 1, scheduler: 'dpmsolver++' }));
    expect(reply).toMatchObject({ height: 96, width: 64 });
  });

  test.each([
    [{ model: '/no/such/model' }, 'InvalidInput', /model_index.json cannot be read/],
    [{ height: 65 }, 'InvalidInput', /height must be a positive multiple of 16 for this model.*got 65/],
    [{ numInferenceSteps: 0 }, 'InvalidInput', /num_inference_steps/],
  ] as const)('an error crosses with its code and message: %j', async (extra, code, message) => {
    const failure = host.generate(request(extra));
    await expect(failure).rejects.toMatchObject({ code });
    await expect(failure).rejects.toThrow(message);
  });

  test('a corrupt model file is named, and no crash', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'corrupt-'));
    try {
      await cp(MODEL, folder, { recursive: true });
      await writeFile(join(folder, 'unet/model.onnx'), 'this is no model');
      const failure = host.generate(request({ model: folder }));
      await expect(failure).rejects.toMatchObject({ code: 'InvalidInput' });
      await expect(failure).rejects.toThrow(/unet\/model.onnx cannot be loaded, it is corrupt/);
      await expect(host.generate(request())).resolves.toBeDefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('killed in mid-generation: that request crashes, the waiting one and the next run in a new child', async () => {
    const { onProgress, started } = firstStep();
    const running = host.generate(LONG, { onProgress });
    const waiting = host.generate(request());
    running.catch(() => {});
    await started;
    const { pid } = host;
    process.kill(pid!, 'SIGKILL');
    await expect(running).rejects.toMatchObject({ code: 'HostCrashed', message: expect.stringContaining('SIGKILL') });
    await expect(waiting).resolves.toMatchObject({ width: 64 });
    await expect(host.generate(request())).resolves.toMatchObject({ width: 64 });
    expect(host.pid).not.toBe(pid);
  });

  test.each([
    ['ddim', undefined],
    ['dpmsolver++', undefined],
    ['unipc', undefined],
    ['euler_a', undefined],
    ['euler_a', 0.8],
    ['unipc', 0.8],
  ] as const)(
    'killed at step 15 of 20, %s, editing with strength %s: at most 6 steps run again, and the picture is the same',
    async (scheduler, strength) => {
      const size = { height: 256, width: 256 };
      const { png: image } = await host.generate(request({ numInferenceSteps: 1, guidanceScale: 1, ...size }));
      const steps = { numInferenceSteps: strength === undefined ? 20 : 25, ...size };
      const slow = request({ ...steps, scheduler, ...(strength === undefined ? {} : { start: { image, strength } }) });
      const undisturbed = await host.generate(slow);
      let [last, done]: [Checkpoint | undefined, number] = [undefined, 0];
      const onProgress = (n: number) => {
        done = n;
        if (n === 15) process.kill(host.pid!, 'SIGKILL');
      };
      await expect(host.generate(slow, { onProgress, onCheckpoint: (checkpoint) => (last = checkpoint) })).rejects.toThrow(/SIGKILL/);
      const resume = decodeCheckpoint(encodeCheckpoint(last!))!;
      expect(done - resume.done).toBeLessThanOrEqual(6);
      let made = 0;
      const resumed = await host.generate({ ...slow, resume }, { onProgress: () => made++ });
      expect(made).toBe(20 - resume.done);
      expect(Buffer.from(resumed.png).equals(undisturbed.png)).toBe(true);
    },
    120_000,
  );

  test('a checkpoint that is cut off, spoilt or of another request is not gone on with', async () => {
    const checkpoint: Checkpoint = { done: 2, latents: Float32Array.of(1, 2, 3), scheduler: [] };
    const bytes = encodeCheckpoint(checkpoint);
    expect(decodeCheckpoint(bytes)).toEqual(checkpoint);
    expect(decodeCheckpoint(bytes.subarray(0, bytes.length - 1))).toBeUndefined();
    const spoilt = Uint8Array.from(bytes);
    spoilt[bytes.length - 1]! ^= 1;
    expect(decodeCheckpoint(spoilt)).toBeUndefined();
    const picture = await host.generate(request());
    expect(Buffer.from((await host.generate(request({ resume: checkpoint }))).png).equals(picture.png)).toBe(true);
  });

  test('a signal cancels between steps and the child goes on', async () => {
    const { onProgress, started } = firstStep();
    const controller = new AbortController();
    const running = host.generate(LONG, { signal: controller.signal, onProgress });
    running.catch(() => {});
    await started;
    const { pid } = host;
    controller.abort();
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    await host.generate(request());
    expect(host.pid).toBe(pid);
  });

  test('a waiting request is cancelled at once, and one whose signal is aborted is not taken', async () => {
    const stop = new AbortController();
    const running = host.generate(LONG, { signal: stop.signal });
    running.catch(() => {});
    const controller = new AbortController();
    const waiting = host.generate(request(), { signal: controller.signal });
    controller.abort(new Error('not wanted'));
    await expect(waiting).rejects.toThrow('not wanted');
    await expect(host.generate(request(), { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    stop.abort();
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('a child without a sign of life is killed', async () => {
    const impatient = new InferenceHost({ provider: 'cpu', device: 0, threads: 1, hangTimeoutMs: 6_000 });
    try {
      const { onProgress, started } = firstStep();
      const running = impatient.generate(LONG, { onProgress });
      running.catch(() => {});
      await started;
      process.kill(impatient.pid!, 'SIGSTOP'); // as a native call that never comes back
      await expect(running).rejects.toMatchObject({ code: 'HostCrashed', message: expect.stringContaining('no sign of life for 6 s') });
    } finally {
      await impatient.close();
    }
  });

  test('Ctrl-C in the terminal is left to the parent', async () => {
    await host.generate(request());
    const pid = host.pid!;
    process.kill(pid, 'SIGINT');
    await expect(host.generate(request())).resolves.toBeDefined();
    expect(host.pid).toBe(pid);
  });

  test('close ends the child within two seconds, even one that hangs, and fails what runs', async () => {
    const hanging = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 });
    const { onProgress, started } = firstStep();
    const running = hanging.generate(LONG, { onProgress });
    running.catch(() => {});
    await started;
    const pid = hanging.pid!;
    process.kill(pid, 'SIGSTOP');
    const before = Date.now();
    await hanging.close();
    expect(Date.now() - before).toBeLessThan(2_000);
    expect(isAlive(pid)).toBe(false);
    await expect(running).rejects.toMatchObject({ code: 'HostCrashed' });
    await expect(hanging.generate(request())).rejects.toThrow(/was closed/);
  });

  test('the child ends when its parent is killed', async () => {
    const script = `
      const { InferenceHost } = await import(${JSON.stringify(HOST)});
      const host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 });
      host.generate(${JSON.stringify(LONG)}, { onProgress: (done) => { if (done === 1) console.log(host.pid); } });`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve) => parent.stdout.once('data', (data: Buffer) => resolve(Number(data.toString()))));
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    expect(await gone(pid)).toBe(true);
  });

  test('an idle child does not keep its parent from ending', async () => {
    const script = `
      const { InferenceHost } = await import(${JSON.stringify(HOST)});
      const host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 });
      await host.generate(${JSON.stringify(request())});`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const code = await Promise.race([new Promise((resolve) => parent.once('exit', resolve)), sleep(20_000, 'still there')]);
    if (code !== 0) parent.kill('SIGKILL');
    expect(code).toBe(0);
  });
});

describe('requests that share the device', () => {
  let host: InferenceHost;
  beforeAll(() => (host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1, batch: 4 })));
  afterAll(() => host.close());

  const PROMPTS = ['a round green creature', 'a tall red one with three eyes, and on it two small horns', 'blue'];
  const asked = (n: number) => request({ seed: n, prompt: PROMPTS[n % 3]!, guidanceScale: 3 + (n % 2) });
  const hashes = (pictures: Array<{ png: Uint8Array }>) => pictures.map(({ png }) => sha256(png));
  /** Pictures made by a host that takes one at a time. */
  async function oneByOne(requests: GenerateRequest[]): Promise<string[]> {
    const patient = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 });
    try {
      return hashes(await Promise.all(requests.map((one) => patient.generate(one))));
    } finally {
      await patient.close();
    }
  }

  test('exact: whenever they come, their pictures are those made one at a time, bit for bit', async () => {
    const requests = Array.from({ length: 20 }, (_, n) => asked(n));
    const expected = await oneByOne(requests);
    const random = new TorchRandom(7);
    const sizes: number[] = [];
    const arriving = requests.map(async (one, n) => {
      // The first ten at once, the others by and by.
      if (n >= 10) await sleep(random.uniform() * 2_000);
      return host.generate({ ...one, batching: 'exact' }, { onStart: (batch) => sizes.push(batch) });
    });
    expect(hashes(await Promise.all(arriving))).toEqual(expected);
    expect(sizes).toContain(4);
    expect(Math.max(...sizes)).toBe(4);
  });

  test('embeddings, too', async () => {
    const { png } = await host.generate(request());
    const dark = (await host.generate(request({ seed: 9 }))).png;
    const model = join(PACK, 'similarity');
    const sizes: number[] = [];
    const embed = (image: Uint8Array) => host.embedImage({ model, image }, { onStart: (batch) => sizes.push(batch) });
    const alone = [await embed(png), await embed(dark)];
    const [busy, ...together] = await Promise.all([embed(png), embed(png), embed(dark)]);
    expect(together).toEqual(alone);
    expect(busy).toEqual(alone[0]);
    expect(Math.max(...sizes)).toBeGreaterThan(1);
  });

  test('one that crashes the host costs its neighbours nothing', async () => {
    const requests = [1, 2, 3, 4].map(asked);
    const expected = await oneByOne(requests);
    const sizes: number[] = [];
    const onStart = (batch: number) => sizes.push(batch);
    const busy = host.generate(request());
    const kills = () => void (host.pid && process.kill(host.pid, 'SIGKILL'));
    const crashing = host.generate(requests[0]!, { onStart, onProgress: kills });
    const neighbours = Promise.all(requests.slice(1).map((one) => host.generate(one, { onStart })));
    await expect(crashing).rejects.toMatchObject({ code: 'HostCrashed' });
    expect(hashes(await neighbours)).toEqual(expected.slice(1));
    expect(sizes).toEqual([4, 4, 4, 4, 1, 1, 1, 1]);
    await busy;
  });

  test('one that is cancelled, or cannot be read, leaves the others alone', async () => {
    const requests = [1, 2, 3].map((n) => ({ ...asked(n), numInferenceSteps: 40 }));
    const expected = await oneByOne(requests);
    const busy = host.generate(request());
    const controller = new AbortController();
    const cancelled = host.generate(requests[0]!, { signal: controller.signal, onProgress: () => controller.abort() });
    let [done, total] = [0, 0];
    const onProgress = (...progress: [number, number]) => ([done, total] = progress);
    const others = Promise.all(requests.slice(1).map((one) => host.generate(one, { onProgress })));
    await expect(cancelled).rejects.toMatchObject({ name: 'AbortError' });
    expect(done).toBeLessThan(total); // It is told at once, not when its neighbours are through.
    expect(hashes(await others)).toEqual(expected.slice(1));
    const { png } = await busy;
    const model = join(PACK, 'similarity');
    const [, bad, good] = await Promise.allSettled([png, Buffer.from('no picture'), png].map((image) => host.embedImage({ model, image })));
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'InvalidInput' } });
    expect(good).toMatchObject({ status: 'fulfilled' });
  });
});

describe('memory', () => {
  test('a child that outgrows its limit is killed, and what ran in it fails with OutOfMemory', async () => {
    const small = new InferenceHost({ provider: 'cpu', device: 0, threads: 1, memoryLimitMb: 60 });
    try {
      await expect(small.generate(LONG)).rejects.toMatchObject({
        code: 'OutOfMemory',
        message: expect.stringMatching(/it used \d+ MiB, its limit is 60 MiB/),
      });
    } finally {
      await small.close();
    }
  });

  test('with room for one model at a time, each is loaded when it is wanted, and answers the same', async () => {
    const cramped = new InferenceHost({ provider: 'cpu', device: 0, threads: 1, modelMemoryMb: 1 });
    try {
      const text = () => cramped.embedText({ model: join(PACK, 'selector'), text: 'a round green creature' });
      const [first, vector] = [await cramped.generate(request()), await text()];
      expect(sha256((await cramped.generate(request())).png)).toBe(sha256(first.png));
      expect(await text()).toEqual(vector);
    } finally {
      await cramped.close();
    }
  });

  test('a picture of the same size once more takes no memory beyond the first', async () => {
    const host = new InferenceHost({ provider: 'cpu', device: 0, threads: 1 });
    const large = request({ numInferenceSteps: 1, height: 256, width: 256 });
    const peakMb = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${host.pid}/status`, 'utf8'))![1]) / 1024;
    try {
      await host.generate(large);
      const first = peakMb();
      await host.generate(large);
      await host.generate(large);
      expect(peakMb() / first).toBeLessThan(1.15);
    } finally {
      await host.close();
    }
  });
});
