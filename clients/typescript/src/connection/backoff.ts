const minMs = 50;
const maxMs = 2_000;
const maxUnderLeaseMs = 100; // The lease runs out meanwhile.

/** How long to wait before the next attempt to connect. */
export class Backoff {
  private waitMs = minMs;
  private connectedAt: number | undefined;

  connected(): void {
    this.connectedAt = performance.now();
  }

  /** The next wait, milliseconds. */
  next(holdsLease: boolean): number {
    // A connection that held for a while shows that the daemon is well; one that broke at once does not.
    if (this.connectedAt !== undefined && performance.now() - this.connectedAt > maxMs) this.waitMs = minMs;
    this.connectedAt = undefined;
    const most = holdsLease ? Math.min(this.waitMs, maxUnderLeaseMs) : this.waitMs;
    this.waitMs = Math.min(this.waitMs * 2, maxMs);
    return most * (0.5 + Math.random() / 2); // Jitter: the drivers of a machine do not come back in step.
  }
}

/** Resolves after so long, or as soon as `signal` is aborted. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
