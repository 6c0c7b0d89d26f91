// The driver of 2018, to the letter. It imports `clustd-lib`, which package.json makes another name of `clustd-client`.
import crypto from 'crypto';
import { DriverClient, DriverMachine } from 'clustd-lib';

export class TestDriver extends DriverMachine { constructor(dc: DriverClient, host: string) { super(dc, host); } trigger(isMaster: boolean): void { console.log('Master status:', isMaster); } }
const dc: DriverClient = { secret: '...', id: 'driver-test-' + crypto.randomBytes(4).readUInt32BE(0) }
const dm = new TestDriver(dc, 'ws://127.0.0.1:3001'); await dm.connect();
