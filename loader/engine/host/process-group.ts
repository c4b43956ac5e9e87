/**
 * Signals a process that leads a group of its own, with everything that it has started. A group that is gone is no error:
 * that is what the signal was for.
 */
export function signalGroup(leaderPid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leaderPid, signal);
  } catch {
    // ESRCH: nobody is left.
  }
}
