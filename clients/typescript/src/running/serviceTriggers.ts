import { messageOf } from '../errors.js';
import { Lease } from '../lease/lease.js';
import type { DriverState, TriggerParams } from '../protocol/messages.js';
import { errorCodes, rpcError, type RpcError } from '../protocol/rpc.js';
import { PendingCall, type Reply } from './pendingCall.js';
import type { ServiceHost } from './serviceHost.js';

const leaseWaitFailed =
  'The start was not begun: this driver holds no lease, because the daemon has not answered its renewals. Check the load of the machine and the daemon\'s log.';

// Milliseconds between requests for a lease, of one start that waits for it: a thousand may wait at once.
const leaseWaitMin = 20;
const leaseWaitMax = 320;
const startLimitUs = 5_000_000; // Where the daemon names none.

/** What the end of the process itself may take, off a limit after which everything must be gone, microseconds. */
export function killMargin(limitUs: number): number {
  return Math.min(Math.max(limitUs / 10, 0), 50_000);
}

/** When the watchdog acts on a deadline that already has the margin of `limitUs` taken off. */
export function watchdogTime(deadline: number, limitUs: number): number {
  return deadline + killMargin(limitUs) / 4;
}

/**
 * The triggers of one service: one at a time, in order, level-triggered. Whatever is told here is noted at once; user code is called by `work`, one call after
 * the other, and never from within a call into this class.
 */
export class ServiceTriggers {
  // Invariant: at most one stop, then at most one start. A stop is never dropped; a start that has not begun is, for whatever comes after it.
  private readonly pending: PendingCall[] = [];
  private current: PendingCall | undefined;
  private acknowledged: { isMaster: boolean; token: number } | undefined; // What user code last completed without error.
  private leaseNow: Lease | undefined; // Of the newest start, until a stop has succeeded.

  // A start that user code failed and that was not stopped since. Its answer may be lost with its connection: told again, it is answered again, not run again on
  // top of what it left half done.
  private failedStart: { token: number; error: RpcError } | undefined;
  private runningToken: number | undefined; // Of what may be running: from the moment a start begins until a stop has succeeded.
  private highestToken = -Infinity;
  private killDeadline: number | undefined;
  private watchdogDeadline: number | undefined; // A little later: this thread, if it can, says what it was that has not stopped.
  private closing = false;
  private ended = false;
  private isWorking = false;
  private wake: (() => void) | undefined; // Of a start that waits for its lease.

  constructor(readonly service: string, private readonly host: ServiceHost) {}

  /** Token of what may be running, or undefined. */
  get running(): number | undefined {
    return this.runningToken;
  }

  /** What was granted to what may be running, or undefined. */
  get lease(): Lease | undefined {
    return this.leaseNow;
  }

  /** When what is running must be gone, on the driver's clock; undefined while nobody has said so. */
  get killAt(): number | undefined {
    return this.killDeadline;
  }

  /** When the watchdog ends the process, if nobody has done it before; undefined while nobody has said so. */
  get watchdogAt(): number | undefined {
    return this.watchdogDeadline;
  }

  /**
   * What to tell a daemon on reconnection, or undefined if nothing was ever begun. Running is what was started, and is not being stopped; all else that may be
   * there is unsettled: told again, it is answered when this is known.
   */
  get state(): DriverState | undefined {
    const { service, acknowledged } = this;
    if (this.runningToken !== undefined) {
      const isSettled = acknowledged?.isMaster === true && acknowledged.token === this.runningToken && !this.pending.some((call) => !call.isMaster);
      return { service, isMaster: true, token: this.runningToken, unsettled: !isSettled };
    }
    return acknowledged?.isMaster === false ? { service, isMaster: false, token: acknowledged.token, unsettled: false } : undefined;
  }

  /** Takes a trigger of the daemon; `reply` is called once, with undefined for success. */
  tell(trigger: TriggerParams, reply: Reply): void {
    const { service } = this;
    if (trigger.isMaster && this.closing) {
      reply(rpcError(errorCodes.shuttingDown, `'${service}' was not started: this driver is shutting down. Start it again, or let another machine take over.`));
      return;
    }
    if (trigger.isMaster && trigger.token < this.highestToken) {
      const why = `token ${trigger.token} is older than ${this.highestToken}, seen before`;
      reply(rpcError(errorCodes.invalidParams, `'${service}' was not started: ${why}. Restart the driver if the cluster was made anew.`));
      return;
    }
    if (trigger.isMaster) this.highestToken = trigger.token;
    else this.endLease(trigger.kill);
    this.enqueue(trigger, reply);
    if (trigger.kill && !trigger.isMaster) this.stopBy(this.host.nowUs() + Math.max(0, trigger.limitUs) - killMargin(trigger.limitUs), trigger.limitUs);
  }

  /** Cancels the start that the daemon numbered so, begun or not. */
  cancel(sequence: number): void {
    if (this.current?.isMaster === true && this.current.trigger.sequence === sequence) {
      if (this.current.hasBegun) this.leaseNow?.stop();
      this.cancelCurrent();
    }
    this.dropStarts((start) => start.trigger.sequence === sequence, errorCodes.triggerCancelled, 'was cancelled before it began');
  }

  /**
   * Stops what may be running, without being told by the daemon, by `killDeadline` if there is one. `reply` gets the outcome and the token of what stopped.
   * False: nothing is running, so there will be no reply.
   */
  stopNow(reason: string, kill: boolean, killDeadline: number | undefined, reply: (error: RpcError | undefined, token: number) => void): boolean {
    this.endLease(kill);
    if (this.current?.isMaster === true) {
      this.current.lacksLease = kill && !this.current.hasBegun;
      this.cancelCurrent();
    }
    this.dropStarts(() => true, kill ? errorCodes.noLease : errorCodes.triggerCancelled, `was cancelled: ${reason}`);
    const token = this.runningToken;
    if (token === undefined) return false;
    const limitUs = killDeadline === undefined ? 0 : Math.max(0, killDeadline - this.host.nowUs());
    const sequence = -1; // Not the daemon's: no cancel can name it.
    this.enqueue({ service: this.service, isMaster: false, token, reason, sequence, limitUs, kill, takesOverFrom: [] }, (error) => reply(error, token));
    if (killDeadline !== undefined) this.stopBy(killDeadline, limitUs);
    return true;
  }

  /**
   * The connection is gone: starts that have not begun are forgotten (the daemon says them again), everything else goes on. One that waits for its lease has not
   * begun either: the next registration says that nothing runs, so nothing may start behind its back.
   */
  connectionLost(): void {
    if (this.current?.isMaster === true && !this.current.hasBegun) this.cancelCurrent();
    this.dropStarts(() => true, errorCodes.triggerSuperseded, 'was forgotten: the connection was lost');
  }

  /** The lease has changed, or the watchdog is there: a start may be waiting for it. */
  mayBeginNow(): void {
    this.wake?.();
  }

  /** Starts nothing any more. */
  closeToStarts(): void {
    this.closing = true;
    this.leaseNow?.stop();
    if (this.current?.isMaster === true) this.cancelCurrent();
    this.dropStarts(() => true, errorCodes.shuttingDown, 'was not begun: this driver is shutting down');
  }

  /** Takes up nothing any more. */
  end(): void {
    this.ended = true;
    this.wake?.();
  }

  // A planned stop lets work in hand be finished under the lease, one that cannot wait does not.
  private endLease(kill: boolean): void {
    if (kill) this.leaseNow?.end();
    else this.leaseNow?.stop();
  }

  private enqueue(trigger: TriggerParams, reply: Reply): void {
    const last = this.pending.at(-1);
    if (last === undefined && this.current?.joins(trigger) === true) {
      this.current.join(trigger, reply);
      return;
    }
    // Whatever comes makes a start that has not begun pointless, unless it is that start again.
    if (last?.isMaster === true && last.joins(trigger)) {
      last.join(trigger, reply);
      return;
    }
    this.dropStarts(() => true, errorCodes.triggerSuperseded, 'was overtaken by a newer trigger');
    const stop = this.pending.at(-1);
    if (!trigger.isMaster && stop !== undefined) stop.join(trigger, reply); // Stops merge: one call stops whatever token it was.
    else this.pending.push(new PendingCall(trigger, reply));
    // A start makes way for a stop; a planned stop makes way for one that cannot wait.
    if (!trigger.isMaster && this.current !== undefined && (this.current.isMaster || (trigger.kill && !this.current.trigger.kill))) this.cancelCurrent();
    if (this.isWorking) return;
    this.isWorking = true;
    queueMicrotask(() => void this.work());
  }

  private cancelCurrent(): void {
    if (this.current === undefined || this.current.cancelled) return;
    this.current.cancel();
    this.wake?.();
  }

  private dropStarts(which: (start: PendingCall) => boolean, code: number, how: string): void {
    for (const call of this.pending.filter((pending) => pending.isMaster && which(pending))) {
      this.pending.splice(this.pending.indexOf(call), 1);
      call.reply(rpcError(code, `The start of '${this.service}' ${how}.`));
    }
  }

  // Deadlines only ever come closer: somebody counts on the earliest.
  private stopBy(deadline: number, limitUs: number): void {
    if (this.runningToken === undefined) return;
    this.killDeadline = Math.min(this.killDeadline ?? Infinity, deadline);
    this.watchdogDeadline = Math.min(this.watchdogDeadline ?? Infinity, watchdogTime(deadline, limitUs));
    this.host.deadlinesChanged();
  }

  private async work(): Promise<void> {
    for (let call = this.pending.shift(); call !== undefined; call = this.pending.shift()) {
      const { isMaster, token } = call.trigger;
      if (this.acknowledged?.isMaster === isMaster && this.acknowledged.token === token) {
        call.reply(undefined); // Level-triggered: said again, nothing to do.
      } else if (isMaster && this.failedStart?.token === token) {
        call.reply(this.failedStart.error);
      } else {
        this.current = call;
        await this.perform(call);
      }
    }
    this.isWorking = false;
  }

  private async perform(call: PendingCall): Promise<void> {
    const { isMaster, token } = call.trigger;
    const until = this.host.nowUs() + (call.trigger.limitUs > 0 ? call.trigger.limitUs : startLimitUs);
    for (let patience = leaseWaitMin; isMaster; patience = Math.min(patience * 2, leaseWaitMax)) {
      const next = this.next(call, until);
      if (next === 'begin') break;
      if (next !== 'wait') {
        this.current = undefined;
        call.reply(next);
        return;
      }
      await this.news(patience);
    }
    // From the look at the lease to the first line of user code nothing else runs: no `await` may come in between.
    call.hasBegun = true;
    this.acknowledged = undefined;
    if (isMaster) {
      this.runningToken = token;
      this.leaseNow?.end();
      this.leaseNow = new Lease(this.service, token, () => this.host.leaseEndsAtUs(), () => this.host.nowUs());
      this.failedStart = undefined;
      this.host.deadlinesChanged();
    }
    const error = await this.call(call);
    this.current = undefined;
    if (error === undefined) {
      this.acknowledged = { isMaster, token: call.trigger.token };
      if (!isMaster) this.stopped();
    } else if (isMaster) {
      this.leaseNow?.stop();
      if (error.code === errorCodes.triggerFailed) this.failedStart = { token, error };
    }
    call.reply(error);
  }

  private stopped(): void {
    this.runningToken = undefined;
    this.killDeadline = undefined;
    this.watchdogDeadline = undefined;
    this.failedStart = undefined;
    this.leaseNow?.end();
    this.leaseNow = undefined;
    this.host.deadlinesChanged();
  }

  // A start may only begin under a lease, and only while something can end the process: nobody else would stop it.
  private next(call: PendingCall, until: number): 'begin' | 'wait' | RpcError {
    if (call.lacksLease) return rpcError(errorCodes.noLease, leaseWaitFailed);
    if (call.cancelled || this.ended) return rpcError(errorCodes.triggerCancelled, `The start of '${this.service}' was cancelled before it began.`);
    const watched = this.host.watched();
    if (typeof watched === 'string') return rpcError(errorCodes.triggerFailed, `'${this.service}' was not started: ${watched}`);
    const now = this.host.nowUs();
    if (watched && this.host.holdsLease(now)) return 'begin';
    if (now >= until) return rpcError(errorCodes.noLease, leaseWaitFailed);
    if (watched) this.host.leaseWanted();
    return 'wait';
  }

  private news(patienceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patienceMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async call(call: PendingCall): Promise<RpcError | undefined> {
    const { isMaster } = call;
    const context = call.toContext(this.leaseNow);
    try {
      await this.host.run(context);
      return isMaster && call.cancelled ? rpcError(errorCodes.triggerCancelled, `The start of '${this.service}' was cancelled.`) : undefined;
    } catch (thrown) {
      if (call.cancelled && isAbort(thrown, context.signal)) return rpcError(errorCodes.triggerCancelled, `The ${isMaster ? 'start' : 'stop'} of '${this.service}' was cancelled.`);
      const message = messageOf(thrown);
      this.host.log('error', `${isMaster ? 'Starting' : 'Stopping'} '${this.service}' failed: ${message} The daemon is told; correct the driver. ${stackOf(thrown)}`);
      return rpcError(errorCodes.triggerFailed, message);
    }
  }
}

function isAbort(thrown: unknown, signal: AbortSignal): boolean {
  return (signal.aborted && thrown === signal.reason) || (thrown instanceof Error && thrown.name === 'AbortError');
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : '';
}
