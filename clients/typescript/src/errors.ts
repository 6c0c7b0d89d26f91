/**
 * The secrets differ, or the daemon refuses this driver for good: trying again changes nothing until somebody changes the driver, the daemon's configuration or
 * the secret. The message says what to change.
 */
export class DriverRefusedError extends Error {
  override readonly name = 'DriverRefusedError';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The connection to the daemon could not be made, or was lost. It is tried again; nobody outside of the SDK gets to see it. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

/** What has gone wrong, in words, without a full stop at the end: it becomes part of a sentence. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ECONNRESET':
      return 'connection reset';
    case 'ETIMEDOUT':
      return 'no answer';
    default:
      return messageOf(error).replace(/\.$/, '');
  }
}

/** The message of whatever was thrown: user code may throw anything, also what cannot be made a text. */
export function messageOf(thrown: unknown): string {
  try {
    const message = (thrown as Error | undefined)?.message;
    return typeof message === 'string' && message !== '' ? message : String(thrown);
  } catch {
    return 'something was thrown that cannot be made a text';
  }
}
