/**
 * The demo's model calls and nothing else, in one process: what a person's script without Temporal, store and retries
 * does. Takes a plan written by demo-against-bare.mjs; started as a process of its own, so that loading counts.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Encoder } from '../dist/engine/inference/encoders.js';
import { OptFeedback } from '../dist/engine/inference/opt-feedback.js';
import { TextToImage } from '../dist/engine/inference/pipelines/text-to-image.js';
import { Sessions } from '../dist/engine/inference/sessions.js';
import { VitMae } from '../dist/engine/inference/vit-mae.js';

const { generator, calls } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const sessions = new Sessions({ provider: 'cpu', device: 0 });
const textToImage = await TextToImage.load(generator, sessions);
const encoderOf = loaded((folder) => Encoder.load(folder, sessions));
const eyesOf = loaded((folder) => VitMae.load(folder, sessions));
const criticOf = loaded((folder) => OptFeedback.load(folder, { provider: 'cpu', device: 0 }));

/** Encoded pictures by the digest that the demo gave them. */
const pictures = new Map();
/** What the critic sees of them, by the digest that the demo gave it. */
const features = new Map();
for (const call of calls) {
  if (call.kind === 'generate') {
    pictures.set(call.digest, (await textToImage.generate(call.request)).png);
  } else if (call.kind === 'text') {
    await (await encoderOf(call.model)).embedTexts([call.text], 'exact');
  } else if (call.kind === 'feedback') {
    await (await criticOf(call.model)).write({ ...call.request, features: features.get(call.features) });
  } else {
    if (call.file && !pictures.has(call.image)) pictures.set(call.image, readFileSync(call.file));
    if (call.kind === 'image') await (await encoderOf(call.model)).embedImages([pictures.get(call.image)], 'exact');
    else
      features.set(
        call.features,
        (await (await eyesOf(call.model)).features([{ image: pictures.get(call.image), noiseSeed: call.noiseSeed }], 'exact'))[0],
      );
  }
}

const differing = calls.filter(({ kind, digest }) => kind === 'generate' && `sha256:${sha256(pictures.get(digest))}` !== digest);
console.log(JSON.stringify({ calls: calls.length, differing: differing.length }));

/** Each folder's model, loaded when it is first needed. */
function loaded(load) {
  const models = new Map();
  return (folder) => {
    if (!models.has(folder)) models.set(folder, load(folder));
    return models.get(folder);
  };
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
