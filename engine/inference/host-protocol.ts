import type { FailureCode, OutputFault } from '../../core/errors.js';
import type { AskRequest } from './language/blip2.js';
import type { YesNoRequest } from './language/vision-language.js';
import type { WrittenFeedback } from './language/written-text.js';
import type { WriteFeedbackRequest } from './opt-feedback.js';
import type { Batching } from './micro-batching.js';
import type { Checkpoint } from './pipelines/checkpoint.js';
import type { Picture, TextToImageRequest } from './pipelines/text-to-image.js';
import type { SessionOptions } from './sessions.js';
import type { FeaturesRequest } from './vit-mae.js';

/** What all requests say. */
interface OfModel {
  /** Folder: an absolute path on the host's machine. */
  model: string;
  /** Default `exact`. Requests that differ in it share no calls. */
  batching?: Batching;
}

export interface GenerateRequest extends TextToImageRequest, OfModel {}
export type GenerateReply = Picture;

export interface EmbedImageRequest extends OfModel {
  /** An encoded picture (PNG, JPEG, WebP). */
  image: Uint8Array;
}

export interface EmbedTextRequest extends OfModel {
  text: string;
}

export interface ImageFeaturesRequest extends FeaturesRequest, OfModel {}

export interface ImageDistanceRequest extends OfModel {
  /** Encoded pictures. */
  image: Uint8Array;
  reference: Uint8Array;
}

export interface YesRequest extends YesNoRequest, OfModel {}

export interface FeedbackRequest extends WriteFeedbackRequest, OfModel {}

/** A question about a picture, to a model of one of the layouts. */
export interface AnswerRequest extends AskRequest, OfModel {
  layout: 'blip2' | 'vlm';
}

/** What a host can do: request and result by name. */
export interface Tasks {
  generate: { request: GenerateRequest; result: GenerateReply };
  embedImage: { request: EmbedImageRequest; result: Float32Array };
  embedText: { request: EmbedTextRequest; result: Float32Array };
  imageFeatures: { request: ImageFeaturesRequest; result: Float32Array };
  imageDistance: { request: ImageDistanceRequest; result: number };
  answer: { request: AnswerRequest; result: WrittenFeedback };
  probabilityOfYes: { request: YesRequest; result: number };
  writeFeedback: { request: FeedbackRequest; result: WrittenFeedback };
}
export type TaskName = keyof Tasks;
export type Task = { [N in TaskName]: { name: N; request: Tasks[N]['request'] } }[TaskName];

/** Requests of one kind that share their calls into the model, one or more. */
export type Batch = { [N in TaskName]: { name: N; requests: Array<Tasks[N]['request']> } }[TaskName];

/** What the child is started with: one JSON argument. */
export interface HostConfig extends SessionOptions {
  /** MiB of weights that stay loaded; the least recently used are let go above it. Default: no bound. */
  modelMemoryMb?: number;
}

/** `ids` number the requests of the batch. */
export type ToHost = { type: 'run'; ids: number[]; batch: Batch } | { type: 'cancel'; id: number } | { type: 'ping' };

export type FromHost =
  | { type: 'progress'; id: number; done: number; total: number }
  | { type: 'checkpoint'; id: number; checkpoint: Checkpoint }
  | { type: 'result'; id: number; result: Tasks[TaskName]['result'] }
  | { type: 'failed'; id: number; code: FailureCode; reason?: OutputFault; message: string }
  | { type: 'cancelled'; id: number }
  | { type: 'pong' };
