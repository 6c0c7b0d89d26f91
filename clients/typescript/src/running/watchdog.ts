import { Worker } from 'node:worker_threads';
import type { DriverClock } from '../clock.js';
import { messageOf } from '../errors.js';

const never = 1n << 62n;

/**
 * Ends this process by SIGKILL at a deadline, on a thread of its own: also when the event loop is blocked, in an endless loop or by a debugger. The deadline lies
 * in shared memory and is moved on with every renewal of the lease, so nothing has to be done, or can be forgotten, at the moment when it passes.
 */
export class Watchdog {
  private readonly deadline = new BigInt64Array(new SharedArrayBuffer(8));
  private worker: Worker | undefined;
  private isReady = false;
  private problem: string | undefined;
  private ended = false;

  constructor(private readonly clock: DriverClock, private readonly changed: () => void, private readonly log: (text: string) => void) {
    this.deadline[0] = never;
    this.start();
  }

  /** Whether it watches. A text: it cannot, and why. */
  get watches(): boolean | string {
    return this.problem ?? this.isReady;
  }

  /** Ends the process at `atUs` on the driver's clock; undefined: not at all. */
  arm(atUs: number | undefined): void {
    const at = atUs === undefined || atUs >= Number(never) ? never : BigInt(Math.floor(Math.max(atUs, 0)));
    if (Atomics.exchange(this.deadline, 0, at) !== at) Atomics.notify(this.deadline, 0);
  }

  /** Ends the thread. What was armed is called off. */
  end(): void {
    this.ended = true;
    this.arm(undefined);
    void this.worker?.terminate();
  }

  private start(): void {
    this.isReady = false;
    try {
      const workerData = { deadline: this.deadline, offset: this.clock.offset };
      // Nothing of how the program itself was started: no loaders, no inspector, no `--input-type`.
      const worker = new Worker(watch, { eval: true, workerData, execArgv: [], env: {}, name: 'clustd watchdog' });
      this.worker = worker;
      worker.unref();
      worker.once('message', () => {
        this.isReady = true;
        this.changed();
      });
      worker.on('error', (error) => this.log(`The watchdog's thread failed: ${messageOf(error)}. It is started again; if this goes on, look at this process's memory.`));
      worker.once('exit', () => {
        if (!this.ended) setTimeout(() => this.ended || this.start(), 100).unref();
        this.isReady = false;
      });
    } catch (error) {
      this.problem = `the thread that ends this process if a stop hangs could not be made: ${messageOf(error)}. Allow worker threads, or say stop: 'best-effort'.`;
      this.changed();
    }
  }
}

// The thread's whole program, as text: it needs no file, so that the package works bundled as well. Its clock is DriverClock's, without what is only for other
// systems: there a driver promises nothing and has no watchdog. Looks every 25 ms, because a sleeping timer does not count suspend either.
const watch = `
const { workerData: { deadline, offset }, parentPort } = require('node:worker_threads');
const fs = require('node:fs');
let uptime;
const text = Buffer.alloc(64);
const hrtime = () => { const [s, ns] = process.hrtime(); return s * 1e6 + Math.floor(ns / 1e3); };
function now() {
  const before = hrtime();
  let booted = 0;
  try {
    uptime ??= fs.openSync('/proc/uptime', 'r');
    booted = parseFloat(text.toString('latin1', 0, fs.readSync(uptime, text, 0, 64, 0))) * 1e6;
  } catch {} // A /proc that goes away must not end the one thread that keeps the promise.
  const known = Atomics.load(offset, 0);
  const shown = hrtime() + Number(known);
  if (!(booted > shown)) return shown;
  const wanted = BigInt(Math.ceil(booted + 1e4 - before));
  Atomics.compareExchange(offset, 0, known, wanted);
  return Math.max(shown, hrtime() + Number(wanted));
}
parentPort.postMessage('watching');
for (;;) {
  const at = Atomics.load(deadline, 0);
  if (at === ${never}n) { Atomics.wait(deadline, 0, at); continue; }
  const left = (Number(at) - now()) / 1e3;
  if (left > 0) { Atomics.wait(deadline, 0, at, Math.min(left, 25)); continue; }
  if (Atomics.load(deadline, 0) !== at) continue;
  // By the thread pool: nobody may be reading stderr, and then writing to it blocks.
  fs.write(2, 'clustd: What runs here has not stopped in time (a stop has not returned, or the event loop is blocked), and another machine may start it now. '
    + 'This process ends itself, as it promised (stop: certain). Make the stop faster or raise kill_timeout.\\n', () => {});
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  process.kill(process.pid, 'SIGKILL');
}
`;
