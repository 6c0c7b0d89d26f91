import { closeSync, openSync, readSync } from 'node:fs';

// What one digit of /proc/uptime is, microseconds: the file is cut to hundredths of a second.
const uptimeStepUs = 10_000;

// Elsewhere only the wall clock can tell of a sleep. It may also be set; less than this is taken for that, more for a sleep: then one stop too many.
const wallJumpUs = 1_000_000;

/**
 * The clock that leases are counted on, microseconds. It counts the time that the machine sleeps, and never goes back.
 *
 * Node has one clock that nobody can set, `process.hrtime`, which is CLOCK_MONOTONIC on Linux and stands still while the machine sleeps. /proc/uptime is
 * CLOCK_BOOTTIME, which does not, in steps of 10 ms. So every reading takes both (some 2 µs together): the time is hrtime plus an offset, and as soon as the uptime
 * is ahead of that, the machine has slept, and the offset grows. A sleep is counted to within two steps, 20 ms; a shorter one is not seen.
 *
 * What cannot be had without native code is CLOCK_MONOTONIC_RAW: NTP slews this clock. The kernel's own discipline, ntpd and systemd-timesyncd stay below 0.05 %;
 * chrony may go to 8 % while it corrects a large offset unless its `maxslewrate` is set to 10000 or less (README.md).
 */
export class DriverClock {
  /** What is added to hrtime, microseconds: one number, shared with the watchdog's thread, that only grows. */
  readonly offset = new BigInt64Array(new SharedArrayBuffer(8));

  private readonly buffer = Buffer.alloc(64);
  private file: number | undefined;
  private wallAheadUs = 0;

  constructor(private readonly uptimePath = '/proc/uptime') {
    try {
      this.file = openSync(this.uptimePath, 'r');
    } catch {
      this.file = undefined; // Not Linux, or no /proc here.
    }
    this.wallAheadUs = wallUs() - hrtimeUs();
    const before = hrtimeUs();
    const uptime = this.uptimeUs();
    // Below zero where a container has an uptime of its own: only differences count.
    if (uptime !== undefined) this.offset[0] = BigInt(uptime + uptimeStepUs - before);
  }

  /** Whether this clock runs on while the machine sleeps. */
  get countsSleep(): boolean {
    return this.file !== undefined;
  }

  /** Now. Read it after a message was taken from its queue, never before: the process may freeze in between. */
  nowUs(): number {
    const before = hrtimeUs();
    const uptime = this.uptimeUs();
    const now = hrtimeUs();
    const offset = Number(Atomics.load(this.offset, 0));
    if (uptime === undefined) return now + this.offsetByTheWallClock(now, offset);
    return uptime <= now + offset ? now + offset : now + this.raise(uptime + uptimeStepUs - before);
  }

  /** For tests, which make more than one. */
  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }

  private uptimeUs(): number | undefined {
    if (this.file === undefined) return undefined;
    try {
      const length = readSync(this.file, this.buffer, 0, this.buffer.length, 0);
      const seconds = parseFloat(this.buffer.toString('latin1', 0, length));
      if (Number.isFinite(seconds)) return Math.round(seconds * 1_000_000);
    } catch {
      // A /proc that goes away under a running program: from now on this clock is as good as on any other system, and says so.
    }
    this.file = undefined;
    return undefined;
  }

  private offsetByTheWallClock(now: number, offset: number): number {
    const ahead = wallUs() - now;
    const jump = ahead - this.wallAheadUs;
    this.wallAheadUs = ahead;
    return jump < wallJumpUs ? offset : this.raise(offset + jump);
  }

  private raise(us: number): number {
    const wanted = BigInt(Math.ceil(us));
    for (;;) {
      const known = Atomics.load(this.offset, 0);
      if (known >= wanted) return Number(known);
      if (Atomics.compareExchange(this.offset, 0, known, wanted) === known) return Number(wanted);
    }
  }
}

let shared: DriverClock | undefined;

/** The one clock of this process. */
export function systemClock(): DriverClock {
  return (shared ??= new DriverClock());
}

function hrtimeUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
}

function wallUs(): number {
  return Date.now() * 1000;
}
