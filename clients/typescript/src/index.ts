export { DriverMachine, type DriverEvent } from './driverMachine.js';
export type { DriverClient, DriverLogLevel, StopGuarantee } from './driverClient.js';
export { DriverRefusedError } from './errors.js';
export type { Lease } from './lease/lease.js';
export type { TriggerContext } from './triggerContext.js';
