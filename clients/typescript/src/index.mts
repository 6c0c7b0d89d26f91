// For `import`: the same objects as for `require`, so that a program that uses both has one clock and one DriverRefusedError.
export * from './index.js';
