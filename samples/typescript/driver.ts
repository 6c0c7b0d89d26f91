// A driver in thirty lines: counts while this machine is the master.   node driver.js SECRET [ws://127.0.0.1:3001]
import { setTimeout as pause } from 'node:timers/promises';
import { DriverMachine, type Lease, type TriggerContext } from 'clustd-client';

class Counter extends DriverMachine {
  private count = 0;
  private counting = Promise.resolve();

  override async trigger(isMaster: boolean, { service, token, reason, lease }: TriggerContext): Promise<void> {
    console.log(`${service}: ${isMaster ? `start under token ${token}` : 'stop'}, because ${reason}`);
    if (isMaster) this.counting = this.work(lease!).catch((error: Error) => void this.reportFailed(service, error.message));
    else await this.counting; // The lease's signal was aborted; a stop returns when it has happened.
    if (!isMaster) console.log(`${service}: stopped at ${this.count}`);
  }

  private async work(lease: Lease): Promise<void> {
    while (!lease.signal.aborted) {
      if (lease.isValid) this.count++; // At every act, and as close to it as can be. Hand lease.token to what you write to.
      await pause(10, undefined, { signal: lease.signal }).catch(() => {});
    }
  }
}

const [secret, host = 'ws://127.0.0.1:3001'] = process.argv.slice(2);
const driver = new Counter({ secret: secret!, id: 'counter' }, host);
await driver.connect();
console.log(`connected to ${driver.machine}`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void driver.close());
