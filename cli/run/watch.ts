import { readdir, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { watch } from "chokidar";

/** The files whose change makes a service another one: code, models, definitions. What code writes while it runs is none. */
const extensions: ReadonlySet<string> = new Set([
  ".py",
  ".so",
  ".onnx",
  ".ts",
  ".js",
  ".mjs",
  ".yaml",
  ".yml",
  ".c",
  ".cc",
  ".cpp",
  ".cxx",
  ".h",
  ".hpp",
]);

/** How long it must be quiet: editors and compilers write several files, and some of them twice. */
const quietMs = 200;

/** What {@link watchSource} tells. */
export interface WatchOptions {
  /** Brings what is built from other files up to date, before they are looked at. */
  readonly prepare: () => Promise<unknown>;
  /** Told of a change; the next one is told when this one is done with. */
  readonly onChange: () => Promise<void>;
  /** Told what `prepare` and `onChange` throw. */
  readonly onError: (thrown: unknown) => void;
}

/** What is watched; disposing of it ends that. */
export interface WatchedSource extends AsyncDisposable {
  /** From now on changes are told. Resolves when those since the beginning are. */
  follow(): Promise<void>;
}

/**
 * Watches a service's folder, or the single file that it is, from now on. A change is told when all is quiet and the files are
 * not what they were when the last change was told; what `prepare` makes is part of that, and no change of its own.
 */
export async function watchSource(source: string, options: WatchOptions): Promise<WatchedSource> {
  let known = await fingerprint(source);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isFollowing = false;
  let isBusy = false;
  let isStale = false;
  const look = async (): Promise<void> => {
    if (!isFollowing || isBusy) {
      isStale = true;
      return;
    }
    isBusy = true;
    isStale = false;
    try {
      if ((await fingerprint(source)) !== known) {
        await options.prepare();
        known = await fingerprint(source);
        await options.onChange();
      }
    } catch (thrown) {
      options.onError(thrown);
    }
    isBusy = false;
    if (isStale) await look();
  };
  const watcher = watch(source, {
    ignoreInitial: true,
    ignored: (path) => path !== source && isIgnored(basename(path)),
  });
  watcher.on("all", (_, path) => {
    if (!extensions.has(extname(path))) return;
    clearTimeout(timer);
    timer = setTimeout(() => void look(), quietMs);
  });
  watcher.on("error", options.onError);
  await new Promise<void>((resolve) => watcher.once("ready", resolve));
  return {
    follow() {
      isFollowing = true;
      return look();
    },
    async [Symbol.asyncDispose]() {
      isFollowing = false;
      clearTimeout(timer);
      await watcher.close();
    },
  };
}

/** Folders that hold other people's code or what tools keep, and their files. */
function isIgnored(name: string): boolean {
  return name.startsWith(".") || name === "node_modules" || name === "__pycache__" || name === "venv";
}

/** Changes when one of the files that count is added, taken away or written. */
async function fingerprint(path: string): Promise<string> {
  // Of the file that a link leads to; it may be gone meanwhile.
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) return "";
  if (!status.isDirectory()) return `${path} ${status.ino} ${status.size} ${status.mtimeMs}`;
  const lines: string[] = [];
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const counts = entry.isDirectory() || extensions.has(extname(entry.name));
    if (counts && !isIgnored(entry.name)) lines.push(await fingerprint(join(path, entry.name)));
  }
  return lines.join("\n");
}
