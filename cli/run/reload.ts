import { z } from "zod";
import type { LocatedManifest } from "../../loader/manifest/manifest.ts";
import { build } from "../build.ts";
import { CommandFailure } from "../failure.ts";
import type { Announcer } from "./announce.ts";
import { watchSource } from "./watch.ts";

/** Watches the folders of services, and has a loader load those anew that change. */
export interface Reloader extends AsyncDisposable {
  /** From now on changes are loaded, through a loader's admin address; those since the beginning too. */
  follow(adminUrl: string, announcer: Pick<Announcer, "reloaded" | "notReloaded">): void;
}

/** Begins to watch; nothing is loaded before it is told to follow. */
export async function createReloader(services: readonly LocatedManifest[], signal: AbortSignal): Promise<Reloader> {
  let follower:
    | { readonly adminUrl: string; readonly announcer: Pick<Announcer, "reloaded" | "notReloaded"> }
    | undefined;
  const sources = await Promise.all(
    services.map((service) =>
      watchSource(service.source, {
        prepare: () => build(service, signal),
        async onChange() {
          const started = performance.now();
          if (follower === undefined) return;
          await load(follower.adminUrl, service, signal);
          await follower.announcer.reloaded(service.manifest.id, performance.now() - started);
        },
        onError(thrown) {
          // The command is ending; nothing is to be loaded any more.
          if (signal.aborted) return;
          follower?.announcer.notReloaded(
            service.manifest.id,
            thrown instanceof Error ? thrown.message : String(thrown),
          );
        },
      }),
    ),
  );
  return {
    follow(adminUrl, announcer) {
      follower = { adminUrl, announcer };
      for (const source of sources) void source.follow();
    },
    async [Symbol.asyncDispose]() {
      for (const source of sources) await source[Symbol.asyncDispose]();
    },
  };
}

const failureSchema = z.object({ error: z.string() });

/** What the loader may take beyond the service's own start. */
const slackMs = 30_000;

/** Resolves when the changed service serves. Throws CommandFailure with the reason when it does not come to that. */
async function load(adminUrl: string, { manifest }: LocatedManifest, signal: AbortSignal): Promise<void> {
  const url = `${adminUrl}/v2/repository/models/${encodeURIComponent(manifest.id)}/load`;
  const timeout = AbortSignal.timeout(manifest.startTimeoutMs + slackMs);
  const response = await fetch(url, { method: "POST", signal: AbortSignal.any([signal, timeout]) });
  if (response.ok) return;
  const answer = failureSchema.safeParse(await response.json());
  throw new CommandFailure(answer.success ? answer.data.error : `the loader answered ${response.status}`);
}
