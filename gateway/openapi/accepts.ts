/** Whether a check lets an example through: it is checked as callers' requests are, and throws where the gateway refuses one. */
export function accepts(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
