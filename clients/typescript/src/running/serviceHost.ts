import type { DriverLogLevel } from '../driverClient.js';
import type { TriggerContext } from '../triggerContext.js';

/** What a service's triggers need from around them: user code, the lease, the clock. The driver's connection is one, the tests have another. */
export interface ServiceHost {
  /** The driver's clock, microseconds. */
  nowUs(): number;

  /** Calls user code. */
  run(context: TriggerContext): unknown;

  /** Whether the lease is in effect. */
  holdsLease(nowUs: number): boolean;

  /** End of the lease on that clock; -Infinity while there is none. */
  leaseEndsAtUs(): number;

  /** A start waits for a lease: renew now. */
  leaseWanted(): void;

  /** What may be running, or when it must be gone, has changed. */
  deadlinesChanged(): void;

  /** Whether something can end this process in time; no start begins before. A text: nothing ever will, and why. */
  watched(): boolean | string;

  log(level: DriverLogLevel, text: string): void;
}
