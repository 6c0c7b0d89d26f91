import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { write } from 'node:fs';
import { type DriverClock, systemClock } from './clock.js';
import { DaemonAddress } from './connection/daemonAddress.js';
import { DriverConnection, type ConnectionOwner } from './connection/driverConnection.js';
import { effectiveClient, type DriverClient, type DriverLogLevel, type EffectiveClient } from './driverClient.js';
import { messageOf } from './errors.js';
import type { Lease } from './lease/lease.js';
import { cut } from './protocol/rpc.js';
import type { TriggerContext } from './triggerContext.js';

const stopTimeoutMs = 10_000; // As a service's stop_timeout.

/** What `DriverMachine.on` tells of: registered with the daemon; the connection was lost (what runs goes on); the lease was extended, or has ended. */
export type DriverEvent = 'connected' | 'disconnected' | 'lease';

/**
 * Base of a driver: connects to the local daemon, is told when this machine becomes the master of a service and when it stops being so, and stops by itself when
 * its lease runs out. Override `trigger`, then `connect()`.
 *
 * Calls for one service come one at a time, in order; a driver that has just connected is told its state at once, `false` included. A lost connection calls
 * nothing: the driver reconnects, and stops only when the lease is over.
 */
export abstract class DriverMachine {
  /** Random, new with every object: by it the daemon tells a reconnect from a second copy. */
  readonly instance = randomUUID().replaceAll('-', '');

  readonly #client: EffectiveClient;
  readonly #given: DriverClient;
  readonly #address: DaemonAddress;
  readonly #clock: DriverClock | undefined;
  readonly #events = new EventEmitter();
  #connection: DriverConnection | undefined;
  #refused = false;
  #closed: Promise<void> | undefined;
  #machine: string | undefined;

  /**
   * A driver for the daemon at `host`: `ws://127.0.0.1:3001`, also with a path, or without `ws://`. Throws a `TypeError` if something of it cannot be used.
   */
  constructor(client: DriverClient, host: string) {
    this.#client = effectiveClient(client);
    this.#given = client;
    this.#address = DaemonAddress.parse(host);
    this.#clock = client.clock === undefined ? systemClock() : undefined;
    if (typeof this.trigger !== 'function') throw new TypeError('This driver has no method `trigger`: nobody would start or stop anything. Write `trigger(isMaster) { ... }`.');
    if (this.#client.stop === 'certain' && this.#clock?.countsSleep === false)
      this.#log('warning', "No clock here counts the time that the machine sleeps, so this driver registers as 'best-effort'. Say stop: 'best-effort' to say so yourself.");
  }

  /** The name that the daemon knows this driver by. */
  get name(): string {
    return this.#client.name;
  }

  /** Id of the machine; undefined until first registered. */
  get machine(): string | undefined {
    return this.#machine;
  }

  /** Whether the daemon is connected and has registered this driver. A lost connection ends nothing: the lease does. */
  get isConnected(): boolean {
    return this.#connection?.isConnected ?? false;
  }

  /** What this driver was granted for a service that it was started for, until a stop has succeeded. Without a name: the only one that it was started for. */
  leaseOf(service?: string): Lease | undefined {
    return this.#connection?.leaseOf(service);
  }

  /**
   * Start (true: this machine is the master) or stop (false). Return, or resolve, only when it has happened: the daemon waits for it, and a completed stop lets
   * another machine start. What is thrown is told to the daemon with its message.
   */
  abstract trigger(isMaster: boolean, context: TriggerContext): void | Promise<void>;

  /**
   * Connects, and resolves once registered; a daemon that is not there yet is waited for. Afterwards the driver reconnects by itself for ever. Rejects with
   * `DriverRefusedError` if the secrets differ or the daemon refuses this driver for good. Aborting `signal` before it is registered closes the driver.
   */
  async connect(signal?: AbortSignal): Promise<void> {
    if (this.#closed !== undefined) throw new Error('Cannot connect: this driver was closed. Make a new one.');
    if (this.#connection === undefined || this.#refused) this.#connection = new DriverConnection(this.#owner());
    this.#refused = false; // The reason may have been removed since.
    const { first } = this.#connection;
    const aborted = signal === undefined ? [] : [rejectedBy(signal)];
    try {
      await Promise.race([first, ...aborted]);
    } catch (error) {
      if (signal?.aborted === true && error === signal.reason) await this.close();
      else this.#refused = true;
      throw error;
    }
  }

  /** Stops what runs, tells the daemon so (the next master starts in milliseconds), and disconnects. */
  close(): Promise<void> {
    this.#closed ??= this.#connection?.shutDown(this.#given.stopTimeoutMs ?? stopTimeoutMs) ?? Promise.resolve();
    return this.#closed;
  }

  /**
   * Reports that what was running for a service has failed by itself: the daemon demotes it and lets another machine try. Resolves when the daemon has taken it,
   * or when nothing is running any more.
   */
  async reportFailed(service: string, reason: string): Promise<void> {
    const connection = this.#connected('failed');
    const failed = connection.runningToken(service);
    return connection.report('failed', () => {
      const token = connection.runningToken(service);
      return token !== undefined && token === failed ? { service, token, reason: cut(reason) } : undefined;
    });
  }

  /** Reports how a service is doing here. Resolves when the daemon has taken it. */
  async reportHealth(service: string, ok: boolean, detail = ''): Promise<void> {
    return this.#connected('health').report('health', () => ({ service, ok, detail: cut(detail) }));
  }

  /** Adds a line to the cluster's event history. Resolves when the daemon has taken it. */
  async reportEvent(level: DriverLogLevel, text: string): Promise<void> {
    return this.#connected('event').report('event', () => ({ level, text: cut(text) }));
  }

  /** Calls `listener` whenever it happens; what it throws is logged. */
  on(event: DriverEvent, listener: () => void): this {
    this.#events.on(event, listener);
    return this;
  }

  off(event: DriverEvent, listener: () => void): this {
    this.#events.off(event, listener);
    return this;
  }

  #connected(method: string): DriverConnection {
    if (this.#connection === undefined) throw new Error(`Cannot report '${method}': the driver was never connected. Await connect() first.`);
    return this.#connection;
  }

  #owner(): ConnectionOwner {
    const { clock, endProcess } = this.#given;
    const system = this.#clock;
    return {
      client: this.#client,
      address: this.#address,
      instance: this.instance,
      clock: system,
      nowUs: clock === undefined ? () => system!.nowUs() : () => Math.floor(clock()),
      run: (context) => this.trigger(context.isMaster, context),
      log: (level, text) => this.#log(level, text),
      changed: (event, machine) => {
        this.#machine = machine ?? this.#machine;
        queueMicrotask(() => this.#emit(event));
      },
      endsItself: system?.countsSleep !== false,
      watches: endProcess === undefined,
      endProcess: endProcess ?? endThisProcess,
    };
  }

  #emit(event: DriverEvent): void {
    try {
      this.#events.emit(event);
    } catch (error) {
      this.#log('error', `A listener of '${event}' failed: ${messageOf(error)} Everything else goes on. Correct the driver.`);
    }
  }

  #log(level: DriverLogLevel, text: string): void {
    try {
      if (this.#given.log !== undefined) this.#given.log(level, text);
      else if (level === 'warning' || level === 'error') console.error(`clustd: ${text}`);
    } catch {
      // A log that cannot be written has nowhere to be reported, and must not end the process.
    }
  }
}

// Nothing is unwound: cleaning up is what did not return in time.
function endThisProcess(message: string): void {
  write(2, `${message}\n`, () => {}); // By the thread pool: nobody may be reading stderr, and then writing to it blocks.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  process.kill(process.pid, 'SIGKILL');
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
