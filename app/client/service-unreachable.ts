/** Thrown when a service that the command needs does not answer or cannot be started. Exit code 4. */
export class ServiceUnreachable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ServiceUnreachable';
  }
}
