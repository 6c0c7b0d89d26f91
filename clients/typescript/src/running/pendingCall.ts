import { abortSoon, type Lease } from '../lease/lease.js';
import type { TriggerParams } from '../protocol/messages.js';
import { errorCodes, rpcError, type RpcError } from '../protocol/rpc.js';
import type { TriggerContext } from '../triggerContext.js';

export type Reply = (error: RpcError | undefined) => void;

const repliesMax = 16; // A daemon waits for one; more come only from a peer gone wrong, and must not fill memory.

/** One call of user code, waiting or in flight, and everyone who waits for it. */
export class PendingCall {
  cancelled = false;

  /** The lease was over before it could begin. */
  lacksLease = false;

  /** User code runs, or is about to: from here on something may be running. Before, a start only waits for its lease. */
  hasBegun = false;

  private readonly cancellation = new AbortController(); // Of a stop; a start has that of its lease.
  private readonly replies: Reply[];

  constructor(private current: TriggerParams, reply: Reply) {
    this.replies = [reply];
  }

  /** By the name of the latest trigger that it answers. */
  get trigger(): TriggerParams {
    return this.current;
  }

  get isMaster(): boolean {
    return this.current.isMaster;
  }

  /** Whether this call does what `other` asks for. A planned stop is not the stop that cannot wait, and a cancelled call is none. */
  joins(other: TriggerParams): boolean {
    return !this.cancelled && other.isMaster === this.isMaster && other.token === this.current.token && (this.current.kill || !other.kill);
  }

  join(other: TriggerParams, reply: Reply): void {
    this.current = { ...other, token: Math.max(this.current.token, other.token), kill: this.current.kill || other.kill };
    if (this.replies.length === repliesMax)
      this.replies.shift()!(rpcError(errorCodes.triggerSuperseded, 'The same trigger was sent again, many times; the last ones are answered.'));
    this.replies.push(reply);
  }

  cancel(): void {
    this.cancelled = true;
    abortSoon(this.cancellation);
  }

  toContext(lease: Lease | undefined): TriggerContext {
    const { service, isMaster, token, reason, limitUs, kill, takesOverFrom } = this.current;
    const signal = isMaster && lease !== undefined ? lease.signal : this.cancellation.signal;
    return { service, isMaster, token, reason, limitMs: Math.max(0, limitUs / 1000), kill, takesOverFrom, signal, lease };
  }

  reply(error: RpcError | undefined): void {
    for (const waiting of this.replies.splice(0)) waiting(error);
  }
}
