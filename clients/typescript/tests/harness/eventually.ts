export const patienceMs = 20_000; // Only reached when a test fails.

/** Waits until it holds. */
export async function eventually(condition: () => boolean, otherwise: string | (() => string)): Promise<void> {
  const until = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > until) throw new Error(`After ${patienceMs / 1000} s still: ${typeof otherwise === 'string' ? otherwise : otherwise()}`);
    await pause(2);
  }
}

export async function within<T>(promise: Promise<T>, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`After ${patienceMs / 1000} s still: ${otherwise}`)), patienceMs)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
