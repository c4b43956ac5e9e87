import { stat } from "node:fs/promises";
import { schemaFilesAt } from "./schema-files.ts";

/** What {@link watchSources} is told. */
export interface WatchOptions {
  /** The files and folders to look at, asked for anew each time. */
  readonly sources: () => readonly string[];
  /** From the end of one look to the start of the next. */
  readonly intervalMs: number;
  /** Called when something has changed, and not again before it has resolved. It must not reject. */
  readonly onChange: () => Promise<void>;
  /** Runs a function after a delay; gives back what takes the order back. */
  readonly schedule?: (run: () => void, delayMs: number) => () => void;
}

/**
 * Looks at files again and again, and tells of a change once two looks in a row have seen the same: a file that is still
 * being written is left alone. It looks at what the paths lead to, so a symbolic link that is changed is a change, as when
 * Kubernetes swaps the folder behind a ConfigMap; and it works on every file system, which notifications do not. The first
 * look counts as a change, since files may have changed since they were read.
 */
export function watchSources({ sources, intervalMs, onChange, schedule = bySetTimeout }: WatchOptions): Disposable {
  let isDisposed = false;
  let seen: string | undefined;
  let told: string | undefined;
  const look = async (): Promise<void> => {
    const found = await fingerprintOf(sources());
    if (isDisposed) return;
    if (found === seen && found !== told) {
      told = found;
      await onChange();
    }
    seen = found;
    if (!isDisposed) cancel = schedule(look, intervalMs);
  };
  let cancel = schedule(look, intervalMs);
  return {
    [Symbol.dispose]() {
      isDisposed = true;
      cancel();
    },
  };
}

function bySetTimeout(run: () => void, delayMs: number): () => void {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
}

/** A text that differs whenever one of the files, or the set of them, has changed. */
async function fingerprintOf(sources: readonly string[]): Promise<string> {
  const prints: string[] = [];
  for (const source of sources) {
    const paths = await schemaFilesAt(source).catch(() => [source]);
    prints.push(source, ...(await Promise.all(paths.map(printOf))));
  }
  return prints.join("\n");
}

async function printOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${path} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return `${path} none`;
  }
}
