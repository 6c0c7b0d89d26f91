import type { DaemonLink } from '../connection/daemonLink.js';
import { LeaseWatch } from '../lease/leaseWatch.js';
import { readRenewResult, type RegisterResult } from '../protocol/messages.js';
import { killMargin, type ServiceTriggers, watchdogTime } from './serviceTriggers.js';
import type { Watchdog } from './watchdog.js';

// A waiting timer does not count sleep and the clock does: while something may be running, look this often, so that a suspend is noticed at once on resume.
const lookEveryMs = 25;
const lookEveryIdleMs = 1_000;
const leaseWantedGapUs = 10_000; // A start that waits asks for a renewal at most this often.

/** What a keeper looks after, and tells. */
export interface LeaseHolder {
  nowUs(): number;
  services(): readonly ServiceTriggers[];
  leaseOver(endedAtUs: number, killTimeoutUs: number): void;
  leaseChanged(): void;
  deadlinePassed(service: string, killAtUs: number): void;
}

/** Renews the lease, sees it end, and sees a kill deadline pass. It never waits for the network or for user code. */
export class LeaseKeeper {
  private readonly watch = new LeaseWatch();
  private link: DaemonLink | undefined;
  private lastRenewal = -Infinity;
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;
  private ended = false;

  /** @param isRealClock False: a test moves the clock, and no timer can know when. */
  constructor(private readonly holder: LeaseHolder, private readonly watchdog: Watchdog | undefined, private readonly isRealClock: boolean) {}

  /** End of the lease; -Infinity while there is none. */
  get endsAtUs(): number {
    return this.watch.lease.endsAt ?? -Infinity;
  }

  holdsLease(now: number): boolean {
    return this.watch.lease.isValid(now);
  }

  connected(link: DaemonLink, terms: RegisterResult): void {
    this.link = link;
    this.watch.connected(terms.leaseUs, terms.renewEveryUs, terms.killTimeoutUs, this.holder.nowUs());
    this.look();
  }

  disconnected(): void {
    this.link = undefined;
    this.watch.disconnected();
  }

  renewSoon(): void {
    const now = this.holder.nowUs();
    if (this.link === undefined || now < this.lastRenewal + leaseWantedGapUs) return;
    this.watch.renewSoon(now);
    this.schedule();
  }

  /** What runs, or when it must be gone, has changed. */
  deadlinesChanged(): void {
    if (this.ended) return;
    this.arm();
    this.schedule();
  }

  /** From now on nothing here keeps the process alive: when it ends by itself, all is stopped as well. */
  close(): void {
    this.isClosed = true;
    this.timer?.unref();
  }

  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.watchdog?.end();
  }

  /** Does what is due. Called when a timer fires, and before anything else when a message comes: the process may have been frozen. */
  look(): void {
    if (this.ended) return;
    const now = this.holder.nowUs();
    const due = this.watch.due(now);
    const left = this.watch.lease.leftAt(now);
    const { link } = this;

    // Stop first: whatever else is due can wait.
    if (due.over) {
      this.holder.leaseOver(this.endsAtUs, this.watch.killTimeoutUs);
      this.holder.leaseChanged();
    }
    for (const service of this.holder.services()) {
      if (service.killAt !== undefined && this.holder.nowUs() >= service.killAt) this.holder.deadlinePassed(service.service, service.killAt);
    }
    if (due.renew && link !== undefined) this.renew(link, now, left);
    if (due.reconnect && link !== undefined) this.leaveIfSilent(link);
    this.arm();
    this.schedule();
  }

  // An event loop that was blocked comes here before it reads what came meanwhile: the answer may be there already.
  private leaveIfSilent(link: DaemonLink): void {
    const asked = this.watch.lease.oldestUnanswered;
    setImmediate(() => {
      if (this.link === link && this.watch.lease.oldestUnanswered === asked) link.abort('it does not answer renewals of the lease');
    });
  }

  private renew(link: DaemonLink, stamp: number, leftUs: number): void {
    this.lastRenewal = stamp;
    link.request('renew', { stamp, leftUs }, (answer) => {
      // A refusal leaves the stamp unanswered, so a daemon that only refuses is given up like a silent one.
      const renewed = answer?.error === undefined ? readRenewResult(answer?.result) : undefined;
      if (renewed === undefined || !this.watch.lease.answered(renewed.stamp, renewed.leftUs, this.holder.nowUs(), renewed.shortens)) return;
      this.holder.leaseChanged();
      this.look();
    });
  }

  // The watchdog counts on the lease as it is now: a blocked event loop will not tell it when that ends.
  private arm(): void {
    if (this.watchdog === undefined) return;
    const { killTimeoutUs } = this.watch;
    const ifNothingComes = watchdogTime(this.endsAtUs + killTimeoutUs - killMargin(killTimeoutUs), killTimeoutUs);
    let deadline = Infinity;
    for (const service of this.holder.services()) if (service.running !== undefined) deadline = Math.min(deadline, service.watchdogAt ?? ifNothingComes);
    this.watchdog.arm(deadline === Infinity ? undefined : deadline);
  }

  private schedule(): void {
    if (this.ended) return;
    let next = this.watch.nextAt();
    let anyRunning = false;
    const now = this.holder.nowUs();
    for (const service of this.holder.services()) {
      anyRunning ||= service.running !== undefined;
      if (service.killAt !== undefined && service.killAt > now) next = Math.min(next, service.killAt);
    }
    // Early rather than late, then in steps of a millisecond.
    const wait = Math.max(1, Math.floor(Math.min((next - now) / 1000, anyRunning || !this.isRealClock ? lookEveryMs : lookEveryIdleMs)));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), wait);
    if (!anyRunning || this.isClosed) this.timer.unref(); // The connection keeps the process alive, not this.
  }
}
