import { ServingError } from "../../../proto/errors.ts";
import type { Caller } from "../../admission/admission.ts";
import { isRecord } from "../../schema/dialect.ts";
import type { ControlAction } from "../../service-control.ts";
import { configurationFrom, metadataFrom, serverMetadata } from "./metadata.ts";
import { indexOf, isServerReady, type Lister, listedFor, type ModelDirectory } from "./models.ts";
import type { ModelControl } from "./repository.ts";
import { modelStatisticsFrom } from "./statistics.ts";

/** What is asked of a page. */
export interface PageRequest {
  /** "" where the path has none. */
  readonly model: string;
  /** "": whichever is served. */
  readonly version: string;
  readonly caller: Caller;
  /** Aborts when the caller hangs up. */
  readonly signal: AbortSignal;
  /** Gives the request's body, which is short. Throws ServingError. */
  readBody(): Promise<string>;
  /** Lets the connection be silent until the answer. */
  holdOpen(): void;
}

/** One page about the server or a model. */
export interface Page {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Whether it is for everybody, where the others are for apps that admission knows. */
  readonly isOpen?: boolean;
  /** Gives what is written as JSON; the status is 200 unless told. May throw ServingError. */
  readonly answer: (asked: PageRequest) => PageAnswer | Promise<PageAnswer>;
}

interface PageAnswer {
  readonly body: unknown;
  readonly status?: number;
}

/** What the pages are made from. */
export interface PageSources {
  readonly directory: ModelDirectory;
  readonly control: ModelControl;
  readonly isDraining: () => boolean;
}

/** The pages of the protocol, and of its extensions that work here. */
export function pagesOf(sources: PageSources): readonly Page[] {
  const { directory, control } = sources;
  const index = async ({ readBody, caller }: PageRequest) => ({
    body: indexOf(directory, isReadyOnly(await readBody()), caller),
  });
  return [
    { method: "GET", path: "/v2", answer: () => ({ body: serverMetadata }) },
    ...healthPages(sources),
    {
      method: "GET",
      path: "/v2/models",
      answer: ({ caller }) => ({ body: { models: listedFor(directory.models, caller).map((m) => m.target.id) } }),
    },
    { method: "GET", path: "/v2/models/stats", answer: ({ caller }) => statisticsPage(directory, "", "", caller) },
    ...modelPages(directory),
    { method: "POST", path: "/v2/repository/index", answer: index },
    { method: "POST", path: "/v2/repository/:repository/index", answer: index },
    controlPage("load", control),
    controlPage("unload", control),
  ];
}

function controlPage(action: ControlAction, control: ModelControl): Page {
  return {
    method: "POST",
    path: `/v2/repository/models/:model/${action}`,
    async answer({ model, caller, signal, readBody, holdOpen }) {
      const parameters = Object.keys(memberOf(await readBody(), "parameters", isRecord) ?? {});
      holdOpen();
      await control({ action, model, parameters, caller, signal });
      return { body: {} };
    },
  };
}

function healthPages({ directory, isDraining }: PageSources): readonly Page[] {
  return [
    { method: "GET", path: "/v2/health/live", isOpen: true, answer: () => ({ body: { live: true } }) },
    {
      method: "GET",
      path: "/v2/health/ready",
      isOpen: true,
      answer() {
        const ready = !isDraining() && isServerReady(directory);
        // The protocol's text calls the member `live` here as well.
        return { body: { ready, live: ready }, status: ready ? 200 : 503 };
      },
    },
  ];
}

function modelPages(directory: ModelDirectory): readonly Page[] {
  return [
    {
      method: "GET",
      path: "/v2/models/:model",
      answer: ({ model, version }) => ({ body: metadataFrom(directory.describe(model, version)) }),
    },
    {
      method: "GET",
      path: "/v2/models/:model/ready",
      answer({ model, version }) {
        const ready = directory.isReady(model, version);
        const { reason } = directory.find(model).status();
        return ready
          ? { body: { name: model, ready } }
          : { body: { name: model, ready, error: `model '${model}' is not ready: ${reason}` }, status: 503 };
      },
    },
    {
      method: "GET",
      path: "/v2/models/:model/config",
      answer: ({ model, version }) => ({ body: configurationFrom(directory.describe(model, version)) }),
    },
    {
      method: "GET",
      path: "/v2/models/:model/stats",
      answer: ({ model, version, caller }) => statisticsPage(directory, model, version, caller),
    },
  ];
}

function statisticsPage(directory: ModelDirectory, model: string, version: string, caller: Lister): PageAnswer {
  return { body: { model_stats: directory.statistics(model, version, caller).map(modelStatisticsFrom) } };
}

function isReadyOnly(body: string): boolean {
  return memberOf(body, "ready", (value) => typeof value === "boolean") ?? false;
}

/** One member of a body that may be empty. Throws ServingError for one that is no JSON object, or has another kind of value. */
function memberOf<Value>(body: string, name: string, is: (value: unknown) => value is Value): Value | undefined {
  if (body.trim() === "") return undefined;
  const value = objectFrom(body)[name];
  if (value === undefined || value === null) return undefined;
  if (!is(value)) throw new ServingError("SCHEMA_VIOLATION", `${name}: is of the wrong type`);
  return value;
}

function objectFrom(body: string): Readonly<Record<string, unknown>> {
  try {
    const document: unknown = JSON.parse(body);
    if (isRecord(document)) return document;
  } catch {
    // Told below.
  }
  throw new ServingError("MALFORMED_ENVELOPE", "the request must be a JSON object");
}
