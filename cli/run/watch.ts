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

/** How long a folder must be quiet: editors and compilers write several files, and some of them twice. */
const quietMs = 200;

/** What {@link watchFolder} tells. */
export interface WatchOptions {
  /** Brings what is built from other files up to date, before they are looked at. */
  readonly prepare: () => Promise<unknown>;
  /** Told of a change; the next one is told when this one is done with. */
  readonly onChange: () => Promise<void>;
  /** Told what `prepare` and `onChange` throw. */
  readonly onError: (thrown: unknown) => void;
}

/** A folder that is watched; disposing of it ends that. */
export interface WatchedFolder extends AsyncDisposable {
  /** From now on changes are told. Resolves when those since the beginning are. */
  follow(): Promise<void>;
}

/**
 * Watches a service's folder from now on. A change is told when the folder is quiet and its files are not what they were
 * when the last change was told; what `prepare` makes is part of that, and no change of its own.
 */
export async function watchFolder(folder: string, options: WatchOptions): Promise<WatchedFolder> {
  let known = await fingerprint(folder);
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
      if ((await fingerprint(folder)) !== known) {
        await options.prepare();
        known = await fingerprint(folder);
        await options.onChange();
      }
    } catch (thrown) {
      options.onError(thrown);
    }
    isBusy = false;
    if (isStale) await look();
  };
  const watcher = watch(folder, {
    ignoreInitial: true,
    ignored: (path) => path !== folder && isIgnored(basename(path)),
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
async function fingerprint(folder: string): Promise<string> {
  const lines: string[] = [];
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (isIgnored(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) lines.push(await fingerprint(path));
    else if (extensions.has(extname(entry.name))) {
      // Of the file that a link leads to; it may be gone meanwhile.
      const status = await stat(path).catch(() => undefined);
      if (status !== undefined) lines.push(`${path} ${status.ino} ${status.size} ${status.mtimeMs}`);
    }
  }
  return lines.join("\n");
}
