/** Ctrl-C and a stop request, once as a wish and twice as an order. */
export interface Interrupt {
  /** Resolves on the first signal. */
  signalled: Promise<void>;
  dispose(): void;
}

const SIGNALS: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export function onInterrupt(): Interrupt {
  let handler: () => void = () => undefined;
  let count = 0;
  const signalled = new Promise<void>((resolve) => {
    handler = () => {
      count++;
      if (count > 1) process.exit(130);
      resolve();
    };
  });
  SIGNALS.forEach((signal) => process.on(signal, handler));
  return { signalled, dispose: () => SIGNALS.forEach((signal) => process.off(signal, handler)) };
}
