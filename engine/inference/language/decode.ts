import { DEFAULT_DECODING, type Decoding } from '../../../core/decoding.js';
import { checkFinite } from '../picture.js';
import { TorchRandom } from '../torch-random.js';
import { applyRules, argmax, logSoftmax, narrow, sample } from './next-token.js';

/** A text so far: what the model keeps of it, and its logits of the next token, [vocabulary]. */
export interface Branch<S> {
  state: S;
  logits: Float32Array;
}

/** A language model that goes on with texts, each by one token. It never changes a state: texts may share one. */
export interface TokenModel<S> {
  next(texts: ReadonlyArray<{ state: S; token: number }>): Promise<Array<Branch<S>>>;
}

export interface DecodeRequest {
  /** Ids that repetition rules count as said already: the prompt, or what a decoder begins with. */
  prompt: readonly number[];
  maxNewTokens: number;
  /** Any of them ends the text. */
  endIds: readonly number[];
  /** Words of ids, for stop strings. */
  toText: (ids: readonly number[]) => string;
  /** What differs from {@link DEFAULT_DECODING}. */
  decoding: Partial<Decoding>;
  /** Torch's seed: tokens are sampled. `null`: the likeliest, or beams. */
  sampleSeed: number | null;
  /** Ends between tokens. */
  signal?: AbortSignal;
}

/** Written ids, the end's included. Throws ModelOutputInvalid where the logits are not finite, and the signal's reason. */
export async function decode<S>(model: TokenModel<S>, start: Branch<S>, request: DecodeRequest): Promise<number[]> {
  const decoding = { ...DEFAULT_DECODING, ...request.decoding };
  const search: Search<S> = { model, start, request, decoding, ends: endOf(request, decoding) };
  return request.sampleSeed === null && decoding.numBeams > 1 ? beams(search) : oneByOne(search);
}

interface Search<S> {
  model: TokenModel<S>;
  start: Branch<S>;
  request: DecodeRequest;
  decoding: Decoding;
  ends: (ids: readonly number[]) => boolean;
}

function endOf({ endIds, maxNewTokens, toText }: DecodeRequest, { stopStrings }: Decoding): (ids: readonly number[]) => boolean {
  return (ids) => {
    if (ids.length >= maxNewTokens || endIds.includes(ids.at(-1)!)) return true;
    const text = stopStrings.length > 0 ? toText(ids) : '';
    return stopStrings.some((stop) => text.includes(stop));
  };
}

async function oneByOne<S>({ model, start, request, decoding, ends }: Search<S>): Promise<number[]> {
  const { prompt, sampleSeed, signal } = request;
  const random = sampleSeed === null ? null : new TorchRandom(sampleSeed);
  const ids: number[] = [];
  for (let { state, logits } = start; ; [{ state, logits }] = (await model.next([{ state, token: ids.at(-1)! }])) as [Branch<S>]) {
    signal?.throwIfAborted();
    checkFinite(logits, "the language model's output");
    const scores = Float32Array.from(logits);
    applyRules(scores, [...prompt, ...ids], decoding);
    if (random) narrow(scores, decoding);
    ids.push(random ? sample(scores, random) : argmax(scores));
    if (ends(ids)) return ids;
  }
}

interface Beam<S> {
  ids: number[];
  /** Sum of its tokens' log-probabilities. */
  score: number;
  branch: Branch<S>;
}

/** Beam search as transformers has it, with `early_stopping: false`: it ends when no beam is likely to overtake what is finished. */
async function beams<S>({ model, start, request, decoding, ends }: Search<S>): Promise<number[]> {
  const { numBeams, lengthPenalty } = decoding;
  // So many that, should all of the best end here, as many go on.
  const width = Math.max(2, 1 + request.endIds.length) * numBeams;
  let finished: Array<{ ids: number[]; score: number }> = [];
  let running: Array<Beam<S>> = [{ ids: [], score: 0, branch: start }];
  for (let length = 1; ; length++) {
    request.signal?.throwIfAborted();
    const candidates = best(running, width, request.prompt, decoding).map(({ beam, token, score }) => {
      const ids = [...beam.ids, token];
      return { beam, token, score, ids, isEnd: ends(ids) };
    });
    const ended = candidates.slice(0, numBeams).filter(({ isEnd }) => isEnd);
    finished = [...finished, ...ended.map(({ ids, score }) => ({ ids, score: score / length ** lengthPenalty }))]
      .sort((a, b) => b.score - a.score)
      .slice(0, numBeams);
    const going = candidates.filter(({ isEnd }) => !isEnd).slice(0, numBeams);
    const hope = (going[0]?.score ?? -Infinity) / length ** lengthPenalty;
    if (going.length === 0 || (finished.length === numBeams && hope <= finished.at(-1)!.score)) return finished[0]!.ids;
    const branches = await model.next(going.map(({ beam, token }) => ({ state: beam.branch.state, token })));
    running = going.map(({ ids, score }, i) => ({ ids, score, branch: branches[i]! }));
  }
}

interface Candidate<S> {
  beam: Beam<S>;
  token: number;
  score: number;
}

/** The best continuations of all beams, the best first. */
function best<S>(running: Array<Beam<S>>, width: number, prompt: readonly number[], decoding: Decoding): Array<Candidate<S>> {
  const kept: Array<Candidate<S>> = [];
  for (const beam of running) {
    checkFinite(beam.branch.logits, "the language model's output");
    const scores = logSoftmax(beam.branch.logits);
    applyRules(scores, [...prompt, ...beam.ids], decoding);
    scores.forEach((gain, token) => {
      const score = Math.fround(gain + beam.score);
      if (score === -Infinity || (kept.length === width && score <= kept.at(-1)!.score)) return;
      const after = kept.findIndex((other) => other.score < score);
      kept.splice(after < 0 ? kept.length : after, 0, { beam, token, score });
      if (kept.length > width) kept.pop();
    });
  }
  return kept;
}
