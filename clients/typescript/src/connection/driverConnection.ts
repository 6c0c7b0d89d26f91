import type { DriverClock } from '../clock.js';
import type { DriverLogLevel, EffectiveClient } from '../driverClient.js';
import { ConnectionError, DriverRefusedError, messageOf } from '../errors.js';
import type { Lease } from '../lease/lease.js';
import { readCancel, readRegisterResult, readTrigger, type RegisterResult } from '../protocol/messages.js';
import { errorCodes, rpcError, type RpcMessage } from '../protocol/rpc.js';
import { LeaseKeeper, type LeaseHolder } from '../running/leaseKeeper.js';
import type { ServiceHost } from '../running/serviceHost.js';
import { killMargin, ServiceTriggers } from '../running/serviceTriggers.js';
import { Watchdog } from '../running/watchdog.js';
import type { TriggerContext } from '../triggerContext.js';
import { Backoff, delay } from './backoff.js';
import type { DaemonAddress } from './daemonAddress.js';
import { DaemonLink } from './daemonLink.js';

const proofLimitMs = 1_000;

/** What a connection needs of the driver that it serves. */
export interface ConnectionOwner {
  readonly client: EffectiveClient;
  readonly address: DaemonAddress;
  readonly instance: string;
  readonly clock: DriverClock | undefined; // Undefined: a test's clock, which no other thread can read.
  nowUs(): number;
  run(context: TriggerContext): unknown;
  log(level: DriverLogLevel, text: string): void;
  changed(event: 'connected' | 'disconnected' | 'lease', machine?: string): void;
  readonly endsItself: boolean; // False: no clock here counts sleep, so nothing is promised.
  readonly watches: boolean; // False: a test survives the end of the process.
  endProcess(message: string): void;
}

/** Keeps one driver connected: connects, registers, reads, and begins anew, until it is shut down. */
export class DriverConnection implements ServiceHost, LeaseHolder {
  /** Done when first registered; rejected with `DriverRefusedError` if refused before that. */
  readonly first: Promise<void>;

  private readonly keeper: LeaseKeeper;
  private readonly watchdog: Watchdog | undefined;
  private readonly triggers = new Map<string, ServiceTriggers>();
  private readonly stopping = new AbortController();
  private settleFirst!: { resolve: () => void; reject: (error: Error) => void };
  private waiting: ((link: DaemonLink | undefined) => void)[] = []; // For a registered connection; undefined: there will be none any more.
  private link: DaemonLink | undefined; // Registered, or about to be.
  private isRegistered = false;
  private wasRegistered = false;
  private isShuttingDown = false;
  private lastProblem: string | undefined;
  private readonly deadlinesReported = new Map<string, number>();

  constructor(private readonly owner: ConnectionOwner) {
    this.first = new Promise((resolve, reject) => (this.settleFirst = { resolve, reject }));
    this.first.catch(() => {}); // Whoever connects awaits it; nobody else has to.
    if (owner.client.stop === 'certain' && owner.endsItself && owner.watches && owner.clock !== undefined)
      this.watchdog = new Watchdog(owner.clock, () => this.mayBegin(), (text) => owner.log('error', text));
    this.keeper = new LeaseKeeper(this, this.watchdog, owner.clock !== undefined);
    void this.work();
  }

  get isConnected(): boolean {
    return this.isRegistered;
  }

  nowUs(): number {
    return this.owner.nowUs();
  }

  run(context: TriggerContext): unknown {
    return this.owner.run(context);
  }

  holdsLease(nowUs: number): boolean {
    return this.keeper.holdsLease(nowUs);
  }

  leaseEndsAtUs(): number {
    return this.keeper.endsAtUs;
  }

  leaseWanted(): void {
    this.keeper.renewSoon();
  }

  deadlinesChanged(): void {
    this.keeper.deadlinesChanged();
  }

  watched(): boolean | string {
    return this.watchdog?.watches ?? true;
  }

  log(level: DriverLogLevel, text: string): void {
    this.owner.log(level, text);
  }

  services(): readonly ServiceTriggers[] {
    return [...this.triggers.values()];
  }

  /** What is granted to what runs: of `service`, or of the only one that runs. */
  leaseOf(service?: string): Lease | undefined {
    const leases = this.services().filter((triggers) => triggers.lease !== undefined && (service === undefined || triggers.service === service));
    if (leases.length <= 1) return leases[0]?.lease;
    throw new Error(`Cannot tell which lease is meant: this driver was started for ${leases.map((triggers) => triggers.service).join(', ')}. Name the service.`);
  }

  /** Token of what may be running for a service. */
  runningToken(service: string): number | undefined {
    return this.triggers.get(service)?.running;
  }

  /**
   * Sends a request and resolves when the daemon has taken it, over as many connections as that needs, or when `params` says that there is nothing to tell any
   * more. A driver that is closed runs nothing, so that nothing is lost by not saying that it has failed.
   */
  async report(method: string, params: () => object | undefined): Promise<void> {
    while (params() !== undefined) {
      const link = await this.registeredLink();
      const now = params(); // It may have taken a while.
      if (now === undefined) return;
      const answer = await link?.call(method, now);
      if (answer?.error !== undefined) throw new Error(`The daemon at ${this.owner.address} refused '${method}': ${answer.error.message}`);
      if (answer !== undefined) return;
      if (this.stopping.signal.aborted && method === 'failed') return;
      if (this.stopping.signal.aborted) throw new Error(`Cannot report '${method}': the driver was closed. Report before closing it.`);
      await delay(50, this.stopping.signal); // The connection was lost; the next one takes a moment.
    }
  }

  // Undefined: there will be none any more.
  private registeredLink(): Promise<DaemonLink | undefined> {
    if (this.isRegistered || this.stopping.signal.aborted) return Promise.resolve(this.isRegistered ? this.link : undefined);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Stops everything, says so, disconnects. What cannot be stopped in time is left to the lease: it ends, and the deadline after it. */
  async shutDown(stopLimitMs: number): Promise<void> {
    const reason = 'the driver is shutting down';
    this.isShuttingDown = true; // No connection is taken up any more, so no service can appear behind our back.
    for (const service of this.services()) service.closeToStarts();
    const stops = this.services().map(
      (service) =>
        new Promise<void>((resolve, reject) => {
          const any = service.stopNow(reason, false, undefined, (error, token) => {
            if (error === undefined) void this.proveStopped(service.service, token, reason).then(resolve);
            else reject(new Error(error.message));
          });
          if (!any) resolve();
        }),
    );
    const limit = new AbortController();
    try {
      await Promise.race([
        Promise.all(stops),
        delay(stopLimitMs, limit.signal).then(() => {
          if (!limit.signal.aborted) throw new Error(`It took longer than ${stopLimitMs / 1000} s.`);
        }),
      ]);
    } catch (error) {
      const what = `Not everything stopped when the driver was shut down: ${messageOf(error)}`;
      this.log('error', `${what} It counts as running until the lease is over. Correct the driver's stop.`);
    } finally {
      limit.abort();
    }
    this.stopping.abort();
    await this.link?.close();
    this.settleFirst.reject(new DriverRefusedError(`Cannot connect to the daemon at ${this.owner.address}: the driver was closed. Make a new one to connect again.`));
    for (const waiting of this.waiting.splice(0)) waiting(undefined);
    if (this.services().every((service) => service.running === undefined)) this.end();
    else this.keeper.close(); // It goes on: somebody must see the lease end, stop again, and see the deadline.
  }

  leaseOver(endedAtUs: number, killTimeoutUs: number): void {
    const reason = 'lease over: the daemon has not renewed it, so another machine may take over';
    const deadline = endedAtUs + killTimeoutUs - killMargin(killTimeoutUs);
    for (const service of this.services()) {
      service.stopNow(reason, true, deadline, (error, token) => {
        if (error === undefined) void this.proveStopped(service.service, token, reason);
      });
    }
    this.log('warning', "The lease is over: the daemon has not renewed it. What runs here is stopped; look at the daemon's log for why.");
  }

  leaseChanged(): void {
    this.mayBegin();
    this.owner.changed('lease');
  }

  deadlinePassed(service: string, killAtUs: number): void {
    if (this.deadlinesReported.get(service) === killAtUs) return;
    this.deadlinesReported.set(service, killAtUs);
    const what = `'${service}' has not stopped in time: its stop has not returned, and another machine may start it now.`;
    if (this.owner.client.stop === 'certain' && this.owner.endsItself)
      this.owner.endProcess(`clustd: ${what} This process ends itself, as it promised (stop: certain). Make the stop faster or raise kill_timeout.`);
    else this.log('error', `${what} Make the stop faster or raise kill_timeout.`);
  }

  private async work(): Promise<void> {
    const backoff = new Backoff();
    const { client, address } = this.owner;
    while (!this.stopping.signal.aborted) {
      try {
        const link = await DaemonLink.open(address, client.secret, client.name, (begun) => (this.link = begun));
        await this.serve(link, () => backoff.connected());
      } catch (error) {
        if (error instanceof DriverRefusedError && !this.wasRegistered) {
          this.settleFirst.reject(error);
          this.end(); // Nothing was ever registered, so nothing can be running.
          return;
        }
        if (!(error instanceof DriverRefusedError || error instanceof ConnectionError)) throw error;
        if (!this.stopping.signal.aborted) this.logProblem(error instanceof DriverRefusedError ? 'error' : 'warning', error.message);
      }
      await delay(backoff.next(this.holdsLease(this.nowUs())), this.stopping.signal);
    }
  }

  // Rejects when the connection has ended, with the reason.
  private serve(link: DaemonLink, registered: () => void): Promise<never> {
    const { client, address } = this.owner;
    return new Promise((_, reject) => {
      link.endedBy = (reason) => {
        const wasRegistered = this.isRegistered;
        this.detach();
        reject(
          new ConnectionError(
            wasRegistered
              ? `Lost the connection to the daemon at ${address}: ${reason}. The driver keeps running while its lease lasts, and reconnects.`
              : `Cannot register '${client.name}' with the daemon at ${address}: ${reason}. It is tried again.`,
          ),
        );
      };
      if (link.endReason !== undefined) link.endedBy(link.endReason);
      // In one go with its answer: what comes right behind it is for a driver that is registered.
      link.request('register', this.registration(), (answer) => {
        if (answer === undefined) return; // The connection was lost, and has said so.
        try {
          this.attach(link, this.termsOf(answer));
          registered();
        } catch (error) {
          reject(error);
          link.abort('it was given up');
        }
      });
    });
  }

  private registration(): object {
    const { client, clock } = this.owner;
    return {
      name: client.name,
      instance: this.owner.instance,
      id: client.id,
      services: client.services,
      order: client.order,
      required: client.required,
      stop: client.stop === 'best-effort' || clock?.countsSleep === false ? 'best-effort' : 'certain',
      ...(client.stopTimeoutUs === undefined ? {} : { stopTimeoutUs: client.stopTimeoutUs }),
      ...(client.killTimeoutUs === undefined ? {} : { killTimeoutUs: client.killTimeoutUs }),
      ...(client.fences.length === 0 ? {} : { fences: client.fences }),
      processId: process.pid,
      states: this.services().flatMap((service) => service.state ?? []),
    };
  }

  private termsOf(answer: RpcMessage): RegisterResult {
    const { address } = this.owner;
    if (answer.error?.code === errorCodes.instanceBusy) throw new ConnectionError(answer.error.message);
    if (answer.error !== undefined) throw new DriverRefusedError(answer.error.message);
    const terms = readRegisterResult(answer.result);
    if (terms === undefined) throw new ConnectionError(`Cannot register with the daemon at ${address}: its answer makes no sense. Check that its version fits this driver's.`);
    return terms;
  }

  private attach(link: DaemonLink, terms: RegisterResult): void {
    if (this.isShuttingDown) throw new ConnectionError('The driver is shutting down.');
    for (const name of terms.services) if (!this.triggers.has(name)) this.triggers.set(name, new ServiceTriggers(name, this));
    link.opened();
    link.awake = () => this.keeper.look();
    link.received = (message) => this.receive(link, message);
    this.isRegistered = true;
    this.wasRegistered = true;
    this.lastProblem = undefined;
    this.keeper.connected(link, terms);
    this.log('info', `Registered with ${terms.machine} at ${this.owner.address} as '${this.owner.client.name}' for ${terms.services.join(', ')}.`);
    this.settleFirst.resolve();
    for (const waiting of this.waiting.splice(0)) waiting(link);
    this.owner.changed('connected', terms.machine);
  }

  private detach(): void {
    this.link = undefined;
    if (!this.isRegistered) return;
    this.isRegistered = false;
    this.keeper.disconnected();
    for (const service of this.services()) service.connectionLost();
    this.owner.changed('disconnected');
  }

  private receive(link: DaemonLink, message: RpcMessage): void {
    if (message.method === 'cancel') {
      const cancel = readCancel(message.params);
      if (cancel !== undefined) this.triggers.get(cancel.service)?.cancel(cancel.sequence);
      link.answer(message, undefined);
      return;
    }
    if (message.id === undefined) return; // A notification that we do not know: a newer daemon may have more to say.
    if (message.method !== 'trigger') {
      link.answer(message, rpcError(errorCodes.methodNotFound, `'${message.method}' is unknown to this driver, which speaks clustd.v1.`));
      return;
    }
    const trigger = readTrigger(message.params);
    const service = trigger === undefined ? undefined : this.triggers.get(trigger.service);
    if (trigger === undefined) link.answer(message, rpcError(errorCodes.invalidParams, 'A trigger needs service, isMaster, token and sequence, and what else it has must make sense.'));
    else if (service === undefined) link.answer(message, rpcError(errorCodes.invalidParams, `This driver was not registered for '${trigger.service}'.`));
    else service.tell(trigger, (error) => link.answer(message, error));
  }

  // Resolves when the daemon has taken it or never will; while disconnected there is nothing to do, the next register tells the state.
  private async proveStopped(service: string, token: number, reason: string): Promise<void> {
    if (!this.isRegistered || this.link === undefined) return;
    const limit = new AbortController();
    const proof = { name: this.owner.client.name, instance: this.owner.instance, service, token, reason };
    await Promise.race([this.link.call('stopped', proof), delay(proofLimitMs, limit.signal)]);
    limit.abort();
  }

  private mayBegin(): void {
    for (const service of this.triggers.values()) service.mayBeginNow();
  }

  private end(): void {
    this.stopping.abort();
    for (const service of this.services()) service.end();
    this.keeper.end();
  }

  private logProblem(level: DriverLogLevel, text: string): void {
    if (this.lastProblem === text) return; // Said once; it is tried many times.
    this.lastProblem = text;
    this.log(level, text);
  }
}
