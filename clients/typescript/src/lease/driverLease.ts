// More unanswered stamps than this and the connection is given up long before; the oldest are then forgotten, their answers ignored.
const unansweredMax = 64;

/**
 * When the driver's lease ends, by its own clock. Pure: no I/O, time comes in.
 *
 * The driver sends a stamp; the daemon answers how much of the machine's lease was left when it answered; the driver is safe until stamp + left. It counts from
 * when it ASKED, so however late the answer is read, the driver stops first.
 */
export class DriverLease {
  private unanswered: number[] = []; // Invariant: strictly ascending, all later than lastAnswered.
  private lastSent = -Infinity;
  private lastAnswered = -Infinity;
  private end: number | undefined;

  /** End of the lease on the driver's clock, microseconds; undefined while none was ever granted. May lie in the past. */
  get endsAt(): number | undefined {
    return this.end;
  }

  /** When the oldest stamp that is still unanswered was sent. */
  get oldestUnanswered(): number | undefined {
    return this.unanswered[0];
  }

  /** Whether the driver may act as master at `now`. */
  isValid(now: number): boolean {
    return this.leftAt(now) > 0;
  }

  /** What is left of the lease at `now`, microseconds; 0: there is none. Goes out with every renewal. */
  leftAt(now: number): number {
    return this.end !== undefined && this.end > now ? this.end - now : 0;
  }

  /** Records that `stamp` goes out. False: it is not later than the one before, so it must not be sent. */
  sent(stamp: number): boolean {
    if (stamp <= this.lastSent) return false;
    this.lastSent = stamp;
    if (this.unanswered.length === unansweredMax) this.unanswered.shift();
    this.unanswered.push(stamp);
    return true;
  }

  /**
   * Takes the answer to a stamp. `leftUs`: what was left of the lease; 0: there is none, stop; undefined: the daemon cannot tell yet (it has just started), what
   * was granted before stays. Answers to unknown or older stamps are ignored. The end never moves back, unless the daemon says that this lease takes the place
   * of a longer one (`shortens`). True: the end changed.
   */
  answered(stamp: number, leftUs: number | undefined, now: number, shortens = false): boolean {
    const index = this.unanswered.indexOf(stamp);
    if (index < 0 || stamp <= this.lastAnswered) return false;
    this.lastAnswered = stamp;
    this.unanswered.splice(0, index + 1);
    if (leftUs === undefined) return false;
    if (leftUs <= 0) {
      if (!this.isValid(now)) return false;
      this.end = now;
      return true;
    }
    const end = Math.min(stamp + Math.floor(leftUs), Number.MAX_SAFE_INTEGER);
    // A promise once made stays: an answer that was merely slow must not cost a moment of the lease.
    if (this.end !== undefined && (end === this.end || (end < this.end && !shortens))) return false;
    this.end = end;
    return true;
  }

  /** The connection is gone: what was asked on it will not be answered. The lease itself stays. */
  connectionLost(): void {
    this.unanswered = [];
  }
}
