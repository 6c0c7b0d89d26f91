/**
 * What a start was granted: the right to act as master of one service, for as long as `isValid` says so. Every start gets a new one, also when the token is the
 * same. Ask it as often as you want.
 *
 * What no lease can do is to reach into the gap between a check and the act that follows it: a process frozen there (SIGSTOP, a suspended machine, a long pause of
 * the garbage collector) acts late, once. Hand `token` to the resources you write to, and let them refuse an older one.
 */
export class Lease {
  /** Fencing token of the grant: grows with every grant of the service and is never reused. */
  readonly token: number;

  /** The service that may be acted for. */
  readonly service: string;

  private readonly ending = new AbortController();
  private isOver = false;

  /** @internal */
  constructor(service: string, token: number, private readonly endsAtUs: () => number, private readonly nowUs: () => number) {
    this.service = service;
    this.token = token;
  }

  /**
   * Whether the driver may act as master now, by the clock at this very moment: true until the lease ends, a stop that cannot wait is ordered, or a stop has
   * succeeded. A planned stop leaves it true while it is carried out, so that work in hand can be finished.
   */
  get isValid(): boolean {
    return this.remainingMs > 0;
  }

  /** How much is left unless it is renewed, milliseconds; zero when nothing is. It is renewed several times a second. */
  get remainingMs(): number {
    return this.isOver ? 0 : Math.max(0, (this.endsAtUs() - this.nowUs()) / 1000);
  }

  /**
   * Aborted when the driver is to stop: the lease is over, the service moves, the start was given up or has failed, the driver shuts down. It stays aborted. Hand
   * it to whatever takes a signal.
   */
  get signal(): AbortSignal {
    return this.ending.signal;
  }

  /** What was started is to stop. No code of others runs before this returns. @internal */
  stop(): void {
    abortSoon(this.ending);
  }

  /** Nothing may be done under it any more, for good. @internal */
  end(): void {
    this.isOver = true;
    this.stop();
  }
}

/** Aborts before anything else happens, but not here: listeners are code of others, and may call back into what is being changed. */
export function abortSoon(controller: AbortController): void {
  queueMicrotask(() => controller.abort());
}
