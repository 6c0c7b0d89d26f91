import type { Lease } from './lease/lease.js';

/** What the daemon tells a driver about one start or stop: the second argument of `trigger`. */
export interface TriggerContext {
  /** The service it is about. */
  readonly service: string;

  /** True: this machine is now the master, start. False: stop, and return only when it has stopped. */
  readonly isMaster: boolean;

  /** Fencing token of the grant. Hand it to the resources you write to. For a stop: the token of what is to be stopped. */
  readonly token: number;

  /** Why, as a sentence. */
  readonly reason: string;

  /** How long the daemon waits for this call, milliseconds. */
  readonly limitMs: number;

  /** The lease is over, or nobody can wait: stop at once. What still runs after `limitMs` is killed. */
  readonly kill: boolean;

  /**
   * Of a start: ids of machines that were lost while they ran the service, or could not stop it, and may still run it. For drivers that fence
   * (`DriverClient.fences`): return only when those that you fence are off for certain, and throw if you cannot tell. Empty unless the service requires fencing.
   */
  readonly takesOverFrom: readonly string[];

  /**
   * Of a start: aborted when what was started is to stop, during the start (give it up, a stop follows when it has returned) or later (the lease is over, the
   * service moves); the same as `lease.signal`. Of a planned stop: aborted when it has become urgent; the stop is then called again, with `kill`.
   */
  readonly signal: AbortSignal;

  /** Of a start: what it is granted. Of a stop: what is to be stopped was started under it; undefined if nothing was started. */
  readonly lease: Lease | undefined;
}
