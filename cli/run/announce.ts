import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoaderApi, ServiceStatus } from "../loader-api.ts";
import { milliseconds } from "../readable-log.ts";
import { addressOf, type ServiceProcess, waitUntilReady } from "../service-process.ts";
import { callFrom } from "./call.ts";

/** Tells the user what is served and how to call it. */
export interface Announcer {
  /** Told when all is up. */
  begin(statuses: readonly ServiceStatus[]): Promise<void>;
  /** Told when a service serves its new files. */
  reloaded(id: string, durationMs: number): Promise<void>;
  /** Told why it does not. */
  notReloaded(id: string, reason: string): void;
}

/** What is announced. */
export interface AnnouncerOptions {
  readonly api: LoaderApi;
  readonly loader: ServiceProcess;
  readonly gateway: ServiceProcess;
  /** Removes the files that the announcer writes. */
  readonly cleanup: AsyncDisposableStack;
}

/** How long the gateway may take to see that a service is ready. */
const readyTimeoutMs = 15_000;

/** Builds what announces on standard output. */
export async function createAnnouncer({ api, loader, gateway, cleanup }: AnnouncerOptions): Promise<Announcer> {
  const folder = await mkdtemp(join(tmpdir(), "athena-run-"));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const called = new Set<string>();
  const gatewayUrl = dialable(addressOf(gateway, "public"));
  const showCall = async (id: string): Promise<void> => {
    try {
      await waitUntilReady(gateway, [id], readyTimeoutMs);
    } catch (thrown) {
      // Its definition may be one that the gateway refuses; the log says so.
      console.log(`\n${id} cannot be called through the gateway: ${thrown instanceof Error ? thrown.message : thrown}`);
      return;
    }
    called.add(id);
    console.log(`\n${id} is served. Try:\n  ${await callFrom(await api.describe(id), gatewayUrl, folder)}`);
  };
  return {
    async begin(statuses) {
      for (const { id, isReady, reason } of statuses) {
        if (isReady) await showCall(id);
        else console.log(`\n${id} cannot be served until its files change: ${reason}`);
      }
      console.log(`\ngateway  ${gatewayUrl}  admin ${addressOf(gateway, "admin")}/readyz and /metrics`);
      console.log(`loader   ${addressOf(loader, "public")}  admin ${addressOf(loader, "admin")}/readyz and /metrics`);
      console.log("Changed files are loaded as soon as they are there. Ctrl-C ends it.\n");
    },
    async reloaded(id, durationMs) {
      console.log(`${id} serves the changed files, after ${milliseconds(durationMs)}.`);
      if (!called.has(id)) await showCall(id);
    },
    notReloaded(id, reason) {
      const what = called.has(id) ? "The one before goes on." : "It waits for the next change.";
      console.log(`${id} cannot be loaded with the changed files: ${reason}\n${what}`);
    },
  };
}

/** An address to listen on as one to connect to: "any" is this machine. */
function dialable(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//:::", "//[::1]:");
}
