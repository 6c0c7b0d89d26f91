// A driver in a process of its own that does not stop as it should. Arguments: URL, secret, what it does, and what it promises.
import { openSync, writeSync } from 'node:fs';
import { DriverMachine, type StopGuarantee, type TriggerContext } from '../../src/index.js';

const [, , url, secret, what, stop] = process.argv;

class Stubborn extends DriverMachine {
  trigger(isMaster: boolean, { kill }: TriggerContext): void | Promise<void> {
    writeSync(1, `${isMaster ? 'start' : kill ? 'kill' : 'stop'}\n`);
    if (isMaster) setTimeout(misbehave, 50);
    else if (what === 'hang') return new Promise(() => {});
  }
}

function misbehave(): void {
  if (what === 'loop') for (;;);
  if (what?.startsWith('block')) for (const until = performance.now() + Number(what.slice(5)); performance.now() < until; );
  if (what === 'write') writeSync(openSync('/proc/self/fd/2', 'w'), 'x'.repeat(4 << 20)); // Nobody reads it: this never returns.
  writeSync(1, 'behaves\n');
}

new Stubborn({ secret: secret!, id: 'stubborn', stop: stop as StopGuarantee }, url!).connect().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
