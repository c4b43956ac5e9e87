import type { LocatedManifest } from "../../loader/manifest/manifest.ts";
import { build } from "../build.ts";
import { gatewayConfigFrom, loaderConfigFrom } from "../configuration.ts";
import { createLoaderApi } from "../loader-api.ts";
import { createProcesses, Interrupted, type Processes } from "../processes.ts";
import { readableLog } from "../readable-log.ts";
import { locateServices } from "../service-folder.ts";
import { addressOf } from "../service-process.ts";
import { createAnnouncer } from "./announce.ts";
import { createReloader } from "./reload.ts";

/** What `athena run` is told. */
export interface RunOptions {
  /** Where the gateway listens. Port 0: any that is free. */
  readonly host: string;
  readonly port: number;
  /** Where the loader listens, on the machine itself. */
  readonly loaderPort: number;
}

/** What a run works with. */
interface Run {
  readonly services: readonly LocatedManifest[];
  readonly options: RunOptions;
  readonly processes: Processes;
  readonly cleanup: AsyncDisposableStack;
}

/**
 * Serves folders through a loader and a gateway until it is asked to end, and loads a service anew when its files change. Gives the
 * exit code: 0 when every request that was under way could finish.
 */
export async function runServices(paths: readonly string[], options: RunOptions): Promise<number> {
  await using cleanup = new AsyncDisposableStack();
  const services = locateServices(paths);
  const processes = cleanup.use(createProcesses());
  try {
    return await processes.during(serve({ services, options, processes, cleanup }));
  } catch (thrown) {
    if (!(thrown instanceof Interrupted)) throw thrown;
    console.log("\nStopping. What is under way may finish; Ctrl-C again ends it at once.");
    return (await processes.stop()) ? 0 : 1;
  }
}

async function serve({ services, options, processes, cleanup }: Run): Promise<never> {
  const { signal } = processes;
  for (const service of services) {
    if (await build(service, signal)) console.log(`${service.manifest.id} is built.`);
  }
  // Before anything reads the folders, so that no change of them is lost.
  const reloader = cleanup.use(await createReloader(services, signal));
  const loader = await processes.start("loader", {
    main: "loader/main.ts",
    config: loaderConfigFrom(services, options.loaderPort),
    ...shownOutput,
  });
  const api = cleanup.use(createLoaderApi(addressOf(loader, "public")));
  const statuses = await api.untilSettled(signal);
  const gateway = await processes.start("gateway", {
    main: "gateway/main.ts",
    config: gatewayConfigFrom(services, addressOf(loader, "public"), { host: options.host, port: options.port }),
    ...shownOutput,
  });
  const announcer = await createAnnouncer({ api, loader, gateway, cleanup });
  await announcer.begin(statuses);
  reloader.follow(addressOf(loader, "admin"), announcer);
  return new Promise<never>(() => {});
}

const shownOutput = {
  onLog(line: Parameters<typeof readableLog>[0]): void {
    const text = readableLog(line);
    if (text !== undefined) console.log(text);
  },
  onText: (text: string): void => console.log(text),
};
