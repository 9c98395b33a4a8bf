import type { FailureCode } from '../../core/errors.js';
import type { WriteFeedbackRequest, WrittenFeedback } from './opt-feedback.js';
import type { Checkpoint } from './pipelines/checkpoint.js';
import type { Picture, TextToImageRequest } from './pipelines/text-to-image.js';
import type { SessionOptions } from './sessions.js';

/** Model folders are absolute paths on the host's machine. */
export interface GenerateRequest extends TextToImageRequest {
  model: string;
}
export type GenerateReply = Picture;

export interface EmbedImageRequest {
  model: string;
  /** An encoded picture (PNG, JPEG, WebP). */
  image: Uint8Array;
}

export interface EmbedTextRequest {
  model: string;
  text: string;
}

export interface MeanPatchRequest {
  model: string;
  /** An encoded picture. */
  image: Uint8Array;
  noiseSeed: number;
}

export interface FeedbackRequest extends WriteFeedbackRequest {
  model: string;
}

/** What a host can do: request and result by name. */
export interface Tasks {
  generate: { request: GenerateRequest; result: GenerateReply };
  embedImage: { request: EmbedImageRequest; result: Float32Array };
  embedText: { request: EmbedTextRequest; result: Float32Array };
  meanPatch: { request: MeanPatchRequest; result: Float32Array };
  writeFeedback: { request: FeedbackRequest; result: WrittenFeedback };
}
export type TaskName = keyof Tasks;
export type Task = { [N in TaskName]: { name: N; request: Tasks[N]['request'] } }[TaskName];

/** What the child is started with: one JSON argument. */
export type HostConfig = SessionOptions;

export type ToHost = { type: 'run'; id: number; task: Task } | { type: 'cancel'; id: number } | { type: 'ping' };

export type FromHost =
  | { type: 'progress'; id: number; done: number; total: number }
  | { type: 'checkpoint'; id: number; checkpoint: Checkpoint }
  | { type: 'result'; id: number; result: Tasks[TaskName]['result'] }
  | { type: 'failed'; id: number; code: FailureCode; message: string }
  | { type: 'cancelled'; id: number }
  | { type: 'pong' };
