/**
 * The demo's model calls and nothing else, in one process: what a person's script without Temporal, store and retries
 * does. Takes a plan written by demo-against-bare.mjs; started as a process of its own, so that loading counts.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Encoder } from '../dist/engine/inference/encoders.js';
import { TextToImage } from '../dist/engine/inference/pipelines/text-to-image.js';
import { Sessions } from '../dist/engine/inference/sessions.js';

const { generator, encoders, calls } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const sessions = new Sessions({ provider: 'cpu', device: 0 });
const textToImage = await TextToImage.load(generator, sessions);
const encoderOf = new Map();
for (const folder of encoders) encoderOf.set(folder, await Encoder.load(folder, sessions));

/** Encoded pictures by the digest that the demo gave them. */
const pictures = new Map();
for (const call of calls) {
  if (call.kind === 'generate') {
    pictures.set(call.digest, (await textToImage.generate(call.request)).png);
  } else if (call.kind === 'text') {
    await encoderOf.get(call.model).embedText(call.text);
  } else {
    if (call.file && !pictures.has(call.image)) pictures.set(call.image, readFileSync(call.file));
    await encoderOf.get(call.model).embedImage(pictures.get(call.image));
  }
}

const differing = calls.filter(({ kind, digest }) => kind === 'generate' && `sha256:${sha256(pictures.get(digest))}` !== digest);
console.log(JSON.stringify({ calls: calls.length, differing: differing.length }));

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
