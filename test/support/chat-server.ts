/** A local server that speaks the OpenAI chat protocol and misbehaves on request: the caption says how. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a request asked, as the server saw it. */
export interface ChatCall {
  caption: string;
  earlier: string[];
  system: string;
  /** Bytes of the picture that came along. */
  picture: number;
  authorization: string | undefined;
}

export interface ChatServer {
  url: string;
  /** Every request that came, in order. */
  calls: ChatCall[];
  of(caption: string): ChatCall[];
  close(): Promise<void>;
}

interface Content {
  type: 'text' | 'image_url';
  text?: string;
  image_url?: { url: string };
}

const USAGE = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };

/** `nth`: how many requests with this caption came before. */
type Behaviour = (reply: ServerResponse, nth: number, caption: string) => void;

const answer: Behaviour = (reply, _, caption) => say(reply, { content: `Answer to ${caption}.` }, 'stop');

const behaviours: Record<string, Behaviour> = {
  throttled: (reply, nth, caption) => (nth === 0 ? fail(reply, 429, 'slow down', { 'retry-after': '1' }) : answer(reply, nth, caption)),
  flaky: (reply, nth, caption) => (nth < 2 ? fail(reply, 500, 'internal') : answer(reply, nth, caption)),
  dropped: (reply, nth, caption) => (nth === 0 ? void reply.socket?.destroy() : answer(reply, nth, caption)),
  empty: (reply) => say(reply, { content: '' }, 'stop'),
  refusing: (reply) => say(reply, { content: null, refusal: 'I cannot help with that.' }, 'stop'),
  forbidden: (reply) => fail(reply, 401, 'no such key'),
};

/** Answers on a free port of the loopback address. A caption whose first word is a known misbehaviour gets it; all others an answer. */
export async function startChatServer(): Promise<ChatServer> {
  const calls: ChatCall[] = [];
  const server = createServer((request, reply) => {
    void body(request).then((text) => {
      const call = callOf(text, request);
      const nth = calls.filter((c) => c.caption === call.caption).length;
      calls.push(call);
      (behaviours[call.caption.split(' ')[0]!] ?? answer)(reply, nth, call.caption);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls,
    of: (caption) => calls.filter((c) => c.caption === caption),
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(() => resolve()))),
  };
}

function callOf(text: string, request: IncomingMessage): ChatCall {
  const { messages } = JSON.parse(text) as { messages: [{ content: string }, { content: Content[] }] };
  const [system, user] = messages;
  const data = JSON.parse(user.content.find((c) => c.type === 'text')!.text!) as { caption: string; earlier_feedback?: string[] };
  const picture = user.content.find((c) => c.type === 'image_url')!.image_url!.url.split(',')[1]!;
  return {
    caption: data.caption,
    earlier: data.earlier_feedback ?? [],
    system: system.content,
    picture: Buffer.from(picture, 'base64').length,
    authorization: request.headers.authorization,
  };
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function say(reply: ServerResponse, message: { content: string | null; refusal?: string }, reason: string): void {
  reply.setHeader('content-type', 'application/json');
  const choices = [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: reason }];
  reply.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 0, model: 'test', choices, usage: USAGE }));
}

function fail(reply: ServerResponse, status: number, message: string, headers: Record<string, string> = {}): void {
  reply.writeHead(status, { 'content-type': 'application/json', ...headers });
  reply.end(JSON.stringify({ error: { message, type: 'error', code: null } }));
}
