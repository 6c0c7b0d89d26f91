import { DriverLease } from './driverLease.js';

/** What is due, see `LeaseWatch.due`. */
export interface LeaseDue {
  /** The lease is over: stop everything at once. Said once per end. */
  over: boolean;

  /** Send a renewal; its stamp is the `now` that was passed in, and is recorded. */
  renew: boolean;

  /** The daemon has not answered for too long: drop the connection and make another. */
  reconnect: boolean;
}

/** When a driver renews its lease, when it is over, and when a silent daemon is given up. Pure, like `DriverLease`. */
export class LeaseWatch {
  readonly lease = new DriverLease();

  private overReported: number | undefined; // The end that `over` was said for.
  private connectedNow = false;
  private renewEvery = 0;
  private answerLimit = 0;
  private renewAt = 0;
  private renewedAt = -Infinity;
  private killTimeout = 0;

  /** How long after the end of the lease everything must be gone, as the daemon last said. */
  get killTimeoutUs(): number {
    return this.killTimeout;
  }

  /** A connection is registered: renew at once, then every `renewEveryUs`. */
  connected(leaseUs: number, renewEveryUs: number, killTimeoutUs: number, now: number): void {
    this.connectedNow = true;
    this.renewEvery = renewEveryUs;
    // Half a lease: late enough to forgive a stalled daemon, early enough to reconnect before the lease is over.
    this.answerLimit = Math.max(2 * renewEveryUs, leaseUs / 2);
    // A lease that lasts was given under the old limit, and others count on that: until it is over, a new limit can only be shorter.
    this.killTimeout = this.lasts ? Math.min(this.killTimeout, killTimeoutUs) : killTimeoutUs;
    this.renewAt = now;
  }

  /** The connection is gone. The lease stays: a lost connection is not a stop. */
  disconnected(): void {
    this.connectedNow = false;
    this.lease.connectionLost();
  }

  /** Renew at the next chance: somebody waits for a lease. */
  renewSoon(now: number): void {
    this.renewAt = Math.min(this.renewAt, now);
  }

  /** What is due at `now`, the driver's clock in microseconds. */
  due(now: number): LeaseDue {
    const due = { over: false, renew: false, reconnect: false };
    const end = this.lease.endsAt;
    if (end !== undefined && now >= end && this.overReported !== end) {
      this.overReported = end;
      due.over = true;
    }
    if (!this.connectedNow) return due;
    const asked = this.lease.oldestUnanswered;
    if (asked !== undefined && now - asked >= this.answerLimit) {
      due.reconnect = true;
    } else if (now >= this.nextRenewal && this.lease.sent(now)) {
      this.renewedAt = now;
      this.renewAt = now + this.renewEvery;
      due.renew = true;
    }
    return due;
  }

  /** When `due` should be asked again, at the latest. */
  nextAt(): number {
    const end = this.lasts ? this.lease.endsAt! : Infinity;
    if (!this.connectedNow) return end;
    const asked = this.lease.oldestUnanswered;
    return Math.min(end, this.nextRenewal, asked === undefined ? Infinity : asked + this.answerLimit);
  }

  private get lasts(): boolean {
    return this.lease.endsAt !== undefined && this.overReported !== this.lease.endsAt;
  }

  // While little of the lease is left, eight times as often: the daemon may have just got a longer one, and must be asked before this one is over.
  private get nextRenewal(): number {
    return this.lasts && this.lease.endsAt! - this.renewedAt < 2 * this.renewEvery ? Math.min(this.renewAt, this.renewedAt + this.renewEvery / 8) : this.renewAt;
  }
}
